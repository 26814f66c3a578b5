//! AES-GCM and ChaCha20-Poly1305 in ESP (RFC 4106, RFC 7634), by aws-lc-rs.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

use super::{Suite, WrongKey};
use crate::wire::esp::HEADER_OCTETS;
use crate::wire::octets::{array, put};

// Both families agree: RFC 4106 §3 and §4, RFC 7634 §2.
pub const SALT_OCTETS: usize = 4;
pub const IV_OCTETS: usize = 8;
pub const ICV_OCTETS: usize = 16;
const FRONT_OCTETS: usize = HEADER_OCTETS + IV_OCTETS;

/// Sealing twice with one IV would give away the plaintexts and, with AES-GCM, the authentication
/// key (RFC 4106 §2). The IV is the packet's sequence number, which never comes twice.
///
/// aws-lc clears what it frees, the expanded key included.
pub struct KeyedAead {
    key: LessSafeKey,
    salt: [u8; SALT_OCTETS],
}

impl KeyedAead {
    pub fn new(suite: Suite, keymat: &[u8]) -> Result<Self, WrongKey> {
        let algorithm = match suite {
            Suite::Aes256Gcm => &AES_256_GCM,
            Suite::Aes128Gcm => &AES_128_GCM,
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Suite::Aes256Cbc(_) | Suite::Aes128Cbc(_) => return Err(WrongKey),
        };
        let (key, salt) = keymat.split_last_chunk().ok_or(WrongKey)?;
        let unbound = UnboundKey::new(algorithm, key).map_err(|_| WrongKey)?;
        Ok(Self {
            key: LessSafeKey::new(unbound),
            salt: *salt,
        })
    }

    pub fn seal(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Option<()> {
        let iv = sequence.to_be_bytes();
        let aad = aad(packet, sequence, esn)?;
        put(packet, HEADER_OCTETS, &iv)?;
        let (plaintext, icv) = packet
            .get_mut(FRONT_OCTETS..)?
            .split_last_chunk_mut::<ICV_OCTETS>()?;
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(iv), Aad::from(aad.as_ref()), plaintext)
            .ok()?;
        icv.copy_from_slice(tag.as_ref().get(..ICV_OCTETS)?);
        Some(())
    }

    pub fn open<'a>(&self, packet: &'a mut [u8], sequence: u64, esn: bool) -> Option<&'a mut [u8]> {
        let aad = aad(packet, sequence, esn)?;
        let iv = array(packet, HEADER_OCTETS)?;
        let sealed = packet.get_mut(FRONT_OCTETS..)?;
        self.key
            .open_in_place(self.nonce(iv), Aad::from(aad.as_ref()), sealed)
            .ok()
    }

    /// Salt | IV: RFC 4106 §4, RFC 7634 §2.
    fn nonce(&self, iv: [u8; IV_OCTETS]) -> Nonce {
        let mut nonce = [0; SALT_OCTETS + IV_OCTETS];
        nonce[..SALT_OCTETS].copy_from_slice(&self.salt);
        nonce[SALT_OCTETS..].copy_from_slice(&iv);
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Drop for KeyedAead {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.salt);
    }
}

/// SPI | the whole sequence number as far as it is in use (RFC 4106 §5, RFC 7634 §2.1).
enum Covered {
    Short([u8; 8]),
    Long([u8; 12]),
}

impl AsRef<[u8]> for Covered {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Short(octets) => octets,
            Self::Long(octets) => octets,
        }
    }
}

fn aad(packet: &[u8], sequence: u64, esn: bool) -> Option<Covered> {
    if !esn {
        return Some(Covered::Short(array(packet, 0)?));
    }
    let mut octets = [0; 12];
    octets[..4].copy_from_slice(&array::<4>(packet, 0)?);
    octets[4..].copy_from_slice(&sequence.to_be_bytes());
    Some(Covered::Long(octets))
}
