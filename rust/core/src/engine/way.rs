//! How a sealed packet leaves: by which socket, to where, whole or in fragments.

use std::io;
use std::net::IpAddr;

use super::interface::Sockets;
use super::tunnel::Tunnel;
use crate::sa::child::{Encapsulation, Endpoint, Path};
use crate::system::datagram::{Destination, send};
use crate::system::fd::Lent;
use crate::wire::checksum::Sum;
use crate::wire::fragments::{header, room};
use crate::wire::ip::IPV6_HEADER_OCTETS;
use crate::wire::octets::put;
use crate::wire::protocol::{ESP, UDP};

const UDP_HEADER_OCTETS: usize = 8;

/// By which socket packets of this tunnel leave, and to where; not those that leave in a stream.
pub fn way(
    tunnel: &Tunnel,
    sockets: &Sockets,
    traffic_class: u8,
) -> io::Result<(Lent, Destination)> {
    let ipv4 = tunnel.is_ipv4();
    if tunnel.encapsulation != Encapsulation::Udp {
        let socket = sockets.raw(ipv4).ok_or_else(no_socket)?;
        return Ok((socket, without_ports(&tunnel.path, traffic_class)));
    }
    let socket = sockets.udp(ipv4).ok_or_else(no_socket)?;
    let Path { local, remote, .. } = tunnel.path;
    let to = Destination {
        local,
        remote: remote.natt(),
        traffic_class,
    };
    Ok((socket, to))
}

/// Send the one octet that keeps a NAT's mapping alive.
pub fn send_keepalive(tunnel: &Tunnel, sockets: &Sockets) -> io::Result<()> {
    let (socket, to) = way(tunnel, sockets, 0)?;
    send(socket, &crate::wire::natt::KEEPALIVE, &to)
}

/// How large an outer packet may be, if this one is larger: IPv6 alone, IPv4's routers cut.
pub fn in_fragments(tunnel: &Tunnel, sockets: &Sockets, sealed: usize) -> Option<usize> {
    let fit = tunnel
        .fit
        .filter(|_| !tunnel.is_ipv4() && sockets.fragmenter.is_some())?;
    let udp = if tunnel.encapsulation == Encapsulation::Udp {
        UDP_HEADER_OCTETS
    } else {
        0
    };
    let octets = IPV6_HEADER_OCTETS + udp + sealed;
    (octets > fit.outer).then_some(fit.outer)
}

/// RFC 8200 §4.5. The identification is random (RFC 7739 §4): nobody can send a piece that fits.
pub fn send_fragments(
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
        send(socket, &[&front, part].concat(), &to)?;
        at += part.len();
    }
    Ok(())
}

/// UDP header and data. The checksum is not optional for IPv6 (RFC 8200 §8.1).
fn udp_datagram(data: &[u8], path: &Path) -> Option<Vec<u8>> {
    let length = u16::try_from(UDP_HEADER_OCTETS + data.len()).ok()?;
    let mut datagram = Vec::with_capacity(length.into());
    datagram.extend_from_slice(&path.local.port.to_be_bytes());
    datagram.extend_from_slice(&path.remote.natt().port.to_be_bytes());
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
pub fn no_socket() -> io::Error {
    io::Error::from_raw_os_error(libc::EAFNOSUPPORT)
}
