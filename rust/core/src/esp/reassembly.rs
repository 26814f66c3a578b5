//! Whole datagrams from the fragments that the kernel puts into TUN.
//!
//! RFC 4303 §3.3.4, RFC 4301 §4.1: transport mode seals whole datagrams, never fragments. A "bump
//! in the stack", which this is, reassembles first, seals, and fragments again.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::wire::fragments::{Fragment, Key};
use crate::wire::front::complete;

/// How long the parts of a datagram are waited for, as Linux does.
pub const SECONDS: f64 = 30.0;

/// What all unfinished datagrams may hold together; the oldest goes first.
pub const MOST_OCTETS: usize = 4 << 20;

const KEEPING_OCTETS: usize = 128; // what a fragment costs besides its data

/// A datagram; the size of its largest fragment, which the way took; its identification.
pub struct Whole {
    /// The IP packet.
    pub packet: Vec<u8>,
    /// In octets.
    pub largest: usize,
    /// IPv4's or IPv6's.
    pub identification: u32,
}

#[derive(Default)]
struct Unfinished {
    until: f64,
    pieces: BTreeMap<usize, Vec<u8>>,    // by offset
    front: Option<(Vec<u8>, usize, u8)>, // from the first part
    end: Option<usize>,                  // from the last part
    largest: usize,
    octets: usize,
    spoilt: bool,
}

/// Gathers fragments in bounded memory.
#[derive(Default)]
pub struct Reassembly {
    /// Datagrams that were given up: too late, too much, or overlapping parts.
    pub lost: u64,
    octets: usize,
    unfinished: HashMap<Key, Unfinished>,
    oldest_first: VecDeque<Key>,
}

impl Reassembly {
    /// The datagram if this fragment of a packet of `packet_octets` was all that it lacked.
    /// `now` is in seconds from any fixed point.
    pub fn add(&mut self, part: Fragment<'_>, packet_octets: usize, now: f64) -> Option<Whole> {
        self.forget(now);
        let key = part.key;
        let datagram = self.unfinished.entry(key).or_insert_with(|| {
            self.oldest_first.push_back(key);
            self.octets += KEEPING_OCTETS;
            Unfinished {
                until: now + SECONDS,
                octets: KEEPING_OCTETS,
                ..Unfinished::default()
            }
        });
        if datagram.spoilt {
            return None;
        }
        datagram.largest = datagram.largest.max(packet_octets);
        let before = datagram.octets;
        if datagram.put(part).is_none() {
            datagram.spoil();
            self.lost += 1;
        }
        self.octets = self.octets + datagram.octets - before;
        if datagram.front.is_none() || !datagram.is_complete() {
            return None;
        }
        let datagram = self.unfinished.remove(&key)?;
        self.octets -= datagram.octets;
        self.oldest_first.retain(|other| *other != key);
        let (front, protocol_at, protocol) = datagram.front?;
        let header = front.len();
        let mut packet = front;
        for piece in datagram.pieces.values() {
            packet.extend_from_slice(piece);
        }
        complete(&mut packet, header, protocol_at, protocol)?;
        let identification = key.identification;
        Some(Whole {
            packet,
            largest: datagram.largest,
            identification,
        })
    }

    /// What is too late; and the oldest, while all together is too much.
    fn forget(&mut self, now: f64) {
        while let Some(key) = self.oldest_first.front() {
            let Some(datagram) = self.unfinished.get(key) else {
                self.oldest_first.pop_front();
                continue;
            };
            if datagram.until > now && self.octets <= MOST_OCTETS {
                return;
            }
            self.lost += u64::from(!datagram.spoilt);
            self.octets -= datagram.octets;
            self.unfinished.remove(key);
            self.oldest_first.pop_front();
        }
    }
}

impl Unfinished {
    /// None where it contradicts what is here.
    fn put(&mut self, part: Fragment<'_>) -> Option<()> {
        let (start, end) = (part.offset, part.offset + part.data.len());
        if self
            .pieces
            .get(&start)
            .is_some_and(|known| known == part.data)
        {
            return Some(()); // the very same once more
        }
        if let Some((at, known)) = self.pieces.range(..=start).next_back()
            && at + known.len() > start
        {
            return None;
        }
        if self
            .pieces
            .range(start..)
            .next()
            .is_some_and(|(at, _)| *at < end)
        {
            return None;
        }
        let reach = self
            .pieces
            .last_key_value()
            .map_or(0, |(at, known)| at + known.len());
        let known_end = self.end.or((!part.more).then_some(end));
        if known_end.is_some_and(|last| end.max(reach) > last) {
            return None;
        }
        if !part.more && known_end != Some(end) {
            return None;
        }
        self.end = known_end;
        self.octets += part.data.len() + KEEPING_OCTETS;
        self.pieces.insert(start, part.data.to_vec());
        if start == 0 {
            self.front = Some((part.front, part.protocol_at, part.protocol));
        }
        Some(())
    }

    fn is_complete(&self) -> bool {
        self.end == Some(self.pieces.values().map(Vec::len).sum())
    }

    /// RFC 8200 §4.5 (RFC 5722): overlapping parts end all of it, those to come as well.
    fn spoil(&mut self) {
        self.spoilt = true;
        self.front = None;
        self.pieces.clear();
        self.octets = KEEPING_OCTETS;
    }
}
