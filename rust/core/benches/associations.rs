//! What 10,000 SAs cost beside one: CPU time of a packet at both ends, and memory.
//!
//! `cargo bench --bench associations`. Packets of 64 octets go from engine to engine over loopback;
//! the time is that of the two packet threads, system calls included. Bursts of one flow share
//! system calls; packets "alone" do not, because their marks differ from one to the next, and those
//! that use one SA after the other cannot. Rounds take turns, and the median is shown.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::time::Instant;

use hushwire_core::crypto::Suite;
use pair::{Host, address, hosts, packet};

#[path = "../tests/pair/mod.rs"]
mod pair;

const MANY: u32 = 10_000;
const BURST: u32 = 64;
const BURSTS: u32 = 300;
const ROUNDS: usize = 25;
const REPLAY_WINDOW: u32 = 1024;

struct World {
    alice: Host,
    bob: Host,
    names: [String; 2],
    sas: u32,
}

impl World {
    fn new(name: &str, sas: u32) -> Self {
        let names = ["a", "b"].map(|end| format!("{name} {end}"));
        let (alice, bob) = hosts([&names[0], &names[1]]);
        Self {
            alice,
            bob,
            names,
            sas,
        }
    }

    /// Octets that each SA takes, and microseconds for each of the first and of the last tenth.
    fn install(&self, window: u32) -> [f64; 3] {
        let before = resident_octets();
        let mut took = Vec::new();
        for number in 0..self.sas {
            let sa = self.alice.sa(number, Suite::Aes256Gcm, [1, 2], window);
            let began = Instant::now();
            self.alice.engine.install(sa).unwrap().unwrap();
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
        let octets = (resident_octets() - before) / f64::from(self.sas);
        for number in 0..self.sas {
            let sa = self.bob.sa(number, Suite::Aes256Gcm, [2, 1], window);
            self.bob.engine.install(sa).unwrap().unwrap();
        }
        let tenth = took.len().div_ceil(10);
        let last = took.len() - tenth;
        [
            octets,
            median(&mut took[..tenth].to_vec()),
            median(&mut took[last..]),
        ]
    }

    /// Microseconds for each of the first and of the last tenth.
    fn remove(&self) -> [f64; 2] {
        let mut took = Vec::new();
        for number in 0..self.sas {
            let began = Instant::now();
            let spi = 0x1000_0000 + number;
            self.alice.engine.remove(spi).unwrap().unwrap();
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
        let tenth = took.len() / 10;
        let last = took.len() - tenth;
        [
            median(&mut took[..tenth].to_vec()),
            median(&mut took[last..]),
        ]
    }

    /// Nanoseconds of CPU for each packet: sealing, opening.
    fn packets(&self, round_robin: bool, alone: bool) -> [f64; 2] {
        let cpu = || [0, 1].map(|end: usize| Host::cpu(&self.names[end]));
        let before = cpu();
        let mut buffer = [0; 2048];
        let mut number = self.sas / 2;
        for _ in 0..BURSTS {
            for step in 0..BURST {
                if round_robin {
                    number = (number + 7919) % self.sas;
                }
                // Each end finds its SA by this address.
                let mut one = packet(address(number), address(number), &[7; 36]);
                if alone {
                    one[1] = (step % 2) as u8; // ECN
                }
                rustix::io::write(&self.alice.application, &one).unwrap();
            }
            for _ in 0..BURST {
                let octets = rustix::io::read(&self.bob.application, &mut buffer).unwrap();
                assert_eq!(octets, 64);
            }
        }
        let after = cpu();
        [0, 1].map(|end| (after[end] - before[end]) as f64 / f64::from(BURST * BURSTS))
    }
}

fn resident_octets() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    if !std::env::args().any(|it| it == "--bench") {
        return; // `cargo test --all-targets` only wants it compiled
    }
    let mut all = Vec::new(); // what one frees the next would take
    for window in [8192, REPLAY_WINDOW] {
        let world = World::new("size", MANY / 10);
        let [octets, ..] = world.install(window);
        println!("memory    {octets:.0} octets for each SA with a window of {window} packets");
        all.push(world);
    }
    let one = World::new("one", 1);
    one.install(REPLAY_WINDOW);
    let many = World::new("many", MANY);
    let [octets, first, last] = many.install(REPLAY_WINDOW);
    println!("memory    {octets:.0} octets for each of {MANY}");
    println!("install   {first:.1} µs each at first, {last:.1} µs in the end");

    let runs: [(&str, &World, bool, bool); 4] = [
        ("one SA", &one, false, false),
        ("one of 10,000", &many, false, false),
        ("one SA, alone", &one, false, true),
        ("all 10,000", &many, true, true),
    ];
    let mut costs: [[Vec<f64>; 2]; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (row, (_, world, round_robin, alone)) in costs.iter_mut().zip(runs) {
            let [seal, open] = world.packets(round_robin, alone);
            row[0].push(seal);
            row[1].push(open);
        }
    }
    println!("{:14} {:>14} {:>14}", "ns of CPU", "seal", "open");
    for (index, (name, ..)) in runs.iter().enumerate() {
        print!("{name:14}");
        for end in [0, 1] {
            let base = costs[index & !1][end].clone();
            let mine = costs[index][end].clone();
            let mut ratios: Vec<f64> = mine.iter().zip(&base).map(|(a, b)| a / b).collect();
            let cost = median(&mut mine.clone());
            print!(" {cost:>6.0}  x{:<5.2}", median(&mut ratios));
        }
        println!();
    }
    let [first, last] = many.remove();
    println!("remove    {first:.1} µs each at first, {last:.1} µs in the end");
}
