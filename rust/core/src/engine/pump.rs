//! The packet thread: it waits for descriptors, and moves what they have.
//!
//! Follow `outward` and `inward`, in the files of these names.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::events::{Event, Events};
use super::outbox::{Outbox, send_keepalive};
use super::own_header::ipv6_front;
use super::streams::{NewStream, Streams};
use super::table::Table;
use super::tunnel::SaCounters;
use crate::esp::boundary::{ErrorSource, Fit, inner_mtu};
use crate::esp::drops::{Cause, Drops};
use crate::esp::reassembly::Reassembly;
use crate::sa::child::{Encapsulation, Path};
use crate::system::clock::monotonic;
use crate::system::control::Receiving;
use crate::system::datagram::{local_port, receive};
use crate::system::fd::Lent;
use crate::system::poll::{Poll, Waker};
use crate::wire::front::{Front, split};
use crate::wire::natt::{self, Kind};

/// Packets taken from one descriptor before the others have their turn.
const BATCH: usize = 64;

const LARGEST_PACKET: usize = 65536;
const LONGEST_PAUSE: f64 = 3600.0;

// What `Poll` tells; streams have the numbers behind them.
const WAKE: u64 = 0;
const TUN: u64 = 1;
const UDP: u64 = 2; // IPv4, IPv6
const RAW: u64 = 4;
const STREAMS: u64 = 6;

/// What an engine works on; `engines/base.py` says it in full.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Non-blocking; bare IP packets.
    pub tun: Lent,
    /// All that go to the wire.
    pub sockets: Sockets,
    /// RFC 3948 §4.
    pub keepalive_seconds: f64,
}

/// One for each address family, as `system/datagram.py` opens them: IPv4, IPv6.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sockets {
    /// Port 4500.
    pub udp: [Option<Lent>; 2],
    /// Protocol 50.
    pub raw: [Option<Lent>; 2],
    /// For packets that bring their own IP header.
    pub whole: [Option<Lent>; 2],
    /// For fragments of IPv6 packets.
    pub fragmenter: Option<Lent>,
}

impl Sockets {
    pub(super) fn udp(&self, ipv4: bool) -> Option<Lent> {
        if ipv4 { self.udp[0] } else { self.udp[1] }
    }

    pub(super) fn raw(&self, ipv4: bool) -> Option<Lent> {
        if ipv4 { self.raw[0] } else { self.raw[1] }
    }

    pub(super) fn whole(&self, ipv4: bool) -> Option<Lent> {
        if ipv4 { self.whole[0] } else { self.whole[1] }
    }
}

/// A snapshot: drops by cause, and every SA pair by inbound SPI.
pub struct Counters {
    /// Every cause, 0 included.
    pub drops: Drops,
    /// Every SA pair installed.
    pub sas: Vec<(u32, SaCounters)>,
}

/// What another thread asks for.
pub type Job = Box<dyn FnOnce(&mut Pump) + Send>;

/// Moves packets while `run` runs. It alone has the SAs and their state.
pub struct Pump {
    pub(super) table: Table,
    pub(super) drops: Drops,
    pub(super) events: Arc<Events>,
    pub(super) interface: Interface,
    pub(super) outbox: Outbox,
    pub(super) streams: Streams,
    pub(super) poll: Poll,
    pub(super) reassembly: Reassembly,
    pub(super) errors: ErrorSource,
    pub(super) now: f64,
    pub(super) next_acquire: f64,
    pub(super) frame: Vec<u8>, // for a packet that is sealed for a stream, or made whole
    next_keepalive: f64,
    ports: [u16; 2],
    waker: Arc<Waker>,
    jobs: Receiver<Job>,
    control: Box<Receiving>,
    stopping: bool,
}

impl Pump {
    /// # Errors
    /// As the kernel says; nothing is watched then.
    pub fn new(
        interface: Interface,
        events: Arc<Events>,
        waker: Arc<Waker>,
        jobs: Receiver<Job>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.add(waker.as_fd(), WAKE)?;
        poll.add(interface.tun, TUN)?;
        let Sockets { udp, raw, .. } = interface.sockets;
        for (token, socket) in (UDP..).zip(udp).chain((RAW..).zip(raw)) {
            if let Some(socket) = socket {
                poll.add(socket, token)?;
            }
        }
        Ok(Self {
            table: Table::default(),
            drops: Drops::default(),
            events,
            interface,
            outbox: Outbox::new(),
            streams: Streams::new(STREAMS),
            poll,
            reassembly: Reassembly::default(),
            errors: ErrorSource::default(),
            now: monotonic(),
            next_acquire: 0.0,
            frame: Vec::new(),
            next_keepalive: 0.0,
            ports: udp.map(|socket| socket.map_or(0, local_port)),
            waker,
            jobs,
            control: Box::default(),
            stopping: false,
        })
    }

    /// The body of the thread: returns after `stop`.
    ///
    /// # Errors
    /// Why it cannot go on. Nobody reads TUN any more then, so nothing of it can leave.
    pub fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; LARGEST_PACKET];
        let mut ready = Vec::new();
        while !self.stopping {
            let pause = (self.next_keepalive - self.now).clamp(0.0, LONGEST_PAUSE);
            self.poll.wait(Duration::from_secs_f64(pause), &mut ready)?;
            self.now = monotonic();
            for token in &ready {
                match *token {
                    WAKE => self.work(),
                    TUN => self.read_tun(&mut buffer)?,
                    token @ UDP..RAW => self.read_udp((token - UDP) as usize, &mut buffer)?,
                    token @ RAW..STREAMS => self.read_raw((token - RAW) as usize, &mut buffer)?,
                    number => self.read_stream(number),
                }
            }
            if self.now >= self.next_keepalive {
                self.send_keepalives();
            }
        }
        Ok(())
    }

    /// After `run` has failed: answer the other thread until `stop`, and move nothing.
    pub fn idle(&mut self) {
        self.streams.close_all();
        while !self.stopping {
            let Ok(job) = self.jobs.recv() else { return };
            job(self);
        }
    }

    // For the other thread, in jobs.

    pub fn stop(&mut self) {
        self.stopping = true;
        self.streams.close_all();
    }

    pub fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    pub fn clock(&self) -> f64 {
        self.now
    }

    pub fn counters(&self) -> Counters {
        let sas = self
            .table
            .iter()
            .map(|it| (it.inbound_spi, it.counters))
            .collect();
        Counters {
            drops: self.drops.clone(),
            sas,
        }
    }

    pub fn set_path_mtu(
        &mut self,
        spi: u32,
        mtu: usize,
        whole: usize,
    ) -> Result<(), super::Unknown> {
        let tunnel = self.table.named(spi)?;
        let inner = inner_mtu(mtu, tunnel.is_ipv4(), tunnel.encapsulation, tunnel.suite);
        tunnel.fit = Some(Fit {
            outer: whole,
            inner,
        });
        Ok(())
    }

    pub fn add_stream(&mut self, stream: NewStream) -> io::Result<()> {
        Ok(self.streams.add(stream, &self.poll)?)
    }

    pub fn send_ike(&mut self, data: &[u8], path: &Path) {
        self.streams.send_ike(data, path, &self.poll, &self.events);
    }

    pub fn close_stream(&mut self, path: &Path) {
        self.streams.close_one(path, &self.poll, &self.events);
    }

    // Waiting.

    fn work(&mut self) {
        self.waker.clear();
        while let Ok(job) = self.jobs.try_recv() {
            job(self);
        }
        self.next_keepalive = 0.0;
    }

    fn read_tun(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..BATCH {
            match rustix::io::read(self.interface.tun, &mut *buffer) {
                Ok(octets) => self.outward(buffer.get_mut(..octets).unwrap_or_default()),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.flush();
        Ok(())
    }

    pub(super) fn flush(&mut self) {
        let Self {
            outbox,
            table,
            interface,
            drops,
            now,
            ..
        } = self;
        outbox.flush(table, &interface.sockets, drops, *now);
    }

    fn read_udp(&mut self, family: usize, buffer: &mut [u8]) -> io::Result<()> {
        let Some(socket) = self.interface.sockets.udp.get(family).copied().flatten() else {
            return Ok(());
        };
        let port = self.ports.get(family).copied().unwrap_or(0);
        for _ in 0..BATCH {
            let received = match receive(socket, buffer, &mut self.control) {
                Ok(Some(received)) => received,
                Ok(None) => break,
                Err(error) => return self.receive_failed(error),
            };
            let mut local = received.local;
            local.port = port;
            let path = Path {
                local,
                remote: received.sender,
                in_tcp: false,
            };
            let all = buffer.get_mut(..received.octets).unwrap_or_default();
            if all.is_empty() {
                self.datagram(all, path, received.traffic_class);
            }
            for datagram in all.chunks_mut(received.segment.max(1)) {
                self.datagram(datagram, path, received.traffic_class);
            }
        }
        Ok(())
    }

    fn read_raw(&mut self, family: usize, buffer: &mut [u8]) -> io::Result<()> {
        let Some(socket) = self.interface.sockets.raw.get(family).copied().flatten() else {
            return Ok(());
        };
        let mut headers = Vec::new();
        for _ in 0..BATCH {
            let received = match receive(socket, buffer, &mut self.control) {
                Ok(Some(received)) => received,
                Ok(None) => break,
                Err(error) => return self.receive_failed(error),
            };
            let packet = buffer.get_mut(..received.octets).unwrap_or_default();
            if family == 1 {
                let protocol_at = ipv6_front(&received, &self.control, &mut headers);
                let own = Front {
                    octets: &headers,
                    protocol_at,
                };
                let _ = self.inward(packet, own.traffic_class(), Some(own));
                continue;
            }
            // A raw IPv4 socket hands over the IP header too (raw(7)), a raw IPv6 one does not.
            let Some((front, rest)) = split(packet) else {
                continue;
            };
            let (header, end) = (front.octets.len(), front.octets.len() + rest.len());
            let packet = packet.get_mut(..end).unwrap_or_default();
            if let Some((octets, esp)) = packet.split_at_mut_checked(header) {
                let own = Front {
                    octets,
                    protocol_at: 9,
                };
                let _ = self.inward(esp, own.traffic_class(), Some(own));
            }
        }
        Ok(())
    }

    fn read_stream(&mut self, number: u64) {
        let mut buffer = std::mem::take(&mut self.frame);
        let path = self
            .streams
            .ready(number, &mut buffer, &self.poll, &self.events);
        if let Some(path) = path {
            let mut at = 0;
            while let Some((begin, end)) =
                self.streams
                    .next_message(number, &buffer, at, &self.poll, &self.events)
            {
                at = end;
                if let Some(message) = buffer.get_mut(begin..end).filter(|it| !it.is_empty()) {
                    self.message(number, path, message);
                }
            }
        }
        self.frame = buffer;
    }

    /// RFC 3948 §2: what came to port 4500.
    fn datagram(&mut self, data: &mut [u8], path: Path, traffic_class: u8) {
        match natt::classify(data) {
            Some(Kind::Esp) => {
                let _ = self.inward(data, traffic_class, None);
            }
            Some(Kind::Ike) => self.ike(data, path),
            Some(Kind::Keepalive) => self.drops.count(Cause::Keepalive),
            None => self.drops.count(Cause::NotEsp),
        }
    }

    /// A whole message from a stream: what UDP port 4500 would bring as a datagram.
    fn message(&mut self, number: u64, path: Path, message: &mut [u8]) {
        let kind = natt::classify(message);
        if kind != Some(Kind::Esp) {
            self.datagram(message, path, 0);
            if kind.is_none() {
                self.streams
                    .doubt(number, Cause::NotEsp, &self.poll, &self.events);
            }
            return;
        }
        match self.inward(message, 0, None) {
            Err(cause) => self.streams.doubt(number, cause, &self.poll, &self.events),
            Ok(index) => {
                self.streams.trust(number);
                if let Some(tunnel) = self.table.get_mut(index)
                    && tunnel.encapsulation == Encapsulation::Tcp
                    && self.streams.supersedes(number, &tunnel.path)
                {
                    tunnel.path = path;
                    self.events.put(Event::PathMoved(tunnel.inbound_spi, path));
                }
            }
        }
    }

    fn ike(&mut self, data: &[u8], path: Path) {
        let message = data.get(natt::NON_ESP_MARKER.len()..).unwrap_or_default();
        if !self.events.offer(Event::Ike(message.to_vec(), path)) {
            self.drops.count(Cause::EventsFull);
        }
    }

    /// What a socket reports once for trouble in the network; anything else ends the engine.
    fn receive_failed(&mut self, error: io::Error) -> io::Result<()> {
        match error.raw_os_error() {
            Some(
                libc::ECONNREFUSED
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EMSGSIZE
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::ENOBUFS
                | libc::ENOMEM
                | libc::EPROTO,
            ) => {
                self.drops.count(Cause::ReceiveFailed);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// RFC 3948 §4: one octet, when nothing else has kept the NAT's mapping alive.
    fn send_keepalives(&mut self) {
        let interval = self.interface.keepalive_seconds;
        self.next_keepalive = self.now + interval;
        let waits =
            |it: &super::tunnel::Tunnel| it.keepalive && it.encapsulation == Encapsulation::Udp;
        // An old SA and the one that replaces it share a mapping: one packet is enough for both.
        let mut newest: Vec<(Path, f64)> = Vec::new();
        for tunnel in self.table.iter().filter(|it| waits(it)) {
            match newest.iter_mut().find(|(path, _)| *path == tunnel.path) {
                Some((_, last)) => *last = last.max(tunnel.last_out),
                None => newest.push((tunnel.path, tunnel.last_out)),
            }
        }
        for tunnel in self.table.iter_mut().rev().filter(|it| waits(it)) {
            let Some((_, last)) = newest.iter_mut().find(|(path, _)| *path == tunnel.path) else {
                continue;
            };
            if *last + interval <= self.now {
                tunnel.last_out = self.now;
                *last = self.now;
                if let Err(error) = send_keepalive(tunnel, &self.interface.sockets) {
                    self.drops.count(super::outbox::cause_of(&error));
                }
            }
            self.next_keepalive = self.next_keepalive.min(*last + interval);
        }
    }
}
