//! What ESP packets are protected with: one contract, however a cipher keeps it.
//!
//! A packet lies in one buffer: SPI, sequence number | IV | plaintext, padded | ICV. Sealing and
//! opening happen in place.

// For benchmarks, and nothing else: what is left when encryption costs nothing.
#[cfg_attr(feature = "null-cipher", path = "null.rs")]
mod aead;
mod cbc;

use aead::KeyedAead;
use cbc::KeyedCbc;

/// False in the benchmarks' library alone, which no one may run anything else with.
pub const ENCRYPTS: bool = !cfg!(feature = "null-cipher");

/// The hash of an integrity transform (RFC 4868 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mac {
    /// HMAC-SHA2-256-128.
    Sha256,
    /// HMAC-SHA2-384-192.
    Sha384,
    /// HMAC-SHA2-512-256.
    Sha512,
}

/// How packets are protected. Names are those of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// `aes256gcm16` (RFC 4106).
    Aes256Gcm,
    /// `aes128gcm16`.
    Aes128Gcm,
    /// `chacha20poly1305` (RFC 7634).
    ChaCha20Poly1305,
    /// `aes256-sha256` and the like (RFC 3602, RFC 4868).
    Aes256Cbc(Mac),
    /// `aes128-sha256` and the like.
    Aes128Cbc(Mac),
}

/// Every suite, with its name.
pub const SUITES: [(&str, Suite); 9] = [
    ("aes256gcm16", Suite::Aes256Gcm),
    ("chacha20poly1305", Suite::ChaCha20Poly1305),
    ("aes128gcm16", Suite::Aes128Gcm),
    ("aes256-sha256", Suite::Aes256Cbc(Mac::Sha256)),
    ("aes256-sha384", Suite::Aes256Cbc(Mac::Sha384)),
    ("aes256-sha512", Suite::Aes256Cbc(Mac::Sha512)),
    ("aes128-sha256", Suite::Aes128Cbc(Mac::Sha256)),
    ("aes128-sha384", Suite::Aes128Cbc(Mac::Sha384)),
    ("aes128-sha512", Suite::Aes128Cbc(Mac::Sha512)),
];

impl Mac {
    /// RFC 4868 §2.6: the key is as long as the hash's whole output.
    const fn key_octets(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Suite {
    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        SUITES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, suite)| *suite)
    }

    /// Of KEYMAT for one direction: for encryption and salt first, then for integrity.
    #[must_use]
    pub const fn keymat_octets(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32 + aead::SALT_OCTETS,
            Self::Aes128Gcm => 16 + aead::SALT_OCTETS,
            Self::Aes256Cbc(mac) => 32 + mac.key_octets(),
            Self::Aes128Cbc(mac) => 16 + mac.key_octets(),
        }
    }

    /// Of the IV in each packet.
    #[must_use]
    pub const fn iv_octets(self) -> usize {
        match self {
            Self::Aes256Cbc(_) | Self::Aes128Cbc(_) => cbc::BLOCK_OCTETS,
            _ => aead::IV_OCTETS,
        }
    }

    /// Of the ICV at each packet's end.
    #[must_use]
    pub const fn icv_octets(self) -> usize {
        match self {
            Self::Aes256Cbc(mac) | Self::Aes128Cbc(mac) => mac.key_octets() / 2,
            _ => aead::ICV_OCTETS,
        }
    }

    /// What the padded plaintext is a multiple of: blocks, and at least words (RFC 4303 §2.4).
    #[must_use]
    pub const fn alignment(self) -> usize {
        match self {
            Self::Aes256Cbc(_) | Self::Aes128Cbc(_) => cbc::BLOCK_OCTETS,
            _ => 4,
        }
    }
}

/// A key of the wrong length.
#[derive(Debug, PartialEq, Eq)]
pub struct WrongKey;

/// A packet that was not sealed under this key, or that cannot be sealed at all.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAuthentic;

/// A suite with its keys, ready for one direction of one SA. Its memory is cleared when it goes.
pub enum Keyed {
    /// One algorithm for secrecy and integrity.
    Aead(KeyedAead),
    /// A cipher and a MAC.
    Cbc(Box<KeyedCbc>),
}

impl Keyed {
    /// # Errors
    /// `WrongKey` unless `keymat` has exactly `keymat_octets`.
    pub fn new(suite: Suite, keymat: &[u8]) -> Result<Self, WrongKey> {
        if keymat.len() != suite.keymat_octets() {
            return Err(WrongKey);
        }
        Ok(match suite {
            Suite::Aes256Cbc(mac) => Self::Cbc(Box::new(KeyedCbc::new(32, mac, keymat)?)),
            Suite::Aes128Cbc(mac) => Self::Cbc(Box::new(KeyedCbc::new(16, mac, keymat)?)),
            _ => Self::Aead(KeyedAead::new(suite, keymat)?),
        })
    }

    /// Seal the packet with this whole sequence number, whose low half its header shows already.
    ///
    /// Never twice with the same number. # Errors
    /// `NotAuthentic` for a packet too short, or not in whole blocks.
    pub fn seal(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Result<(), NotAuthentic> {
        match self {
            Self::Aead(keyed) => keyed.seal(packet, sequence, esn),
            Self::Cbc(keyed) => keyed.seal(packet, sequence, esn),
        }
        .ok_or(NotAuthentic)
    }

    /// The plaintext with its trailer, where the ciphertext was.
    ///
    /// # Errors
    /// `NotAuthentic`; what is in the buffer then is worth nothing.
    pub fn open<'a>(
        &self,
        packet: &'a mut [u8],
        sequence: u64,
        esn: bool,
    ) -> Result<&'a mut [u8], NotAuthentic> {
        match self {
            Self::Aead(keyed) => keyed.open(packet, sequence, esn),
            Self::Cbc(keyed) => keyed.open(packet, sequence, esn),
        }
        .ok_or(NotAuthentic)
    }
}
