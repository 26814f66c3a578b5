//! Many datagrams in one system call (sendmmsg, recvmmsg).

#![allow(unsafe_code)]

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd};

use libc::{iovec, mmsghdr};

use super::control::{Receiving, Sending};
use super::datagram::{
    Destination, Name, Received, control_for, empty, name, name_of_whole, understood,
};

/// As many as `receive` takes at once.
pub const MOST_AT_ONCE: usize = 32;
const LARGEST: usize = 65536;

/// A datagram to be sent, with its destination as the kernel wants it.
pub struct Outgoing<'a> {
    data: &'a [u8],
    name: Name,
    control: Sending,
}

impl<'a> Outgoing<'a> {
    /// With `segment`, several datagrams of that size, the last perhaps shorter, in one.
    ///
    /// None for a link-local address without a device.
    #[must_use]
    pub fn new(data: &'a [u8], to: &Destination, segment: Option<u16>) -> Option<Self> {
        Some(Self {
            data,
            name: name(&to.remote)?,
            control: control_for(to, segment),
        })
    }

    /// An IP packet as it is, to its own destination; None for none.
    #[must_use]
    pub fn whole(packet: &'a [u8]) -> Option<Self> {
        Some(Self {
            data: packet,
            name: name_of_whole(packet)?,
            control: Sending::default(),
        })
    }
}

/// Send all of them, in order; how many have left, and why not the next one.
///
/// Errors are those of `datagram::send`, and ENOSYS where there is no such system call.
pub fn send(fd: impl AsFd, messages: &[Outgoing<'_>]) -> (usize, Option<Error>) {
    let mut parts: Vec<iovec> = messages
        .iter()
        .map(|message| iovec {
            iov_base: message.data.as_ptr().cast_mut().cast(),
            iov_len: message.data.len(),
        })
        .collect();
    let mut headers: Vec<mmsghdr> = messages
        .iter()
        .zip(&mut parts)
        .map(|(message, part)| {
            let (at, octets) = message.control.content();
            let mut header = empty();
            header.msg_name = message.name.0.as_ptr().cast_mut().cast();
            header.msg_namelen = message.name.1;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            header.msg_control = at.cast_mut().cast();
            header.msg_controllen = octets;
            mmsghdr {
                msg_hdr: header,
                msg_len: 0,
            }
        })
        .collect();
    let mut sent = 0;
    while let Some(rest) = headers.get_mut(sent..).filter(|rest| !rest.is_empty()) {
        let (fd, count) = (fd.as_fd().as_raw_fd(), rest.len() as u32);
        // SAFETY: `rest` has `count` headers; all that these point to outlives the call, is as long
        // as they say, and is only read.
        let done = match rest {
            [one] => unsafe { libc::sendmsg(fd, &raw const one.msg_hdr, 0) }.min(1),
            _ => unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), count, 0) as isize },
        };
        match usize::try_from(done) {
            // An empty datagram counts as sent, too.
            Ok(done) => sent += done.max(1),
            Err(_) => return (sent, Some(Error::last_os_error())),
        }
    }
    (sent, None)
}

/// Room for datagrams that come many at once. What is not used takes no memory.
pub struct Arrivals {
    buffers: Vec<u8>,
    names: Vec<[u8; size_of::<libc::sockaddr_in6>()]>,
    controls: Vec<Receiving>,
    octets: Vec<usize>,
    /// Whether the kernel gives many; until it refuses.
    pub many: bool,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            buffers: vec![0; MOST_AT_ONCE * LARGEST],
            names: vec![[0; _]; MOST_AT_ONCE],
            controls: std::iter::repeat_with(Receiving::default)
                .take(MOST_AT_ONCE)
                .collect(),
            octets: Vec::with_capacity(MOST_AT_ONCE),
            many: true,
        }
    }
}

impl Arrivals {
    /// Take what waits, `most` datagrams or fewer; how many, 0 when nothing waits.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn receive(&mut self, fd: impl AsFd, most: usize) -> Result<usize> {
        self.octets.clear();
        let most = if self.many { most } else { 1 };
        let mut parts: Vec<iovec> = self
            .buffers
            .chunks_exact_mut(LARGEST)
            .take(most)
            .map(|buffer| iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        let mut headers: Vec<mmsghdr> = parts
            .iter_mut()
            .zip(&mut self.names)
            .zip(&mut self.controls)
            .map(|((part, name), control)| {
                let (at, room) = control.room();
                let mut header = empty();
                header.msg_name = name.as_mut_ptr().cast();
                header.msg_namelen = size_of_val(name) as u32;
                header.msg_iov = part;
                header.msg_iovlen = 1;
                header.msg_control = at.cast();
                header.msg_controllen = room;
                mmsghdr {
                    msg_hdr: header,
                    msg_len: 0,
                }
            })
            .collect();
        let (raw, count) = (fd.as_fd().as_raw_fd(), headers.len() as u32);
        // SAFETY: as in `send`; what the kernel writes to is borrowed from `self` for as long.
        let got = match headers.as_mut_slice() {
            [one] => {
                let octets =
                    unsafe { libc::recvmsg(raw, &raw mut one.msg_hdr, libc::MSG_DONTWAIT) };
                one.msg_len = u32::try_from(octets).unwrap_or(0);
                if octets < 0 { -1 } else { 1 }
            }
            _ => unsafe {
                let at = headers.as_mut_ptr();
                libc::recvmmsg(
                    raw,
                    at,
                    count,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            },
        };
        let Ok(got) = usize::try_from(got) else {
            let error = Error::last_os_error();
            return match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(0),
                _ if error.raw_os_error() == Some(libc::ENOSYS) && self.many => {
                    self.many = false;
                    self.receive(fd, 1)
                }
                _ => Err(error),
            };
        };
        for (header, control) in headers.iter().zip(&mut self.controls).take(got) {
            control.filled(header.msg_hdr.msg_controllen);
            self.octets.push(header.msg_len as usize);
        }
        Ok(got)
    }

    /// One of those that came, from 0 on: its octets, and what is known of it.
    ///
    /// # Errors
    /// EPROTO when the kernel does not say at which address it arrived.
    pub fn get(&mut self, index: usize) -> Result<(Received, &mut [u8], &Receiving)> {
        let missing = || Error::from_raw_os_error(libc::EPROTO);
        let octets = *self.octets.get(index).ok_or_else(missing)?;
        let name = self.names.get(index).ok_or_else(missing)?;
        let control = self.controls.get(index).ok_or_else(missing)?;
        let received = understood(octets, name, control)?;
        let begin = index * LARGEST;
        let data = self.buffers.get_mut(begin..begin + octets.min(LARGEST));
        Ok((received, data.unwrap_or_default(), control))
    }
}

#[cfg(test)]
mod tests;
