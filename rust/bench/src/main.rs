//! How long one ESP packet takes to seal: AES-256-GCM and ChaCha20-Poly1305 by several libraries.
//!
//! Each round times all libraries in turn, so that a busy moment of the machine hits them alike; the
//! median of the rounds is shown, in nanoseconds of wall time. Keys are set up once, as in an SA;
//! the nonce changes with every packet; plaintext is sealed in place; 12 octets of AAD, as with ESN.

use std::hint::black_box;
use std::time::Instant;

const SIZES: [usize; 3] = [64, 512, 1400];
const ROUNDS: usize = 41;
const PACKETS: u64 = 4000;
const AAD: [u8; 12] = [7; 12];
const KEY: [u8; 32] = [9; 32];

type Sealer = Box<dyn FnMut(&[u8; 12], &mut [u8]) -> [u8; 16]>;

fn by_aws_lc(algorithm: &'static aws_lc_rs::aead::Algorithm) -> Sealer {
    use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &KEY).expect("key"));
    Box::new(move |nonce, data| {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(AAD), data)
            .expect("seal");
        tag.as_ref().try_into().expect("tag")
    })
}

fn by_ring(algorithm: &'static ring::aead::Algorithm) -> Sealer {
    use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &KEY).expect("key"));
    Box::new(move |nonce, data| {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(AAD), data)
            .expect("seal");
        tag.as_ref().try_into().expect("tag")
    })
}

fn by_graviola() -> Sealer {
    let key = graviola::aead::AesGcm::new(&KEY);
    Box::new(move |nonce, data| {
        let mut tag = [0; 16];
        key.encrypt(nonce, &AAD, data, &mut tag);
        tag
    })
}

fn by_openssl(cipher: &'static openssl::cipher::CipherRef) -> Sealer {
    let mut context = openssl::cipher_ctx::CipherCtx::new().expect("context");
    context
        .encrypt_init(Some(cipher), Some(&KEY), None)
        .expect("key");
    Box::new(move |nonce, data| {
        let mut tag = [0; 16];
        context
            .encrypt_init(None, None, Some(nonce))
            .expect("nonce");
        context.cipher_update(&AAD, None).expect("aad");
        let octets = data.len();
        context.cipher_update_inplace(data, octets).expect("seal");
        context.cipher_final(&mut []).expect("final");
        context.tag(&mut tag).expect("tag");
        tag
    })
}

fn nanoseconds(seal: &mut Sealer, data: &mut [u8], next: &mut u64) -> f64 {
    let began = Instant::now();
    for _ in 0..PACKETS {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&next.to_be_bytes());
        *next += 1;
        black_box(seal(&nonce, black_box(data)));
    }
    began.elapsed().as_nanos() as f64 / PACKETS as f64
}

fn table(title: &str, mut libraries: Vec<(String, Sealer)>) {
    let mut tags = Vec::new();
    for (_, seal) in &mut libraries {
        let mut data = [1; 100];
        tags.push((seal(&[3; 12], &mut data), data));
    }
    assert!(
        tags.iter().all(|one| *one == tags[0]),
        "the libraries disagree"
    );

    println!("| {title} | 64 B | 512 B | 1400 B |\n|---|---|---|---|");
    let mut next = 1;
    let mut times = vec![vec![Vec::new(); SIZES.len()]; libraries.len()];
    for _ in 0..ROUNDS {
        for (library, (_, seal)) in libraries.iter_mut().enumerate() {
            for (column, size) in SIZES.iter().enumerate() {
                let mut data = vec![0; *size];
                times[library][column].push(nanoseconds(seal, &mut data, &mut next));
            }
        }
    }
    for ((name, _), columns) in libraries.iter().zip(&mut times) {
        print!("| {name} |");
        for column in columns {
            column.sort_by(f64::total_cmp);
            print!(" {:.0} |", column[ROUNDS / 2]);
        }
        println!();
    }
    println!();
}

fn main() {
    let openssl = format!("OpenSSL {}", openssl::version::version());
    table(
        "AES-256-GCM, ns",
        vec![
            ("aws-lc-rs".into(), by_aws_lc(&aws_lc_rs::aead::AES_256_GCM)),
            ("ring".into(), by_ring(&ring::aead::AES_256_GCM)),
            ("graviola".into(), by_graviola()),
            (
                openssl.clone(),
                by_openssl(openssl::cipher::Cipher::aes_256_gcm()),
            ),
        ],
    );
    table(
        "ChaCha20-Poly1305, ns",
        vec![
            (
                "aws-lc-rs".into(),
                by_aws_lc(&aws_lc_rs::aead::CHACHA20_POLY1305),
            ),
            ("ring".into(), by_ring(&ring::aead::CHACHA20_POLY1305)),
            (
                openssl,
                by_openssl(openssl::cipher::Cipher::chacha20_poly1305()),
            ),
        ],
    );
}
