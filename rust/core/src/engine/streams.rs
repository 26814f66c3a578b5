//! ESP and IKE inside TCP connections (RFC 9329), for the packet thread.
//!
//! A connection must never hold up the others: nothing here blocks, and nothing grows without
//! bound. A stream has one reader and one writer, and no message of one can come into the middle
//! of another.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::events::{Event, Events};
use crate::esp::drops::Cause;
use crate::sa::child::Path;
use crate::system::poll::Poll;
use crate::wire::natt::NON_ESP_MARKER;
use crate::wire::octets::put;
use crate::wire::tcpencap::{LENGTH_OCTETS, length_of, whole_frame};

/// IKE messages that wait for a connection that takes nothing; more are dropped.
const IKE_WAITING_OCTETS: usize = 48 << 10;

/// So many messages in a row that belong to no SA here, and the stream counts as corrupted.
const MOST_DOUBTS: u32 = 32;

const READ_OCTETS: usize = 64 << 10;

/// A connection for the engine to take over; `originated`: we opened it, not the peer.
pub struct NewStream {
    /// Its socket, non-blocking, its prefix sent or read.
    pub socket: OwnedFd,
    /// It names the stream, and no other that is open.
    pub path: Path,
    /// Who opened it.
    pub originated: bool,
}

struct Stream {
    socket: OwnedFd,
    path: Path,
    originated: bool,
    unsent: Vec<u8>, // the rest of a frame that was begun, and IKE behind it
    held: Vec<u8>,   // a frame whose end has not come yet
    doubts: u32,
}

/// All connections. A stream's number grows with every one that is added.
pub struct Streams {
    first_number: u64,
    added: u64,
    by_number: HashMap<u64, Stream>,
    by_path: HashMap<Path, u64>,
}

impl Streams {
    /// Their numbers, which are those that `Poll` tells too, begin at `first_number`.
    pub fn new(first_number: u64) -> Self {
        Self {
            first_number,
            added: 0,
            by_number: HashMap::new(),
            by_path: HashMap::new(),
        }
    }

    /// # Errors
    /// As `Poll::add`; the connection is closed then.
    pub fn add(&mut self, new: NewStream, poll: &Poll) -> Result<(), Errno> {
        let number = self.first_number + self.added;
        poll.add(&new.socket, number)?;
        self.added += 1;
        let NewStream {
            socket,
            path,
            originated,
        } = new;
        let (unsent, held) = (Vec::new(), Vec::new());
        let stream = Stream {
            socket,
            path,
            originated,
            unsent,
            held,
            doubts: 0,
        };
        self.by_path.insert(path, number);
        self.by_number.insert(number, stream);
        Ok(())
    }

    /// Send `frames`, one behind the other, at once or not at all: how many octets of them leave.
    ///
    /// A frame that was begun leaves to its end; it counts as sent.
    ///
    /// # Errors
    /// Why none was sent.
    pub fn send_esp(
        &mut self,
        frames: &[u8],
        path: &Path,
        poll: &Poll,
        events: &Events,
    ) -> Result<usize, Cause> {
        let number = *self.by_path.get(path).ok_or(Cause::NoStream)?;
        let stream = self.by_number.get_mut(&number).ok_or(Cause::NoStream)?;
        if !stream.unsent.is_empty() {
            return Err(Cause::StreamFull);
        }
        match send(&stream.socket, frames, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                let taken = end_of_frame(frames, sent);
                let rest = frames.get(sent..taken).unwrap_or_default();
                stream.unsent.extend_from_slice(rest);
                if !rest.is_empty() {
                    let _ = poll.watch_writing(&stream.socket, number, true);
                }
                Ok(taken)
            }
            Err(Errno::AGAIN) => Err(Cause::StreamFull),
            Err(error) => {
                self.close(number, &reason(error), poll, events);
                Err(Cause::NoStream)
            }
        }
    }

    /// An IKE message; it waits, bounded, until the connection takes it, or is dropped: the
    /// protocol sends its requests again when there is a new connection.
    pub fn send_ike(&mut self, data: &[u8], path: &Path, poll: &Poll, events: &Events) {
        let Some(number) = self.by_path.get(path).copied() else {
            return;
        };
        let Some(stream) = self.by_number.get_mut(&number) else {
            return;
        };
        let Some(length) = length_of(NON_ESP_MARKER.len() + data.len()) else {
            return;
        };
        if stream.unsent.len() + data.len() > IKE_WAITING_OCTETS {
            return;
        }
        stream.unsent.extend_from_slice(&length);
        stream.unsent.extend_from_slice(&NON_ESP_MARKER);
        stream.unsent.extend_from_slice(data);
        self.flush(number, poll, events);
    }

    /// This side has had enough of it.
    pub fn close_one(&mut self, path: &Path, poll: &Poll, events: &Events) {
        if let Some(number) = self.by_path.get(path).copied() {
            self.close(number, "this side closed it", poll, events);
        }
    }

    /// The connection takes more, or has more: write frames into `buffer`, and say how many octets.
    ///
    /// They are to be gone through with `next_message`. None: nothing has come.
    pub fn ready(
        &mut self,
        number: u64,
        buffer: &mut Vec<u8>,
        poll: &Poll,
        events: &Events,
    ) -> Option<(Path, usize)> {
        if !self.by_number.get(&number)?.unsent.is_empty() {
            self.flush(number, poll, events);
        }
        let stream = self.by_number.get_mut(&number)?;
        let begin = stream.held.len();
        if buffer.len() < begin + READ_OCTETS {
            buffer.resize(begin + READ_OCTETS, 0);
        }
        put(buffer, 0, &stream.held);
        let room = buffer.get_mut(begin..).unwrap_or_default();
        let got = recv(&stream.socket, room, RecvFlags::empty());
        let path = stream.path;
        match got {
            // §6.1: what came of an unfinished message goes with the connection.
            Ok((_, 0)) => self.close(number, "the peer closed it", poll, events),
            Ok((_, octets)) => return Some((path, begin + octets)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => self.close(number, &reason(error), poll, events),
        }
        None
    }

    /// Where the next message in `buffer`, from `at` on, begins and ends; None: no whole one.
    ///
    /// What is left then is kept for later. An empty message is passed over (§3).
    pub fn next_message(
        &mut self,
        number: u64,
        buffer: &[u8],
        at: usize,
        poll: &Poll,
        events: &Events,
    ) -> Option<(usize, usize)> {
        let stream = self.by_number.get_mut(&number)?; // not if it was closed meanwhile
        let rest = buffer.get(at..)?;
        match whole_frame(rest) {
            Ok(Some(length)) => Some((at + LENGTH_OCTETS, at + length)),
            Ok(None) => {
                stream.held.clear();
                stream.held.extend_from_slice(rest);
                None
            }
            Err(corrupted) => {
                let why = format!("a TCP frame of length {}, which counts itself", corrupted.0);
                self.close(number, &why, poll, events);
                None
            }
        }
    }

    /// A message of this stream was what it should be.
    pub fn trust(&mut self, number: u64) {
        if let Some(stream) = self.by_number.get_mut(&number) {
            stream.doubts = 0;
        }
    }

    /// A message of this stream went no further because of `cause`: is it corrupted? (§6.1)
    ///
    /// A few unknown SPIs are no sign of that, as both sides' databases may differ for a moment; a
    /// packet that is not authentic cannot come about in TCP by itself.
    pub fn doubt(&mut self, number: u64, cause: Cause, poll: &Poll, events: &Events) {
        let Some(stream) = self.by_number.get_mut(&number) else {
            return;
        };
        match cause {
            Cause::BadIcv => {
                self.close(number, "a packet in it was not authentic", poll, events);
            }
            Cause::UnknownSpi | Cause::Truncated | Cause::NotEsp => {
                stream.doubts += 1;
                if stream.doubts >= MOST_DOUBTS {
                    let why = format!("{} packets in a row belonged to no tunnel", stream.doubts);
                    self.close(number, &why, poll, events);
                }
            }
            _ => {}
        }
    }

    /// Has the peer opened this stream after the one that `path` names, or is that one gone?
    ///
    /// Never when we opened it: who opens the connections knows which one is the last.
    pub fn supersedes(&self, number: u64, path: &Path) -> bool {
        let originated = self
            .by_number
            .get(&number)
            .is_none_or(|stream| stream.originated);
        !originated && self.by_path.get(path).is_none_or(|other| *other < number)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Close every connection, and say nothing of it.
    pub fn close_all(&mut self) {
        self.by_path.clear();
        self.by_number.clear();
    }

    fn flush(&mut self, number: u64, poll: &Poll, events: &Events) {
        let Some(stream) = self.by_number.get_mut(&number) else {
            return;
        };
        while !stream.unsent.is_empty() {
            match send(&stream.socket, &stream.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(stream.unsent.drain(..sent)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return self.close(number, &reason(error), poll, events),
            }
        }
        let _ = poll.watch_writing(&stream.socket, number, !stream.unsent.is_empty());
    }

    fn close(&mut self, number: u64, why: &str, poll: &Poll, events: &Events) {
        if let Some(stream) = self.by_number.remove(&number) {
            let _ = poll.remove(&stream.socket);
            if self.by_path.get(&stream.path) == Some(&number) {
                self.by_path.remove(&stream.path);
            }
            events.put(Event::StreamClosed(stream.path, why.to_owned()));
        }
    }
}

/// Where the frame ends that the octet before `at` belongs to.
fn end_of_frame(frames: &[u8], at: usize) -> usize {
    let mut end = 0;
    while end < at
        && let Ok(Some(length)) = whole_frame(frames.get(end..).unwrap_or_default())
    {
        end += length;
    }
    end
}

/// In words, such as "connection reset by peer".
fn reason(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string().to_lowercase();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::end_of_frame;

    #[test]
    fn a_frame_that_was_begun_is_sent_to_its_end() {
        let frames = [&[0, 5, 1, 2, 3][..], &[0, 3, 9], &[0, 4, 7, 7]].concat();
        let ends: Vec<usize> = (0..=12).map(|at| end_of_frame(&frames, at)).collect();
        assert_eq!(ends, [0, 5, 5, 5, 5, 5, 8, 8, 8, 12, 12, 12, 12]);
    }
}
