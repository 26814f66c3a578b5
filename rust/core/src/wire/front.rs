//! The headers at the front of an IP packet that stay in front of ESP in transport mode.
//!
//! RFC 4303 §3.1.1: ESP comes after the IPv4 header and its options, and after IPv6's hop-by-hop,
//! routing and fragment headers with the destination options that precede a routing header. The
//! same headers are the "unfragmentable part" of an IPv6 packet (RFC 8200 §4.5).

use super::checksum::checksum;
use super::ip::{IPV6_HEADER_OCTETS, ipv4_header, total_length, traffic_class, version};
use super::octets::{octet, put, u16_at};
use super::protocol::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};

const MAX_EXTENSION_HEADERS: usize = 8;
const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3FFF;

/// `octets` of headers; `protocol_at` is the place in them that names what follows.
#[derive(Clone, Copy, Debug)]
pub struct Front<'a> {
    /// All of them.
    pub octets: &'a [u8],
    /// Below the length of `octets`.
    pub protocol_at: usize,
}

impl Front<'_> {
    /// What follows.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        octet(self.octets, self.protocol_at).unwrap_or(0)
    }

    /// DSCP and ECN.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        traffic_class(self.octets)
    }

    /// Whether the packet is a fragment of a datagram.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        if version(self.octets) == 6 {
            return self.protocol() == FRAGMENT;
        }
        u16_at(self.octets, 6).is_some_and(|field| field & MORE_FRAGMENTS_AND_OFFSET != 0)
    }
}

/// The front, and all that follows it up to the packet's own total length; None: malformed.
///
/// An IPv6 fragment header is not walked over: it begins what follows.
#[must_use]
pub fn split(packet: &[u8]) -> Option<(Front<'_>, &[u8])> {
    let packet = packet.get(..total_length(packet)?)?;
    let (header, protocol_at) = if version(packet) == 4 {
        (ipv4_header(packet)?, 9)
    } else {
        ipv6_front(packet)?
    };
    let (octets, rest) = packet.split_at_checked(header)?;
    Some((
        Front {
            octets,
            protocol_at,
        },
        rest,
    ))
}

/// Make the headers true again: what follows them is `protocol`, up to the end of `packet`.
///
/// None when that is more than an IP packet can hold.
pub fn complete(packet: &mut [u8], header: usize, protocol_at: usize, protocol: u8) -> Option<()> {
    put(packet, protocol_at, &[protocol])?;
    if version(packet) == 6 {
        let length = u16::try_from(packet.len().checked_sub(IPV6_HEADER_OCTETS)?).ok()?;
        return put(packet, 4, &length.to_be_bytes());
    }
    let length = u16::try_from(packet.len()).ok()?;
    put(packet, 2, &length.to_be_bytes())?;
    put(packet, 10, &[0, 0])?;
    let sum = checksum(packet.get(..header)?);
    put(packet, 10, &sum)
}

fn ipv6_front(packet: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut protocol_at) = (IPV6_HEADER_OCTETS, 6);
    let mut front = (at, protocol_at);
    for _ in 0..MAX_EXTENSION_HEADERS {
        let kind = octet(packet, protocol_at)?;
        if !matches!(kind, HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS) {
            return Some(front);
        }
        let after = at + 8 + usize::from(octet(packet, at + 1)?) * 8;
        if after > packet.len() {
            return None;
        }
        (at, protocol_at) = (after, at);
        if kind != DESTINATION_OPTIONS {
            front = (at, protocol_at); // those before a routing header come with it
        }
    }
    None
}
