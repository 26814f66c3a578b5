//! What the engine's owner asks of the packet thread, between two batches of packets.

use std::io;
use std::sync::Arc;

use super::halves::{Receiving, Sending};
use super::interface::{Counters, Features};
use super::pump::Pump;
use super::streams::NewStream;
use super::table::{Refused, Unknown};
use super::tunnel::{SaCounters, Tunnel};
use crate::crypto::WrongKey;
use crate::esp::boundary::{Fit, inner_mtu};
use crate::sa::child::{ChildSa, Path, Way};

impl Pump {
    /// # Errors
    /// `Refused`; nothing has changed then.
    pub fn install(&mut self, child: &ChildSa) -> Result<(), Refused> {
        let Self {
            table,
            receiving,
            outward,
            now,
            ..
        } = self;
        let (Some(table), Some(outward)) = (Arc::get_mut(table), outward) else {
            return Err(Refused::Stopped);
        };
        let wrong = |WrongKey| Refused::WrongKey;
        let halves = (
            Receiving::new(child).map_err(wrong)?,
            Sending::new(child, *now).map_err(wrong)?,
        );
        let index = table.install(child)?;
        receiving.insert(index, halves.0);
        outward.sending.insert(index, halves.1);
        Ok(())
    }

    /// # Errors
    /// `Unknown`.
    pub fn remove(&mut self, spi: u32) -> Result<(), Unknown> {
        let table = Arc::get_mut(&mut self.table).ok_or(Unknown(spi))?;
        let index = table.remove(spi)?;
        self.receiving.remove(index);
        if let Some(outward) = &mut self.outward {
            outward.sending.remove(index);
        }
        Ok(())
    }

    /// The tunnel itself, for changes.
    ///
    /// # Errors
    /// `Unknown`.
    pub fn named(&mut self, spi: u32) -> Result<&mut Tunnel, Unknown> {
        let table = Arc::get_mut(&mut self.table).ok_or(Unknown(spi))?;
        table.named(spi)
    }

    /// # Errors
    /// `Unknown`.
    pub fn update(&mut self, spi: u32, way: Way) -> Result<(), Unknown> {
        let table = Arc::get_mut(&mut self.table).ok_or(Unknown(spi))?;
        table.update(spi, way)
    }

    /// # Errors
    /// `Unknown`.
    pub fn set_path_mtu(&mut self, spi: u32, mtu: usize, whole: usize) -> Result<(), Unknown> {
        let tunnel = self.named(spi)?;
        let inner = inner_mtu(mtu, tunnel.is_ipv4(), tunnel.encapsulation, tunnel.suite);
        tunnel.fit = Some(Fit {
            outer: whole,
            inner,
        });
        Ok(())
    }

    pub fn counters(&self) -> Counters {
        let outward = self.outward.as_deref();
        let sas = self.table.entries().map(|(index, tunnel)| {
            let mut counters = SaCounters::default();
            if let Some(half) = outward.and_then(|it| it.sending.get(index)) {
                (counters.packets_out, counters.bytes_out) = (half.packets, half.bytes);
            }
            if let Some(half) = self.receiving.get(index) {
                (counters.packets_in, counters.bytes_in) = (half.packets, half.bytes);
                counters.last_in = half.last;
            }
            (tunnel.inbound_spi, counters)
        });
        let mut drops = self.drops.clone();
        for (cause, packets) in outward.iter().flat_map(|it| it.drops.iter()) {
            drops.add(cause, packets);
        }
        Counters {
            drops,
            sas: sas.collect(),
            features: Features {
                udp_segment: outward.is_some_and(|it| it.outbox.segmenting),
                send_many: outward.is_some_and(|it| it.outbox.many),
                ..self.features
            },
        }
    }

    /// # Errors
    /// As the kernel says. The connection is closed then.
    pub fn add_stream(&mut self, stream: NewStream) -> io::Result<()> {
        match &mut self.outward {
            Some(outward) => Ok(outward.streams.add(stream, &self.poll)?),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub fn send_ike(&mut self, data: &[u8], path: &Path) {
        if let Some(outward) = &mut self.outward {
            let streams = &mut outward.streams;
            streams.send_ike(data, path, &self.poll, &self.events);
        }
    }

    pub fn close_stream(&mut self, path: &Path) {
        if let Some(outward) = &mut self.outward {
            outward.streams.close_one(path, &self.poll, &self.events);
        }
    }
}
