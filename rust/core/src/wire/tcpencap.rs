//! Messages in a TCP stream: frames of a 16-bit length, its own octets included (RFC 9329 §3).

use super::octets::u16_at;

/// Of the length field.
pub const LENGTH_OCTETS: usize = 2;

/// In octets: the length field counts itself.
pub const LARGEST_MESSAGE: usize = 0xFFFF - LENGTH_OCTETS;

/// The length field of a frame with such a message; None for one too large.
#[must_use]
pub fn length_of(message: usize) -> Option<[u8; 2]> {
    let length = u16::try_from(message.checked_add(LENGTH_OCTETS)?).ok()?;
    Some(length.to_be_bytes())
}

/// A frame whose length cannot be, behind which nothing can be read any more (§3.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Corrupted(
    /// The length it had.
    pub u16,
);

/// The length of the frame that begins `octets`, if it is there whole.
///
/// # Errors
/// `Corrupted` for a length of 0 or 1.
pub fn whole_frame(octets: &[u8]) -> Result<Option<usize>, Corrupted> {
    let Some(length) = u16_at(octets, 0) else {
        return Ok(None);
    };
    if usize::from(length) < LENGTH_OCTETS {
        return Err(Corrupted(length));
    }
    let length = usize::from(length);
    Ok((octets.len() >= length).then_some(length))
}
