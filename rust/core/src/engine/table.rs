//! The SAs at work (RFC 4301 §4.4.2, the SAD).

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};

use super::tunnel::Tunnel;
use crate::crypto::WrongKey;
use crate::sa::child::ChildSa;
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
}

/// No SA here has this inbound SPI.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(
    /// The SPI.
    pub u32,
);

/// Tunnels have an index that stays the same until one is removed.
#[derive(Default)]
pub struct Table {
    oldest_first: Vec<Tunnel>,
    by_spi: HashMap<u32, usize>,
    // Two peers have networks one within the other: then every packet costs a little more.
    nested: bool,
    transport: bool,
}

impl Table {
    pub fn is_empty(&self) -> bool {
        self.oldest_first.is_empty()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Tunnel> {
        self.oldest_first.iter()
    }

    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Tunnel> {
        self.oldest_first.iter_mut()
    }

    pub fn get(&self, index: usize) -> Option<&Tunnel> {
        self.oldest_first.get(index)
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut Tunnel> {
        self.oldest_first.get_mut(index)
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
        let narrowest = if self.nested {
            Some(
                self.iter()
                    .filter_map(|tunnel| tunnel.matcher.remote_span(flow))
                    .min()?,
            )
        } else {
            None
        };
        let mut fallback = None;
        for (index, tunnel) in self.oldest_first.iter().enumerate().rev() {
            let takes = match narrowest {
                None => tunnel.matcher.outbound(flow),
                span => tunnel.matcher.remote_span(flow) == span,
            };
            if takes && !tunnel.retired {
                if tunnel.proved {
                    return Some(index);
                }
                fallback = Some(index);
            }
        }
        fallback
    }

    /// May this flow, which its SA's selectors allow, come from this tunnel's peer?
    ///
    /// Not when another peer has a longer prefix for its source: then that one alone may send it.
    pub fn belongs(&self, index: usize, flow: &Flow) -> bool {
        if !self.nested {
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
        self.transport
            && self
                .iter()
                .any(|tunnel| tunnel.hosts.as_ref().is_some_and(|it| it.pair == pair))
    }

    /// # Errors
    /// `Refused`; nothing has changed then.
    pub fn install(&mut self, child: &ChildSa, now: f64) -> Result<(), Refused> {
        if self.by_spi.contains_key(&child.inbound_spi) {
            return Err(Refused::SpiInUse(child.inbound_spi));
        }
        let mut key_hash = [0; 32];
        key_hash.copy_from_slice(digest(&SHA256, &child.outbound_key).as_ref());
        if self.iter().any(|other| other.outbound_key_hash == key_hash) {
            return Err(Refused::KeyInUse);
        }
        let tunnel = Tunnel::new(child, key_hash, now).map_err(|WrongKey| Refused::WrongKey)?;
        self.nested = self.nested || self.iter().any(|other| nested(&tunnel, other));
        self.transport |= tunnel.hosts.is_some();
        self.by_spi
            .insert(child.inbound_spi, self.oldest_first.len());
        self.oldest_first.push(tunnel);
        Ok(())
    }

    /// # Errors
    /// `Unknown`.
    pub fn remove(&mut self, spi: u32) -> Result<(), Unknown> {
        let index = self.by_spi.remove(&spi).ok_or(Unknown(spi))?;
        self.oldest_first.remove(index);
        for other in self.by_spi.values_mut() {
            *other -= usize::from(*other > index);
        }
        self.transport = self
            .oldest_first
            .iter()
            .any(|tunnel| tunnel.hosts.is_some());
        let mut rest = self.oldest_first.iter();
        self.nested = self.nested
            && std::iter::from_fn(|| Some((rest.next()?, rest.clone())))
                .any(|(one, mut others)| others.any(|other| nested(one, other)));
        Ok(())
    }
}

fn nested(a: &Tunnel, b: &Tunnel) -> bool {
    a.peer != b.peer && overlap(a.matcher.remote(), b.matcher.remote())
}
