//! The core against the Python reference: what it seals, opens and refuses, octet by octet.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use hushwire_core::crypto::{SUITES, Suite};
use hushwire_core::esp::drops::Cause;
use hushwire_core::esp::open::Inbound;
use hushwire_core::esp::seal::Outbound;
use hushwire_core::wire::protocol::IPV4;

struct Sa {
    suite: Suite,
    esn: bool,
    key: Vec<u8>,
    spi: u32,
    /// Sequence number, inner packet, sealed packet.
    packets: Vec<(u64, Vec<u8>, Vec<u8>)>,
    /// For each bit of the first packet, why it is refused with that bit changed.
    flipped: Vec<String>,
}

fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn vectors() -> Vec<Sa> {
    let mut all: Vec<Sa> = Vec::new();
    for line in include_str!("../../../tests/vectors/esp.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "sa" {
            all.push(Sa {
                suite: Suite::named(words[1]).unwrap(),
                esn: words[2] == "1",
                key: octets(words[3]),
                spi: 0,
                packets: Vec::new(),
                flipped: Vec::new(),
            });
            continue;
        }
        let sa = all.last_mut().unwrap();
        if words[0] == "packet" {
            let sealed = octets(words[3]);
            sa.spi = u32::from_be_bytes(sealed[..4].try_into().unwrap());
            sa.packets
                .push((words[1].parse().unwrap(), octets(words[2]), sealed));
        } else {
            for run in &words[1..] {
                let (cause, bits) = run.split_once('*').unwrap();
                sa.flipped
                    .extend(vec![cause.to_owned(); bits.parse().unwrap()]);
            }
        }
    }
    assert_eq!(all.len(), 2 * SUITES.len());
    all
}

fn inbound(sa: &Sa) -> Inbound {
    Inbound::new(sa.spi, sa.suite, sa.esn, &sa.key, 1024).unwrap()
}

fn seal(sa: &Sa, sequence: u64, inner: &[u8]) -> Vec<u8> {
    let mut outbound = Outbound::new(sa.spi, sa.suite, sa.esn, &sa.key, sequence - 1).unwrap();
    let mut packet = vec![0; outbound.sealed_octets(inner.len())];
    let at = outbound.payload_at();
    packet[at..at + inner.len()].copy_from_slice(inner);
    outbound.seal(&mut packet, inner.len(), IPV4).unwrap();
    packet
}

#[test]
fn what_the_reference_sealed_is_opened_once() {
    for sa in vectors() {
        let mut receiver = inbound(&sa);
        for (sequence, inner, sealed) in &sa.packets {
            let mut packet = sealed.clone();
            let (payload, next_header) = receiver.open(&mut packet).unwrap();
            assert_eq!((&*payload, next_header), (&inner[..], IPV4), "{sequence}");
            assert_eq!(receiver.open(&mut sealed.clone()), Err(Cause::Replay));
        }
    }
}

#[test]
fn it_seals_the_same_octets_or_where_the_iv_is_random_what_it_opens_itself() {
    for sa in vectors() {
        let mut receiver = inbound(&sa);
        for (sequence, inner, sealed) in &sa.packets {
            let mut packet = seal(&sa, *sequence, inner);
            if matches!(sa.suite, Suite::Aes256Cbc(_) | Suite::Aes128Cbc(_)) {
                assert_eq!(packet.len(), sealed.len());
                assert_ne!(packet[8..24], sealed[8..24], "the IV is not a random one");
            } else {
                assert_eq!(packet, *sealed);
            }
            assert_eq!(*receiver.open(&mut packet).unwrap().0, inner[..]);
        }
    }
}

#[test]
fn every_bit_that_is_changed_is_refused_for_the_same_reason() {
    for sa in vectors() {
        let (_, _, first) = &sa.packets[0];
        assert_eq!(sa.flipped.len(), first.len() * 8);
        let mut receiver = inbound(&sa);
        for (bit, cause) in sa.flipped.iter().enumerate() {
            let mut packet = first.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            let refused = receiver.open(&mut packet).map(|_| ()).unwrap_err();
            assert_eq!(refused.name(), cause, "bit {bit}");
        }
        receiver.open(&mut first.clone()).unwrap(); // and none of them has changed anything
    }
}

#[test]
fn anything_shorter_is_refused() {
    for sa in vectors() {
        let (_, _, first) = &sa.packets[0];
        for octets in 0..first.len() {
            assert!(inbound(&sa).open(&mut first.clone()[..octets]).is_err());
        }
    }
}

#[test]
fn the_last_sequence_number_is_used_and_then_nothing_is_sealed() {
    for sa in vectors() {
        let last = if sa.esn { u64::MAX } else { u32::MAX.into() };
        let mut outbound = Outbound::new(sa.spi, sa.suite, sa.esn, &sa.key, last - 1).unwrap();
        assert!(outbound.near_end());
        let mut packet = vec![0; outbound.sealed_octets(20)];
        assert_eq!(outbound.seal(&mut packet, 20, IPV4), Ok(()));
        assert_eq!(packet[4..8], [0xFF; 4]);
        assert_eq!(
            outbound.seal(&mut packet, 20, IPV4),
            Err(Cause::SequenceExhausted)
        );
    }
}
