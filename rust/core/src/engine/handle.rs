//! The engine as its owner sees it: one thread of its own, asked by messages.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Counters;
use super::events::{Event, Events};
use super::interface::Interface;
use super::pump::{Job, Pump};
use super::streams::NewStream;
use super::table::{Refused, Unknown};
use crate::sa::child::{ChildSa, Path, Way};
use crate::system::poll::Waker;

/// The engine is not open, or its thread is gone.
#[derive(Debug, PartialEq, Eq)]
pub enum Gone {
    /// Not opened yet, or closed.
    NotOpen,
    /// A mistake of this program has ended the thread.
    Ended,
}

struct Running {
    jobs: Sender<Job>,
    waker: Arc<Waker>,
    thread: JoinHandle<()>,
}

enum State {
    New,
    Open(Running),
    Closed,
}

/// Methods may be called from any thread; each waits until the packet thread has done it.
pub struct Engine {
    events: Arc<Events>,
    state: Mutex<State>,
}

impl Engine {
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            events: Arc::new(Events::new()?),
            state: Mutex::new(State::New),
        })
    }

    /// Start to move packets; without an SA every one of them is dropped. False: opened before.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn open(&self, interface: Interface, name: &str) -> io::Result<bool> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::New) {
            return Ok(false);
        }
        let waker = Arc::new(Waker::new()?);
        let (sender, receiver) = channel();
        let events = Arc::clone(&self.events);
        let mut pump = Pump::new(interface, Arc::clone(&events), Arc::clone(&waker), receiver)?;
        let thread = std::thread::Builder::new()
            .name(format!("hushwire {name}"))
            .spawn(move || {
                // Fail closed: whatever goes wrong, nobody reads TUN any more.
                let why = match catch_unwind(AssertUnwindSafe(|| pump.run())) {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "a mistake in this program: the packet thread panicked".to_owned(),
                };
                events.put(Event::Failure(why));
                pump.idle();
            })?;
        *state = State::Open(Running {
            jobs: sender,
            waker,
            thread,
        });
        Ok(true)
    }

    /// # Errors
    /// `Gone`; else why it is not installed.
    pub fn install(&self, child: ChildSa) -> Result<Result<(), Refused>, Gone> {
        self.call(move |pump| pump.install(&child))
    }

    /// # Errors
    /// `Gone`; else that it is not here.
    pub fn update(&self, spi: u32, way: Way) -> Result<Result<(), Unknown>, Gone> {
        self.call(move |pump| pump.update(spi, way))
    }

    /// # Errors
    /// `Gone`; else that it is not here.
    pub fn set_path_mtu(
        &self,
        spi: u32,
        mtu: usize,
        whole: usize,
    ) -> Result<Result<(), Unknown>, Gone> {
        self.call(move |pump| pump.set_path_mtu(spi, mtu, whole))
    }

    /// The peer holds this SA.
    ///
    /// # Errors
    /// `Gone`; else that it is not here.
    pub fn confirm(&self, spi: u32) -> Result<Result<(), Unknown>, Gone> {
        self.call(move |pump| {
            pump.named(spi)?.proved = true;
            Ok(())
        })
    }

    /// Send no more on this SA.
    ///
    /// # Errors
    /// `Gone`; else that it is not here.
    pub fn retire(&self, spi: u32) -> Result<Result<(), Unknown>, Gone> {
        self.call(move |pump| {
            pump.named(spi)?.retired = true;
            Ok(())
        })
    }

    /// # Errors
    /// `Gone`; else that it is not here.
    pub fn remove(&self, spi: u32) -> Result<Result<(), Unknown>, Gone> {
        self.call(move |pump| pump.remove(spi))
    }

    /// # Errors
    /// `Gone`; else as the kernel says. The connection is closed then.
    pub fn add_stream(&self, stream: NewStream) -> Result<io::Result<()>, Gone> {
        self.call(move |pump| pump.add_stream(stream))
    }

    /// # Errors
    /// `Gone`.
    pub fn send_ike(&self, data: Vec<u8>, path: Path) -> Result<(), Gone> {
        self.call(move |pump| pump.send_ike(&data, &path))
    }

    /// # Errors
    /// `Gone`.
    pub fn close_stream(&self, path: Path) -> Result<(), Gone> {
        self.call(move |pump| pump.close_stream(&path))
    }

    /// # Errors
    /// `Gone`.
    pub fn counters(&self) -> Result<Counters, Gone> {
        self.call(|pump| pump.counters())
    }

    /// Everything that waits, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// Stop, and wait until stopped. Closing twice is no error.
    pub fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(running) = std::mem::replace(&mut *state, State::Closed) {
            let _ = running.jobs.send(Box::new(Pump::stop));
            running.waker.wake();
            let _ = running.thread.join();
        }
    }

    fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Pump) -> R + Send + 'static,
    ) -> Result<R, Gone> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Open(running) = &*state else {
            return Err(Gone::NotOpen);
        };
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |pump| {
            let _ = answer.send(job(pump));
        });
        running.jobs.send(job).map_err(|_| Gone::Ended)?;
        running.waker.wake();
        answered.recv().map_err(|_| Gone::Ended)
    }
}

impl AsFd for Engine {
    /// Readable while events wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}
