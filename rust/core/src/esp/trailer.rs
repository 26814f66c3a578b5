//! The ESP trailer: padding, pad length, next header (RFC 4303 §2.4 to §2.6).

use super::drops::Cause;

/// Pad length and next header.
pub const TRAILER_OCTETS: usize = 2;

/// Octets of a payload with its trailer, a multiple of `alignment`.
#[must_use]
pub fn padded(payload: usize, alignment: usize) -> usize {
    (payload + TRAILER_OCTETS).next_multiple_of(alignment)
}

/// Write the trailer into `rest`, all that is behind the payload: 1, 2, 3, ..., its length, next.
pub fn write(rest: &mut [u8], next_header: u8) {
    let Some((trailer, padding)) = rest
        .split_last_chunk_mut::<TRAILER_OCTETS>()
        .map(|(p, t)| (t, p))
    else {
        return;
    };
    let mut length = 0;
    for octet in padding {
        length += 1;
        *octet = length;
    }
    *trailer = [length, next_header];
}

/// How long the payload is, and the next header.
///
/// §2.4: the receiver SHOULD inspect the padding. The ICV has already spoken for it, so a wrong one
/// is a peer's mistake, not an oracle for an attacker.
///
/// # Errors
/// `Truncated` or `BadPadding`.
pub fn read(plaintext: &[u8]) -> Result<(usize, u8), Cause> {
    let (rest, [length, next_header]) = plaintext.split_last_chunk().ok_or(Cause::Truncated)?;
    let payload = rest
        .len()
        .checked_sub(usize::from(*length))
        .ok_or(Cause::BadPadding)?;
    let padding = rest.get(payload..).unwrap_or_default();
    if !padding.iter().copied().eq(1..=*length) {
        return Err(Cause::BadPadding);
    }
    Ok((payload, *next_header))
}
