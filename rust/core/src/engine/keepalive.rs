//! Keepalives for the NATs on the way (RFC 3948 §4).

use super::outbox::{cause_of, send_keepalive};
use super::pump::Pump;
use super::tunnel::Tunnel;
use crate::sa::child::{Encapsulation, Path};

impl Pump {
    /// One octet, when nothing else has kept the NAT's mapping alive.
    pub(super) fn send_keepalives(&mut self) {
        let interval = self.interface.keepalive_seconds;
        self.next_keepalive = self.now + interval;
        let waits = |it: &Tunnel| it.keepalive && it.encapsulation == Encapsulation::Udp;
        // An old SA and the one that replaces it share a mapping: one packet is enough for both.
        let mut newest: Vec<(Path, f64)> = Vec::new();
        for tunnel in self.table.iter().filter(|it| waits(it)) {
            match newest.iter_mut().find(|(path, _)| *path == tunnel.path) {
                Some((_, last)) => *last = last.max(tunnel.last_out),
                None => newest.push((tunnel.path, tunnel.last_out)),
            }
        }
        for tunnel in self.table.iter_mut().rev().filter(|it| waits(it)) {
            let Some((_, last)) = newest.iter_mut().find(|(path, _)| *path == tunnel.path) else {
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
