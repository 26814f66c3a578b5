//! The packet thread: it waits for descriptors, and moves what they have.
//!
//! Follow `outward` and `inward`, in the files of these names.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::events::Events;
use super::halves::{Halves, Receiving};
use super::interface::{Features, Interface, Sockets};
use super::lending::Helper;
use super::origins::Origins;
use super::outward::Outward;
use super::table::Table;
use crate::esp::drops::Drops;
use crate::offload::coalesce::Coalescer;
use crate::offload::virtio::HEADER_OCTETS;
use crate::system::clock::monotonic;
use crate::system::datagram::{local_port, set_gro};
use crate::system::many::Arrivals;
use crate::system::poll::{Poll, Waker};
use crate::system::tun::{Offloads, has_headers, set_offloads};

/// Packets taken from one descriptor before the others have their turn.
pub(super) const BATCH: usize = 128;

pub(super) const LARGEST_PACKET: usize = 65536 + HEADER_OCTETS;
const LONGEST_PAUSE: f64 = 3600.0;

// What `Poll` tells; streams have the numbers behind them.
const WAKE: u64 = 0;
const TUN: u64 = 1;
const UDP: u64 = 2; // IPv4, IPv6
const RAW: u64 = 4;
pub(super) const STREAMS: u64 = 6;

// Whether there is work for two threads is looked at over so many seconds.
const LOOK: f64 = 0.02;
/// Each direction takes more than this part of the time.
const BUSY: f64 = 0.25;
/// And neither has so many times the octets of the other.
const LIKE: usize = 5;

/// What another thread asks for.
pub type Job = Box<dyn FnOnce(&mut Pump) + Send>;

/// Moves packets while `run` runs. It alone has the SAs and their state, but for what it lends.
pub struct Pump {
    /// Changed only while `outward` is here: what was lent shares it.
    pub(super) table: Arc<Table>,
    pub(super) receiving: Halves<Receiving>,
    pub(super) outward: Option<Box<Outward>>,
    pub(super) drops: Drops,
    pub(super) events: Arc<Events>,
    pub(super) interface: Interface,
    pub(super) features: Features,
    pub(super) coalescer: Coalescer,
    pub(super) poll: Arc<Poll>,
    pub(super) now: f64,
    pub(super) frames: Vec<u8>, // what a stream brings
    pub(super) proved: Vec<usize>,
    pub(super) origins: Origins,
    pub(super) ports: [u16; 2],
    next_keepalive: f64,
    pub(super) load: Load,
    helper: Option<Helper>,
    waker: Arc<Waker>,
    jobs: Receiver<Job>,
    stopping: bool,
}

/// How busy one thread is with each direction.
pub(super) struct Load {
    /// That came in.
    pub(super) octets: usize,
    alone: bool,
    since: f64,
    outward: f64,
    inward: f64,
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
        let poll = Arc::new(Poll::new()?);
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
        let outward = Outward::new(
            interface,
            vnet_header,
            Arc::clone(&events),
            Arc::clone(&poll),
        );
        let now = monotonic();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            table: Arc::default(),
            receiving: Halves::default(),
            outward: Some(Box::new(outward)),
            drops: Drops::default(),
            events,
            interface,
            features: Features {
                vnet_header,
                tun,
                udp_segment: true,
                udp_gro,
                send_many: true,
                receive_many: true,
            },
            coalescer: Coalescer::new(tun.uso),
            poll,
            now,
            frames: Vec::new(),
            proved: Vec::new(),
            origins: Origins::default(),
            ports: udp.map(|socket| socket.map_or(0, local_port)),
            next_keepalive: 0.0,
            load: Load {
                octets: 0,
                alone: cores < 2,
                since: now,
                outward: 0.0,
                inward: 0.0,
            },
            helper: None,
            waker,
            jobs,
            stopping: false,
        })
    }

    /// The body of the thread: returns after `stop`.
    ///
    /// # Errors
    /// Why it cannot go on. Nobody reads TUN any more then, so nothing of it can leave.
    pub fn run(&mut self) -> io::Result<()> {
        let mut arrivals = Arrivals::default();
        let mut ready = Vec::new();
        while !self.stopping {
            let pause = (self.next_keepalive - self.now).clamp(0.0, LONGEST_PAUSE);
            self.poll.wait(Duration::from_secs_f64(pause), &mut ready)?;
            self.now = monotonic();
            for token in &ready {
                match *token {
                    WAKE => self.work()?,
                    TUN => self.read_tun()?,
                    token => {
                        let done = match token {
                            UDP..RAW => self.read_udp((token - UDP) as usize, &mut arrivals),
                            RAW..STREAMS => self.read_raw((token - RAW) as usize, &mut arrivals),
                            number => {
                                self.read_stream(number);
                                Ok(())
                            }
                        };
                        self.flush_in();
                        done?;
                        self.settle()?;
                        self.features.receive_many = arrivals.many;
                        self.load.inward += monotonic() - self.now;
                    }
                }
            }
            self.share()?;
            if self.now >= self.next_keepalive {
                self.recall()?;
                if let Some(outward) = &mut self.outward {
                    self.next_keepalive = outward.send_keepalives(&self.table, self.now);
                }
            }
        }
        self.recall()
    }

    /// After `run` has failed: answer the other thread until `stop`, and move nothing.
    pub fn idle(&mut self) {
        let _ = self.recall();
        self.close_streams();
        while !self.stopping {
            let Ok(job) = self.jobs.recv() else { return };
            job(self);
        }
    }

    /// For a job: end `run`, or `idle`.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.close_streams();
    }

    fn close_streams(&mut self) {
        if let Some(outward) = &mut self.outward {
            outward.streams.close_all();
        }
    }

    fn work(&mut self) -> io::Result<()> {
        self.waker.clear();
        if let Some(helper) = &self.helper
            && let Some((outward, done)) = helper.returned()?
        {
            self.take_back(outward)?;
            done?;
        }
        while let Ok(job) = self.jobs.try_recv() {
            self.recall()?;
            job(self);
        }
        if self.table.keeps_alive() {
            self.next_keepalive = 0.0;
        }
        Ok(())
    }

    fn read_tun(&mut self) -> io::Result<()> {
        let Some(outward) = &mut self.outward else {
            return Ok(()); // it was lent since the kernel said that there is something
        };
        let begin = monotonic();
        outward.read_tun(&self.table, begin)?;
        self.now = monotonic();
        self.load.outward += self.now - begin;
        Ok(())
    }

    /// A tunnel whose first packet has come may send, and goes where its newest packet came from,
    /// now that the batch is through.
    fn settle(&mut self) -> io::Result<()> {
        if self.proved.is_empty() && self.origins.is_empty() {
            return Ok(());
        }
        self.recall()?;
        if let Some(table) = Arc::get_mut(&mut self.table) {
            self.origins.settle(table, &self.events);
            for index in self.proved.drain(..) {
                if let Some(tunnel) = table.get_mut(index) {
                    tunnel.proved = true;
                }
            }
        }
        Ok(())
    }

    // The second thread.

    /// Lend the outward half where both directions keep this thread busy.
    fn share(&mut self) -> io::Result<()> {
        let seconds = self.now - self.load.since;
        if seconds < LOOK {
            return Ok(());
        }
        let busy = self.load.outward.min(self.load.inward) > BUSY * seconds;
        let out = self
            .outward
            .as_mut()
            .map(|it| std::mem::take(&mut it.octets));
        let (out, inward) = (out.unwrap_or(0), self.load.octets);
        // Not where one of them is only the acknowledgements of the other.
        let busy = busy && out.min(inward) > out.max(inward) / LIKE;
        self.load = Load {
            octets: 0,
            since: self.now,
            outward: 0.0,
            inward: 0.0,
            ..self.load
        };
        let streams = |outward: &Outward| !outward.streams.is_empty();
        if !busy || self.load.alone || self.outward.as_deref().is_none_or(streams) {
            return Ok(());
        }
        if self.helper.is_none() {
            match Helper::new(Arc::clone(&self.waker)) {
                Ok(helper) => self.helper = Some(helper),
                Err(_) => self.load.alone = true, // no thread or descriptor is left: go on alone
            }
        }
        if let Some(helper) = &self.helper {
            self.poll.remove(self.interface.tun)?;
            if let Some(outward) = self.outward.take()
                && let Err(outward) = helper.lend(outward, Arc::clone(&self.table))
            {
                self.take_back(outward)?;
            }
        }
        Ok(())
    }

    /// Have the outward half here.
    fn recall(&mut self) -> io::Result<()> {
        if self.outward.is_none()
            && let Some(helper) = &self.helper
        {
            let (outward, done) = helper.recall()?;
            self.take_back(outward)?;
            done?;
        }
        Ok(())
    }

    fn take_back(&mut self, outward: Box<Outward>) -> io::Result<()> {
        self.outward = Some(outward);
        self.load.since = self.now;
        Ok(self.poll.add(self.interface.tun, TUN)?)
    }
}
