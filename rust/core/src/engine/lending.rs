//! A second thread, which has the outward half while there is work for two.
//!
//! One thread does all of it as long as it can keep up: a packet that comes in and its answer then
//! need no second thread to be woken. When both directions keep it busy, `Outward` is lent: it
//! goes to the other thread as a whole, with the sequence numbers and keys of every SA. What both
//! read, the table, nobody changes meanwhile. So nothing is locked, no number can be given twice,
//! and at any time one thread alone reads TUN, in order.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::outward::Outward;
use super::table::Table;
use crate::system::clock::monotonic;
use crate::system::poll::{Poll, Waker};

/// The other thread gives back what it has after so long, so that it is asked anew whether it
/// should have it.
const LONGEST_LOAN: f64 = 1.0;
/// Or when nothing came for so long.
const IDLE: Duration = Duration::from_millis(10);

const RECALL: u64 = 0;
const TUN: u64 = 1;

struct Loan {
    outward: Box<Outward>,
    table: Arc<Table>,
}

type Returned = (Box<Outward>, io::Result<()>);

/// The other thread, as the first one sees it.
pub struct Helper {
    loans: Option<Sender<Loan>>,
    returned: Receiver<Returned>,
    recall: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    /// `back` is woken whenever something has been given back.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn new(back: Arc<Waker>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let recall = Arc::new(Waker::new()?);
        poll.add(recall.as_fd(), RECALL)?;
        let (loans, to_do) = channel();
        let (done, returned) = channel();
        let back = WakeAtTheEnd(back);
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || work(&to_do, &done, &poll, &back))?;
        Ok(Self {
            loans: Some(loans),
            returned,
            recall,
            thread: Some(thread),
        })
    }

    /// Lend; given back as it is where the thread is gone.
    ///
    /// # Errors
    /// `outward` itself.
    pub fn lend(&self, outward: Box<Outward>, table: Arc<Table>) -> Result<(), Box<Outward>> {
        let Some(loans) = &self.loans else {
            return Err(outward);
        };
        let loan = Loan { outward, table };
        loans.send(loan).map_err(|refused| refused.0.outward)
    }

    /// What has been given back, if it has been.
    ///
    /// # Errors
    /// The thread has panicked.
    pub fn returned(&self) -> io::Result<Option<Returned>> {
        match self.returned.try_recv() {
            Ok(returned) => Ok(Some(returned)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(panicked()),
        }
    }

    /// Ask for what was lent, and wait for it: a batch of packets at most.
    ///
    /// # Errors
    /// The thread has panicked.
    pub fn recall(&self) -> io::Result<Returned> {
        self.recall.wake();
        let returned = self.returned.recv().map_err(|RecvError| panicked());
        self.recall.clear();
        returned
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.loans = None;
        self.recall.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// However the thread ends, the other one is to notice.
struct WakeAtTheEnd(Arc<Waker>);

impl Drop for WakeAtTheEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}

fn work(to_do: &Receiver<Loan>, done: &Sender<Returned>, poll: &Poll, back: &WakeAtTheEnd) {
    while let Ok(Loan { mut outward, table }) = to_do.recv() {
        let tun = outward.interface.tun;
        let result = poll.add(tun, TUN).map_err(io::Error::from);
        let result = result.and_then(|()| carry(&mut outward, &table, poll));
        let _ = poll.remove(tun);
        drop(table); // before the other thread has `outward` again, and may change it
        if done.send((outward, result)).is_err() {
            return;
        }
        back.0.wake();
    }
}

fn carry(outward: &mut Outward, table: &Table, poll: &Poll) -> io::Result<()> {
    let mut ready = Vec::new();
    let begin = monotonic();
    loop {
        poll.wait(IDLE, &mut ready)?;
        let now = monotonic();
        if ready.is_empty() || ready.contains(&RECALL) || now > begin + LONGEST_LOAN {
            return Ok(());
        }
        outward.read_tun(table, now)?;
    }
}

fn panicked() -> io::Error {
    io::Error::other("a mistake in this program: a packet thread panicked")
}

#[cfg(test)]
mod tests;
