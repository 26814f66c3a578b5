//! What is known of one installed Child SA; its keys and counters are in `halves`.

use std::net::IpAddr;

use crate::crypto::Suite;
use crate::esp::boundary::Fit;
use crate::sa::child::{ChildSa, Encapsulation, Mode, Path};
use crate::sa::selectors::Matcher;
use crate::wire::protocol::ESP;

const HOP_LIMIT: u8 = 64; // the usual one: what the packet's own was is not known any more

/// What one SA pair has carried. Bytes are those of inner packets; times are of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SaCounters {
    /// Sealed and sent.
    pub packets_out: u64,
    /// Sealed and sent.
    pub bytes_out: u64,
    /// Opened and delivered.
    pub packets_in: u64,
    /// Opened and delivered.
    pub bytes_in: u64,
    /// When the last authentic packet came.
    pub last_in: Option<f64>,
}

/// An SA pair, its way, and what it may carry.
pub struct Tunnel {
    pub peer: String,
    pub inbound_spi: u32,
    pub outbound_key_hash: [u8; 32],
    /// Higher than that of every tunnel installed before.
    pub serial: u64,
    pub matcher: Matcher,
    pub suite: Suite,
    pub encapsulation: Encapsulation,
    pub path: Path,
    pub follow: bool,
    pub rewritten: bool,
    pub copy_dscp: bool,
    /// Transport mode: the two hosts, ours first, and the header that inbound packets have where
    /// the one they had was not sent.
    pub hosts: Option<Hosts>,
    /// Until the path MTU is told, everything fits.
    pub fit: Option<Fit>,
    pub proved: bool,
    /// Receives, and sends no more.
    pub retired: bool,
}

/// The ends of a transport mode SA.
pub struct Hosts {
    /// IP version, our address and the peer's as integers.
    pub pair: (u8, u128, u128),
    /// An IP header from the peer to us.
    pub front: Vec<u8>,
    /// The place in it that names what follows.
    pub protocol_at: usize,
}

impl Tunnel {
    /// `key_hash` tells outbound keys apart, `serial` the new from the old.
    pub fn new(child: &ChildSa, key_hash: [u8; 32], serial: u64) -> Self {
        Self {
            peer: child.peer.clone(),
            inbound_spi: child.inbound_spi,
            outbound_key_hash: key_hash,
            serial,
            matcher: Matcher::new(&child.local_selectors, &child.remote_selectors),
            suite: child.suite,
            encapsulation: child.encapsulation,
            path: child.path,
            follow: child.follow,
            rewritten: child.rewritten,
            copy_dscp: child.copy_dscp,
            hosts: (child.mode == Mode::Transport)
                .then(|| hosts(child))
                .flatten(),
            fit: None,
            proved: !child.await_proof,
            retired: false,
        }
    }

    /// The address family of its path.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.path.remote.ip, IpAddr::V4(_))
    }
}

fn hosts(child: &ChildSa) -> Option<Hosts> {
    let (local, remote) = (
        child.local_selectors.first()?,
        child.remote_selectors.first()?,
    );
    let pair = (local.version, local.start, remote.start);
    let (front, protocol_at) = if local.version == 4 {
        let mut front = vec![0x45, 0, 0, 0, 0, 0, 0, 0, HOP_LIMIT, ESP, 0, 0];
        front.extend_from_slice(&(remote.start as u32).to_be_bytes());
        front.extend_from_slice(&(local.start as u32).to_be_bytes());
        (front, 9)
    } else {
        let mut front = vec![0x60, 0, 0, 0, 0, 0, ESP, HOP_LIMIT];
        front.extend_from_slice(&remote.start.to_be_bytes());
        front.extend_from_slice(&local.start.to_be_bytes());
        (front, 6)
    };
    Some(Hosts {
        pair,
        front,
        protocol_at,
    })
}
