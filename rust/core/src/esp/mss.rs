//! TCP's maximum segment size, lowered on its way through the tunnel (RFC 9293 §3.7.1, RFC 2923).
//!
//! Each SYN that passes, in either direction, says at most what the tunnel carries whole.

use crate::wire::checksum::adjusted;
use crate::wire::ip::{IPV4_HEADER_OCTETS, IPV6_HEADER_OCTETS, version};
use crate::wire::octets::{array, octet, put, u16_at};
use crate::wire::protocol::TCP;

const TCP_HEADER_OCTETS: usize = 20;
const SYN: u8 = 0x02;
const MSS: u8 = 2;
const SMALLEST: u16 = 88; // Linux takes nothing less seriously

/// Lower the MSS option of a SYN so that its answers have at most `largest` octets.
///
/// Every other packet stays as it is, and so does one that is malformed, a fragment, or TCP behind
/// IPv6 extension headers (ICMP has to do there). `packet` is a well-formed IP packet.
pub fn clamp(packet: &mut [u8], largest: usize) {
    let found = find(packet, largest);
    if let Some((start, at, most)) = found {
        lower(packet, start, at, most);
    }
}

/// Where TCP begins, where the 16 bits of the option are, and what they may be at most.
fn find(packet: &[u8], largest: usize) -> Option<(usize, usize, u16)> {
    let (start, header) = if version(packet) == 4 {
        // Flags and offset: but for DF, all are zero in a whole packet.
        if octet(packet, 9)? != TCP || u16_at(packet, 6)? & 0x3FFF != 0 {
            return None;
        }
        (
            usize::from(octet(packet, 0)? & 0x0F) * 4,
            IPV4_HEADER_OCTETS,
        )
    } else {
        if octet(packet, 6)? != TCP {
            return None;
        }
        (IPV6_HEADER_OCTETS, IPV6_HEADER_OCTETS)
    };
    if octet(packet, start + 13)? & SYN == 0 {
        return None;
    }
    let at = option(packet, start)?;
    let most = largest.saturating_sub(header + TCP_HEADER_OCTETS);
    let most = u16::try_from(most).unwrap_or(u16::MAX);
    (u16_at(packet, at)? > most).then_some((start, at, most.max(SMALLEST)))
}

/// None without one, or among broken options.
fn option(packet: &[u8], start: usize) -> Option<usize> {
    let mut at = start + TCP_HEADER_OCTETS;
    let header = usize::from(octet(packet, start + 12)? >> 4) * 4;
    let options = packet.get(..start + header)?;
    loop {
        match octet(options, at)? {
            0 => return None,
            1 => at += 1,
            kind => {
                let length = usize::from(octet(options, at + 1)?);
                if length < 2 || at + length > options.len() {
                    return None;
                }
                if kind == MSS {
                    return (length == 4).then_some(at + 2);
                }
                at += length;
            }
        }
    }
}

fn lower(packet: &mut [u8], start: usize, at: usize, value: u16) -> Option<()> {
    // The checksum is over 16-bit words: an option at an odd offset has a half in each of two.
    let odd = (at - start) % 2;
    let words = at - odd..at + 2 + odd;
    let before = packet.get(words.clone())?.to_vec();
    put(packet, at, &value.to_be_bytes())?;
    let sum = adjusted(array(packet, start + 16)?, &before, packet.get(words)?);
    put(packet, start + 16, &sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_that_ends_with_the_option_is_clamped_too() {
        for padding in [0, 1] {
            let mut packet = vec![0x45, 0, 0, 44 + 4 * padding, 0, 1, 0x40, 0, 64, TCP, 0, 0];
            packet.extend_from_slice(&[10, 0, 1, 1, 10, 0, 1, 2]);
            packet.extend_from_slice(&[0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0]);
            packet.extend_from_slice(&[0x60 + 0x10 * padding, SYN, 2, 0, 0x12, 0x34, 0, 0]);
            packet.extend_from_slice(&[1, MSS, 4, 0x05, 0xB4, 1, 1, 0][1 - usize::from(padding)..]);
            packet.truncate(44 + 4 * usize::from(padding));
            clamp(&mut packet, 1400);
            let at = 42 + usize::from(padding);
            assert_eq!(u16_at(&packet, at), Some(1360));
        }
    }
}
