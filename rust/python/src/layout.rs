//! What `bpf/classroom/shared.h` says, once more. Each side asserts the sizes, so that neither can
//! change alone. Host byte order unless said otherwise.

pub const LABEL_OCTETS: usize = 16;
pub const CONFIG_OCTETS: usize = LABEL_OCTETS + 2;
pub const COUNT_OCTETS: usize = 16;
pub const PEER_OCTETS: usize = 32;
pub const PAIR_OCTETS: usize = 32;
pub const EVENT_OCTETS: usize = 64;

// struct __sk_buff: the kernel's, and for all time.
pub const CONTEXT_OCTETS: usize = 192;
pub const CONTEXT_MARK: usize = 8;
pub const CONTEXT_GSO_SIZE: usize = 176;

pub const DIRECTIONS: [&str; 2] = ["egress", "ingress"];

/// In the order of `enum outcome`.
pub const OUTCOMES: [&str; 11] = [
    "xored",
    "held",
    "lost",
    "unreadable",
    "malformed",
    "group",
    "failed",
    "full",
    "offer",
    "answer",
    "refused",
];

/// Two addresses, IPv4 as ::ffff:a.b.c.d.
#[derive(Clone, Copy)]
pub struct Pair {
    pub local: [u8; 16],
    pub remote: [u8; 16],
}

impl Pair {
    pub fn read(from: &mut Octets<'_>) -> Option<Self> {
        Some(Self {
            local: from.take()?,
            remote: from.take()?,
        })
    }

    pub fn octets(self) -> [u8; PAIR_OCTETS] {
        let mut all = [0; PAIR_OCTETS];
        let (local, remote) = all.split_at_mut(self.local.len());
        local.copy_from_slice(&self.local);
        remote.copy_from_slice(&self.remote);
        all
    }
}

/// One peer's state, without the lock and without our private value.
pub struct Peer {
    pub epoch: u32,
    pub their_epoch: u32,
    pub public_value: u8,
    pub their_public: u8,
    pub secret: u8,
}

impl Peer {
    pub fn read(value: &[u8]) -> Option<Self> {
        let mut from = Octets(value);
        from.take::<4>()?; // struct bpf_spin_lock
        let epoch = from.u32()?;
        let their_epoch = from.u32()?;
        let [_private, public_value, their_public, secret] = from.take()?;
        from.take::<16>()?; // told_at, handed_over, reserved
        from.is_empty().then_some(Self {
            epoch,
            their_epoch,
            public_value,
            their_public,
            secret,
        })
    }
}

/// Messages and payload octets that had one outcome.
pub struct Count {
    pub messages: u64,
    pub octets: u64,
}

impl Count {
    pub fn read(value: &[u8]) -> Option<Self> {
        let mut from = Octets(value);
        let messages = u64::from_ne_bytes(from.take()?);
        let octets = u64::from_ne_bytes(from.take()?);
        from.is_empty().then_some(Self { messages, octets })
    }
}

/// A record of the ring buffer.
pub struct Event {
    pub kind: u32,
    pub pair: Pair,
    pub gso_size: u32,
    pub vlan_tci: u16,
    /// In host byte order.
    pub vlan_proto: u16,
    pub public_value: u8,
    pub their_public: u8,
    pub secret: u8,
    pub flag: u8,
    pub network: u16,
    pub transport: u16,
    pub source_port: u16,
    pub destination_port: u16,
    pub part: u8,
    pub frame: Vec<u8>,
}

impl Event {
    pub fn read(record: &[u8]) -> Option<Self> {
        let mut from = Octets(record);
        let kind = from.u32()?;
        let length = from.u32()?;
        let pair = Pair::read(&mut from)?;
        let gso_size = from.u32()?;
        let vlan_tci = u16::from_ne_bytes(from.take()?);
        let vlan_proto = u16::from_be_bytes(from.take()?);
        let [public_value, their_public, secret, flag] = from.take()?;
        let network = u16::from_ne_bytes(from.take()?);
        let transport = u16::from_ne_bytes(from.take()?);
        let source_port = u16::from_ne_bytes(from.take()?);
        let destination_port = u16::from_ne_bytes(from.take()?);
        let [part, _, _, _] = from.take()?;
        debug_assert_eq!(record.len() - from.0.len(), EVENT_OCTETS);
        let frame = from.0.get(..usize::try_from(length).ok()?)?.to_vec();
        Some(Self {
            kind,
            pair,
            gso_size,
            vlan_tci,
            vlan_proto,
            public_value,
            their_public,
            secret,
            flag,
            network,
            transport,
            source_port,
            destination_port,
            part,
            frame,
        })
    }
}

/// What `struct config` in `.rodata` is to hold. `None` when the label is longer than it has room.
pub fn config(label: &str, port: u16) -> Option<[u8; CONFIG_OCTETS]> {
    let mut all = [0; CONFIG_OCTETS];
    let (text, number) = all.split_at_mut(LABEL_OCTETS);
    // One octet of zero has to stay behind it.
    text.get_mut(..LABEL_OCTETS - 1)?
        .get_mut(..label.len())?
        .copy_from_slice(label.as_bytes());
    number.copy_from_slice(&port.to_ne_bytes());
    Some(all)
}

/// Reads forward, never past the end.
pub struct Octets<'a>(pub &'a [u8]);

impl Octets<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.take()?))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
