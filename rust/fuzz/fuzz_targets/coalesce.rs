//! Packets of any kind, put together: each write comes apart again into what went in, in order.

#![no_main]

use hushwire_core::offload::coalesce::{Coalescer, Delivery};
use hushwire_core::offload::layers::Layers;
use hushwire_core::offload::segment::{Segments, finish_checksum};
use hushwire_core::offload::virtio::{HEADER_OCTETS, Header, Kind};
use hushwire_core::wire::checksum::{checksum, place, pseudo_header};
use hushwire_core::wire::ip::total_length;
use hushwire_core::wire::octets::put;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [udp, data @ ..] = data else { return };
    let mut coalescer = Coalescer::new(udp & 1 != 0);
    let mut sent = Vec::new();
    let mut got: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut deliver = |it: Delivery<'_>| {
        let all = apart(it.octets);
        assert_eq!(all.len() as u64, it.packets);
        let octets: usize = all.iter().map(Vec::len).sum();
        assert_eq!(octets as u64, it.inner);
        got.extend(all.into_iter().map(|packet| (it.owner, packet)));
    };
    // Each packet begins with octets that say: how long, whose, what is made right; how much of
    // the packet before it goes on.
    let mut rest = data;
    let mut last: Vec<u8> = Vec::new();
    while let [length, how, data @ ..] = rest {
        let (mine, after) = data.split_at(data.len().min(usize::from(*length)));
        rest = after;
        let mut packet = mine.to_vec();
        if how & 1 != 0 {
            packet = next_of(&last, mine, how >> 2 & 3);
        }
        if how & 2 != 0 {
            repair(&mut packet);
        }
        last.clone_from(&packet);
        if total_length(&packet) != Some(packet.len()) {
            continue; // not well-formed: does not come here
        }
        let owner = usize::from(how >> 6);
        coalescer.add(&packet, owner, &mut deliver);
        sent.push((owner, packet));
    }
    coalescer.flush(&mut deliver);

    assert_eq!(got.len(), sent.len());
    let flows = |all: &[(usize, Vec<u8>)]| {
        let mut all: Vec<_> = all.iter().map(|it| (flow(&it.1), it.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0)); // stable: order within a flow stays
        all
    };
    assert_eq!(flows(&sent), flows(&got));
});

/// The packet before, with its numbers moved on, and with some octets of its own.
fn next_of(last: &[u8], mine: &[u8], how: u8) -> Vec<u8> {
    let mut packet = last.to_vec();
    let Some(layers) = Layers::of(last) else {
        return mine.to_vec();
    };
    if layers.version == 4 {
        let id = u16::from_be_bytes([last[4], last[5]]).wrapping_add(1);
        packet[4..6].copy_from_slice(&id.to_be_bytes());
    }
    if layers.protocol == 6 {
        let at = layers.upper + 4;
        let number = u32::from_be_bytes(last[at..at + 4].try_into().unwrap());
        let passed = (last.len() - layers.payload) as u32;
        packet[at..at + 4].copy_from_slice(&number.wrapping_add(passed).to_be_bytes());
    }
    if how & 1 != 0 && layers.payload < packet.len() {
        packet.truncate(
            packet.len()
                - usize::from(mine.first().copied().unwrap_or(0))
                    .min(packet.len() - layers.payload),
        );
    }
    if how & 2 != 0
        && let [at, value, ..] = mine
        && let Some(octet) = packet.get_mut(usize::from(*at))
    {
        *octet = *value;
    }
    packet
}

/// Right lengths and checksums, as far as the packet has any.
fn repair(packet: &mut [u8]) {
    let length = packet.len();
    match packet.first().map(|it| it >> 4) {
        Some(4) if length >= 20 => {
            packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            let header = usize::from(packet[0] & 15) * 4;
            packet[10..12].copy_from_slice(&[0, 0]);
            if let Some(header) = packet.get(..header) {
                let sum = checksum(header);
                put(packet, 10, &sum);
            }
        }
        Some(6) if length >= 40 => {
            packet[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes());
        }
        _ => return,
    }
    let Some(layers) = Layers::of(packet) else {
        return;
    };
    if layers.protocol != 6 {
        let own = (length - layers.upper) as u16;
        put(packet, layers.upper + 4, &own.to_be_bytes());
    }
    let at = layers.upper + place(layers.protocol).unwrap();
    put(packet, at, &[0, 0]);
    let body = &packet[layers.upper..];
    let sum = pseudo_header(packet, layers.protocol, body.len()).unwrap();
    let sum = sum.with(body).finish();
    put(packet, at, if sum == [0, 0] { &[0xFF, 0xFF] } else { &sum });
}

/// What has to stay in order: version, protocol, addresses, ports. Of others nothing is known.
fn flow(packet: &[u8]) -> Vec<u8> {
    let Some(it) = Layers::of(packet) else {
        return Vec::new();
    };
    let addresses = if it.version == 4 { 12..20 } else { 8..40 };
    let ports = &packet[it.upper..it.upper + 4];
    [&[it.version, it.protocol], &packet[addresses], ports].concat()
}

/// What a kernel makes of a write into TUN.
fn apart(octets: &[u8]) -> Vec<Vec<u8>> {
    let header = Header::parse(octets).unwrap();
    let packet = &octets[HEADER_OCTETS..];
    if header.kind == Kind::Single {
        assert_eq!(header.checksum, None);
        return vec![packet.to_vec()];
    }
    let segments = Segments::new(packet, &header).unwrap();
    let all = (0..segments.count()).map(|index| {
        let mut out = vec![0; segments.octets(index)];
        segments.write(index, &mut out).unwrap();
        out
    });
    let all = all.collect();
    let (start, offset) = header.checksum.unwrap();
    finish_checksum(&mut packet.to_vec(), start, offset).unwrap();
    all
}
