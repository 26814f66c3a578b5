//! What an engine works on, and what it tells of itself.

use super::tunnel::SaCounters;
use crate::esp::drops::Drops;
use crate::system::fd::Lent;
use crate::system::tun::Offloads;

/// What an engine works on; `engines/base.py` says it in full.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Non-blocking; bare IP packets.
    pub tun: Lent,
    /// All that go to the wire.
    pub sockets: Sockets,
    /// RFC 3948 §4.
    pub keepalive_seconds: f64,
}

/// One for each address family, as `system/datagram.py` opens them: IPv4, IPv6.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sockets {
    /// Port 4500.
    pub udp: [Option<Lent>; 2],
    /// Protocol 50.
    pub raw: [Option<Lent>; 2],
    /// For packets that bring their own IP header.
    pub whole: [Option<Lent>; 2],
    /// For fragments of IPv6 packets.
    pub fragmenter: Option<Lent>,
}

impl Sockets {
    pub(super) fn udp(&self, ipv4: bool) -> Option<Lent> {
        if ipv4 { self.udp[0] } else { self.udp[1] }
    }

    pub(super) fn raw(&self, ipv4: bool) -> Option<Lent> {
        if ipv4 { self.raw[0] } else { self.raw[1] }
    }

    pub(super) fn whole(&self, ipv4: bool) -> Option<Lent> {
        if ipv4 { self.whole[0] } else { self.whole[1] }
    }
}

/// What the kernel does for us here. Each that is false costs speed, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// The TUN device gives and takes more than one packet at once (IFF_VNET_HDR).
    pub vnet_header: bool,
    /// Of TCP, of UDP.
    pub tun: Offloads,
    /// The kernel cuts what we send into datagrams (UDP_SEGMENT, Linux 4.18).
    pub udp_segment: bool,
    /// The kernel puts datagrams together (UDP_GRO, Linux 5.0).
    pub udp_gro: bool,
    /// The kernel takes many datagrams at once (sendmmsg).
    pub send_many: bool,
    /// The kernel gives many datagrams at once (recvmmsg).
    pub receive_many: bool,
}

/// A snapshot: drops by cause, and every SA pair by inbound SPI.
pub struct Counters {
    /// Every cause, 0 included.
    pub drops: Drops,
    /// Every SA pair installed.
    pub sas: Vec<(u32, SaCounters)>,
    /// At this moment.
    pub features: Features,
}
