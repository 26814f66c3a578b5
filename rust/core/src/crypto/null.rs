//! NO ENCRYPTION: what stands in for `aead.rs` in the one library that measures all the rest.
//!
//! Packets have the shape and the size of real ones, and anyone can read and change them. The
//! feature `null-cipher` brings this in, and the extension that Hushwire runs with does not compile
//! with it (`rust/python/src/lib.rs`).

use super::{Suite, WrongKey};
use crate::wire::esp::HEADER_OCTETS;
use crate::wire::octets::put;

pub const SALT_OCTETS: usize = 4;
pub const IV_OCTETS: usize = 8;
pub const ICV_OCTETS: usize = 16;

/// In every binary that has this module, so that a test can look for it in those that are shipped.
#[used]
static MARK: [u8; 36] = *b"HUSHWIRE NULL CIPHER: NO ENCRYPTION.";

pub struct KeyedAead;

impl KeyedAead {
    pub fn new(suite: Suite, _keymat: &[u8]) -> Result<Self, WrongKey> {
        match suite {
            Suite::Aes256Cbc(_) | Suite::Aes128Cbc(_) => Err(WrongKey),
            _ => Ok(Self),
        }
    }

    pub fn seal(&self, packet: &mut [u8], sequence: u64, _esn: bool) -> Option<()> {
        put(packet, HEADER_OCTETS, &sequence.to_be_bytes())?;
        packet.last_chunk_mut::<ICV_OCTETS>()?.fill(0);
        Some(())
    }

    pub fn open<'a>(&self, packet: &'a mut [u8], _: u64, _: bool) -> Option<&'a mut [u8]> {
        let end = packet.len().checked_sub(ICV_OCTETS)?;
        packet.get_mut(HEADER_OCTETS + IV_OCTETS..end)
    }
}
