//! Sealed packets on their way to the sockets, gathered so that one system call sends many.

use std::io;
use std::net::IpAddr;

use super::halves::{Halves, Sending};
use super::interface::Sockets;
use super::table::Table;
use super::tunnel::Tunnel;
use crate::esp::drops::{Cause, Drops};
use crate::sa::child::{Encapsulation, Endpoint, Path};
use crate::system::datagram::{Destination, send};
use crate::wire::checksum::Sum;
use crate::wire::fragments::{header, room};
use crate::wire::ip::IPV6_HEADER_OCTETS;
use crate::wire::octets::put;
use crate::wire::protocol::{ESP, UDP};

const OCTETS: usize = 192 << 10;
const MOST_SEGMENTS: usize = 64; // UDP_MAX_SEGMENTS of Linux before 6.9
const LARGEST_BATCH: usize = 65_000; // of one datagram for the kernel, headers not counted
const UDP_HEADER_OCTETS: usize = 8;
const IKE_PORT: u16 = 500;
const NATT_PORT: u16 = 4500;

struct Entry {
    begin: usize,
    end: usize,
    tunnel: usize,
    inner: usize,
    traffic_class: u8,
}

/// Packets in one buffer, one behind the other, in the order in which they leave.
pub struct Outbox {
    buffer: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
    /// Whether the kernel cuts a datagram into many (UDP_SEGMENT, Linux 4.18); until it refuses.
    pub segmenting: bool,
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            buffer: vec![0; OCTETS],
            used: 0,
            entries: Vec::new(),
            segmenting: true,
        }
    }

    pub fn has_room(&self, octets: usize) -> bool {
        self.used + octets <= self.buffer.len()
    }

    /// Where the next packet of so many octets is to be sealed; none when there is no room.
    pub fn place(&mut self, octets: usize) -> Option<&mut [u8]> {
        self.buffer.get_mut(self.used..self.used + octets)
    }

    /// Keep what was sealed in the last `place`: a packet of `tunnel` around `inner` octets.
    pub fn keep(&mut self, octets: usize, tunnel: usize, inner: usize, traffic_class: u8) {
        let (begin, end) = (self.used, self.used + octets);
        self.entries.push(Entry {
            begin,
            end,
            tunnel,
            inner,
            traffic_class,
        });
        self.used = end;
    }

    /// Send all of it, and count what has left and what has not.
    pub fn flush(
        &mut self,
        table: &Table,
        sending: &mut Halves<Sending>,
        sockets: &Sockets,
        drops: &mut Drops,
        now: f64,
    ) {
        let mut at = 0;
        while let Some(rest) = self.entries.get(at..).filter(|rest| !rest.is_empty()) {
            let together = self.together(rest, table);
            let batch = rest.get(..together).unwrap_or_default();
            at += together;
            let refused = self.send_batch(batch, table, sending, sockets, drops, now);
            self.segmenting &= !refused;
        }
        self.entries.clear();
        self.used = 0;
    }

    /// How many of these can leave as one: of one tunnel, marked alike, of one size but the last.
    fn together(&self, rest: &[Entry], table: &Table) -> usize {
        let Some(first) = rest.first() else { return 0 };
        let in_udp = table
            .get(first.tunnel)
            .is_some_and(|it| it.encapsulation == Encapsulation::Udp);
        if !self.segmenting || !in_udp {
            return 1;
        }
        let size = first.end - first.begin;
        let mut together = 1;
        for entry in rest.iter().skip(1).take(MOST_SEGMENTS - 1) {
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

    /// True when the kernel cannot cut datagrams on this way; all has been sent one by one then.
    fn send_batch(
        &self,
        batch: &[Entry],
        table: &Table,
        sending: &mut Halves<Sending>,
        sockets: &Sockets,
        drops: &mut Drops,
        now: f64,
    ) -> bool {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
            return false;
        };
        let (Some(tunnel), Some(half)) = (table.get(first.tunnel), sending.get_mut(first.tunnel))
        else {
            return false;
        };
        half.last = now;
        let mut refused = false;
        if batch.len() > 1
            && !batch
                .iter()
                .any(|entry| in_fragments(tunnel, sockets, entry).is_some())
        {
            let data = self.buffer.get(first.begin..last.end).unwrap_or_default();
            let size = u16::try_from(first.end - first.begin).ok();
            match send_udp(tunnel, sockets, data, first.traffic_class, size) {
                Ok(()) => {
                    for entry in batch {
                        half.count(entry.inner);
                    }
                    return false;
                }
                // EINVAL: larger than the device takes whole. EIO: no checksum offload there.
                Err(error) => refused = error.raw_os_error() == Some(libc::EIO),
            }
        }
        for entry in batch {
            let data = self.buffer.get(entry.begin..entry.end).unwrap_or_default();
            match send_one(tunnel, sockets, data, entry) {
                Ok(()) => half.count(entry.inner),
                Err(error) => drops.count(cause_of(&error)),
            }
        }
        refused
    }
}

/// Under which name a packet counts that the kernel refused to send.
pub fn cause_of(error: &io::Error) -> Cause {
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => Cause::Oversized,
        _ => Cause::SendFailed,
    }
}

/// Send the one octet that keeps a NAT's mapping alive.
pub fn send_keepalive(tunnel: &Tunnel, sockets: &Sockets) -> io::Result<()> {
    send_udp(tunnel, sockets, &crate::wire::natt::KEEPALIVE, 0, None)
}

fn send_one(tunnel: &Tunnel, sockets: &Sockets, data: &[u8], entry: &Entry) -> io::Result<()> {
    if let Some(mtu) = in_fragments(tunnel, sockets, entry) {
        return send_fragments(tunnel, sockets, data, entry.traffic_class, mtu);
    }
    if tunnel.encapsulation == Encapsulation::Udp {
        return send_udp(tunnel, sockets, data, entry.traffic_class, None);
    }
    let socket = sockets.raw(tunnel.is_ipv4()).ok_or_else(no_socket)?;
    send(
        socket,
        data,
        &without_ports(&tunnel.path, entry.traffic_class),
        None,
    )
}

fn send_udp(
    tunnel: &Tunnel,
    sockets: &Sockets,
    data: &[u8],
    traffic_class: u8,
    segment: Option<u16>,
) -> io::Result<()> {
    let socket = sockets.udp(tunnel.is_ipv4()).ok_or_else(no_socket)?;
    let Path { local, remote, .. } = tunnel.path;
    let to = Destination {
        local,
        remote: natt(remote),
        traffic_class,
    };
    send(socket, data, &to, segment)
}

/// How large an outer packet may be, if this one is larger: IPv6 alone, IPv4's routers cut.
fn in_fragments(tunnel: &Tunnel, sockets: &Sockets, entry: &Entry) -> Option<usize> {
    let fit = tunnel
        .fit
        .filter(|_| !tunnel.is_ipv4() && sockets.fragmenter.is_some())?;
    let udp = if tunnel.encapsulation == Encapsulation::Udp {
        UDP_HEADER_OCTETS
    } else {
        0
    };
    let octets = IPV6_HEADER_OCTETS + udp + entry.end - entry.begin;
    (octets > fit.outer).then_some(fit.outer)
}

/// RFC 8200 §4.5. The identification is random (RFC 7739 §4): nobody can send a piece that fits.
fn send_fragments(
    tunnel: &Tunnel,
    sockets: &Sockets,
    data: &[u8],
    traffic_class: u8,
    mtu: usize,
) -> io::Result<()> {
    let socket = sockets.fragmenter.ok_or_else(no_socket)?;
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let mut identification = [0; 4];
    aws_lc_rs::rand::fill(&mut identification).map_err(|_| invalid())?;
    let identification = u32::from_ne_bytes(identification);
    let mut payload = Vec::new();
    let protocol = if tunnel.encapsulation == Encapsulation::Udp {
        payload = udp_datagram(data, &tunnel.path).ok_or_else(invalid)?;
        UDP
    } else {
        payload.extend_from_slice(data);
        ESP
    };
    let to = without_ports(&tunnel.path, traffic_class);
    let step = mtu
        .checked_sub(IPV6_HEADER_OCTETS + 8)
        .and_then(room)
        .ok_or_else(invalid)?;
    let mut at = 0;
    for part in payload.chunks(step) {
        let more = at + part.len() < payload.len();
        let front = header(protocol, at, more, identification).ok_or_else(invalid)?;
        send(socket, &[&front, part].concat(), &to, None)?;
        at += part.len();
    }
    Ok(())
}

/// UDP header and data. The checksum is not optional for IPv6 (RFC 8200 §8.1).
fn udp_datagram(data: &[u8], path: &Path) -> Option<Vec<u8>> {
    let length = u16::try_from(UDP_HEADER_OCTETS + data.len()).ok()?;
    let mut datagram = Vec::with_capacity(length.into());
    datagram.extend_from_slice(&path.local.port.to_be_bytes());
    datagram.extend_from_slice(&natt(path.remote).port.to_be_bytes());
    datagram.extend_from_slice(&length.to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(data);
    let mut sum = Sum::default();
    for end in [path.local.ip, path.remote.ip] {
        if let IpAddr::V6(ip) = end {
            sum = sum.with(&ip.octets());
        }
    }
    let sum = sum
        .with(&u32::from(length).to_be_bytes())
        .with(&[0, 0, 0, UDP])
        .with(&datagram)
        .finish();
    // RFC 768: a sum that comes out as zero is sent as all ones.
    put(
        &mut datagram,
        6,
        if sum == [0, 0] { &[0xFF, 0xFF] } else { &sum },
    )?;
    Some(datagram)
}

/// A path that IKE found on port 500 has ESP on 4500 (RFC 7296 §2.23); else it is as it is.
fn natt(remote: Endpoint) -> Endpoint {
    let port = if remote.port == IKE_PORT {
        NATT_PORT
    } else {
        remote.port
    };
    Endpoint { port, ..remote }
}

fn without_ports(path: &Path, traffic_class: u8) -> Destination {
    Destination {
        local: Endpoint {
            port: 0,
            ..path.local
        },
        remote: Endpoint {
            port: 0,
            ..path.remote
        },
        traffic_class,
    }
}

/// The host has this address family switched off.
fn no_socket() -> io::Error {
    io::Error::from_raw_os_error(libc::EAFNOSUPPORT)
}
