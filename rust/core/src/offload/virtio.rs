//! The header in front of each packet of a TUN device with offloads (struct virtio_net_hdr).

use crate::wire::octets::{array, octet, put};

/// Of the header.
pub const HEADER_OCTETS: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const ECN: u8 = 0x80; // beside the kind

/// What a packet is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One packet.
    Single,
    /// TCP segments over IPv4.
    Tcp4,
    /// TCP segments over IPv6.
    Tcp6,
    /// UDP datagrams, over either (Linux 6.2).
    Udp,
}

/// What the header says, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// One packet or many.
    pub kind: Kind,
    /// Of payload in each packet but the last.
    pub segment: usize,
    /// From where on, and where in it, a checksum is still to be made.
    pub checksum: Option<(usize, usize)>,
    /// The checksum has been looked at.
    pub valid: bool,
}

/// One packet that needs nothing.
pub const SINGLE: Header = Header {
    kind: Kind::Single,
    segment: 0,
    checksum: None,
    valid: false,
};

impl Header {
    /// None for a kind that was not asked for, or fewer octets.
    #[must_use]
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let u16_at = |at| array(octets, at).map(|it| usize::from(u16::from_ne_bytes(it)));
        let flags = octet(octets, 0)?;
        let kind = match octet(octets, 1)? & !ECN {
            0 => Kind::Single,
            1 => Kind::Tcp4,
            4 => Kind::Tcp6,
            5 => Kind::Udp,
            _ => return None,
        };
        let place = (u16_at(6)?, u16_at(8)?);
        let checksum = (flags & NEEDS_CHECKSUM != 0).then_some(place);
        Some(Self {
            kind,
            segment: u16_at(4)?,
            checksum,
            valid: flags & DATA_VALID != 0,
        })
    }

    /// As octets; `headers` is how many octets of headers each packet has.
    #[must_use]
    pub fn build(&self, headers: usize) -> [u8; HEADER_OCTETS] {
        let mut octets = [0; HEADER_OCTETS];
        let (start, offset) = self.checksum.unwrap_or_default();
        octets[0] = match (self.checksum, self.valid) {
            (Some(_), _) => NEEDS_CHECKSUM,
            (None, true) => DATA_VALID,
            (None, false) => 0,
        };
        octets[1] = match self.kind {
            Kind::Single => 0,
            Kind::Tcp4 => 1,
            Kind::Tcp6 => 4,
            Kind::Udp => 5,
        };
        for (at, value) in [(2, headers), (4, self.segment), (6, start), (8, offset)] {
            // No packet is larger than 65535, so none of these is.
            put(&mut octets, at, &(value as u16).to_ne_bytes());
        }
        octets
    }
}
