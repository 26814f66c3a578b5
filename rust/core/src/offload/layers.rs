//! Where the headers of a TCP or UDP packet lie.

use crate::wire::ip::{IPV6_HEADER_OCTETS, ipv4_header, version};
use crate::wire::octets::{octet, u16_at};
use crate::wire::protocol::{TCP, UDP};

/// Of a UDP header.
pub const UDP_HEADER_OCTETS: usize = 8;
const TCP_HEADER_OCTETS: usize = 20;
const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3FFF;

/// IP from 0 on, TCP or UDP from `upper` on, payload from `payload` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    /// 4 or 6.
    pub version: u8,
    /// `TCP` or `UDP`.
    pub protocol: u8,
    /// Octets of IP headers.
    pub upper: usize,
    /// Octets of all headers.
    pub payload: usize,
}

impl Layers {
    /// Of a well-formed IP packet; None for another protocol, a fragment, IPv6 extension headers,
    /// or headers that are cut off.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        let version = version(packet);
        let (upper, protocol) = if version == 4 {
            if u16_at(packet, 6)? & MORE_FRAGMENTS_AND_OFFSET != 0 {
                return None;
            }
            (ipv4_header(packet)?, octet(packet, 9)?)
        } else {
            (IPV6_HEADER_OCTETS, octet(packet, 6)?)
        };
        let own = match protocol {
            TCP => usize::from(octet(packet, upper + 12)? >> 4) * 4,
            UDP => UDP_HEADER_OCTETS,
            _ => return None,
        };
        let payload = upper + own;
        let whole = protocol == UDP || own >= TCP_HEADER_OCTETS;
        (whole && payload <= packet.len()).then_some(Self {
            version,
            protocol,
            upper,
            payload,
        })
    }
}
