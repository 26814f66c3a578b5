//! The sequence numbers of one outbound SA (RFC 4303 §3.3.3).

/// A counter that gives every number once, from 1 on, and never begins anew.
///
/// The invariant: no number is given twice. The IV of AES-GCM and ChaCha20-Poly1305 is made of it,
/// and one IV twice under one key gives the key away (RFC 4106 §2). So a counter cannot be cloned,
/// and to take a number is to change it: whoever does so has it alone.
#[derive(Debug)]
pub struct Sequence {
    last: u64,
    limit: u64,
}

impl Sequence {
    /// `last` is the highest number given before, 0 for a new key.
    #[must_use]
    pub fn new(esn: bool, last: u64) -> Self {
        let limit = if esn { u64::MAX } else { u32::MAX.into() };
        Self { last, limit }
    }

    /// The next number; None at the end: the counter MUST NOT cycle, with ESN neither.
    pub fn take(&mut self) -> Option<u64> {
        if self.last >= self.limit {
            return None;
        }
        self.last += 1;
        Some(self.last)
    }

    /// Whether less than a sixteenth of the numbers is left: time to rekey.
    #[must_use]
    pub fn near_end(&self) -> bool {
        self.limit.saturating_sub(self.last) < self.limit >> 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_given_once_and_then_none() {
        for (esn, limit) in [(false, u64::from(u32::MAX)), (true, u64::MAX)] {
            let mut sequence = Sequence::new(esn, limit - 2);
            assert!(sequence.near_end());
            assert_eq!(sequence.take(), Some(limit - 1));
            assert_eq!(sequence.take(), Some(limit));
            assert_eq!(sequence.take(), None);
            assert_eq!(sequence.take(), None);
        }
        let mut sequence = Sequence::new(false, 0);
        assert!(!sequence.near_end());
        assert_eq!(sequence.take(), Some(1));
    }

    #[test]
    fn the_end_is_near_when_a_sixteenth_is_left() {
        let end = u64::from(u32::MAX);
        assert!(!Sequence::new(false, end - (end >> 4)).near_end());
        assert!(Sequence::new(false, end - (end >> 4) + 1).near_end());
    }
}
