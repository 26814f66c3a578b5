//! The packet thread: it waits for descriptors, and moves what they have.
//!
//! Follow `outward` and `inward`, in the files of these names.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::events::Events;
use super::interface::{Counters, Features, Interface, Sockets};
use super::outbox::Outbox;
use super::streams::{NewStream, Streams};
use super::table::Table;
use crate::esp::boundary::{ErrorSource, Fit, inner_mtu};
use crate::esp::drops::Drops;
use crate::esp::reassembly::Reassembly;
use crate::offload::coalesce::Coalescer;
use crate::offload::virtio::HEADER_OCTETS;
use crate::sa::child::Path;
use crate::system::clock::monotonic;
use crate::system::control::Receiving;
use crate::system::datagram::{local_port, set_gro};
use crate::system::poll::{Poll, Waker};
use crate::system::tun::{Offloads, has_headers, set_offloads};

/// Packets taken from one descriptor before the others have their turn.
pub(super) const BATCH: usize = 64;

const LARGEST_PACKET: usize = 65536 + HEADER_OCTETS;
const LONGEST_PAUSE: f64 = 3600.0;

// What `Poll` tells; streams have the numbers behind them.
const WAKE: u64 = 0;
const TUN: u64 = 1;
const UDP: u64 = 2; // IPv4, IPv6
const RAW: u64 = 4;
const STREAMS: u64 = 6;

/// What another thread asks for.
pub type Job = Box<dyn FnOnce(&mut Pump) + Send>;

/// Moves packets while `run` runs. It alone has the SAs and their state.
pub struct Pump {
    pub(super) table: Table,
    pub(super) drops: Drops,
    pub(super) events: Arc<Events>,
    pub(super) interface: Interface,
    pub(super) features: Features,
    pub(super) outbox: Outbox,
    pub(super) coalescer: Coalescer,
    pub(super) streams: Streams,
    pub(super) poll: Poll,
    pub(super) reassembly: Reassembly,
    pub(super) errors: ErrorSource,
    pub(super) now: f64,
    pub(super) next_acquire: f64,
    pub(super) frame: Vec<u8>, // for a packet that is sealed for a stream, or made whole
    pub(super) next_keepalive: f64,
    pub(super) next_unknown: f64,
    pub(super) ports: [u16; 2],
    waker: Arc<Waker>,
    jobs: Receiver<Job>,
    pub(super) control: Box<Receiving>,
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
        let vnet_header = has_headers(interface.tun);
        let tun = if vnet_header {
            set_offloads(interface.tun)
        } else {
            Offloads::default()
        };
        let udp_gro = udp
            .into_iter()
            .flatten()
            .all(|socket| set_gro(socket, true));
        Ok(Self {
            features: Features {
                vnet_header,
                tun,
                udp_segment: true,
                udp_gro,
            },
            coalescer: Coalescer::new(tun.uso),
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
            next_unknown: 0.0,
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
                    token @ UDP..RAW => {
                        let done = self.read_udp((token - UDP) as usize, &mut buffer);
                        self.flush_in();
                        done?;
                    }
                    token @ RAW..STREAMS => {
                        let done = self.read_raw((token - RAW) as usize, &mut buffer);
                        self.flush_in();
                        done?;
                    }
                    number => {
                        self.read_stream(number);
                        self.flush_in();
                    }
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
        let udp_segment = self.outbox.segmenting;
        let features = Features {
            udp_segment,
            ..self.features
        };
        Counters {
            drops: self.drops.clone(),
            sas,
            features,
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
                Ok(octets) => {
                    let packet = buffer.get_mut(..octets).unwrap_or_default();
                    if self.features.vnet_header {
                        self.outward_super(packet);
                    } else {
                        self.outward(packet);
                    }
                }
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
}
