//! A payload sealed into the next packet that leaves (RFC 4303 §3.3).

use super::outward::Outward;
use super::table::Table;
use crate::esp::drops::Cause;
use crate::sa::child::Encapsulation;
use crate::wire::octets::put;
use crate::wire::tcpencap::length_of;

/// What there is to know of a payload.
#[derive(Clone, Copy)]
pub struct What {
    /// Of the payload.
    pub octets: usize,
    pub next_header: u8,
    /// Of the packet of this host that it is counted as.
    pub inner: usize,
    /// Of the outer header.
    pub traffic_class: u8,
}

impl What {
    /// A payload that counts as itself, with nothing to tell the routers.
    pub fn of(payload: &[u8], next_header: u8) -> Self {
        Self {
            octets: payload.len(),
            next_header,
            inner: payload.len(),
            traffic_class: 0,
        }
    }
}

impl Outward {
    pub(super) fn seal(
        &mut self,
        table: &Table,
        index: usize,
        what: &What,
        payload: &[u8],
    ) -> Result<(), Cause> {
        self.seal_with(table, index, what, |room| put(room, 0, payload))
    }

    /// The same, around what `write` writes.
    pub(super) fn seal_with(
        &mut self,
        table: &Table,
        index: usize,
        what: &What,
        write: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Result<(), Cause> {
        let tunnel = table.get(index).ok_or(Cause::NoSa)?;
        let half = self.sending.get(index).ok_or(Cause::NoSa)?;
        let sealed = half.outbound.sealed_octets(what.octets);
        let length = length_of(sealed).ok_or(Cause::Oversized)?;
        let front: &[u8] = match tunnel.encapsulation {
            Encapsulation::Tcp => &length,
            _ => &[],
        };
        let octets = front.len() + sealed;
        if !self.outbox.has_room(octets) {
            self.flush(table);
        }
        let Self {
            outbox,
            sending,
            events,
            ..
        } = self;
        let (Some(place), Some(half)) = (outbox.place(octets), sending.get_mut(index)) else {
            return Err(Cause::Oversized);
        };
        put(place, 0, front);
        let place = place.get_mut(front.len()..).unwrap_or_default();
        let begin = half.outbound.payload_at();
        let room = place
            .get_mut(begin..begin + what.octets)
            .ok_or(Cause::Oversized)?;
        write(room).ok_or(Cause::Oversized)?;
        half.outbound.seal(place, what.octets, what.next_header)?;
        outbox.keep(octets, index, what.inner, what.traffic_class);
        if let Some(event) = half.near_end() {
            events.put(event);
        }
        Ok(())
    }
}
