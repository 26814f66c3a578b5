//! Packets of one flow put together into one, which the kernel takes at once (GRO).
//!
//! Only what comes apart again into the very same packets is put together: same flow, in order,
//! with equal header fields and options, of one size but the last, with right checksums.

use super::layers::Layers;
use super::virtio::{HEADER_OCTETS, Header, Kind, SINGLE};
use crate::wire::checksum::{checksum, place, pseudo_header};
use crate::wire::front::complete;
use crate::wire::octets::{array, octet, put, u16_at, u32_at};
use crate::wire::protocol::TCP;

const LARGEST: usize = 65535;
const MOST_PACKETS: usize = 64;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;

/// What can be put together with others, and with which ones.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    layers: Layers,
    payload: usize,
    /// Nothing may follow it: PSH, or it is shorter than those before it.
    last: bool,
}

impl Candidate {
    /// None for a packet that is not to be put together with any other.
    fn of(packet: &[u8], layers: Layers) -> Option<Self> {
        let payload = packet.len() - layers.payload;
        if payload == 0 {
            return None;
        }
        let mut last = false;
        if layers.version == 4
            && (layers.upper != 20 || checksum(packet.get(..layers.upper)?) != [0, 0])
        {
            return None;
        }
        if layers.protocol == TCP {
            let flags = octet(packet, layers.upper + 13)?;
            if flags & !PSH != ACK {
                return None;
            }
            last = flags & PSH != 0;
        } else if u16_at(packet, layers.upper + 6)? == 0
            || usize::from(u16_at(packet, layers.upper + 4)?) != packet.len() - layers.upper
        {
            return None;
        }
        let body = packet.get(layers.upper..)?;
        let sum = pseudo_header(packet, layers.protocol, body.len())?
            .with(body)
            .finish();
        (sum == [0, 0]).then_some(Self {
            layers,
            payload,
            last,
        })
    }
}

/// A packet that grows: its virtio header, then itself.
struct Gathering {
    octets: Vec<u8>,
    first: Candidate,
    owner: usize,
    packets: usize,
    closed: bool,
}

/// One write into TUN: what it holds for the counters.
pub struct Delivery<'a> {
    /// A virtio header and a packet.
    pub octets: &'a [u8],
    /// Whom it belongs to.
    pub owner: usize,
    /// How many packets it stands for.
    pub packets: u64,
    /// Octets of all of these.
    pub inner: u64,
}

/// Several flows, each with its own packet that grows.
#[derive(Default)]
pub struct Coalescer {
    udp: bool,
    gatherings: Vec<Gathering>,
    spare: Vec<Vec<u8>>,
    single: Vec<u8>,
}

/// As many flows at once as are put together.
const MOST_FLOWS: usize = 8;

impl Coalescer {
    /// `udp`: the kernel takes UDP put together, too.
    #[must_use]
    pub fn new(udp: bool) -> Self {
        Self {
            udp,
            ..Self::default()
        }
    }

    /// Take a well-formed packet of `owner`; what has to leave first is given to `deliver`.
    pub fn add(&mut self, packet: &[u8], owner: usize, deliver: &mut impl FnMut(Delivery<'_>)) {
        let layers = Layers::of(packet);
        let candidate = layers
            .filter(|it| self.udp || it.protocol == TCP)
            .and_then(|it| Candidate::of(packet, it));
        let same = layers.and_then(|layers| {
            self.gatherings
                .iter()
                .position(|it| it.is_of_flow(packet, layers))
        });
        if let (Some(candidate), Some(index)) = (candidate, same)
            && let Some(gathering) = self.gatherings.get_mut(index)
            && gathering.owner == owner
            && gathering.append(packet, &candidate).is_some()
        {
            return;
        }
        match same {
            Some(index) => self.finish(index, deliver),
            // No flow of its own to be kept in order with, or one that cannot be seen.
            None if layers.is_none() => self.flush(deliver),
            None => {}
        }
        let Some(candidate) = candidate else {
            self.alone(packet, owner, deliver);
            return;
        };
        if self.gatherings.len() == MOST_FLOWS {
            self.finish(0, deliver);
        }
        let mut octets = self.spare.pop().unwrap_or_default();
        octets.clear();
        octets.extend_from_slice(&[0; HEADER_OCTETS]);
        octets.extend_from_slice(packet);
        let closed = candidate.last;
        self.gatherings.push(Gathering {
            octets,
            first: candidate,
            owner,
            packets: 1,
            closed,
        });
    }

    /// Everything that has been gathered leaves.
    pub fn flush(&mut self, deliver: &mut impl FnMut(Delivery<'_>)) {
        while !self.gatherings.is_empty() {
            self.finish(0, deliver);
        }
    }

    fn finish(&mut self, index: usize, deliver: &mut impl FnMut(Delivery<'_>)) {
        let mut gathering = self.gatherings.remove(index);
        if gathering.complete().is_some() {
            let packets = gathering.packets;
            let headers = (packets - 1) * gathering.first.layers.payload;
            deliver(Delivery {
                octets: &gathering.octets,
                owner: gathering.owner,
                packets: packets as u64,
                inner: (gathering.octets.len() - HEADER_OCTETS + headers) as u64,
            });
        }
        self.spare.push(gathering.octets);
    }

    fn alone(&mut self, packet: &[u8], owner: usize, deliver: &mut impl FnMut(Delivery<'_>)) {
        self.single.clear();
        self.single.extend_from_slice(&SINGLE.build(0));
        self.single.extend_from_slice(packet);
        let inner = packet.len() as u64;
        deliver(Delivery {
            octets: &self.single,
            owner,
            packets: 1,
            inner,
        });
    }
}

impl Gathering {
    fn packet(&self) -> &[u8] {
        self.octets.get(HEADER_OCTETS..).unwrap_or_default()
    }

    /// Same addresses, protocol and ports.
    fn is_of_flow(&self, packet: &[u8], layers: Layers) -> bool {
        let (mine, first) = (self.first.layers, self.packet());
        let same_addresses = || match mine.version {
            4 => array::<8>(packet, 12) == array(first, 12),
            _ => array::<32>(packet, 8) == array(first, 8),
        };
        (layers.version, layers.protocol) == (mine.version, mine.protocol)
            && u32_at(packet, layers.upper) == u32_at(first, mine.upper) // ports
            && same_addresses()
    }

    /// None, and no change, where it does not go together.
    fn append(&mut self, packet: &[u8], next: &Candidate) -> Option<()> {
        let mine = self.first.layers;
        let together = self.octets.len() - HEADER_OCTETS + next.payload;
        if self.closed
            || next.layers != mine
            || next.payload > self.first.payload
            || self.packets >= MOST_PACKETS
            || together > LARGEST
            || !self.continues(packet)?
        {
            return None;
        }
        let payload = packet.get(mine.payload..)?;
        self.octets.extend_from_slice(payload);
        if mine.protocol == TCP {
            let flags = octet(packet, mine.upper + 13)?;
            put(&mut self.octets, HEADER_OCTETS + mine.upper + 13, &[flags])?;
        }
        self.packets += 1;
        self.closed = next.last || next.payload < self.first.payload;
        Some(())
    }

    /// Whether the headers are such as cutting would give the next packet.
    fn continues(&self, packet: &[u8]) -> Option<bool> {
        let Layers {
            version,
            protocol,
            upper,
            payload,
        } = self.first.layers;
        let mine = self.packet();
        let equal = |range: std::ops::Range<usize>| mine.get(range.clone()) == packet.get(range);
        let ip = if version == 4 {
            let identification = u16_at(mine, 4)?.wrapping_add(self.packets as u16);
            u16_at(mine, 0) == u16_at(packet, 0)
                && u16_at(packet, 4)? == identification
                && u32_at(mine, 6) == u32_at(packet, 6)
        } else {
            u32_at(mine, 0) == u32_at(packet, 0) && u16_at(mine, 6) == u16_at(packet, 6)
        };
        if !ip || protocol != TCP {
            return Some(ip);
        }
        let passed = self.packets * self.first.payload;
        let sequence = u32_at(mine, upper + 4)?.wrapping_add(passed as u32);
        Some(
            u32_at(packet, upper + 4)? == sequence
                && array::<5>(mine, upper + 8) == array(packet, upper + 8) // acknowledgement, offset
                && u16_at(mine, upper + 14) == u16_at(packet, upper + 14) // window
                && equal(upper + 18..payload), // urgent pointer, options
        )
    }

    /// Make the headers those of the whole, and the virtio header in front.
    fn complete(&mut self) -> Option<()> {
        let Layers {
            version,
            protocol,
            upper,
            payload,
        } = self.first.layers;
        if self.packets == 1 {
            let header = Header {
                valid: true,
                ..SINGLE
            };
            return put(&mut self.octets, 0, &header.build(0));
        }
        let offset = place(protocol)?;
        let packet = self.octets.get_mut(HEADER_OCTETS..)?;
        let protocol_at = if version == 4 { 9 } else { 6 };
        complete(packet, upper, protocol_at, protocol)?;
        let length = packet.len() - upper;
        if protocol != TCP {
            put(
                packet,
                upper + 4,
                &u16::try_from(length).ok()?.to_be_bytes(),
            )?;
        }
        // The kernel goes on from the sum of the pseudo-header.
        let [high, low] = pseudo_header(packet, protocol, length)?.finish();
        put(packet, upper + offset, &[!high, !low])?;
        let header = Header {
            kind: match (protocol, version) {
                (TCP, 4) => Kind::Tcp4,
                (TCP, _) => Kind::Tcp6,
                _ => Kind::Udp,
            },
            segment: self.first.payload,
            checksum: Some((upper, offset)),
            valid: false,
        };
        put(&mut self.octets, 0, &header.build(payload))
    }
}

#[cfg(test)]
mod tests;
