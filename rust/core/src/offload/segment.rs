//! A super-packet cut into the packets that it stands for, as the kernel would (TSO, USO).

use super::layers::Layers;
use super::virtio::{Header, Kind};
use crate::wire::checksum::{Sum, place, pseudo_header};
use crate::wire::front::complete;
use crate::wire::octets::{octet, put, u16_at, u32_at};
use crate::wire::protocol::{TCP, UDP};

const FIN_AND_PSH: u8 = 0x01 | 0x08;
const CWR: u8 = 0x80;

/// A super-packet and how it is to be cut.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    packet: &'a [u8],
    layers: Layers,
    size: usize,
}

impl<'a> Segments<'a> {
    /// None for one that is not what its header says.
    #[must_use]
    pub fn new(packet: &'a [u8], header: &Header) -> Option<Self> {
        let layers = Layers::of(packet)?;
        let as_said = match header.kind {
            Kind::Single => false,
            Kind::Tcp4 => (layers.version, layers.protocol) == (4, TCP),
            Kind::Tcp6 => (layers.version, layers.protocol) == (6, TCP),
            Kind::Udp => layers.protocol == UDP,
        };
        let size = header.segment;
        (as_said && size > 0 && packet.len() > layers.payload).then_some(Self {
            packet,
            layers,
            size,
        })
    }

    /// How many packets it stands for.
    #[must_use]
    pub fn count(&self) -> usize {
        (self.packet.len() - self.layers.payload).div_ceil(self.size)
    }

    /// Octets of packet number `index`, from 0 on.
    #[must_use]
    pub fn octets(&self, index: usize) -> usize {
        self.layers.payload + self.part(index).map_or(0, <[u8]>::len)
    }

    /// Write packet number `index` into `out`, which has as many octets.
    ///
    /// None where there is no such packet or `out` is too small.
    pub fn write(&self, index: usize, out: &mut [u8]) -> Option<()> {
        let Layers {
            version,
            protocol,
            upper,
            payload,
        } = self.layers;
        let part = self.part(index)?;
        let out = out.get_mut(..payload + part.len())?;
        put(out, 0, self.packet.get(..payload)?)?;
        put(out, payload, part)?;
        if version == 4 {
            let identification = u16_at(self.packet, 4)?.wrapping_add(index as u16);
            put(out, 4, &identification.to_be_bytes())?;
        }
        let (header, protocol_at) = if version == 4 { (upper, 9) } else { (upper, 6) };
        complete(out, header, protocol_at, protocol)?;
        if protocol == TCP {
            let sequence = u32_at(self.packet, upper + 4)?;
            let sequence = sequence.wrapping_add((index * self.size) as u32);
            put(out, upper + 4, &sequence.to_be_bytes())?;
            let mut flags = octet(self.packet, upper + 13)?;
            if index + 1 < self.count() {
                flags &= !FIN_AND_PSH;
            }
            if index > 0 {
                flags &= !CWR; // RFC 3168 §6.1.2: on the first packet alone
            }
            put(out, upper + 13, &[flags])?;
        } else {
            let length = u16::try_from(out.len() - upper).ok()?;
            put(out, upper + 4, &length.to_be_bytes())?;
        }
        let at = upper + place(protocol)?;
        put(out, at, &[0, 0])?;
        let body = out.get(upper..)?;
        let sum = pseudo_header(out, protocol, body.len())?
            .with(body)
            .finish();
        put(
            out,
            at,
            if protocol == UDP && sum == [0, 0] {
                &[0xFF, 0xFF]
            } else {
                &sum
            },
        )
    }

    fn part(&self, index: usize) -> Option<&'a [u8]> {
        let begin = self
            .layers
            .payload
            .checked_add(index.checked_mul(self.size)?)?;
        let rest = self.packet.get(begin..).filter(|rest| !rest.is_empty())?;
        rest.get(..self.size.min(rest.len()))
    }
}

/// Make the checksum that the kernel left to us: over all from `start` on, at `start + offset`.
///
/// Its field holds the sum of the pseudo-header. None where it does not lie in the packet.
pub fn finish_checksum(packet: &mut [u8], start: usize, offset: usize) -> Option<()> {
    let at = start.checked_add(offset)?;
    let sum = Sum::default().with(packet.get(start..)?).finish();
    // RFC 768: 0 says that there is none; in other protocols both zeroes are the same.
    put(packet, at, if sum == [0, 0] { &[0xFF, 0xFF] } else { &sum })
}
