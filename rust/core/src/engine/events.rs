//! Events on their way from the packet thread to whoever calls the engine.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use crate::sa::child::Path;
use crate::system::poll::Waker;
use crate::wire::ip::Flow;

/// Events of strangers' making that wait at most; more are lost.
pub const WAITING: usize = 1000;

/// What the control plane is told; `engines/base.py` says each in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An IKE message, its marker removed, and where it came from.
    Ike(Vec<u8>, Path),
    /// A packet of this host that no SA carries.
    Acquire(Flow),
    /// The SA with this inbound SPI has few sequence numbers left.
    SequenceNearEnd(u32),
    /// A connection is gone, and why.
    StreamClosed(Path, String),
    /// The SA with this inbound SPI sends on another path.
    PathMoved(u32, Path),
    /// ESP with an SPI that no SA has, and where it came from.
    UnknownSpi(u32, Path),
    /// The engine has stopped by itself.
    Failure(String),
}

/// A bounded queue with a descriptor that is readable while something waits.
pub struct Events {
    waiting: Mutex<Vec<Event>>,
    waker: Waker,
}

impl Events {
    /// # Errors
    /// As `Waker::new`.
    pub fn new() -> rustix::io::Result<Self> {
        Ok(Self {
            waiting: Mutex::default(),
            waker: Waker::new()?,
        })
    }

    /// Add an event that a stranger can cause. False when too many wait: it is lost.
    #[must_use]
    pub fn offer(&self, event: Event) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING {
            return false;
        }
        waiting.push(event);
        self.waker.wake();
        true
    }

    /// Add an event that must not be lost, of which there are few.
    pub fn put(&self, event: Event) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(event);
        self.waker.wake();
    }

    /// All that waits, oldest first.
    pub fn take(&self) -> Vec<Event> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.waker.clear();
        std::mem::take(&mut *waiting)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
