//! Opened packets on their way into the TUN device.

use super::halves::{Halves, Receiving};
use super::pump::Pump;
use crate::esp::drops::{Cause, Drops};
use crate::esp::mss::clamp;
use crate::offload::coalesce::Delivery;
use crate::system::fd::Lent;

impl Pump {
    /// An inner packet of a tunnel; with offloads it waits for others of its flow until `flush_in`.
    pub(super) fn deliver(&mut self, index: usize, packet: &mut [u8]) {
        let Self {
            table,
            receiving,
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
                write(it, interface.tun, receiving, drops)
            });
        } else {
            let inner = packet.len() as u64;
            let one = Delivery {
                octets: packet,
                owner: index,
                packets: 1,
                inner,
            };
            write(one, interface.tun, receiving, drops);
        }
    }

    /// All that waits goes into the device.
    pub(super) fn flush_in(&mut self) {
        let Self {
            receiving,
            drops,
            coalescer,
            interface,
            ..
        } = self;
        coalescer.flush(&mut |it| write(it, interface.tun, receiving, drops));
    }
}

fn write(it: Delivery<'_>, tun: Lent, receiving: &mut Halves<Receiving>, drops: &mut Drops) {
    match (
        rustix::io::write(tun, it.octets),
        receiving.get_mut(it.owner),
    ) {
        (Ok(_), Some(half)) => {
            half.packets += it.packets;
            half.bytes += it.inner;
        }
        _ => drops.add(Cause::TunWriteFailed, it.packets),
    }
}
