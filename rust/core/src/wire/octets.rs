//! Reading and writing octets of a packet with every bound checked; integers in network order.

/// The octet at `at`.
pub fn octet(octets: &[u8], at: usize) -> Option<u8> {
    octets.get(at).copied()
}

/// `N` octets from `at` on.
pub fn array<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The 16 bits at `at`.
pub fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    array(octets, at).map(u16::from_be_bytes)
}

/// The 32 bits at `at`.
pub fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    array(octets, at).map(u32::from_be_bytes)
}

/// Write `content` at `at`; None, and nothing written, where it does not fit.
pub fn put(octets: &mut [u8], at: usize, content: &[u8]) -> Option<()> {
    let end = at.checked_add(content.len())?;
    octets.get_mut(at..end)?.copy_from_slice(content);
    Some(())
}
