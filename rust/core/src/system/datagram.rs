//! Datagrams that come and go with both of their addresses and their traffic class.

#![allow(unsafe_code)]

use std::io::{Error, Result};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, msghdr};

use super::control::{Receiving, Sending};
use super::many::Outgoing;
use crate::sa::child::Endpoint;
use crate::wire::octets::{array, octet, put};

const NAME_OCTETS: usize = 28; // struct sockaddr_in6
/// A struct sockaddr_in or sockaddr_in6, and its length.
pub(super) type Name = ([u8; NAME_OCTETS], u32);

const UDP_SEGMENT: c_int = 103;
const UDP_GRO: c_int = 104;

/// A datagram, or several of one sender, that lie in the buffer one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// All of it.
    pub octets: usize,
    /// Of each datagram but the last, which may be shorter.
    pub segment: usize,
    /// Who sent it.
    pub sender: Endpoint,
    /// At which of our addresses it arrived; the port is 0.
    pub local: Endpoint,
    /// DSCP and ECN.
    pub traffic_class: u8,
}

/// Where a datagram goes, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    /// Ours; the port is the socket's own.
    pub local: Endpoint,
    /// The peer's.
    pub remote: Endpoint,
    /// DSCP and ECN.
    pub traffic_class: u8,
}

/// What the kernel has said of a datagram.
///
/// # Errors
/// EPROTO when it does not say at which address it arrived.
pub(super) fn understood(octets: usize, name: &[u8], control: &Receiving) -> Result<Received> {
    let sender = sender(name).ok_or_else(unheard_of)?;
    let mut received = Received {
        octets,
        segment: octets,
        sender,
        local: sender,
        traffic_class: 0,
    };
    let mut told = false;
    for (level, kind, content) in control.messages() {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                if let Some(ip) = array::<4>(content, 4) {
                    received.local = Endpoint {
                        ip: Ipv4Addr::from(ip).into(),
                        scope: 0,
                        port: 0,
                    };
                    told = true;
                }
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => {
                received.traffic_class = octet(content, 0).unwrap_or(0);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                if let (Some(ip), Some(index)) = (array::<16>(content, 0), array(content, 16)) {
                    received.local = scoped(ip.into(), u32::from_ne_bytes(index), 0);
                    told = true;
                }
            }
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                let class = array(content, 0).map_or(0, i32::from_ne_bytes);
                received.traffic_class = class as u8;
            }
            (libc::SOL_UDP, UDP_GRO) => {
                let size = array(content, 0).map_or(0, i32::from_ne_bytes);
                received.segment = usize::try_from(size)
                    .ok()
                    .filter(|n| *n > 0)
                    .unwrap_or(octets);
            }
            _ => {}
        }
    }
    told.then_some(received).ok_or_else(unheard_of)
}

/// The control messages that a datagram is sent with.
pub(super) fn control_for(to: &Destination, segment: Option<u16>) -> Sending {
    let mut control = Sending::default();
    let class = c_int::from(to.traffic_class).to_ne_bytes();
    match to.local.ip {
        IpAddr::V4(ip) => {
            let mut info = [0; 12]; // struct in_pktinfo: index, our address, the header's
            info[4..8].copy_from_slice(&ip.octets());
            control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            if to.traffic_class != 0 {
                control.push(libc::IPPROTO_IP, libc::IP_TOS, &class);
            }
        }
        IpAddr::V6(ip) => {
            let mut info = [0; 20]; // struct in6_pktinfo: address, index
            info[..16].copy_from_slice(&ip.octets());
            info[16..].copy_from_slice(&to.remote.scope.to_ne_bytes());
            control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            if to.traffic_class != 0 {
                control.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class);
            }
        }
    }
    if let Some(size) = segment {
        control.push(libc::SOL_UDP, UDP_SEGMENT, &size.to_ne_bytes());
    }
    control
}

/// Send one datagram.
///
/// # Errors
/// As the kernel says: EAGAIN when the buffer is full, ENETUNREACH without a route, that or EINVAL
/// when the local address is not ours, EINVAL for a link-local address without a device.
pub fn send(fd: impl AsFd, data: &[u8], to: &Destination) -> Result<()> {
    one(fd, Outgoing::new(data, to, None))
}

/// Send an IP packet as it is, to its own destination. The kernel does not fragment it.
///
/// # Errors
/// As `send`; EMSGSIZE where it is larger than the device's MTU.
pub fn send_whole(fd: impl AsFd, packet: &[u8]) -> Result<()> {
    one(fd, Outgoing::whole(packet))
}

fn one(fd: impl AsFd, message: Option<Outgoing<'_>>) -> Result<()> {
    let message = message.ok_or_else(|| Error::from_raw_os_error(libc::EINVAL))?;
    super::many::send(fd, &[message]).1.map_or(Ok(()), Err)
}

/// The destination of an IP packet, from its header.
pub(super) fn name_of_whole(packet: &[u8]) -> Option<Name> {
    let ip: IpAddr = if octet(packet, 0)? >> 4 == 4 {
        Ipv4Addr::from(array::<4>(packet, 16)?).into()
    } else {
        Ipv6Addr::from(array::<16>(packet, 24)?).into()
    };
    Some(name_of(&Endpoint {
        ip,
        scope: 0,
        port: 0,
    }))
}

/// Ask for several datagrams of one sender at once (Linux 5.0); whether the kernel does that.
pub fn set_gro(fd: impl AsFd, on: bool) -> bool {
    let value = c_int::from(on);
    // SAFETY: the option is an int, and outlives the call.
    let done = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            libc::SOL_UDP,
            UDP_GRO,
            (&raw const value).cast(),
            size_of::<c_int>() as u32,
        )
    };
    done == 0
}

/// The port that the socket is bound to, 0 for none.
#[must_use]
pub fn local_port(fd: impl AsFd) -> u16 {
    use rustix::net::{SocketAddrV4, SocketAddrV6, getsockname};
    let Ok(address) = getsockname(fd) else {
        return 0;
    };
    SocketAddrV4::try_from(address.clone())
        .map(|known| known.port())
        .or_else(|_| SocketAddrV6::try_from(address).map(|known| known.port()))
        .unwrap_or(0)
}

pub(super) fn empty() -> msghdr {
    // SAFETY: a msghdr of zeroes is valid: it points nowhere and says so.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn unheard_of() -> Error {
    Error::from_raw_os_error(libc::EPROTO)
}

/// None for a link-local address that does not say its device.
pub(super) fn name(to: &Endpoint) -> Option<Name> {
    match to.ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() && to.scope == 0 => None,
        _ => Some(name_of(to)),
    }
}

fn name_of(to: &Endpoint) -> Name {
    let mut name = [0; NAME_OCTETS];
    name[2..4].copy_from_slice(&to.port.to_be_bytes());
    match to.ip {
        IpAddr::V4(ip) => {
            put(&mut name, 0, &(libc::AF_INET as u16).to_ne_bytes());
            name[4..8].copy_from_slice(&ip.octets());
            (name, 16)
        }
        IpAddr::V6(ip) => {
            put(&mut name, 0, &(libc::AF_INET6 as u16).to_ne_bytes());
            name[8..24].copy_from_slice(&ip.octets());
            name[24..].copy_from_slice(&to.scope.to_ne_bytes());
            (name, NAME_OCTETS as u32)
        }
    }
}

fn sender(name: &[u8]) -> Option<Endpoint> {
    let family = c_int::from(u16::from_ne_bytes(array(name, 0)?));
    let port = u16::from_be_bytes(array(name, 2)?);
    if family == libc::AF_INET {
        let ip = Ipv4Addr::from(array::<4>(name, 4)?);
        return Some(Endpoint {
            ip: ip.into(),
            scope: 0,
            port,
        });
    }
    let ip = Ipv6Addr::from(array::<16>(name, 8)?);
    let index = u32::from_ne_bytes(array(name, 24)?);
    (family == libc::AF_INET6).then(|| scoped(ip, index, port))
}

/// A link-local address means something only together with its device (RFC 4007 §6).
fn scoped(ip: Ipv6Addr, index: u32, port: u16) -> Endpoint {
    let scope = if ip.is_unicast_link_local() { index } else { 0 };
    Endpoint {
        ip: ip.into(),
        scope,
        port,
    }
}
