use super::super::segment::{Segments, finish_checksum};
use super::*;
use crate::crypto::SUITES;
use crate::esp::open::{self, Inbound};
use crate::esp::seal::Outbound;
use crate::wire::protocol::{IPV4, IPV6, UDP};
use proptest::prelude::*;

/// What a TCP header may bring: nothing, timestamps (one that stands still and one that goes on),
/// selective acknowledgements.
fn options(kind: u8, step: u8) -> Vec<u8> {
    match kind {
        0 => Vec::new(),
        1 => vec![1, 1, 8, 10, 1, 2, 3, step, 5, 6, 7, 8],
        2 => vec![1, 1, 5, 10, 0, 0, 0, 9, 0, 0, 1, 9],
        _ => vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
    }
}

/// An inner packet; `sequence` is TCP's number, or chooses nothing.
fn packet(
    (flow, udp, v6): (u8, bool, bool),
    id: u16,
    sequence: u32,
    flags: u8,
    ecn: u8,
    options: &[u8],
    size: usize,
) -> Vec<u8> {
    let protocol = if udp { UDP } else { TCP };
    let upper = if udp { 8 } else { 20 + options.len() };
    let mut out = if v6 {
        let mut ip = vec![0x60, ecn << 4, 0, 7, 0, 0, protocol, 64];
        ip.extend_from_slice(&[0xFD; 16]);
        ip.extend_from_slice(&[0xFE; 16]);
        ip
    } else {
        let mut ip = vec![
            0x45, ecn, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 1, 1, 10, 0, 1, 2,
        ];
        ip[4..6].copy_from_slice(&id.to_be_bytes());
        ip
    };
    let header = out.len();
    out.extend_from_slice(&[0x1F, flow, 0x1F, 0x90]);
    if udp {
        out.extend_from_slice(&((8 + size) as u16).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
    } else {
        out.extend_from_slice(&sequence.to_be_bytes());
        let offset = (upper << 2) as u8;
        out.extend_from_slice(&[0, 0, 0, 9, offset, flags, 0x20, 0, 0, 0, 0, 0]);
        out.extend_from_slice(options);
    }
    let start = out.len();
    out.extend((0..size).map(|at| (at as u32 ^ sequence) as u8));
    assert_eq!(start, header + upper);
    complete(&mut out, header, if v6 { 6 } else { 9 }, protocol).unwrap();
    let sum = pseudo_header(&out, protocol, out.len() - header)
        .unwrap()
        .with(&out[header..]);
    let at = header + place(protocol).unwrap();
    let sum = sum.finish();
    out[at..at + 2].copy_from_slice(if sum == [0, 0] { &[0xFF, 0xFF] } else { &sum });
    out
}

/// What a kernel makes of a delivery: the packets that it stands for.
fn apart(octets: &[u8]) -> Vec<Vec<u8>> {
    let header = Header::parse(octets).unwrap();
    let mut packet = octets[HEADER_OCTETS..].to_vec();
    if header.kind == Kind::Single {
        assert_eq!(header.checksum, None);
        return vec![packet];
    }
    // The sum that was left to the kernel must be right for the whole, too.
    let (start, offset) = header.checksum.unwrap();
    let segments = Segments::new(&packet, &header).unwrap();
    let mut all = Vec::new();
    for index in 0..segments.count() {
        let mut out = vec![0; segments.octets(index)];
        segments.write(index, &mut out).unwrap();
        all.push(out);
    }
    finish_checksum(&mut packet, start, offset).unwrap();
    let protocol = Layers::of(&packet).unwrap().protocol;
    let body = &packet[start..];
    assert_eq!(
        pseudo_header(&packet, protocol, body.len())
            .unwrap()
            .with(body)
            .finish(),
        [0, 0]
    );
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// What leaves at the far end is what entered, byte for byte and in order within a flow.
    #[test]
    fn what_is_put_together_comes_apart_again(
        steps in prop::collection::vec(
            (0u8..10, any::<bool>(), any::<bool>(), prop::sample::select(vec![1usize, 700, 1360, 1360, 1360]),
             prop::sample::select(vec![0x10u8, 0x10, 0x10, 0x18, 0x11, 0x50]), 0u8..40, 0u8..30,
             prop::sample::select(vec![3u8, 3, 3, 3, 0, 1, 2])),
            1..200,
        ),
        take_udp: bool,
    ) {
        let mut coalescer = Coalescer { udp: take_udp, ..Coalescer::default() };
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        let mut state = std::collections::HashMap::new();
        let mut packets = 0;
        let mut deliver = |delivery: Delivery<'_>| {
            let all = apart(delivery.octets);
            packets += delivery.packets;
            assert_eq!(all.len() as u64, delivery.packets);
            assert_eq!(all.iter().map(Vec::len).sum::<usize>() as u64, delivery.inner);
            got.extend(all);
        };
        for (step, (flow, udp, v6, size, flags, spoil, ecn, kind)) in steps.into_iter().enumerate() {
            let (id, sequence) = state.entry((flow, udp, v6)).or_insert((u16::MAX - 3, u32::MAX - 3000));
            let options = options(kind, step as u8);
            let mut one = packet((flow, udp, v6), *id, *sequence, flags, if ecn < 4 { ecn } else { 2 }, &options, size);
            *id = id.wrapping_add(1);
            *sequence = sequence.wrapping_add(size as u32);
            if spoil == 0 {
                let last = one.len() - 1;
                one[last] ^= 1; // a wrong checksum passes as it is
            } else if spoil == 1 {
                *sequence = sequence.wrapping_add(5); // a gap
            }
            sent.push(one.clone());
            coalescer.add(&one, 0, &mut deliver);
        }
        coalescer.flush(&mut deliver);
        prop_assert_eq!(packets as usize, sent.len());
        let key = |packet: &[u8]| {
            let it = Layers::of(packet).unwrap();
            (it.version, it.protocol, packet[it.upper..it.upper + 4].to_vec())
        };
        for one in &sent {
            let of_flow = |all: &[Vec<u8>]| -> Vec<Vec<u8>> {
                all.iter().filter(|other| key(other) == key(one)).cloned().collect()
            };
            prop_assert_eq!(of_flow(&sent), of_flow(&got));
        }
    }

    /// From TUN to TUN: super-packets of several flows, cut, sealed, opened, put together again.
    #[test]
    fn what_leaves_at_the_far_end_is_what_entered(
        supers in prop::collection::vec(
            (0u8..4, any::<bool>(), any::<bool>(), 1usize..9000, 200usize..1400, 0u8..4,
             prop::sample::select(vec![0x10u8, 0x18, 0x19, 0x90]), 0u8..4),
            1..30,
        ),
        suite in 0..SUITES.len(),
    ) {
        let suite = SUITES[suite].1;
        let key = vec![7; suite.keymat_octets()];
        let mut sender = Outbound::new(9, suite, true, &key, 0).unwrap();
        let mut receiver = Inbound::new(9, suite, true, &key, 64).unwrap();
        let mut coalescer = Coalescer::new(true);
        let (mut entered, mut left) = (Vec::new(), Vec::new());
        let mut deliver = |it: Delivery<'_>| left.extend(apart(it.octets));
        for (index, (flow, udp, v6, size, segment, ecn, flags, kind)) in supers.into_iter().enumerate() {
            let flags = if udp { 0 } else { flags };
            let options = options(kind, index as u8);
            let whole = packet((flow, udp, v6), 7, index as u32 * 9000, flags, ecn, &options, size);
            let header = Header {
                kind: match (udp, v6) { (true, _) => Kind::Udp, (_, true) => Kind::Tcp6, _ => Kind::Tcp4 },
                segment,
                checksum: None,
                valid: false,
            };
            let segments = Segments::new(&whole, &header).unwrap();
            for part in 0..segments.count() {
                let inner = segments.octets(part);
                let mut sealed = vec![0; sender.sealed_octets(inner)];
                let at = sender.payload_at();
                segments.write(part, &mut sealed[at..at + inner]).unwrap();
                entered.push(sealed[at..at + inner].to_vec());
                sender.seal(&mut sealed, inner, if v6 { IPV6 } else { IPV4 }).unwrap();
                let (payload, next_header) = receiver.open(&mut sealed).unwrap();
                let opened = open::inner(payload, next_header).unwrap();
                coalescer.add(opened, 0, &mut deliver);
            }
        }
        coalescer.flush(&mut deliver);
        let by_flow = |mut all: Vec<Vec<u8>>| {
            all.sort_by_key(|it| {
                let layers = Layers::of(it).unwrap();
                (layers.version, layers.protocol, it[layers.upper + 1])
            });
            all
        };
        prop_assert_eq!(by_flow(entered), by_flow(left));
    }

    #[test]
    fn hostile_packets_pass_as_they_are(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 20..120), 20)) {
        let mut coalescer = Coalescer { udp: true, ..Coalescer::default() };
        let mut got = 0;
        for one in &packets {
            coalescer.add(one, 0, &mut |delivery| got += delivery.packets);
        }
        coalescer.flush(&mut |delivery| got += delivery.packets);
        prop_assert_eq!(got as usize, packets.len());
    }
}

#[test]
fn a_stream_becomes_few_writes() {
    let mut coalescer = Coalescer {
        udp: true,
        ..Coalescer::default()
    };
    let mut writes = 0;
    for udp in [false, true] {
        for index in 0..40u32 {
            let one = packet(
                (1, udp, false),
                index as u16,
                index * 1360,
                0x10,
                2,
                &options(3, 0),
                1360,
            );
            coalescer.add(&one, 0, &mut |_| writes += 1);
        }
    }
    coalescer.flush(&mut |_| writes += 1);
    assert_eq!(writes, 2);
}
