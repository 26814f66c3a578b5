//! Keepalives for the NATs on the way (RFC 3948 §4).

use std::collections::HashMap;

use super::outbox::cause_of;
use super::outward::Outward;
use super::table::Table;
use super::way::send_keepalive;
use crate::sa::child::{Encapsulation, Path};

impl Outward {
    /// One octet, when nothing else has kept the NAT's mapping alive; when to look again.
    pub(super) fn send_keepalives(&mut self, table: &Table, now: f64) -> f64 {
        let interval = self.interface.keepalive_seconds;
        let mut next = now + interval;
        let waiting = table.with_keepalive();
        let in_udp = |index: usize| {
            let tunnel = table.get(index)?;
            (tunnel.encapsulation == Encapsulation::Udp).then_some(tunnel)
        };
        // An old SA and the one that replaces it share a mapping: one packet is enough for both.
        let mut newest: HashMap<Path, f64> = HashMap::new();
        for index in &waiting {
            if let (Some(tunnel), Some(half)) = (in_udp(*index), self.sending.get(*index)) {
                let last = newest.entry(tunnel.path).or_insert(half.last);
                *last = last.max(half.last);
            }
        }
        for index in waiting {
            let (Some(tunnel), Some(half)) = (in_udp(index), self.sending.get_mut(index)) else {
                continue;
            };
            let Some(last) = newest.get_mut(&tunnel.path) else {
                continue;
            };
            if *last + interval <= now {
                half.last = now;
                *last = now;
                if let Err(error) = send_keepalive(tunnel, &self.interface.sockets) {
                    self.drops.count(cause_of(&error));
                }
            }
            next = next.min(*last + interval);
        }
        next
    }
}
