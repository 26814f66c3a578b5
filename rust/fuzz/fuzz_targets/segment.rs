//! Super-packets as a kernel hands them over, and as none would: cut into what they stand for.

#![no_main]

use hushwire_core::offload::layers::Layers;
use hushwire_core::offload::segment::{Segments, finish_checksum};
use hushwire_core::offload::virtio::{HEADER_OCTETS, Header};
use hushwire_core::wire::checksum::pseudo_header;
use hushwire_core::wire::ip::{parse_flow, total_length};
use libfuzzer_sys::fuzz_target;

const MOST: usize = 100; // packets written of each

fuzz_target!(|data: &[u8]| {
    let Some((header, packet)) = data.split_at_checked(HEADER_OCTETS) else {
        return;
    };
    let Some(header) = Header::parse(header) else {
        return;
    };
    if let Some((start, offset)) = header.checksum {
        let mut packet = packet.to_vec();
        let _ = finish_checksum(&mut packet, start, offset);
    }
    let Some(segments) = Segments::new(packet, &header) else {
        return;
    };
    let layers = Layers::of(packet).unwrap();
    let mut payload = Vec::new();
    for index in 0..segments.count().min(MOST) {
        let mut out = vec![0; segments.octets(index)];
        assert!(out.len() <= packet.len());
        if segments.write(index, &mut out).is_none() {
            return; // more than an IP packet can hold
        }
        payload.extend_from_slice(&out[layers.payload..]);
        assert_eq!(Layers::of(&out), Some(layers));
        if parse_flow(packet).is_some() {
            assert_eq!(parse_flow(&out), parse_flow(packet));
            assert_eq!(total_length(&out), Some(out.len()));
        }
        let body = &out[layers.upper..];
        let sum = pseudo_header(&out, layers.protocol, body.len()).unwrap();
        assert_eq!(sum.with(body).finish(), [0, 0]);
    }
    assert!(packet[layers.payload..].starts_with(&payload));
    let mut small = vec![0; segments.octets(0) - 1];
    assert!(segments.write(0, &mut small).is_none());
    assert!(
        segments
            .write(segments.count(), &mut vec![0; 1 << 16])
            .is_none()
    );
});
