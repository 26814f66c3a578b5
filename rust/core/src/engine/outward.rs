//! From this host to the wire (RFC 4301 §5.1, RFC 4303 §3.3).

use super::events::Event;
use super::pump::Pump;
use crate::esp::drops::Cause;
use crate::esp::ecn::outer_traffic_class;
use crate::esp::mss::clamp;
use crate::offload::segment::{Segments, finish_checksum};
use crate::offload::virtio::{HEADER_OCTETS, Header, Kind};
use crate::sa::child::Encapsulation;
use crate::wire::ip::{Flow, parse_flow, version};
use crate::wire::octets::put;
use crate::wire::protocol::{IPV4, IPV6};
use crate::wire::tcpencap::LENGTH_OCTETS;

const ACQUIRE_SECONDS: f64 = 1.0;

impl Pump {
    /// An IP packet of this host's; in transport mode it may be a fragment.
    pub(super) fn outward(&mut self, packet: &mut [u8]) {
        let Some(flow) = parse_flow(packet) else {
            self.drops.count(Cause::NotIp);
            return;
        };
        let sent = if self.table.is_transport(&flow) {
            self.outward_whole(packet)
        } else {
            self.outward_in_tunnel(&flow, packet)
        };
        if let Err(cause) = sent {
            self.drops.count(cause);
        }
    }

    /// What was read from a device with offloads: a header, then a packet or many in one.
    pub(super) fn outward_super(&mut self, octets: &mut [u8]) {
        let parts = octets.split_at_mut_checked(HEADER_OCTETS);
        let Some((header, packet)) =
            parts.and_then(|(header, packet)| Some((Header::parse(header)?, packet)))
        else {
            self.drops.count(Cause::NotIp);
            return;
        };
        if header.kind == Kind::Single {
            if let Some((start, offset)) = header.checksum {
                finish_checksum(packet, start, offset);
            }
            return self.outward(packet);
        }
        let Some(segments) = Segments::new(packet, &header) else {
            self.drops.count(Cause::NotIp);
            return;
        };
        if !self.seal_segments(packet, &segments) {
            // One by one, as if there were no offloads.
            let mut one = Vec::new();
            for index in 0..segments.count() {
                one.resize(segments.octets(index), 0);
                if segments.write(index, &mut one).is_some() {
                    self.outward(&mut one);
                }
            }
        }
    }

    /// Cut and seal in place all packets of `packet`. False, and nothing done, where each of them
    /// needs a look of its own.
    fn seal_segments(&mut self, packet: &[u8], segments: &Segments<'_>) -> bool {
        let Some(flow) = parse_flow(packet) else {
            return false;
        };
        if self.table.is_transport(&flow) {
            return false;
        }
        let Some(index) = self.table.outbound(&flow) else {
            return false;
        };
        let Some(tunnel) = self.table.get(index) else {
            return false;
        };
        let fits = tunnel.fit.is_none_or(|fit| segments.octets(0) <= fit.inner);
        if !fits || tunnel.encapsulation == Encapsulation::Tcp {
            return false;
        }
        let traffic_class = outer_traffic_class(packet, tunnel.copy_dscp);
        let next_header = if version(packet) == 4 { IPV4 } else { IPV6 };
        for part in 0..segments.count() {
            let inner = segments.octets(part);
            let write = |room: &mut [u8]| segments.write(part, room);
            if let Err(cause) =
                self.seal_with(index, write, next_header, inner, inner, traffic_class)
            {
                self.drops.count(cause);
            }
        }
        true
    }

    fn outward_in_tunnel(&mut self, flow: &Flow, packet: &mut [u8]) -> Result<(), Cause> {
        let index = self.tunnel_for(flow)?;
        let Some(tunnel) = self.table.get(index) else {
            return Err(Cause::NoSa);
        };
        let traffic_class = outer_traffic_class(packet, tunnel.copy_dscp);
        if let Some(fit) = tunnel.fit {
            if let Some(limit) = fit.refuses(packet) {
                self.send_back(packet, limit);
                return Err(Cause::TooBig);
            }
            clamp(packet, fit.inner);
        }
        let next_header = if version(packet) == 4 { IPV4 } else { IPV6 };
        self.seal(index, packet, next_header, packet.len(), traffic_class)
    }

    /// The index of the tunnel that carries the flow.
    pub(super) fn tunnel_for(&mut self, flow: &Flow) -> Result<usize, Cause> {
        if let Some(index) = self.table.outbound(flow) {
            return Ok(index);
        }
        if self.now >= self.next_acquire {
            self.next_acquire = self.now + ACQUIRE_SECONDS;
            if !self.events.offer(Event::Acquire(*flow)) {
                self.drops.count(Cause::EventsFull);
            }
        }
        Err(if self.table.is_empty() {
            Cause::NoSa
        } else {
            Cause::SelectorMismatchOut
        })
    }

    /// Seal a payload into the next packet that leaves; it counts as `inner` octets.
    pub(super) fn seal(
        &mut self,
        index: usize,
        payload: &[u8],
        next_header: u8,
        inner: usize,
        traffic_class: u8,
    ) -> Result<(), Cause> {
        let Some(tunnel) = self.table.get(index) else {
            return Err(Cause::NoSa);
        };
        let octets = tunnel.outbound.sealed_octets(payload.len());
        if tunnel.encapsulation == Encapsulation::Tcp {
            return self.seal_into_stream(index, payload, next_header, inner, octets);
        }
        let write = |room: &mut [u8]| put(room, 0, payload);
        self.seal_with(
            index,
            write,
            next_header,
            payload.len(),
            inner,
            traffic_class,
        )
    }

    /// The same, around a payload of so many octets that `write` writes; not into a stream.
    fn seal_with(
        &mut self,
        index: usize,
        write: impl FnOnce(&mut [u8]) -> Option<()>,
        next_header: u8,
        payload: usize,
        inner: usize,
        traffic_class: u8,
    ) -> Result<(), Cause> {
        let Some(tunnel) = self.table.get(index) else {
            return Err(Cause::NoSa);
        };
        let octets = tunnel.outbound.sealed_octets(payload);
        if !self.outbox.has_room(octets) {
            self.flush();
        }
        let Self {
            outbox,
            table,
            events,
            ..
        } = self;
        let (Some(place), Some(tunnel)) = (outbox.place(octets), table.get_mut(index)) else {
            return Err(Cause::Oversized);
        };
        let begin = tunnel.outbound.payload_at();
        let room = place
            .get_mut(begin..begin + payload)
            .ok_or(Cause::Oversized)?;
        write(room).ok_or(Cause::Oversized)?;
        tunnel.outbound.seal(place, payload, next_header)?;
        outbox.keep(octets, index, inner, traffic_class);
        if let Some(event) = tunnel.near_end() {
            events.put(event);
        }
        Ok(())
    }

    fn seal_into_stream(
        &mut self,
        index: usize,
        payload: &[u8],
        next_header: u8,
        inner: usize,
        octets: usize,
    ) -> Result<(), Cause> {
        let Self {
            frame,
            table,
            streams,
            poll,
            events,
            now,
            ..
        } = self;
        let Some(tunnel) = table.get_mut(index) else {
            return Err(Cause::NoSa);
        };
        frame.clear();
        frame.resize(LENGTH_OCTETS + octets, 0);
        tunnel.seal_at(
            frame.get_mut(LENGTH_OCTETS..).unwrap_or_default(),
            payload,
            next_header,
        )?;
        if let Some(event) = tunnel.near_end() {
            events.put(event);
        }
        streams.send_esp(frame, &tunnel.path, poll, events)?;
        tunnel.last_out = *now;
        super::outbox::count_sent(tunnel, inner);
        Ok(())
    }

    /// RFC 4301 §8.2.1: its sender is to send smaller ones.
    fn send_back(&mut self, packet: &[u8], limit: usize) {
        if let Some(error) = self.errors.too_big(packet, limit, self.now as u64) {
            self.tell_host(&error);
        }
    }
}
