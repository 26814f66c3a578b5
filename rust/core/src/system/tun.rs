//! What is special about a TUN device's descriptor.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

const TUNGETIFF: libc::c_ulong = 0x8004_54D2;
const IFF_VNET_HDR: libc::c_short = 0x4000;

/// Whether each packet comes behind a virtio-net header, that is, with offloads.
///
/// False too for what is no TUN device.
#[must_use]
pub fn has_headers(fd: impl AsFd) -> bool {
    #[repr(C)]
    struct Request {
        name: [u8; libc::IFNAMSIZ],
        flags: libc::c_short,
        rest: [u8; 22],
    }
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        flags: 0,
        rest: [0; 22],
    };
    // SAFETY: TUNGETIFF writes a struct ifreq of 40 octets, which `Request` is.
    let done = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), TUNGETIFF as _, &raw mut request) };
    done == 0 && request.flags & IFF_VNET_HDR != 0
}
