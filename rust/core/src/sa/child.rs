//! A pair of ESP SAs as the key exchange hands it over (RFC 7296 §1.3: a Child SA).

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::selectors::Selector;
use crate::crypto::Suite;

/// How ESP travels: as IP protocol 50, in UDP port 4500 (RFC 3948), or inside TCP (RFC 9329).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Protocol 50.
    Esp,
    /// In datagrams.
    Udp,
    /// In a stream.
    Tcp,
}

/// RFC 4301 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A packet inside another one.
    Tunnel,
    /// A packet that keeps its own IP header.
    Transport,
}

/// An IP address and a UDP or TCP port; `scope` is the device of a link-local address, else 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddr,
    /// Index of a device (RFC 4007 §6).
    pub scope: u32,
    /// 0 where there is none.
    pub port: u16,
}

const IKE_PORT: u16 = 500;
const NATT_PORT: u16 = 4500;

impl Endpoint {
    /// A peer that IKE found on port 500 has ESP on 4500 (RFC 7296 §2.23); else it is as it is.
    #[must_use]
    pub fn natt(self) -> Self {
        let port = if self.port == IKE_PORT {
            NATT_PORT
        } else {
            self.port
        };
        Self { port, ..self }
    }
}

/// Where packets go from here: our own address and the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// Ours.
    pub local: Endpoint,
    /// The peer's.
    pub remote: Endpoint,
    /// It names one TCP connection.
    pub in_tcp: bool,
}

/// How an SA sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where to.
    pub path: Path,
    /// In what.
    pub encapsulation: Encapsulation,
    /// As in `ChildSa`.
    pub keepalive: bool,
    /// As in `ChildSa`.
    pub follow: bool,
}

/// Both directions of one tunnel between us and a peer.
///
/// The inbound SPI is ours and names the pair. Each key is the KEYMAT of one direction. What the
/// fields mean in full is said in `src/hushwire/sa/association.py`.
pub struct ChildSa {
    /// SAs of one peer have the same.
    pub peer: String,
    /// Ours.
    pub inbound_spi: u32,
    /// The peer's.
    pub outbound_spi: u32,
    /// The cipher of both directions.
    pub suite: Suite,
    /// Extended sequence numbers.
    pub esn: bool,
    /// Forgotten when the SA is made.
    pub inbound_key: Zeroizing<Vec<u8>>,
    /// Forgotten when the SA is made.
    pub outbound_key: Zeroizing<Vec<u8>>,
    /// What is on this side.
    pub local_selectors: Vec<Selector>,
    /// What is on the other.
    pub remote_selectors: Vec<Selector>,
    /// At first.
    pub encapsulation: Encapsulation,
    /// At first.
    pub path: Path,
    /// We are behind a NAT (RFC 3948 §4).
    pub keepalive: bool,
    /// The peer is behind a NAT, and we are not (RFC 7296 §2.23).
    pub follow: bool,
    /// In packets.
    pub replay_window: u32,
    /// An older SA sends until this one has received (RFC 7296 §2.8).
    pub await_proof: bool,
    /// Tunnel or transport.
    pub mode: Mode,
    /// A NAT changes the addresses under the checksums inside (RFC 3948 §3.1.2).
    pub rewritten: bool,
    /// The inner DSCP is shown outside (RFC 4301 §5.1.2).
    pub copy_dscp: bool,
}
