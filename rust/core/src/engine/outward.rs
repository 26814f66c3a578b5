//! From this host to the wire (RFC 4301 §5.1, RFC 4303 §3.3).

use super::events::Event;
use super::pump::Pump;
use crate::esp::drops::Cause;
use crate::esp::ecn::outer_traffic_class;
use crate::esp::mss::clamp;
use crate::sa::child::Encapsulation;
use crate::wire::ip::{Flow, parse_flow, version};
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
        tunnel.seal_at(place, payload, next_header)?;
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
        if let Some(error) = self.errors.too_big(packet, limit, self.now as u64)
            && rustix::io::write(self.interface.tun, &error).is_err()
        {
            self.drops.count(Cause::TunWriteFailed);
        }
    }
}
