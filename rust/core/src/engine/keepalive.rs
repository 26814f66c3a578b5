//! Keepalives for the NATs on the way (RFC 3948 §4).

use std::collections::HashMap;

use super::outbox::{cause_of, send_keepalive};
use super::pump::Pump;
use super::tunnel::Tunnel;
use crate::sa::child::{Encapsulation, Path};

impl Pump {
    /// One octet, when nothing else has kept the NAT's mapping alive.
    pub(super) fn send_keepalives(&mut self) {
        let interval = self.interface.keepalive_seconds;
        self.next_keepalive = self.now + interval;
        let waiting = self.table.with_keepalive();
        // An old SA and the one that replaces it share a mapping: one packet is enough for both.
        let mut newest: HashMap<Path, f64> = HashMap::new();
        for index in &waiting {
            if let Some(tunnel) = self.table.get(*index).filter(|it| in_udp(it)) {
                let last = newest.entry(tunnel.path).or_insert(tunnel.last_out);
                *last = last.max(tunnel.last_out);
            }
        }
        for index in waiting {
            let Some(tunnel) = self.table.get_mut(index).filter(|it| in_udp(it)) else {
                continue;
            };
            let Some(last) = newest.get_mut(&tunnel.path) else {
                continue;
            };
            if *last + interval <= self.now {
                tunnel.last_out = self.now;
                *last = self.now;
                if let Err(error) = send_keepalive(tunnel, &self.interface.sockets) {
                    self.drops.count(cause_of(&error));
                }
            }
            self.next_keepalive = self.next_keepalive.min(*last + interval);
        }
    }
}

fn in_udp(tunnel: &Tunnel) -> bool {
    tunnel.encapsulation == Encapsulation::Udp
}
