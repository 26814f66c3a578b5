//! AES-CBC with HMAC-SHA2, for old peers: encrypt, then MAC (RFC 3602, RFC 4868).
//!
//! RFC 4303 §3.3.2.1: the ICV is computed over what is sent before it, and with ESN over the high
//! half of the sequence number after that, so a packet is verified before any of it is decrypted.

use aes::{Aes128, Aes256};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use cbc::cipher::array::Array;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use cbc::{Decryptor, Encryptor};

use super::{Mac, WrongKey};
use crate::wire::esp::HEADER_OCTETS;
use crate::wire::octets::array;

pub const BLOCK_OCTETS: usize = 16; // RFC 3602 §2.4: also the size of the IV
const FRONT_OCTETS: usize = HEADER_OCTETS + BLOCK_OCTETS;

// Both clear their round keys when they go (feature `zeroize`).
enum Aes {
    Long(Aes256),
    Short(Aes128),
}

pub struct KeyedCbc {
    aes: Aes,
    mac: hmac::Key,
    icv_octets: usize,
}

impl KeyedCbc {
    pub fn new(key_octets: usize, mac: Mac, keymat: &[u8]) -> Result<Self, WrongKey> {
        let (encryption, integrity) = keymat.split_at_checked(key_octets).ok_or(WrongKey)?;
        let aes = if key_octets == 32 {
            Aes::Long(Aes256::new_from_slice(encryption).map_err(|_| WrongKey)?)
        } else {
            Aes::Short(Aes128::new_from_slice(encryption).map_err(|_| WrongKey)?)
        };
        let algorithm = match mac {
            Mac::Sha256 => hmac::HMAC_SHA256,
            Mac::Sha384 => hmac::HMAC_SHA384,
            Mac::Sha512 => hmac::HMAC_SHA512,
        };
        let mac_key = hmac::Key::new(algorithm, integrity);
        Ok(Self {
            aes,
            mac: mac_key,
            icv_octets: mac.key_octets() / 2,
        })
    }

    pub fn seal(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Option<()> {
        // RFC 3602 §3: random, and not from a counter.
        let mut iv = [0; BLOCK_OCTETS];
        aws_lc_rs::rand::fill(&mut iv).ok()?;
        let end = packet.len().checked_sub(self.icv_octets)?;
        let (covered, icv) = packet.split_at_mut_checked(end)?;
        let (front, plaintext) = covered.split_at_mut_checked(FRONT_OCTETS)?;
        front.get_mut(HEADER_OCTETS..)?.copy_from_slice(&iv);
        let (blocks, rest) = Array::slice_as_chunks_mut(plaintext);
        if blocks.is_empty() || !rest.is_empty() {
            return None;
        }
        match &self.aes {
            Aes::Long(aes) => Encryptor::inner_iv_init(aes, &iv.into()).encrypt_blocks(blocks),
            Aes::Short(aes) => Encryptor::inner_iv_init(aes, &iv.into()).encrypt_blocks(blocks),
        }
        icv.copy_from_slice(
            self.icv(covered, sequence, esn)
                .as_ref()
                .get(..self.icv_octets)?,
        );
        Some(())
    }

    pub fn open<'a>(&self, packet: &'a mut [u8], sequence: u64, esn: bool) -> Option<&'a mut [u8]> {
        let end = packet.len().checked_sub(self.icv_octets)?;
        let (covered, icv) = packet.split_at_mut_checked(end)?;
        let computed = self.icv(covered, sequence, esn);
        // In constant time, and before anything is decrypted.
        verify_slices_are_equal(icv, computed.as_ref().get(..self.icv_octets)?).ok()?;
        let iv: [u8; BLOCK_OCTETS] = array(covered, HEADER_OCTETS)?;
        let ciphertext = covered.get_mut(FRONT_OCTETS..)?;
        let (blocks, rest) = Array::slice_as_chunks_mut(ciphertext);
        if blocks.is_empty() || !rest.is_empty() {
            return None;
        }
        match &self.aes {
            Aes::Long(aes) => Decryptor::inner_iv_init(aes, &iv.into()).decrypt_blocks(blocks),
            Aes::Short(aes) => Decryptor::inner_iv_init(aes, &iv.into()).decrypt_blocks(blocks),
        }
        Some(ciphertext)
    }

    fn icv(&self, covered: &[u8], sequence: u64, esn: bool) -> hmac::Tag {
        let mut mac = hmac::Context::with_key(&self.mac);
        mac.update(covered);
        if esn {
            mac.update(&((sequence >> 32) as u32).to_be_bytes());
        }
        mac.sign()
    }
}
