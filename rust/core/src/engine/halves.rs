//! The two halves of an SA pair, each of which one thread has at a time.

use super::events::Event;
use crate::crypto::WrongKey;
use crate::esp::drops::Cause;
use crate::esp::open::Inbound;
use crate::esp::seal::Outbound;
use crate::sa::child::ChildSa;
use crate::wire::octets::put;

/// The sending half: sequence numbers, and what has left.
pub struct Sending {
    pub outbound: Outbound,
    /// Sealed and sent.
    pub packets: u64,
    /// Of inner packets.
    pub bytes: u64,
    /// When the last left, or the SA was installed.
    pub last: f64,
    inbound_spi: u32,
    near_end_told: bool,
}

/// The receiving half: the replay window, and what has come.
pub struct Receiving {
    pub inbound: Inbound,
    /// Opened and delivered.
    pub packets: u64,
    /// Of inner packets.
    pub bytes: u64,
    /// When the last authentic packet came.
    pub last: Option<f64>,
}

impl Sending {
    /// # Errors
    /// `WrongKey`.
    pub fn new(child: &ChildSa, now: f64) -> Result<Self, WrongKey> {
        let (spi, suite, esn) = (child.outbound_spi, child.suite, child.esn);
        Ok(Self {
            outbound: Outbound::new(spi, suite, esn, &child.outbound_key, 0)?,
            packets: 0,
            bytes: 0,
            last: now,
            inbound_spi: child.inbound_spi,
            near_end_told: false,
        })
    }

    /// Seal a payload into `place`, which has the size that `Outbound::sealed_octets` says.
    ///
    /// # Errors
    /// As `Outbound::seal`.
    pub fn seal_at(&mut self, place: &mut [u8], payload: &[u8], next: u8) -> Result<(), Cause> {
        put(place, self.outbound.payload_at(), payload).ok_or(Cause::Oversized)?;
        self.outbound.seal(place, payload.len(), next)
    }

    /// Once: that few sequence numbers are left.
    pub fn near_end(&mut self) -> Option<Event> {
        if self.near_end_told || !self.outbound.near_end() {
            return None;
        }
        self.near_end_told = true;
        Some(Event::SequenceNearEnd(self.inbound_spi))
    }

    /// One packet more has left.
    pub fn count(&mut self, inner: usize) {
        self.packets += 1;
        self.bytes += inner as u64;
    }
}

impl Receiving {
    /// # Errors
    /// `WrongKey`.
    pub fn new(child: &ChildSa) -> Result<Self, WrongKey> {
        let (spi, suite, esn) = (child.inbound_spi, child.suite, child.esn);
        let inbound = Inbound::new(spi, suite, esn, &child.inbound_key, child.replay_window)?;
        Ok(Self {
            inbound,
            packets: 0,
            bytes: 0,
            last: None,
        })
    }
}

/// One half of every tunnel, under the tunnels' indices.
pub struct Halves<T>(Vec<Option<Box<T>>>);

impl<T> Default for Halves<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Halves<T> {
    pub fn insert(&mut self, index: usize, half: T) {
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        if let Some(place) = self.0.get_mut(index) {
            *place = Some(Box::new(half)); // what was there is a removed tunnel's
        }
    }

    pub fn remove(&mut self, index: usize) {
        if let Some(place) = self.0.get_mut(index) {
            *place = None;
        }
    }

    pub fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index)?.as_deref()
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.get_mut(index)?.as_deref_mut()
    }
}
