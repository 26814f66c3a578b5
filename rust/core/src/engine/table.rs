//! The SAs at work (RFC 4301 §4.4.2, the SAD).

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_lc_rs::digest::{SHA256, digest};
use slab::Slab;

use super::tunnel::Tunnel;
use crate::sa::child::{ChildSa, Way};
use crate::sa::networks::Networks;
use crate::sa::selectors::overlap;
use crate::wire::ip::Flow;

/// Why an SA is not installed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its inbound SPI is in use.
    SpiInUse(u32),
    /// Its outbound key is in use: nonces would be used twice.
    KeyInUse,
    /// A key of the wrong length.
    WrongKey,
    /// Packets have stopped after a failure.
    Stopped,
}

/// No SA here has this inbound SPI.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(
    /// The SPI.
    pub u32,
);

/// Tunnels have an index that stays the same as long as they are here.
///
/// None of what a packet asks for looks at all tunnels; nor do `install` and `remove`, which look
/// at those whose networks lie within those of the one that comes or goes, or around them.
#[derive(Default)]
pub struct Table {
    // Boxed, so that a table that grows moves none of them and has little room that is not used.
    tunnels: Slab<Box<Tunnel>>,
    by_spi: HashMap<u32, usize>,
    outbound_keys: HashSet<[u8; 32]>,
    remote: Networks,
    // How many pairs of tunnels are of two peers that have networks one within the other: with any
    // of these, every packet costs a little more.
    nested: usize,
    // Between two hosts only whole datagrams are sealed; how many tunnels say so.
    hosts: HashMap<(u8, u128, u128), usize>,
    // Oldest first.
    with_keepalive: BTreeMap<u64, usize>,
    installed: u64,
}

impl Table {
    pub fn is_empty(&self) -> bool {
        self.tunnels.is_empty()
    }

    /// All tunnels with their indices, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &Tunnel)> {
        self.tunnels
            .iter()
            .map(|(index, tunnel)| (index, &**tunnel))
    }

    /// Whether there are tunnels that keep a NAT's mapping alive.
    pub fn keeps_alive(&self) -> bool {
        !self.with_keepalive.is_empty()
    }

    /// The indices of the tunnels that keep a NAT's mapping alive, newest first.
    pub fn with_keepalive(&self) -> Vec<usize> {
        self.with_keepalive.values().rev().copied().collect()
    }

    pub fn get(&self, index: usize) -> Option<&Tunnel> {
        self.tunnels.get(index).map(|tunnel| &**tunnel)
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut Tunnel> {
        self.tunnels.get_mut(index).map(|tunnel| &mut **tunnel)
    }

    /// The index of the tunnel whose inbound SPI this is.
    pub fn inbound(&self, spi: u32) -> Option<usize> {
        self.by_spi.get(&spi).copied()
    }

    /// The tunnel itself, for changes.
    ///
    /// # Errors
    /// `Unknown`.
    pub fn named(&mut self, spi: u32) -> Result<&mut Tunnel, Unknown> {
        self.inbound(spi)
            .and_then(|index| self.get_mut(index))
            .ok_or(Unknown(spi))
    }

    /// The newest tunnel that carries the flow and that the peer has proved to hold.
    ///
    /// Only where none is proved, the oldest that is not: the peer has had it longest. Where the
    /// networks of one peer lie within those of another, the longest prefix decides.
    pub fn outbound(&self, flow: &Flow) -> Option<usize> {
        let may = || {
            let around = self.remote.around(flow.version, flow.destination);
            around.filter_map(|index| Some((index, self.get(index)?)))
        };
        let narrowest = if self.nested > 0 {
            let spans = may().filter_map(|(_, tunnel)| tunnel.matcher.remote_span(flow));
            Some(spans.min()?)
        } else {
            None
        };
        let (mut newest, mut oldest) = (None, None);
        for (index, tunnel) in may() {
            let takes = match narrowest {
                None => tunnel.matcher.outbound(flow),
                span => tunnel.matcher.remote_span(flow) == span,
            };
            if !takes || tunnel.retired {
                continue;
            }
            let this = Some((tunnel.serial, index));
            if tunnel.proved {
                newest = newest.max(this);
            } else if oldest.is_none() || this < oldest {
                oldest = this;
            }
        }
        newest.or(oldest).map(|(_, index)| index)
    }

    /// May this flow, which its SA's selectors allow, come from this tunnel's peer?
    ///
    /// Not when another peer has a longer prefix for its source: then that one alone may send it.
    pub fn belongs(&self, index: usize, flow: &Flow) -> bool {
        if self.nested == 0 {
            return true;
        }
        let owner = self
            .outbound(&flow.reversed())
            .and_then(|owner| self.get(owner));
        let peer = self.get(index).map(|tunnel| &tunnel.peer);
        owner.is_none_or(|owner| Some(&owner.peer) == peer)
    }

    /// Between these two hosts only whole datagrams are sealed (RFC 4303 §3.3.4).
    pub fn is_transport(&self, flow: &Flow) -> bool {
        let pair = (flow.version, flow.source, flow.destination);
        !self.hosts.is_empty() && self.hosts.contains_key(&pair)
    }

    /// The index of the new tunnel.
    ///
    /// # Errors
    /// `Refused`; nothing has changed then.
    pub fn install(&mut self, child: &ChildSa) -> Result<usize, Refused> {
        if self.by_spi.contains_key(&child.inbound_spi) {
            return Err(Refused::SpiInUse(child.inbound_spi));
        }
        let mut key_hash = [0; 32];
        key_hash.copy_from_slice(digest(&SHA256, &child.outbound_key).as_ref());
        if self.outbound_keys.contains(&key_hash) {
            return Err(Refused::KeyInUse);
        }
        let serial = self.installed;
        let tunnel = Tunnel::new(child, key_hash, serial);
        self.installed += 1;
        self.nested += self.nested_with(&tunnel);
        if let Some(hosts) = &tunnel.hosts {
            *self.hosts.entry(hosts.pair).or_default() += 1;
        }
        let entry = self.tunnels.vacant_entry();
        let index = entry.key();
        self.by_spi.insert(child.inbound_spi, index);
        self.outbound_keys.insert(key_hash);
        self.remote.insert(tunnel.matcher.remote(), index);
        if child.keepalive {
            self.with_keepalive.insert(serial, index);
        }
        entry.insert(Box::new(tunnel));
        Ok(index)
    }

    /// Send on another path from now on.
    ///
    /// # Errors
    /// `Unknown`.
    pub fn update(&mut self, spi: u32, way: Way) -> Result<(), Unknown> {
        let index = self.inbound(spi).ok_or(Unknown(spi))?;
        let tunnel = self.tunnels.get_mut(index).ok_or(Unknown(spi))?;
        (tunnel.path, tunnel.encapsulation) = (way.path, way.encapsulation);
        tunnel.follow = way.follow;
        if way.keepalive {
            self.with_keepalive.insert(tunnel.serial, index);
        } else {
            self.with_keepalive.remove(&tunnel.serial);
        }
        Ok(())
    }

    /// The index that the tunnel had.
    ///
    /// # Errors
    /// `Unknown`.
    pub fn remove(&mut self, spi: u32) -> Result<usize, Unknown> {
        let index = self.by_spi.remove(&spi).ok_or(Unknown(spi))?;
        let tunnel = self.tunnels.try_remove(index).ok_or(Unknown(spi))?;
        self.outbound_keys.remove(&tunnel.outbound_key_hash);
        self.remote.remove(tunnel.matcher.remote(), index);
        self.with_keepalive.remove(&tunnel.serial);
        if let Some(hosts) = &tunnel.hosts
            && let Some(others) = self.hosts.get_mut(&hosts.pair)
        {
            *others -= 1;
            if *others == 0 {
                self.hosts.remove(&hosts.pair);
            }
        }
        self.nested -= self.nested_with(&tunnel);
        Ok(index)
    }

    /// How many of the tunnels here are of another peer and share networks with this one.
    fn nested_with(&self, tunnel: &Tunnel) -> usize {
        let beside = self.remote.beside(tunnel.matcher.remote());
        let others = beside.into_iter().filter_map(|index| self.get(index));
        others.filter(|other| nested(tunnel, other)).count()
    }
}

fn nested(a: &Tunnel, b: &Tunnel) -> bool {
    a.peer != b.peer && overlap(a.matcher.remote(), b.matcher.remote())
}

#[cfg(test)]
mod tests;
