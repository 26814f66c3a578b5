//! The one system call that libbpf-rs does not wrap: a link at a tcx hook (Linux 6.6).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Where a program is called.
#[derive(Clone, Copy)]
pub enum Hook {
    Egress,
    Ingress,
}

/// Attaches the program to the interface, after those that are there already. The kernel takes it
/// off again when the last descriptor of the link is closed, so also when this process is killed.
pub fn attach(program: BorrowedFd<'_>, interface: i32, hook: Hook) -> io::Result<OwnedFd> {
    let hook = match hook {
        Hook::Egress => libbpf_sys::BPF_TCX_EGRESS,
        Hook::Ingress => libbpf_sys::BPF_TCX_INGRESS,
    };
    // SAFETY: the descriptor is open as long as it is borrowed; no options means a null pointer.
    let link = unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), interface, hook, std::ptr::null())
    };
    if link < 0 {
        return Err(io::Error::from_raw_os_error(-link));
    }
    // SAFETY: the call has just opened it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(link) })
}
