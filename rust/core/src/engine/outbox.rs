//! Sealed packets on their way to the wire, gathered so that one system call sends many.

use std::io;

use super::events::Events;
use super::halves::{Halves, Sending};
use super::interface::Sockets;
use super::streams::Streams;
use super::table::Table;
use super::tunnel::Tunnel;
use super::way::{in_fragments, no_socket, send_fragments, way};
use crate::esp::drops::{Cause, Drops};
use crate::sa::child::Encapsulation;
use crate::system::fd::Lent;
use crate::system::many::{Outgoing, send};
use crate::system::poll::Poll;
use crate::wire::ip::version;

const OCTETS: usize = 192 << 10;
const MOST_SEGMENTS: usize = 128; // UDP_MAX_SEGMENTS of Linux 6.9
const MOST_SEGMENTS_BEFORE: usize = 64;
const LARGEST_BATCH: usize = 65_000; // of one datagram for the kernel, headers not counted
const MOST_MESSAGES: usize = 64; // in one system call

struct Entry {
    begin: usize,
    end: usize,
    tunnel: usize,
    inner: usize,
    traffic_class: u8,
    whole: bool,
}

/// All that packets leave by, and what is counted of them.
pub struct Exit<'a> {
    pub table: &'a Table,
    pub sending: &'a mut Halves<Sending>,
    pub sockets: &'a Sockets,
    pub streams: &'a mut Streams,
    pub poll: &'a Poll,
    pub events: &'a Events,
    pub drops: &'a mut Drops,
    pub now: f64,
}

/// Packets in one buffer, one behind the other, in the order in which they leave.
pub struct Outbox {
    buffer: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
    /// Whether the kernel cuts a datagram into many (UDP_SEGMENT, Linux 4.18); until it refuses.
    pub segmenting: bool,
    most_segments: usize,
    /// Whether the kernel takes many datagrams at once (sendmmsg); until it refuses.
    pub many: bool,
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            buffer: vec![0; OCTETS],
            used: 0,
            entries: Vec::new(),
            segmenting: true,
            most_segments: MOST_SEGMENTS,
            many: true,
        }
    }

    pub fn has_room(&self, octets: usize) -> bool {
        self.used + octets <= self.buffer.len()
    }

    /// Where the next packet of so many octets is to be sealed; none when there is no room.
    pub fn place(&mut self, octets: usize) -> Option<&mut [u8]> {
        self.buffer.get_mut(self.used..self.used + octets)
    }

    /// Keep what was sealed in the last `place`: a packet of `tunnel` around `inner` octets, or a
    /// frame with it, as the tunnel's encapsulation demands.
    pub fn keep(&mut self, octets: usize, tunnel: usize, inner: usize, traffic_class: u8) {
        let (begin, end) = (self.used, self.used + octets);
        self.entries.push(Entry {
            begin,
            end,
            tunnel,
            inner,
            traffic_class,
            whole: false,
        });
        self.used = end;
    }

    /// The same, for a packet with its own IP header.
    pub fn keep_whole(&mut self, octets: usize, tunnel: usize, inner: usize) {
        self.keep(octets, tunnel, inner, 0);
        if let Some(entry) = self.entries.last_mut() {
            entry.whole = true;
        }
    }

    /// Send all of it, and count what has left and what has not.
    pub fn flush(&mut self, exit: &mut Exit<'_>) {
        let entries = std::mem::take(&mut self.entries);
        let mut rest = entries.as_slice();
        while let Some(first) = rest.first() {
            let done = match exit.table.get(first.tunnel) {
                None => 1, // its SA is gone
                Some(it) if it.encapsulation == Encapsulation::Tcp => {
                    self.send_frames(rest, it, exit)
                }
                Some(_) => self.send_datagrams(rest, exit),
            };
            rest = rest.get(done..).unwrap_or_default();
        }
        self.entries = entries;
        self.entries.clear();
        self.used = 0;
    }

    /// Frames of one stream that follow each other leave in one write; returns how many.
    fn send_frames(&self, rest: &[Entry], tunnel: &Tunnel, exit: &mut Exit<'_>) -> usize {
        let (Some(first), Some(half)) = (
            rest.first(),
            rest.first().and_then(|it| exit.sending.get_mut(it.tunnel)),
        ) else {
            return 1;
        };
        let mine = |it: &&Entry| it.tunnel == first.tunnel;
        let frames: Vec<&Entry> = rest.iter().take_while(mine).collect();
        let end = frames.last().map_or(first.end, |it| it.end);
        let octets = self.buffer.get(first.begin..end).unwrap_or_default();
        let taken = exit
            .streams
            .send_esp(octets, &tunnel.path, exit.poll, exit.events);
        half.last = exit.now;
        for entry in &frames {
            match taken {
                Ok(taken) if entry.end - first.begin <= taken => half.count(entry.inner),
                Ok(_) => exit.drops.count(Cause::StreamFull),
                Err(cause) => exit.drops.count(cause),
            }
        }
        frames.len()
    }

    /// As many of these as one system call can send; returns how many that were.
    fn send_datagrams(&mut self, rest: &[Entry], exit: &mut Exit<'_>) -> usize {
        let most = if self.many { MOST_MESSAGES } else { 1 };
        let mut socket = None;
        let mut messages = Vec::new();
        let mut batches = Vec::new();
        let mut at = 0;
        while let Some(group) = rest.get(at..).filter(|it| !it.is_empty())
            && messages.len() < most
        {
            let together = self.together(group, exit);
            let batch = group.get(..together).unwrap_or_default();
            let Some((this, message)) = self.message(batch, exit) else {
                break; // it needs a look of its own
            };
            if socket.is_some_and(|other| other != this) {
                break;
            }
            socket = Some(this);
            messages.push(message);
            batches.push(batch);
            at += together;
        }
        let Some(socket) = socket else {
            let (first, _) = rest.split_at(rest.len().min(1));
            self.send_each(first, exit);
            return 1;
        };
        let (sent, error) = send(socket, &messages);
        for entry in batches.iter().take(sent).copied().flatten() {
            if let Some(half) = exit.sending.get_mut(entry.tunnel) {
                half.last = exit.now;
                half.count(entry.inner);
            }
        }
        let Some(error) = error else { return at };
        let left = batches.iter().take(sent).map(|it| it.len()).sum::<usize>();
        if error.raw_os_error() == Some(libc::ENOSYS) && self.many {
            self.many = false;
            return left;
        }
        let refused = batches.get(sent).copied().unwrap_or_default();
        if refused.len() > MOST_SEGMENTS_BEFORE && error.raw_os_error() == Some(libc::EINVAL) {
            self.most_segments = MOST_SEGMENTS_BEFORE;
            return left;
        }
        if let [entry] = refused {
            exit.drops.count(cause_of(&error));
            if let Some(half) = exit.sending.get_mut(entry.tunnel) {
                half.last = exit.now;
            }
        } else {
            // EINVAL: larger than the device takes whole. EIO: no checksum offload there.
            self.segmenting &= error.raw_os_error() != Some(libc::EIO);
            self.send_each(refused, exit);
        }
        left + refused.len()
    }

    /// How many of these can leave as one: of one tunnel, marked alike, of one size but the last.
    fn together(&self, rest: &[Entry], exit: &Exit<'_>) -> usize {
        let Some(first) = rest.first() else { return 0 };
        let size = first.end - first.begin;
        let alone = exit.table.get(first.tunnel).is_none_or(|it| {
            it.encapsulation != Encapsulation::Udp || in_fragments(it, exit.sockets, size).is_some()
        });
        if !self.segmenting || alone {
            return 1;
        }
        let mut together = 1;
        for entry in rest.iter().skip(1).take(self.most_segments - 1) {
            let octets = entry.end - entry.begin;
            if entry.tunnel != first.tunnel
                || entry.traffic_class != first.traffic_class
                || octets > size
                || entry.end - first.begin > LARGEST_BATCH
            {
                break;
            }
            together += 1;
            if octets < size {
                break;
            }
        }
        together
    }

    /// The socket and the message for these; None for what leaves in fragments, or cannot leave.
    fn message<'a>(&'a self, batch: &[Entry], exit: &Exit<'_>) -> Option<(Lent, Outgoing<'a>)> {
        let (first, last) = (batch.first()?, batch.last()?);
        let tunnel = exit.table.get(first.tunnel)?;
        let data = self.buffer.get(first.begin..last.end)?;
        if first.whole {
            let socket = exit.sockets.whole(version(data) == 4)?;
            return Some((socket, Outgoing::whole(data)?));
        }
        let size = first.end - first.begin;
        if in_fragments(tunnel, exit.sockets, size).is_some() {
            return None;
        }
        let (socket, to) = way(tunnel, exit.sockets, first.traffic_class).ok()?;
        let segment = (batch.len() > 1).then(|| u16::try_from(size).ok());
        Some((socket, Outgoing::new(data, &to, segment.flatten())?))
    }

    fn send_each(&self, entries: &[Entry], exit: &mut Exit<'_>) {
        for entry in entries {
            let (Some(tunnel), Some(half)) = (
                exit.table.get(entry.tunnel),
                exit.sending.get_mut(entry.tunnel),
            ) else {
                continue;
            };
            half.last = exit.now;
            match self.send_one(entry, tunnel, exit) {
                Ok(()) => {
                    if let Some(half) = exit.sending.get_mut(entry.tunnel) {
                        half.count(entry.inner);
                    }
                }
                Err(error) => exit.drops.count(cause_of(&error)),
            }
        }
    }

    fn send_one(&self, entry: &Entry, tunnel: &Tunnel, exit: &Exit<'_>) -> io::Result<()> {
        let data = self.buffer.get(entry.begin..entry.end).unwrap_or_default();
        let class = entry.traffic_class;
        if !entry.whole
            && let Some(mtu) = in_fragments(tunnel, exit.sockets, data.len())
        {
            return send_fragments(tunnel, exit.sockets, data, class, mtu);
        }
        way(tunnel, exit.sockets, class)?; // the reason, if there is no way at all
        let (socket, message) = self
            .message(std::slice::from_ref(entry), exit)
            .ok_or_else(no_socket)?;
        send(socket, &[message]).1.map_or(Ok(()), Err)
    }
}

/// Under which name a packet counts that the kernel refused to send.
pub fn cause_of(error: &io::Error) -> Cause {
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => Cause::Oversized,
        _ => Cause::SendFailed,
    }
}
