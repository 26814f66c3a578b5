//! The anti-replay window with 64-bit sequence numbers (RFC 4303 §3.4.3 and Appendix A2).

const WORD: u64 = u64::BITS as u64;

/// The newest `size` sequence numbers of one inbound SA, each seen or not.
///
/// `top` is T, the highest number authenticated so far. The numbers' bits lie in a ring of words
/// with one word more than the window has: a word that is entered is cleared as a whole, and never
/// holds a number still inside the window (RFC 6479 §2).
///
/// The invariant: `commit` is true at most once for a number. A window has one owner, who changes
/// it, and no lock.
pub struct ReplayWindow {
    size: u64,
    esn: bool,
    top: u64,
    seen: Box<[u64]>,
}

impl ReplayWindow {
    /// A window of `size` packets, at least 1.
    #[must_use]
    pub fn new(size: u32, esn: bool) -> Self {
        let words = size.max(1).div_ceil(u64::BITS) as usize + 1;
        Self {
            size: u64::from(size.max(1)),
            esn,
            top: 0,
            seen: vec![0; words].into_boxed_slice(),
        }
    }

    /// The highest sequence number authenticated so far, 0 before the first packet.
    #[must_use]
    pub fn top(&self) -> u64 {
        self.top
    }

    /// The full number for the 32 bits that a packet shows (Appendix A2.2).
    ///
    /// Without ESN they are the number. With ESN it is a guess: a packet older than the window is
    /// taken for one far ahead. The ICV, computed over the guess, decides. None where the guess
    /// would be above 2^64 - 1.
    #[must_use]
    pub fn recover(&self, low32: u32) -> Option<u64> {
        if !self.esn {
            return Some(low32.into());
        }
        let (top_high, top_low) = ((self.top >> 32) as u32, self.top as u32);
        let reach = (self.size - 1) as u32;
        let bottom_low = top_low.wrapping_sub(reach);
        let high = if top_low >= reach {
            // Case A: the window lies in one subspace.
            if low32 >= bottom_low {
                top_high
            } else {
                top_high.checked_add(1)?
            }
        } else if top_high == 0 {
            0 // Case B, but no subspace lies before the first
        } else if low32 >= bottom_low {
            top_high - 1 // Case B: the window began in the subspace before
        } else {
            top_high
        };
        Some(u64::from(high) << 32 | u64::from(low32))
    }

    /// Whether a packet with this full number may be new. Changes nothing.
    ///
    /// §3.4.3: done before the costly ICV, whose result alone may move the window. §3.3.3: the
    /// first packet has 1 and the counter never cycles, so 0 is nobody's.
    #[must_use]
    pub fn check(&self, sequence: u64) -> bool {
        if sequence == 0 {
            return false;
        }
        match self.top.checked_sub(sequence) {
            None => true,
            Some(age) => age < self.size && !self.is_seen(sequence),
        }
    }

    /// Note an authenticated packet. False, and no change, if it has been seen meanwhile.
    pub fn commit(&mut self, sequence: u64) -> bool {
        if !self.check(sequence) {
            return false;
        }
        if sequence > self.top {
            let words = self.seen.len() as u64;
            let entered = (sequence / WORD - self.top / WORD).min(words);
            for step in 0..entered {
                let at = self.place(sequence - step * WORD);
                if let Some(word) = self.seen.get_mut(at) {
                    *word = 0;
                }
            }
            self.top = sequence;
        }
        let at = self.place(sequence);
        if let Some(word) = self.seen.get_mut(at) {
            *word |= 1 << (sequence % WORD);
        }
        true
    }

    fn place(&self, sequence: u64) -> usize {
        (sequence / WORD % self.seen.len() as u64) as usize
    }

    fn is_seen(&self, sequence: u64) -> bool {
        self.seen
            .get(self.place(sequence))
            .is_some_and(|word| word >> (sequence % WORD) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The window as RFC 4303 says it, without a bitmap.
    struct Plain {
        size: u64,
        top: u64,
        seen: HashSet<u64>,
    }

    impl Plain {
        fn commit(&mut self, sequence: u64) -> bool {
            let old = sequence <= self.top && self.top - sequence >= self.size;
            if sequence == 0 || old || !self.seen.insert(sequence) {
                return false;
            }
            self.top = self.top.max(sequence);
            true
        }
    }

    proptest! {
        #[test]
        fn it_says_what_the_rfc_says(
            size in prop::sample::select(vec![32u32, 33, 64, 65, 1024, 8192]),
            start in 0u64..u64::MAX / 2,
            steps in prop::collection::vec((0u64..9, 0u64..200, prop::bool::weighted(0.02)), 600),
        ) {
            let mut window = ReplayWindow::new(size, true);
            let mut plain = Plain { size: size.into(), top: 0, seen: HashSet::new() };
            let mut at = start;
            for (forward, back, jump) in steps {
                at += if jump { u64::from(size) + back } else { forward };
                let sequence = at.saturating_sub(back);
                prop_assert_eq!(window.commit(sequence), plain.commit(sequence));
                prop_assert!(!window.commit(sequence));
            }
        }

        #[test]
        fn every_number_near_the_top_is_recovered(
            size in prop::sample::select(vec![32u32, 1024, 8192]),
            high in 0u64..5,
            low in prop::sample::select(vec![0u64, 1, 31, 1023, 8191, 1 << 31, (1 << 32) - 1]),
            distance in -9000i64..1 << 31,
        ) {
            let top = (high << 32 | low).max(1);
            let mut window = ReplayWindow::new(size, true);
            prop_assert!(window.commit(top));
            let Some(sequence) = top.checked_add_signed(distance) else { return Ok(()) };
            if top.checked_sub(sequence).is_none_or(|age| age < u64::from(size)) {
                prop_assert_eq!(window.recover(sequence as u32), Some(sequence));
            }
        }
    }

    #[test]
    fn nothing_lies_beyond_the_last_number() {
        let mut window = ReplayWindow::new(64, true);
        assert!(window.commit(u64::MAX));
        assert_eq!(window.recover(0), None);
        assert_eq!(window.recover(u32::MAX - 63), Some(u64::MAX - 63));
        assert!(!ReplayWindow::new(64, false).check(0));
    }
}
