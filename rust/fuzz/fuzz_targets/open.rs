//! ESP packets: anything as a packet, and anything inside an authentic one.

#![no_main]

use hushwire_core::crypto::SUITES;
use hushwire_core::esp::boundary::{ErrorSource, Fit};
use hushwire_core::esp::ecn::{decapsulate, outer_traffic_class};
use hushwire_core::esp::mss::clamp;
use hushwire_core::esp::open::{Inbound, inner};
use hushwire_core::esp::reassembly::Reassembly;
use hushwire_core::esp::seal::Outbound;
use hushwire_core::wire::checksum::remake;
use hushwire_core::wire::fragments::{cut, parse};
use hushwire_core::wire::front::{complete, split};
use hushwire_core::wire::ip::{parse_flow, total_length};
use hushwire_core::wire::natt::classify;
use libfuzzer_sys::fuzz_target;

const SPI: u32 = 0x1234_5678;

fuzz_target!(|data: &[u8]| {
    let [how, marks, next_header, data @ ..] = data else {
        return;
    };
    let (_, suite) = SUITES[usize::from(how & 0x0F) % SUITES.len()];
    let esn = how & 0x10 != 0;
    let key = vec![7; suite.keymat_octets()];
    let mut receiver = Inbound::new(SPI, suite, esn, &key, 64).unwrap();

    // Of somebody without the key: never opened, and the window stays as it is.
    let _ = classify(data);
    let mut forged = data.to_vec();
    if how & 0x20 != 0 && forged.len() >= 4 {
        forged[..4].copy_from_slice(&SPI.to_be_bytes());
    }
    assert!(receiver.open(&mut forged).is_err());

    // Of a peer that seals anything.
    let mut sender = Outbound::new(SPI, suite, esn, &key, 0).unwrap();
    let at = sender.payload_at();
    let mut packet = vec![0; sender.sealed_octets(data.len())];
    packet[at..at + data.len()].copy_from_slice(data);
    sender.seal(&mut packet, data.len(), *next_header).unwrap();
    let mut again = packet.clone();
    if let Ok((payload, next_header)) = receiver.open(&mut packet) {
        assert_eq!(payload, data);
        if let Ok(packet) = inner(payload, next_header) {
            assert!(packet.len() <= data.len());
            from_the_tunnel(packet, *marks);
        }
    }
    assert!(receiver.open(&mut again).is_err(), "opened twice");
    from_this_host(data, *next_header);
});

/// What becomes of an authentic inner packet.
fn from_the_tunnel(packet: &mut [u8], marks: u8) {
    let Some(flow) = parse_flow(packet) else {
        return;
    };
    assert_eq!(flow.reversed().reversed(), flow);
    let octets = packet.len();
    if decapsulate(packet, marks).is_ok() {
        clamp(packet, 1400);
    }
    assert_eq!(parse_flow(packet), Some(flow), "its flow has changed");
    assert_eq!(total_length(packet), Some(octets));
}

/// What this host may put into TUN: whole, in fragments, too large.
fn from_this_host(data: &[u8], protocol: u8) {
    if parse_flow(data).is_none() {
        return;
    }
    let _ = outer_traffic_class(data, true);
    let fit = Fit {
        outer: 1500,
        inner: 600,
    };
    if let Some(limit) = fit.refuses(data) {
        assert!(limit < data.len());
        if let Some(error) = ErrorSource::default().too_big(data, limit, 1) {
            assert!(parse_flow(&error).is_some());
        }
    }
    if let Ok(Some(part)) = parse(data) {
        let mut reassembly = Reassembly::default();
        if let Some(whole) = reassembly.add(part, data.len(), 0.0) {
            assert!(whole.packet.len() <= 65_575);
        }
    }
    let _ = cut(data, 600, 9);
    if let Some((own, payload)) = split(data) {
        let (header, at) = (own.octets.len(), own.protocol_at);
        let mut payload = payload.to_vec();
        remake(own.octets, protocol, &mut payload);
        let mut packet = [own.octets, &payload].concat();
        if complete(&mut packet, header, at, protocol).is_some() {
            assert_eq!(total_length(&packet), Some(packet.len()));
        }
    }
}
