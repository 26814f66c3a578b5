//! "Too big": ICMP Fragmentation Needed (RFC 792, RFC 1191), ICMPv6 Packet Too Big (RFC 4443).

use super::checksum::{Sum, pseudo_header};
use super::front::complete;
use super::ip::{IPV4_HEADER_OCTETS, IPV6_HEADER_OCTETS, ipv4_header, version};
use super::octets::{array, octet, put, u16_at};
use super::protocol::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, ROUTING};

const ICMP_HEADER_OCTETS: usize = 8;
const HOPS: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;
const FRAGMENT_OFFSET: u16 = 0x1FFF;
const ICMPV6_INFORMATIONAL: u8 = 128;

// RFC 1812 §4.3.2.3 and RFC 4443 §3.2: quote as much as fits, the whole error no larger than this.
const LARGEST_ERROR4: usize = 576;
const LARGEST_ERROR6: usize = 1280;

/// Whether an IP packet may be cut on its way: IPv4 without DF (RFC 791).
#[must_use]
pub fn may_fragment(packet: &[u8]) -> bool {
    version(packet) == 4 && u16_at(packet, 6).is_some_and(|field| field & DONT_FRAGMENT == 0)
}

/// The IP packet that tells the sender of `packet`, a well-formed IP packet, of `mtu`.
///
/// None where no error may be sent (RFC 1122 §3.2.2, RFC 4443 §2.4): about another error, about a
/// later fragment, to or from what is not one host. Its source is the destination of `packet`: an
/// address that the sender can reach this way.
#[must_use]
pub fn build_too_big(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    if version(packet) == 4 {
        build4(packet, mtu)
    } else {
        build6(packet, mtu)
    }
}

fn build4(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    let header = ipv4_header(packet)?;
    let (source, destination) = (array::<4>(packet, 12)?, array::<4>(packet, 16)?);
    if u16_at(packet, 6)? & FRAGMENT_OFFSET != 0
        || not_one_host4(source)
        || not_one_host4(destination)
        || (octet(packet, 9)? == ICMP && !matches!(octet(packet, header)?, 0 | 8 | 13..=18))
    {
        return None;
    }
    let most = LARGEST_ERROR4 - IPV4_HEADER_OCTETS - ICMP_HEADER_OCTETS;
    let quoted = packet.get(..most.min(packet.len()))?;
    let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
    let mut error = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, HOPS, ICMP, 0, 0];
    error.extend_from_slice(&destination);
    error.extend_from_slice(&source);
    error.extend_from_slice(&[3, 4, 0, 0, 0, 0]);
    error.extend_from_slice(&mtu.to_be_bytes());
    error.extend_from_slice(quoted);
    let sum = Sum::default()
        .with(error.get(IPV4_HEADER_OCTETS..)?)
        .finish();
    put(&mut error, IPV4_HEADER_OCTETS + 2, &sum)?;
    complete(&mut error, IPV4_HEADER_OCTETS, 9, ICMP)?;
    Some(error)
}

fn build6(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    let (source, destination) = (array::<16>(packet, 8)?, array::<16>(packet, 24)?);
    if not_one_host6(source) || octet(packet, 24)? == 0xFF || is_icmpv6_error(packet) {
        return None;
    }
    let most = LARGEST_ERROR6 - IPV6_HEADER_OCTETS - ICMP_HEADER_OCTETS;
    let quoted = packet.get(..most.min(packet.len()))?;
    let mut error = vec![0x60, 0, 0, 0, 0, 0, ICMPV6, HOPS];
    error.extend_from_slice(&destination);
    error.extend_from_slice(&source);
    error.extend_from_slice(&[2, 0, 0, 0]);
    error.extend_from_slice(&u32::try_from(mtu).ok()?.to_be_bytes());
    error.extend_from_slice(quoted);
    complete(&mut error, IPV6_HEADER_OCTETS, 6, ICMPV6)?;
    let body = error.get(IPV6_HEADER_OCTETS..)?;
    let sum = pseudo_header(&error, ICMPV6, body.len())?
        .with(body)
        .finish();
    put(&mut error, IPV6_HEADER_OCTETS + 2, &sum)?;
    Some(error)
}

/// 0/8, 127/8, and everything from 224.0.0.0 on: multicast, reserved, broadcast.
fn not_one_host4(address: [u8; 4]) -> bool {
    matches!(address[0], 0 | 127) || address[0] >= 224
}

fn not_one_host6(address: [u8; 16]) -> bool {
    address[0] == 0xFF || u128::from_be_bytes(address) <= 1
}

fn is_icmpv6_error(packet: &[u8]) -> bool {
    let mut protocol = octet(packet, 6);
    let mut at = IPV6_HEADER_OCTETS;
    while let Some(HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS) = protocol {
        let Some(length) = octet(packet, at + 1) else {
            return false;
        };
        protocol = octet(packet, at);
        at += 8 + usize::from(length) * 8;
    }
    if protocol == Some(FRAGMENT) {
        if u16_at(packet, at + 2).is_none_or(|field| field >> 3 != 0) {
            return false; // its type is in the first fragment; this one cannot be told apart
        }
        protocol = octet(packet, at);
        at += 8;
    }
    protocol == Some(ICMPV6) && octet(packet, at).is_some_and(|kind| kind < ICMPV6_INFORMATIONAL)
}
