//! The clear part of an ESP packet (RFC 4303 §2).

use super::octets::u32_at;

/// SPI and sequence number.
pub const HEADER_OCTETS: usize = 8;

/// The SPI and the low 32 bits of the sequence number; None for fewer than 8 octets.
#[must_use]
pub fn parse_header(packet: &[u8]) -> Option<(u32, u32)> {
    Some((u32_at(packet, 0)?, u32_at(packet, 4)?))
}
