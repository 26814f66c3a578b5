//! Where ESP comes from, and what that tells (RFC 7296 §2.23 and §1.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::events::{Event, Events};
use super::pump::Pump;
use super::table::Table;
use crate::esp::drops::Cause;
use crate::sa::child::{Encapsulation, Endpoint, Path};
use crate::wire::esp::parse_header;
use crate::wire::ip::version;
use crate::wire::octets::array;

const UNKNOWN_SECONDS: f64 = 1.0;

/// What has been noticed in the batch that is being read.
#[derive(Default)]
pub struct Origins {
    next_unknown: f64,
    moved: Vec<(usize, Path)>,
}

impl Origins {
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty()
    }

    /// The tunnels send from now on to where their newest packets came from.
    pub fn settle(&mut self, table: &mut Table, events: &Events) {
        for (index, path) in self.moved.drain(..) {
            if let Some(tunnel) = table.get_mut(index) {
                tunnel.path = path;
                events.put(Event::PathMoved(tunnel.inbound_spi, path));
            }
        }
    }
}

impl Pump {
    /// `packet` came by `path`, in UDP or as protocol 50, and this has become of it.
    pub(super) fn came_by(&mut self, outcome: Result<usize, Cause>, packet: &[u8], path: Path) {
        let Some((spi, low32)) = parse_header(packet) else {
            return;
        };
        match outcome {
            Ok(index) => self.note(index, low32, path),
            Err(Cause::UnknownSpi) if self.now >= self.origins.next_unknown => {
                self.origins.next_unknown = self.now + UNKNOWN_SECONDS;
                let _ = self.events.offer(Event::UnknownSpi(spi, path));
            }
            Err(_) => {}
        }
    }

    fn note(&mut self, index: usize, low32: u32, path: Path) {
        if let (Some(tunnel), Some(half)) = (self.table.get(index), self.receiving.get(index))
            && tunnel.follow
            && tunnel.encapsulation == Encapsulation::Udp
            && !tunnel.retired
            && path.remote.port != 0
            && half.inbound.newest() == low32
        {
            self.origins.moved.retain(|(other, _)| *other != index);
            let Path { remote, .. } = tunnel.path;
            let expected = Path {
                remote: remote.natt(),
                ..tunnel.path
            };
            if path != expected {
                self.origins.moved.push((index, path));
            }
        }
    }
}

/// The path of a packet without UDP: the addresses of its IP header, no ports.
pub fn bare_path(header: &[u8]) -> Path {
    let end = |ip| Endpoint {
        ip,
        scope: 0,
        port: 0,
    };
    let ipv4 = |at| IpAddr::from(array::<4>(header, at).map_or(Ipv4Addr::UNSPECIFIED, Into::into));
    let ipv6 = |at| IpAddr::from(array::<16>(header, at).map_or(Ipv6Addr::UNSPECIFIED, Into::into));
    let (remote, local) = if version(header) == 4 {
        (ipv4(12), ipv4(16))
    } else {
        (ipv6(8), ipv6(24))
    };
    Path {
        local: end(local),
        remote: end(remote),
        in_tcp: false,
    }
}
