//! The IP headers that a selector looks at (RFC 791, RFC 8200, RFC 4301 §4.4.1.1).

use super::octets::{array, octet, u16_at};
use super::protocol::{
    DCCP, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, ROUTING, SCTP, TCP, UDP,
    UDP_LITE,
};

/// Without options.
pub const IPV4_HEADER_OCTETS: usize = 20;
/// Without extension headers.
pub const IPV6_HEADER_OCTETS: usize = 40;

const MAX_EXTENSION_HEADERS: usize = 8;
const FRAGMENT_OFFSET: u16 = 0x1FFF;

/// What selectors compare: the protocol is the one after extension headers.
///
/// Ports are None where the packet has none to show: other protocols, and later fragments. ICMP has
/// its type << 8 | code in both (RFC 7296 §3.13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// 4 or 6.
    pub version: u8,
    /// As an integer; an IPv4 address uses the low 32 bits.
    pub source: u128,
    /// Likewise.
    pub destination: u128,
    /// Next layer protocol.
    pub protocol: u8,
    /// If the packet shows it.
    pub source_port: Option<u16>,
    /// If the packet shows it.
    pub destination_port: Option<u16>,
}

impl Flow {
    /// The flow of an answer.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..*self
        }
    }
}

/// The version of the IP packet, 0 when there is not one octet.
#[must_use]
pub fn version(packet: &[u8]) -> u8 {
    octet(packet, 0).unwrap_or(0) >> 4
}

/// Octets of the IP packet that `packet` begins with, by its own length field.
///
/// None where that is less than the header or more than `packet` holds.
#[must_use]
pub fn total_length(packet: &[u8]) -> Option<usize> {
    let (least, length) = match version(packet) {
        4 => (IPV4_HEADER_OCTETS, usize::from(u16_at(packet, 2)?)),
        6 => (
            IPV6_HEADER_OCTETS,
            IPV6_HEADER_OCTETS + usize::from(u16_at(packet, 4)?),
        ),
        _ => return None,
    };
    (length >= least && length <= packet.len()).then_some(length)
}

/// Octets of an IPv4 packet's header, options included; None when it does not fit in the packet.
#[must_use]
pub fn ipv4_header(packet: &[u8]) -> Option<usize> {
    let header = usize::from(octet(packet, 0)? & 0x0F) * 4;
    (header >= IPV4_HEADER_OCTETS && header <= packet.len()).then_some(header)
}

/// The flow of a whole IP packet; octets after its total length are not looked at.
///
/// None for a wrong version, header length, total length or header chain.
#[must_use]
pub fn parse_flow(packet: &[u8]) -> Option<Flow> {
    let packet = packet.get(..total_length(packet)?)?;
    if version(packet) == 4 {
        parse_ipv4(packet)
    } else {
        parse_ipv6(packet)
    }
}

fn parse_ipv4(packet: &[u8]) -> Option<Flow> {
    let header = ipv4_header(packet)?;
    let later_fragment = u16_at(packet, 6)? & FRAGMENT_OFFSET != 0;
    let protocol = octet(packet, 9)?;
    let (source_port, destination_port) = if later_fragment {
        (None, None)
    } else {
        ports(packet, header, protocol)?
    };
    Some(Flow {
        version: 4,
        source: u32::from_be_bytes(array(packet, 12)?).into(),
        destination: u32::from_be_bytes(array(packet, 16)?).into(),
        protocol,
        source_port,
        destination_port,
    })
}

fn parse_ipv6(packet: &[u8]) -> Option<Flow> {
    let mut protocol = octet(packet, 6)?;
    let mut at = IPV6_HEADER_OCTETS;
    let mut later_fragment = false;
    let mut passed = 0;
    // RFC 4301 §4.4.1.1: these are skipped on the way to the next layer protocol; AH, ESP are not.
    while matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS
    ) && !later_fragment
    {
        passed += 1;
        if passed > MAX_EXTENSION_HEADERS || at + 8 > packet.len() {
            return None;
        }
        let length = if protocol == FRAGMENT {
            // RFC 8200 §4.5: always 8 octets; the offset has 13 bits, then come 3 flag bits.
            later_fragment = u16_at(packet, at + 2)? >> 3 != 0;
            8
        } else {
            8 + usize::from(octet(packet, at + 1)?) * 8
        };
        protocol = octet(packet, at)?;
        at += length;
    }
    if at > packet.len() {
        return None;
    }
    let (source_port, destination_port) = if later_fragment {
        (None, None)
    } else {
        ports(packet, at, protocol)?
    };
    Some(Flow {
        version: 6,
        source: u128::from_be_bytes(array(packet, 8)?),
        destination: u128::from_be_bytes(array(packet, 24)?),
        protocol,
        source_port,
        destination_port,
    })
}

/// The two port fields at `at`, for a protocol that has them.
///
/// None when the packet ends before them: no selector could judge it.
fn ports(packet: &[u8], at: usize, protocol: u8) -> Option<(Option<u16>, Option<u16>)> {
    match protocol {
        TCP | UDP | DCCP | SCTP | UDP_LITE => {
            Some((Some(u16_at(packet, at)?), Some(u16_at(packet, at + 2)?)))
        }
        ICMP | ICMPV6 => {
            let type_and_code = Some(u16_at(packet, at)?);
            Some((type_and_code, type_and_code))
        }
        _ => Some((None, None)),
    }
}

/// The 8 bits DSCP | ECN of an IPv4 or IPv6 header.
#[must_use]
pub fn traffic_class(packet: &[u8]) -> u8 {
    let word = u16_at(packet, 0).unwrap_or(0);
    match word >> 12 {
        4 => (word & 0xFF) as u8,
        _ => (word >> 4 & 0xFF) as u8,
    }
}
