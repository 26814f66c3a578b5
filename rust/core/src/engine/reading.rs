//! What the wire brings: datagrams, raw packets, messages in streams (RFC 3948 §2, RFC 9329).

use std::io;
use std::sync::Arc;

use super::events::{Event, Events};
use super::origins::bare_path;
use super::own_header::ipv6_front;
use super::pump::{BATCH, Pump};
use super::streams::Streams;
use crate::esp::drops::Cause;
use crate::sa::child::{Encapsulation, Path};
use crate::system::datagram::Received;
use crate::system::many::{Arrivals, MOST_AT_ONCE};
use crate::system::poll::Poll;
use crate::wire::front::{Front, split};
use crate::wire::natt::{self, Kind};

impl Pump {
    pub(super) fn read_udp(&mut self, family: usize, arrivals: &mut Arrivals) -> io::Result<()> {
        let Some(socket) = self.interface.sockets.udp.get(family).copied().flatten() else {
            return Ok(());
        };
        let port = self.ports.get(family).copied().unwrap_or(0);
        // One that the kernel has put together is large: few of them, while they are in the cache.
        let most = if self.features.udp_gro {
            4
        } else {
            MOST_AT_ONCE
        };
        for _ in 0..BATCH / most {
            let count = match arrivals.receive(socket, most) {
                Ok(count) => count,
                Err(error) => return self.receive_failed(error),
            };
            for index in 0..count {
                match arrivals.get(index) {
                    Ok((received, data, _)) => self.datagrams(&received, data, port),
                    Err(error) => self.receive_failed(error)?,
                }
            }
            if count < most {
                break;
            }
        }
        Ok(())
    }

    /// One, or several of one sender that the kernel has put together.
    fn datagrams(&mut self, received: &Received, all: &mut [u8], port: u16) {
        self.load.octets += all.len();
        let mut local = received.local;
        local.port = port;
        let path = Path {
            local,
            remote: received.sender,
            in_tcp: false,
        };
        if all.is_empty() {
            self.datagram(all, path, received.traffic_class);
        }
        for datagram in all.chunks_mut(received.segment.max(1)) {
            self.datagram(datagram, path, received.traffic_class);
        }
    }

    pub(super) fn read_raw(&mut self, family: usize, arrivals: &mut Arrivals) -> io::Result<()> {
        let Some(socket) = self.interface.sockets.raw.get(family).copied().flatten() else {
            return Ok(());
        };
        let mut headers = Vec::new();
        for _ in 0..BATCH / MOST_AT_ONCE {
            let count = match arrivals.receive(socket, MOST_AT_ONCE) {
                Ok(count) => count,
                Err(error) => return self.receive_failed(error),
            };
            for index in 0..count {
                match arrivals.get(index) {
                    Ok((received, packet, control)) if family == 1 => {
                        self.load.octets += packet.len();
                        let protocol_at = ipv6_front(&received, control, &mut headers);
                        let own = Front {
                            octets: &headers,
                            protocol_at,
                        };
                        let outcome = self.inward(packet, own.traffic_class(), Some(own));
                        self.came_by(outcome, packet, bare_path(&headers));
                    }
                    Ok((_, packet, _)) => self.raw_ipv4(packet),
                    Err(error) => self.receive_failed(error)?,
                }
            }
            if count < MOST_AT_ONCE {
                break;
            }
        }
        Ok(())
    }

    /// A raw IPv4 socket hands over the IP header too (raw(7)), a raw IPv6 one does not.
    fn raw_ipv4(&mut self, packet: &mut [u8]) {
        self.load.octets += packet.len();
        let Some((front, rest)) = split(packet) else {
            return;
        };
        let (header, end) = (front.octets.len(), front.octets.len() + rest.len());
        let packet = packet.get_mut(..end).unwrap_or_default();
        if let Some((octets, esp)) = packet.split_at_mut_checked(header) {
            let own = Front {
                octets,
                protocol_at: 9,
            };
            let outcome = self.inward(esp, own.traffic_class(), Some(own));
            self.came_by(outcome, esp, bare_path(octets));
        }
    }

    pub(super) fn read_stream(&mut self, number: u64) {
        let mut buffer = std::mem::take(&mut self.frames);
        let came = self
            .streams(|it, poll, events| it.ready(number, &mut buffer, poll, events))
            .flatten();
        if let Some((path, octets)) = came {
            let frames = buffer.get_mut(..octets).unwrap_or_default();
            let mut at = 0;
            while let Some((begin, end)) = self
                .streams(|it, poll, events| it.next_message(number, frames, at, poll, events))
                .flatten()
            {
                at = end;
                if let Some(message) = frames.get_mut(begin..end).filter(|it| !it.is_empty()) {
                    self.message(number, path, message);
                }
            }
        }
        self.frames = buffer;
    }

    /// RFC 3948 §2: what came to port 4500.
    fn datagram(&mut self, data: &mut [u8], path: Path, traffic_class: u8) {
        match natt::classify(data) {
            Some(Kind::Esp) => {
                let outcome = self.inward(data, traffic_class, None);
                self.came_by(outcome, data, path);
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
                self.streams(|it, poll, events| it.doubt(number, Cause::NotEsp, poll, events));
            }
            return;
        }
        match self.inward(message, 0, None) {
            Err(cause) => {
                self.streams(|it, poll, events| it.doubt(number, cause, poll, events));
            }
            Ok(index) => {
                self.streams(|it, _, _| it.trust(number));
                self.follow(number, path, index);
            }
        }
    }

    /// The tunnel's packets go where its last one came from, where the peer has opened that.
    fn follow(&mut self, number: u64, path: Path, index: usize) {
        let Self {
            table,
            outward,
            events,
            ..
        } = self;
        // Nothing is lent while there are streams.
        let (Some(table), Some(outward)) = (Arc::get_mut(table), outward) else {
            return;
        };
        if let Some(tunnel) = table.get_mut(index)
            && tunnel.encapsulation == Encapsulation::Tcp
            && outward.streams.supersedes(number, &tunnel.path)
        {
            tunnel.path = path;
            events.put(Event::PathMoved(tunnel.inbound_spi, path));
        }
    }

    fn streams<R>(&mut self, with: impl FnOnce(&mut Streams, &Poll, &Events) -> R) -> Option<R> {
        let streams = &mut self.outward.as_mut()?.streams;
        Some(with(streams, &self.poll, &self.events))
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
}
