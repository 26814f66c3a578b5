//! Descriptors that are lent: whoever opened them closes them, after the engine.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A lent descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lent(RawFd);

impl Lent {
    /// None for a negative number.
    #[must_use]
    pub fn new(fd: RawFd) -> Option<Self> {
        (fd >= 0).then_some(Self(fd))
    }
}

impl AsFd for Lent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: not -1 (`new`); the contract of engines says that it stays open for as long.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl AsRawFd for Lent {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// A descriptor given away for good, such as `socket.detach()` of Python returns; None: negative.
#[must_use]
pub fn taken(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: not -1, and the caller has given it up.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}
