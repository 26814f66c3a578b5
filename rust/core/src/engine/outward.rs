//! From this host to the wire (RFC 4301 §5.1, RFC 4303 §3.3).

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::events::Event;
use super::events::Events;
use super::halves::{Halves, Sending};
use super::interface::Interface;
use super::outbox::{Exit, Outbox};
use super::pump::{BATCH, LARGEST_PACKET, STREAMS};
use super::sealing::What;
use super::streams::Streams;
use super::table::Table;
use crate::esp::boundary::ErrorSource;
use crate::esp::drops::{Cause, Drops};
use crate::esp::ecn::outer_traffic_class;
use crate::esp::mss::clamp;
use crate::esp::reassembly::Reassembly;
use crate::offload::segment::{Segments, finish_checksum};
use crate::offload::virtio::{HEADER_OCTETS, Header, Kind, SINGLE};
use crate::system::poll::Poll;
use crate::wire::ip::{Flow, parse_flow, version};
use crate::wire::protocol::{IPV4, IPV6};

const ACQUIRE_SECONDS: f64 = 1.0;
/// Taken from the device before the wire has its turn.
const MOST_OCTETS: usize = 2 << 20;

/// All that sending needs, with the sending half of every SA: one thread has it at a time.
pub struct Outward {
    pub(super) sending: Halves<Sending>,
    pub(super) drops: Drops,
    pub(super) outbox: Outbox,
    /// Both directions of them, as they are few and slow.
    pub(super) streams: Streams,
    pub(super) interface: Interface,
    pub(super) reassembly: Reassembly,
    pub(super) events: Arc<Events>,
    pub(super) now: f64,
    /// Read from the device since somebody looked.
    pub(super) octets: usize,
    vnet_header: bool,
    poll: Arc<Poll>,
    errors: ErrorSource,
    next_acquire: f64,
    buffer: Vec<u8>,
}

impl Outward {
    pub fn new(
        interface: Interface,
        vnet_header: bool,
        events: Arc<Events>,
        poll: Arc<Poll>,
    ) -> Self {
        Self {
            sending: Halves::default(),
            drops: Drops::default(),
            outbox: Outbox::new(),
            streams: Streams::new(STREAMS),
            interface,
            reassembly: Reassembly::default(),
            events,
            now: 0.0,
            octets: 0,
            vnet_header,
            poll,
            errors: ErrorSource::default(),
            next_acquire: 0.0,
            buffer: vec![0; LARGEST_PACKET],
        }
    }

    /// Seal and send what the TUN device has, up to a batch.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn read_tun(&mut self, table: &Table, now: f64) -> io::Result<()> {
        self.now = now;
        let mut buffer = std::mem::take(&mut self.buffer);
        let done = self.read_batch(table, &mut buffer);
        self.buffer = buffer;
        self.flush(table);
        done
    }

    fn read_batch(&mut self, table: &Table, buffer: &mut [u8]) -> io::Result<()> {
        let mut taken = 0;
        for _ in 0..BATCH {
            if taken > MOST_OCTETS {
                break;
            }
            match rustix::io::read(self.interface.tun, &mut *buffer) {
                Ok(octets) => {
                    taken += octets;
                    self.octets += octets;
                    let packet = buffer.get_mut(..octets).unwrap_or_default();
                    if self.vnet_header {
                        self.outward_super(table, packet);
                    } else {
                        self.outward(table, packet);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, table: &Table) {
        self.outbox.flush(&mut Exit {
            table,
            sending: &mut self.sending,
            sockets: &self.interface.sockets,
            streams: &mut self.streams,
            poll: &self.poll,
            events: &self.events,
            drops: &mut self.drops,
            now: self.now,
        });
    }

    /// An IP packet of this host's; in transport mode it may be a fragment.
    fn outward(&mut self, table: &Table, packet: &mut [u8]) {
        let Some(flow) = parse_flow(packet) else {
            self.drops.count(Cause::NotIp);
            return;
        };
        let sent = if table.is_transport(&flow) {
            self.outward_whole(table, packet)
        } else {
            self.outward_in_tunnel(table, &flow, packet)
        };
        if let Err(cause) = sent {
            self.drops.count(cause);
        }
    }

    /// What was read from a device with offloads: a header, then a packet or many in one.
    fn outward_super(&mut self, table: &Table, octets: &mut [u8]) {
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
            return self.outward(table, packet);
        }
        let Some(segments) = Segments::new(packet, &header) else {
            self.drops.count(Cause::NotIp);
            return;
        };
        if !self.seal_segments(table, packet, &segments) {
            // One by one, as if there were no offloads.
            let mut one = Vec::new();
            for index in 0..segments.count() {
                one.resize(segments.octets(index), 0);
                if segments.write(index, &mut one).is_some() {
                    self.outward(table, &mut one);
                }
            }
        }
    }

    /// Cut and seal in place all packets of `packet`. False, and nothing done, where each of them
    /// needs a look of its own.
    fn seal_segments(&mut self, table: &Table, packet: &[u8], segments: &Segments<'_>) -> bool {
        let Some(flow) = parse_flow(packet) else {
            return false;
        };
        if table.is_transport(&flow) {
            return false;
        }
        let Some(index) = table.outbound(&flow) else {
            return false;
        };
        let Some(tunnel) = table.get(index) else {
            return false;
        };
        let fits = tunnel.fit.is_none_or(|fit| segments.octets(0) <= fit.inner);
        if !fits {
            return false;
        }
        let traffic_class = outer_traffic_class(packet, tunnel.copy_dscp);
        let next_header = if version(packet) == 4 { IPV4 } else { IPV6 };
        for part in 0..segments.count() {
            let inner = segments.octets(part);
            let what = What {
                octets: inner,
                next_header,
                inner,
                traffic_class,
            };
            let write = |room: &mut [u8]| segments.write(part, room);
            if let Err(cause) = self.seal_with(table, index, &what, write) {
                self.drops.count(cause);
            }
        }
        true
    }

    fn outward_in_tunnel(
        &mut self,
        table: &Table,
        flow: &Flow,
        packet: &mut [u8],
    ) -> Result<(), Cause> {
        let index = self.tunnel_for(table, flow)?;
        let tunnel = table.get(index).ok_or(Cause::NoSa)?;
        let traffic_class = outer_traffic_class(packet, tunnel.copy_dscp);
        if let Some(fit) = tunnel.fit {
            if let Some(limit) = fit.refuses(packet) {
                self.send_back(packet, limit);
                return Err(Cause::TooBig);
            }
            clamp(packet, fit.inner);
        }
        let next_header = if version(packet) == 4 { IPV4 } else { IPV6 };
        let what = What {
            octets: packet.len(),
            next_header,
            inner: packet.len(),
            traffic_class,
        };
        self.seal(table, index, &what, packet)
    }

    /// The index of the tunnel that carries the flow.
    pub(super) fn tunnel_for(&mut self, table: &Table, flow: &Flow) -> Result<usize, Cause> {
        if let Some(index) = table.outbound(flow) {
            return Ok(index);
        }
        if self.now >= self.next_acquire {
            self.next_acquire = self.now + ACQUIRE_SECONDS;
            if !self.events.offer(Event::Acquire(*flow)) {
                self.drops.count(Cause::EventsFull);
            }
        }
        Err(if table.is_empty() {
            Cause::NoSa
        } else {
            Cause::SelectorMismatchOut
        })
    }

    /// RFC 4301 §8.2.1: its sender is to send smaller ones.
    fn send_back(&mut self, packet: &[u8], limit: usize) {
        if let Some(error) = self.errors.too_big(packet, limit, self.now as u64) {
            self.tell_host(&error);
        }
    }

    /// A packet of our own making, for this host.
    fn tell_host(&mut self, packet: &[u8]) {
        let header = SINGLE.build(0);
        let header: &[u8] = if self.vnet_header { &header } else { &[] };
        if rustix::io::write(self.interface.tun, &[header, packet].concat()).is_err() {
            self.drops.count(Cause::TunWriteFailed);
        }
    }
}
