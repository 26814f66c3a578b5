//! An IPv6 header put together from ancillary data: raw IPv6 sockets hand over none (RFC 3542).

use std::net::IpAddr;

use crate::system::control::Receiving;
use crate::system::datagram::Received;
use crate::wire::octets::{array, put};
use crate::wire::protocol::{DESTINATION_OPTIONS, ESP, HOP_BY_HOP, ROUTING};

const IPV6_FLOWINFO: i32 = 11;

/// Write the headers of a packet in their order into `front`; where they name what follows.
///
/// The payload length is left 0, and the last next header is what the packet's was.
pub fn ipv6_front(received: &Received, control: &Receiving, front: &mut Vec<u8>) -> usize {
    let mut first_word = [0; 4];
    let mut hop_limit = 0;
    for (level, kind, content) in control.messages() {
        if level != libc::IPPROTO_IPV6 {
            continue;
        }
        if kind == IPV6_FLOWINFO {
            first_word = array(content, 0).unwrap_or_default(); // in network order
        } else if kind == libc::IPV6_HOPLIMIT {
            hop_limit = array(content, 0).map_or(0, i32::from_ne_bytes) as u8;
        }
    }
    front.clear();
    front.push(0x60 | first_word[0] & 0x0F);
    front.extend_from_slice(&first_word[1..]);
    front.extend_from_slice(&[0, 0, 0, hop_limit]);
    for end in [received.sender.ip, received.local.ip] {
        if let IpAddr::V6(ip) = end {
            front.extend_from_slice(&ip.octets());
        }
    }
    let mut protocol_at = 6;
    for (level, kind, content) in control.messages() {
        let protocol = match (level, kind) {
            (libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS) => HOP_BY_HOP,
            (libc::IPPROTO_IPV6, libc::IPV6_RTHDR) => ROUTING,
            (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS) => DESTINATION_OPTIONS,
            _ => continue,
        };
        put(front, protocol_at, &[protocol]);
        protocol_at = front.len();
        front.extend_from_slice(content);
    }
    put(front, protocol_at, &[ESP]);
    protocol_at
}
