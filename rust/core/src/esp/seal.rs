//! Outbound ESP processing (RFC 4303 §3.3).

use super::drops::Cause;
use super::trailer::{padded, write};
use crate::crypto::{Keyed, Suite, WrongKey};
use crate::sa::sequence::Sequence;
use crate::wire::esp::HEADER_OCTETS;
use crate::wire::octets::put;

/// The sending half of a Child SA: its key and its sequence number counter.
///
/// Make one for a key, once in that key's life: the counter is what keeps the nonces apart.
pub struct Outbound {
    keyed: Keyed,
    suite: Suite,
    spi: u32,
    esn: bool,
    sequence: Sequence,
}

impl Outbound {
    /// `sent` is how many packets have left under this key.
    ///
    /// # Errors
    /// `WrongKey` for a key of the wrong length.
    pub fn new(spi: u32, suite: Suite, esn: bool, key: &[u8], sent: u64) -> Result<Self, WrongKey> {
        Ok(Self {
            keyed: Keyed::new(suite, key)?,
            suite,
            spi,
            esn,
            sequence: Sequence::new(esn, sent),
        })
    }

    /// Whether less than a sixteenth of the sequence numbers is left: time to rekey.
    #[must_use]
    pub fn near_end(&self) -> bool {
        self.sequence.near_end()
    }

    /// Where in the ESP packet the payload begins.
    #[must_use]
    pub fn payload_at(&self) -> usize {
        HEADER_OCTETS + self.suite.iv_octets()
    }

    /// Octets of the ESP packet around such a payload.
    #[must_use]
    pub fn sealed_octets(&self, payload: usize) -> usize {
        self.payload_at() + padded(payload, self.suite.alignment()) + self.suite.icv_octets()
    }

    /// Seal in place: `packet` has `sealed_octets`, and `payload` octets lie at `payload_at`.
    ///
    /// # Errors
    /// `SequenceExhausted` when the counter would cycle (§3.3.3: it MUST NOT, with ESN neither).
    pub fn seal(
        &mut self,
        packet: &mut [u8],
        payload: usize,
        next_header: u8,
    ) -> Result<(), Cause> {
        let sequence = self.sequence.take().ok_or(Cause::SequenceExhausted)?;
        let end = packet.len().saturating_sub(self.suite.icv_octets());
        let begin = self.payload_at() + payload;
        put(packet, 0, &self.spi.to_be_bytes());
        put(packet, 4, &(sequence as u32).to_be_bytes());
        if let Some(rest) = packet.get_mut(begin..end) {
            write(rest, next_header);
        }
        // Only a buffer that is not of `sealed_octets` fails: a mistake of this program, after
        // which nothing leaves.
        self.keyed
            .seal(packet, sequence, self.esn)
            .map_err(|_| Cause::Oversized)
    }
}
