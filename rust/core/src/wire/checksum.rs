//! The Internet checksum (RFC 1071), its change by parts (RFC 1624), and those above IP.

use super::octets::{octet, put, u16_at};
use super::protocol::{ICMPV6, TCP, UDP};

/// A one's complement sum under way. Parts of odd length may come last only.
#[derive(Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// Add octets.
    ///
    /// The sum does not depend on the byte order of the machine (RFC 1071 §2 B), so whole native
    /// words are added; their carries gather in the upper half.
    #[must_use]
    pub fn with(self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<4>();
        let mut sum = words
            .iter()
            .fold(0u64, |sum, word| sum + u64::from(u32::from_ne_bytes(*word)));
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        sum += u64::from(u32::from_ne_bytes(last));
        Self(fold(self.0) + fold(sum))
    }

    /// The sum's complement: the 16 bits to write into a header, in the order of the wire.
    #[must_use]
    pub fn finish(self) -> [u8; 2] {
        (!(fold(self.0) as u16)).to_ne_bytes()
    }
}

fn fold(mut sum: u64) -> u64 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum
}

/// The checksum of RFC 1071 over `octets`.
#[must_use]
pub fn checksum(octets: &[u8]) -> [u8; 2] {
    Sum::default().with(octets).finish()
}

/// A header's checksum after whole 16-bit words of what it covers changed (RFC 1624 §3, eqn. 3).
#[must_use]
pub fn adjusted(checksum: [u8; 2], before: &[u8], after: &[u8]) -> [u8; 2] {
    // ~m of each word: so it is over an even number of octets only.
    let complement = |octets: &[u8]| {
        let (words, _) = octets.as_chunks::<2>();
        words.iter().fold(0u64, |sum, word| {
            sum + u64::from(!u16::from_ne_bytes(*word))
        })
    };
    Sum(u64::from(!u16::from_ne_bytes(checksum)) + complement(before))
        .with(after)
        .finish()
}

/// The sum over the pseudo-header of TCP, UDP or ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1).
///
/// `header` begins with an IP header, `octets` is the length of what is above it.
#[must_use]
pub fn pseudo_header(header: &[u8], protocol: u8, octets: usize) -> Option<Sum> {
    let addresses = match octet(header, 0)? >> 4 {
        4 => header.get(12..20)?,
        _ => header.get(8..40)?,
    };
    let length = u32::try_from(octets).ok()?;
    Some(
        Sum::default()
            .with(addresses)
            .with(&length.to_be_bytes())
            .with(&[0, 0, 0, protocol]),
    )
}

/// Where the checksum stands in the header of this protocol.
#[must_use]
pub fn place(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        ICMPV6 => Some(2),
        _ => None,
    }
}

/// Make the checksum in `payload` anew, for the addresses of this IP header.
///
/// Leaves alone what has none: another protocol, a payload too short, or UDP over IPv4 without one
/// (RFC 768).
pub fn remake(header: &[u8], protocol: u8, payload: &mut [u8]) -> Option<()> {
    let at = place(protocol)?;
    let old = u16_at(payload, at)?;
    if protocol == UDP && old == 0 && octet(header, 0)? >> 4 == 4 {
        return None;
    }
    put(payload, at, &[0, 0])?;
    let mut value = pseudo_header(header, protocol, payload.len())?
        .with(payload)
        .finish();
    if protocol == UDP && value == [0, 0] {
        value = [0xFF, 0xFF]; // 0 says that there is none
    }
    put(payload, at, &value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(octets: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in octets.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        !(sum as u16)
    }

    proptest! {
        #[test]
        fn it_is_the_sum_of_rfc_1071(octets: Vec<u8>, more: Vec<u8>) {
            prop_assert_eq!(u16::from_be_bytes(checksum(&octets)), plain(&octets));
            let even = &octets[..octets.len() & !1];
            let both = [even, &more].concat();
            prop_assert_eq!(Sum::default().with(even).with(&more).finish(), checksum(&both));
        }

        #[test]
        fn a_change_is_followed(mut octets in prop::collection::vec(1u8.., 40), new: [u8; 4]) {
            let old = checksum(&octets);
            let before: Vec<u8> = octets[6..10].to_vec();
            octets[6..10].copy_from_slice(&new);
            prop_assert_eq!(adjusted(old, &before, &new), checksum(&octets));
        }
    }
}
