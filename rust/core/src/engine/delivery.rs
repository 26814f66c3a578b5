//! Opened packets on their way into the TUN device.

use super::pump::Pump;
use super::table::Table;
use crate::esp::drops::{Cause, Drops};
use crate::esp::mss::clamp;
use crate::offload::coalesce::Delivery;
use crate::offload::virtio::SINGLE;
use crate::system::fd::Lent;

impl Pump {
    /// An inner packet of a tunnel; with offloads it waits for others of its flow until `flush_in`.
    pub(super) fn deliver(&mut self, index: usize, packet: &mut [u8]) {
        let Self {
            table,
            drops,
            coalescer,
            interface,
            features,
            ..
        } = self;
        let Some(tunnel) = table.get(index) else {
            return;
        };
        if let Some(fit) = tunnel.fit {
            clamp(packet, fit.inner);
        }
        if features.vnet_header {
            coalescer.add(packet, index, &mut |it| {
                write(it, interface.tun, table, drops)
            });
        } else {
            let inner = packet.len() as u64;
            let one = Delivery {
                octets: packet,
                owner: index,
                packets: 1,
                inner,
            };
            write(one, interface.tun, table, drops);
        }
    }

    /// All that waits goes into the device.
    pub(super) fn flush_in(&mut self) {
        let Self {
            table,
            drops,
            coalescer,
            interface,
            ..
        } = self;
        coalescer.flush(&mut |it| write(it, interface.tun, table, drops));
    }

    /// A packet of our own making, for this host.
    pub(super) fn tell_host(&mut self, packet: &[u8]) {
        let header = SINGLE.build(0);
        let header: &[u8] = if self.features.vnet_header {
            &header
        } else {
            &[]
        };
        if rustix::io::write(self.interface.tun, &[header, packet].concat()).is_err() {
            self.drops.count(Cause::TunWriteFailed);
        }
    }
}

fn write(it: Delivery<'_>, tun: Lent, table: &mut Table, drops: &mut Drops) {
    match (rustix::io::write(tun, it.octets), table.get_mut(it.owner)) {
        (Ok(_), Some(tunnel)) => {
            tunnel.counters.packets_in += it.packets;
            tunnel.counters.bytes_in += it.inner;
        }
        _ => drops.add(Cause::TunWriteFailed, it.packets),
    }
}
