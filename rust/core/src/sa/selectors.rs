//! Traffic selectors as policy: which packets belong to an SA (RFC 4301 §4.4.1.1, RFC 7296 §2.9).

use crate::wire::ip::Flow;

const ANY_PORT: (u16, u16) = (0, 65535);
const OPAQUE_PORT: (u16, u16) = (65535, 0);

/// A range of addresses, a protocol (0: any) and a range of ports.
///
/// `(65535, 0)` as ports matches only packets whose port cannot be seen; `(0, 65535)` includes it
/// (RFC 7296 §3.13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    /// 4 or 6.
    pub version: u8,
    /// First address, as an integer.
    pub start: u128,
    /// Last address.
    pub end: u128,
    /// Next layer protocol, 0 for any.
    pub protocol: u8,
    /// First and last port.
    pub ports: (u16, u16),
}

impl Selector {
    fn covers(&self, version: u8, address: u128, protocol: u8, port: Option<u16>) -> bool {
        self.version == version
            && (self.start..=self.end).contains(&address)
            && (self.protocol == 0 || self.protocol == protocol)
            && match port {
                None => self.ports == ANY_PORT || self.ports == OPAQUE_PORT,
                Some(port) => (self.ports.0..=self.ports.1).contains(&port),
            }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.version == other.version
            && self.start.max(other.start) <= self.end.min(other.end)
            && (self.protocol == other.protocol || self.protocol == 0 || other.protocol == 0)
            && ports_overlap(self.ports, other.ports)
    }
}

fn ports_overlap(a: (u16, u16), b: (u16, u16)) -> bool {
    if a == OPAQUE_PORT || b == OPAQUE_PORT {
        return a == b || a == ANY_PORT || b == ANY_PORT;
    }
    a.0.max(b.0) <= a.1.min(b.1)
}

/// Is there a packet that both would take?
#[must_use]
pub fn overlap(a: &[Selector], b: &[Selector]) -> bool {
    a.iter()
        .any(|one| b.iter().any(|other| one.overlaps(other)))
}

/// Whether a packet belongs to an SA: any local selector goes with any remote one (§2.9).
#[derive(Clone, Debug)]
pub struct Matcher {
    local: Box<[Selector]>,
    remote: Box<[Selector]>,
}

impl Matcher {
    /// Of one SA.
    #[must_use]
    pub fn new(local: &[Selector], remote: &[Selector]) -> Self {
        Self {
            local: local.into(),
            remote: remote.into(),
        }
    }

    /// From a local address to a remote one.
    #[must_use]
    pub fn outbound(&self, flow: &Flow) -> bool {
        from(&self.local, flow) && to(&self.remote, flow)
    }

    /// From a remote address to a local one (checked after decryption, RFC 4301 §5.2).
    #[must_use]
    pub fn inbound(&self, flow: &Flow) -> bool {
        from(&self.remote, flow) && to(&self.local, flow)
    }

    /// How many addresses the narrowest remote selector for an outbound flow holds, less one; None
    /// for a flow that does not belong here. The longest prefix is the smallest span.
    #[must_use]
    pub fn remote_span(&self, flow: &Flow) -> Option<u128> {
        if !self.outbound(flow) {
            return None;
        }
        let takes = |one: &&Selector| to(std::slice::from_ref(*one), flow);
        let spans = self
            .remote
            .iter()
            .filter(takes)
            .map(|one| one.end - one.start);
        spans.min()
    }

    /// Of the remote side.
    #[must_use]
    pub fn remote(&self) -> &[Selector] {
        &self.remote
    }
}

fn from(selectors: &[Selector], flow: &Flow) -> bool {
    let Flow {
        version,
        source,
        protocol,
        source_port,
        ..
    } = *flow;
    selectors
        .iter()
        .any(|one| one.covers(version, source, protocol, source_port))
}

fn to(selectors: &[Selector], flow: &Flow) -> bool {
    let Flow {
        version,
        destination,
        protocol,
        destination_port,
        ..
    } = *flow;
    selectors
        .iter()
        .any(|one| one.covers(version, destination, protocol, destination_port))
}
