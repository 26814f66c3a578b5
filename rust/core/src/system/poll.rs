//! Waiting for descriptors, each known by a number of our choice (epoll, level-triggered).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::{Errno, Result};

const EVENTS: usize = 64;

/// The descriptors that are watched.
pub struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    /// # Errors
    /// As the kernel says: too many descriptors, no memory.
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
        })
    }

    /// Watch for something to read.
    ///
    /// # Errors
    /// As `new`.
    pub fn add(&self, fd: impl AsFd, token: u64) -> Result<()> {
        epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)
    }

    /// Watch for room to write, too.
    ///
    /// # Errors
    /// For a descriptor that was not added.
    pub fn watch_writing(&self, fd: impl AsFd, token: u64, writing: bool) -> Result<()> {
        let flags = if writing {
            EventFlags::IN | EventFlags::OUT
        } else {
            EventFlags::IN
        };
        epoll::modify(&self.epoll, fd, EventData::new_u64(token), flags)
    }

    /// Watch no longer.
    ///
    /// # Errors
    /// For a descriptor that was not added.
    pub fn remove(&self, fd: impl AsFd) -> Result<()> {
        epoll::delete(&self.epoll, fd)
    }

    /// The numbers of those that are ready, after at most `pause`.
    ///
    /// # Errors
    /// As the kernel says; an interruption is none.
    pub fn wait(&self, pause: Duration, tokens: &mut Vec<u64>) -> Result<()> {
        tokens.clear();
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        let pause = Timespec::try_from(pause).ok();
        match epoll::wait(&self.epoll, &mut room, pause.as_ref()) {
            Ok((ready, _)) => tokens.extend(ready.iter().map(|event| event.data.u64())),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A descriptor that another thread makes readable.
pub struct Waker(OwnedFd);

impl Waker {
    /// # Errors
    /// As `Poll::new`.
    pub fn new() -> Result<Self> {
        eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map(Self)
    }

    /// Make it readable.
    pub fn wake(&self) {
        // It fails only when its counter is full: then it is readable.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Make it unreadable again.
    pub fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
