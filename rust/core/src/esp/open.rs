//! Inbound ESP processing (RFC 4303 §3.4).

use super::drops::Cause;
use super::trailer::read;
use crate::crypto::{Keyed, Suite, WrongKey};
use crate::sa::replay::ReplayWindow;
use crate::wire::esp::{HEADER_OCTETS, parse_header};
use crate::wire::ip::{total_length, version};
use crate::wire::protocol::{IPV4, IPV6, NO_NEXT_HEADER};

/// The receiving half of a Child SA: its key and its replay window.
pub struct Inbound {
    keyed: Keyed,
    suite: Suite,
    spi: u32,
    esn: bool,
    window: ReplayWindow,
}

impl Inbound {
    /// `window` is in packets.
    ///
    /// # Errors
    /// `WrongKey` for a key of the wrong length.
    pub fn new(
        spi: u32,
        suite: Suite,
        esn: bool,
        key: &[u8],
        window: u32,
    ) -> Result<Self, WrongKey> {
        let window = ReplayWindow::new(window, esn);
        Ok(Self {
            keyed: Keyed::new(suite, key)?,
            suite,
            spi,
            esn,
            window,
        })
    }

    /// The payload of an authentic packet, in place, and its next header; no look at what that is.
    ///
    /// Nothing of the SA changes before the ICV has proved the packet (§3.4.3).
    ///
    /// # Errors
    /// Why the packet must not be delivered.
    pub fn open<'a>(&mut self, packet: &'a mut [u8]) -> Result<(&'a mut [u8], u8), Cause> {
        let plaintext = self.authenticate(packet)?;
        let (payload, next_header) = read(plaintext)?;
        if next_header == NO_NEXT_HEADER {
            return Err(Cause::Dummy); // §2.6: discarded silently
        }
        let payload = plaintext.get_mut(..payload).ok_or(Cause::BadPadding)?;
        Ok((payload, next_header))
    }

    /// The low half of the highest sequence number of an authentic packet.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.window.top() as u32
    }

    /// The plaintext with its trailer (§3.4.3, then §3.4.4.2).
    fn authenticate<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a mut [u8], Cause> {
        let alignment = self.suite.alignment();
        let around = HEADER_OCTETS + self.suite.iv_octets() + self.suite.icv_octets();
        // §2.4: what is encrypted consists of whole blocks, and at least of 4-octet words.
        let encrypted = packet.len().checked_sub(around).ok_or(Cause::Truncated)?;
        if encrypted < alignment || encrypted % alignment != 0 {
            return Err(Cause::Truncated);
        }
        let (spi, low32) = parse_header(packet).ok_or(Cause::Truncated)?;
        if spi != self.spi {
            return Err(Cause::UnknownSpi);
        }
        let sequence = self.window.recover(low32).ok_or(Cause::Replay)?;
        if !self.window.check(sequence) {
            return Err(Cause::Replay);
        }
        let plaintext = self
            .keyed
            .open(packet, sequence, self.esn)
            .map_err(|_| Cause::BadIcv)?;
        if !self.window.commit(sequence) {
            return Err(Cause::Replay);
        }
        Ok(plaintext)
    }
}

/// The IP packet that a tunnel mode payload is, without TFC padding (RFC 4303 §2.7).
///
/// # Errors
/// `BadNextHeader`, `BadInner`.
pub fn inner(payload: &mut [u8], next_header: u8) -> Result<&mut [u8], Cause> {
    let expected = match next_header {
        IPV4 => 4,
        IPV6 => 6,
        _ => return Err(Cause::BadNextHeader),
    };
    if version(payload) != expected {
        return Err(Cause::BadNextHeader);
    }
    let length = total_length(payload).ok_or(Cause::BadInner)?;
    payload.get_mut(..length).ok_or(Cause::BadInner)
}
