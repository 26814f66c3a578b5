//! IP fragments: read one, and cut a packet into them (RFC 791 §3.2, RFC 8200 §4.5).

use super::front::{complete, split};
use super::ip::version;
use super::octets::{array, octet, put, u16_at, u32_at};
use super::protocol::FRAGMENT;

const MORE_FRAGMENTS: u16 = 0x2000;
const DONT_FRAGMENT: u16 = 0x4000;
const OFFSET: u16 = 0x1FFF;
const COPIED: u8 = 0x80; // RFC 791 §3.1: this option stands in every fragment
const HEADER_OCTETS: usize = 8;
const LARGEST: usize = 65535;

/// The same for all parts of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    addresses: [u8; 32],
    /// 16 bits in IPv4, 32 in IPv6.
    pub identification: u32,
    version: u8,
    protocol: u8,
}

/// A part of a datagram; `offset` is in octets.
#[derive(Clone, Debug)]
pub struct Fragment<'a> {
    /// Which datagram.
    pub key: Key,
    /// Where in it.
    pub offset: usize,
    /// Whether it is not the last.
    pub more: bool,
    /// The headers that the whole datagram has if this part is its first.
    pub front: Vec<u8>,
    /// The place in `front` that names what follows.
    pub protocol_at: usize,
    /// What follows in the whole datagram.
    pub protocol: u8,
    /// This part of it.
    pub data: &'a [u8],
}

/// A malformed packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// None for a packet that is a whole datagram.
///
/// An IPv6 packet with a fragment header is a fragment, also where it is the only one of its
/// datagram (RFC 6946).
///
/// # Errors
/// `Malformed`.
pub fn parse(packet: &[u8]) -> Result<Option<Fragment<'_>>, Malformed> {
    let (front, rest) = split(packet).ok_or(Malformed)?;
    if !front.is_fragment() {
        return Ok(None);
    }
    let mut addresses = [0; 32];
    let found = if version(packet) == 4 {
        let field = u16_at(packet, 6).ok_or(Malformed)?;
        let mut octets = front.octets.to_vec();
        put(&mut octets, 6, &(field & DONT_FRAGMENT).to_be_bytes()).ok_or(Malformed)?;
        put(&mut addresses, 0, packet.get(12..20).ok_or(Malformed)?).ok_or(Malformed)?;
        Fragment {
            key: Key {
                addresses,
                identification: u16_at(packet, 4).ok_or(Malformed)?.into(),
                version: 4,
                protocol: front.protocol(),
            },
            offset: usize::from(field & OFFSET) * 8,
            more: field & MORE_FRAGMENTS != 0,
            front: octets,
            protocol_at: front.protocol_at,
            protocol: front.protocol(),
            data: rest,
        }
    } else {
        let field = u16_at(rest, 2).ok_or(Malformed)?;
        addresses = array(packet, 8).ok_or(Malformed)?;
        Fragment {
            key: Key {
                addresses,
                identification: u32_at(rest, 4).ok_or(Malformed)?,
                version: 6,
                protocol: 0,
            },
            offset: usize::from(field & !7),
            more: field & 1 != 0,
            front: front.octets.to_vec(),
            protocol_at: front.protocol_at,
            protocol: octet(rest, 0).ok_or(Malformed)?,
            data: rest.get(HEADER_OCTETS..).ok_or(Malformed)?,
        }
    };
    let ends_between_words = found.more && !found.data.len().is_multiple_of(8);
    if ends_between_words || found.offset + found.data.len() > LARGEST {
        return Err(Malformed);
    }
    Ok(Some(found))
}

/// The packet in fragments of at most `most` octets; itself if it fits.
///
/// `identification` is IPv6's; an IPv4 packet has its own, and gets this one only where that is 0,
/// which Linux would replace in each fragment by another. None where `most` is too small for any,
/// or the packet is malformed.
#[must_use]
pub fn cut(packet: &[u8], most: usize, identification: u32) -> Option<Vec<Vec<u8>>> {
    if packet.len() <= most {
        return Some(vec![packet.to_vec()]);
    }
    let (front, data) = split(packet)?;
    if version(packet) == 4 {
        return cut_ipv4(front.octets, data, most, identification);
    }
    let room = room(most.checked_sub(front.octets.len() + HEADER_OCTETS)?)?;
    let mut pieces = Vec::new();
    let mut at = 0;
    for part in data.chunks(room) {
        let mut piece = front.octets.to_vec();
        piece.extend_from_slice(&header(
            front.protocol(),
            at,
            at + part.len() < data.len(),
            identification,
        )?);
        piece.extend_from_slice(part);
        complete(&mut piece, front.octets.len(), front.protocol_at, FRAGMENT)?;
        pieces.push(piece);
        at += part.len();
    }
    Some(pieces)
}

/// An IPv6 fragment header (RFC 8200 §4.5); `at` is the offset in octets.
#[must_use]
pub fn header(protocol: u8, at: usize, more: bool, identification: u32) -> Option<[u8; 8]> {
    let field = u16::try_from(at).ok()? & !7 | u16::from(more);
    let mut header = [protocol, 0, 0, 0, 0, 0, 0, 0];
    put(&mut header, 2, &field.to_be_bytes())?;
    put(&mut header, 4, &identification.to_be_bytes())?;
    Some(header)
}

/// Whole words of eight octets, at least one.
#[must_use]
pub fn room(octets: usize) -> Option<usize> {
    (octets >= 8).then_some(octets & !7)
}

fn cut_ipv4(front: &[u8], data: &[u8], most: usize, identification: u32) -> Option<Vec<Vec<u8>>> {
    let mut first = front.to_vec();
    if u16_at(&first, 4)? == 0 {
        let own = (identification as u16).max(1);
        put(&mut first, 4, &own.to_be_bytes())?;
    }
    let mut later = first.get(..20)?.to_vec();
    later.extend(copied_options(first.get(20..)?)?);
    let words = u8::try_from(later.len() / 4).ok()?;
    put(&mut later, 0, &[0x40 | words])?;
    let room = room(most.checked_sub(first.len())?)?;
    let mut pieces = Vec::new();
    let mut at = 0;
    for part in data.chunks(room) {
        let header = if at == 0 { &first } else { &later };
        let mut piece = header.clone();
        let more = if at + part.len() < data.len() {
            MORE_FRAGMENTS
        } else {
            0
        };
        let field = u16::try_from(at >> 3).ok()? | more;
        put(&mut piece, 6, &field.to_be_bytes())?;
        let protocol = octet(header, 9)?;
        let header = header.len();
        piece.extend_from_slice(part);
        complete(&mut piece, header, 9, protocol)?;
        pieces.push(piece);
        at += part.len();
    }
    Some(pieces)
}

/// RFC 791 §3.1: those that every fragment carries, padded to whole words.
fn copied_options(options: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(kind) = octet(options, at) {
        match kind {
            0 => break,
            1 => at += 1,
            _ => {
                let length = usize::from(octet(options, at + 1)?);
                let option = options.get(at..at + length)?;
                if length < 2 {
                    return None;
                }
                if kind & COPIED != 0 {
                    kept.extend_from_slice(option);
                }
                at += length;
            }
        }
    }
    kept.resize(kept.len().next_multiple_of(4), 0);
    Some(kept)
}
