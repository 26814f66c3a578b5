//! What happens to an inner packet at the tunnel's mouth, because the path takes only so much.
//!
//! ```text
//! larger than goes whole:
//!   IPv4 without DF           sealed as it is; the outer packet travels in fragments
//!   IPv4 with DF, IPv6        its sender is told, by ICMP, and sends smaller (RFC 4301 §8.2.1)
//!   up to 576 or 1280 octets  sealed as it is: no link may refuse these (RFC 791, RFC 8200 §5)
//! ```

use crate::crypto::Suite;
use crate::esp::trailer::TRAILER_OCTETS;
use crate::sa::child::Encapsulation;
use crate::wire::esp::HEADER_OCTETS;
use crate::wire::icmp::{build_too_big, may_fragment};
use crate::wire::ip::{IPV4_HEADER_OCTETS, IPV6_HEADER_OCTETS, version};
use crate::wire::tcpencap::LENGTH_OCTETS;

/// RFC 1812 §4.3.2.8, RFC 4443 §2.4: errors are sent at a limited rate.
pub const ERRORS_A_SECOND: u32 = 100;

const UDP_HEADER_OCTETS: usize = 8;
const TCP_OCTETS: usize = 20 + 12 + LENGTH_OCTETS; // with the timestamps option

/// Outer IPv6 packets go in one piece up to `outer` octets; `inner` ones are what fits well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Outer packet, IP header included.
    pub outer: usize,
    /// Inner packet.
    pub inner: usize,
}

impl Fit {
    /// None for a well-formed IP packet that goes on; else how many octets its sender may send.
    #[must_use]
    pub fn refuses(&self, packet: &[u8]) -> Option<usize> {
        if packet.len() <= self.inner {
            return None;
        }
        let limit = self
            .inner
            .max(if version(packet) == 4 { 576 } else { 1280 });
        (packet.len() > limit && !may_fragment(packet)).then_some(limit)
    }
}

/// The largest inner packet whose outer packet has at most `underlay_mtu` octets.
#[must_use]
pub fn inner_mtu(mtu: usize, outer_is_ipv4: bool, how: Encapsulation, suite: Suite) -> usize {
    let outer = if outer_is_ipv4 {
        IPV4_HEADER_OCTETS
    } else {
        IPV6_HEADER_OCTETS
    };
    let around = match how {
        Encapsulation::Esp => 0,
        Encapsulation::Udp => UDP_HEADER_OCTETS,
        Encapsulation::Tcp => TCP_OCTETS,
    };
    let sealed = HEADER_OCTETS + suite.iv_octets() + suite.icv_octets();
    let plaintext = mtu.saturating_sub(outer + around + sealed);
    (plaintext - plaintext % suite.alignment()).saturating_sub(TRAILER_OCTETS)
}

/// Makes the ICMP errors for inner senders, at a limited rate.
#[derive(Default)]
pub struct ErrorSource {
    second: u64,
    sent: u32,
}

impl ErrorSource {
    /// The IP packet to write into TUN; None when there is to be none. `second` is the clock's.
    pub fn too_big(&mut self, packet: &[u8], limit: usize, second: u64) -> Option<Vec<u8>> {
        if second != self.second {
            (self.second, self.sent) = (second, 0);
        }
        if self.sent >= ERRORS_A_SECOND {
            return None;
        }
        let error = build_too_big(packet, limit)?;
        self.sent += 1;
        Some(error)
    }
}
