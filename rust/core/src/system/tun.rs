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

const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54D0;
const TUN_F_CSUM: libc::c_uint = 0x01;
const TUN_F_TSO: libc::c_uint = 0x02 | 0x04; // IPv4, IPv6
const TUN_F_USO: libc::c_uint = 0x20 | 0x40; // IPv4, IPv6

/// What super-packets the kernel gives and takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Of TCP.
    pub tso: bool,
    /// Of UDP (Linux 6.2).
    pub uso: bool,
}

/// Ask for as many as the kernel has. The device must have headers.
pub fn set_offloads(fd: impl AsFd) -> Offloads {
    let set = |flags: libc::c_uint| {
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        unsafe {
            libc::ioctl(
                fd.as_fd().as_raw_fd(),
                TUNSETOFFLOAD as _,
                libc::c_ulong::from(flags),
            ) == 0
        }
    };
    let uso = set(TUN_F_CSUM | TUN_F_TSO | TUN_F_USO);
    let tso = uso || set(TUN_F_CSUM | TUN_F_TSO);
    Offloads { tso, uso }
}
