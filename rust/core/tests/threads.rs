//! One SA under load in both directions, with jobs in between: no number twice, nothing lost.
//!
//! Nothing of an SA is shared between threads: `Outbound::seal` and `Inbound::open` take `&mut`,
//! neither can be copied, and whoever has one has it alone. The compiler sees to that; here real
//! threads run. A sequence number given twice would be a packet dropped as a replay, and a replay
//! window that two threads changed would drop one, or let one through twice.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::scope;

use hushwire_core::crypto::Suite;
use hushwire_core::esp::open::Inbound;
use hushwire_core::esp::seal::Outbound;
use pair::{Host, address, hosts, packet};

mod pair;

const PACKETS: u32 = 40_000;
const UNDERWAY: u32 = 100;

/// Send all, never more underway than sockets hold.
fn speak(application: impl AsFd, arrived: &AtomicU32) {
    for number in 0..PACKETS {
        while number - arrived.load(Ordering::Acquire) >= UNDERWAY {
            std::thread::yield_now();
        }
        let one = packet(address(0), address(0), &number.to_be_bytes());
        rustix::io::write(&application, &one).unwrap();
    }
}

/// Every packet, once, in order.
fn listen(application: impl AsFd, arrived: &AtomicU32) {
    let mut buffer = [0; 2048];
    for number in 0..PACKETS {
        assert_eq!(rustix::io::read(&application, &mut buffer).unwrap(), 32);
        assert_eq!(buffer[28..32], number.to_be_bytes());
        arrived.store(number + 1, Ordering::Release);
    }
}

fn drops(host: &Host) -> u64 {
    let counters = host.engine.counters().unwrap();
    counters.drops.iter().map(|(_, packets)| packets).sum()
}

#[test]
fn both_directions_at_once_lose_nothing_and_use_no_number_twice() {
    let (alice, bob) = hosts(["alice", "bob"]);
    for (host, keys) in [(&alice, [1, 2]), (&bob, [2, 1])] {
        let sa = host.sa(0, Suite::Aes256Gcm, keys, 64);
        host.engine.install(sa).unwrap().unwrap();
    }
    let arrived = [AtomicU32::new(0), AtomicU32::new(0)];
    let done = AtomicBool::new(false);
    scope(|scope| {
        // Others come and go meanwhile, and somebody asks.
        let jobs = scope.spawn(|| {
            let mut rounds = 0u32;
            while !done.load(Ordering::Relaxed) {
                rounds += 1;
                for host in [&alice, &bob] {
                    let other = 1 + rounds % 100;
                    let sa = host.sa(other, Suite::Aes256Gcm, [3, 4], 64);
                    host.engine.install(sa).unwrap().unwrap();
                    host.engine.counters().unwrap();
                    host.engine.remove(0x1000_0000 + other).unwrap().unwrap();
                }
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
            rounds
        });
        let ends = [
            scope.spawn(|| speak(&alice.application, &arrived[0])),
            scope.spawn(|| listen(&bob.application, &arrived[0])),
            scope.spawn(|| speak(&bob.application, &arrived[1])),
            scope.spawn(|| listen(&alice.application, &arrived[1])),
        ];
        for end in ends {
            end.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(jobs.join().unwrap() > 0);
    });
    for host in [&alice, &bob] {
        let counters = host.engine.counters().unwrap();
        let (_, sa) = counters.sas[0];
        assert_eq!([sa.packets_out, sa.packets_in], [PACKETS.into(); 2]);
        assert_eq!(drops(host), 0);
    }
}

/// Compiles only while neither half of an SA can be copied: whoever has one is the only one.
#[test]
fn no_half_of_an_sa_can_be_had_twice() {
    trait Twice<Marker> {
        fn is_clone() {}
    }
    impl<T> Twice<()> for T {}
    struct Copied;
    impl<T: Clone> Twice<Copied> for T {}
    // Ambiguous, and so an error, for a type that is Clone.
    <Outbound as Twice<_>>::is_clone();
    <Inbound as Twice<_>>::is_clone();
}
