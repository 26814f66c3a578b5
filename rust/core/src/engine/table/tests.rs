//! The table against one that looks at every tunnel for everything, as the Python engine does.

use super::*;
use crate::crypto::Suite;
use crate::sa::child::{Encapsulation, Endpoint, Mode, Path};
use crate::sa::selectors::Selector;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

const NET: u128 = 10 << 24;

/// The words of the contract, one after the other.
#[derive(Default)]
struct Plain(Vec<Tunnel>, bool, HashSet<u64>); // nested; serials of those with keepalives

impl Plain {
    /// After every change.
    fn look_for_nested(&mut self) {
        let pairs = self.0.iter().enumerate();
        let mut pairs = pairs.flat_map(|(at, one)| self.0[at..].iter().map(move |it| (one, it)));
        self.1 = pairs.any(|(one, other)| nested(one, other));
    }

    fn nested(&self) -> bool {
        self.1
    }

    fn keep(&mut self, serial: u64, on: bool) {
        if on {
            self.2.insert(serial);
        } else {
            self.2.remove(&serial);
        }
    }

    fn outbound(&self, flow: &Flow) -> Option<&Tunnel> {
        let spans = self.0.iter().filter_map(|it| it.matcher.remote_span(flow));
        let narrowest = self.nested().then(|| spans.min());
        let takes = |it: &&Tunnel| match narrowest {
            None => it.matcher.outbound(flow),
            Some(span) => span.is_some() && it.matcher.remote_span(flow) == span,
        };
        let able: Vec<&Tunnel> = self
            .0
            .iter()
            .filter(takes)
            .filter(|it| !it.retired)
            .collect();
        let newest = able.iter().rev().find(|it| it.proved);
        newest.or(able.first()).copied()
    }

    fn belongs(&self, peer: &str, flow: &Flow) -> bool {
        let owner = self.outbound(&flow.reversed());
        !self.nested() || owner.is_none_or(|it| it.peer == peer)
    }

    fn is_transport(&self, flow: &Flow) -> bool {
        let pair = (flow.version, flow.source, flow.destination);
        let mut hosts = self.0.iter().filter_map(|it| it.hosts.as_ref());
        hosts.any(|it| it.pair == pair)
    }
}

fn endpoint(last: u8) -> Endpoint {
    Endpoint {
        ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
        scope: 0,
        port: 4500,
    }
}

fn any_selector(version: u8) -> impl Strategy<Value = Selector> {
    let ranges = vec![
        (0, u128::from(u32::MAX)),
        (NET, NET + 0xFF_FFFF),
        (NET + 256, NET + 511),
        (NET + 384, NET + 511),
        (NET + 300, NET + 301),
        (NET + 301, NET + 301),
        (NET + 255, NET + 256), // no prefix but a very short one holds both
        (NET + 257, NET + 402),
    ];
    let ports = vec![(0u16, 65535u16), (0, 65535), (443, 443), (65535, 0)];
    let protocol = prop::sample::select(vec![0u8, 0, 0, 6, 17]);
    (
        prop::sample::select(ranges),
        protocol,
        prop::sample::select(ports),
    )
        .prop_map(move |((start, end), protocol, ports)| Selector {
            version,
            start,
            end,
            protocol,
            ports,
        })
}

fn any_install() -> impl Strategy<Value = Step> {
    let version = prop::sample::select(vec![4u8, 4, 6]);
    let selectors = version.prop_flat_map(|version| {
        let remote = prop::collection::vec(any_selector(version), 1..4);
        (remote, any_selector(version), prop::bool::weighted(0.8))
    });
    let names = (256u32..280, 0u8..30, 0u8..4);
    let flags = (any::<bool>(), prop::bool::weighted(0.2), any::<bool>());
    (names, selectors, flags).prop_map(|(names, selectors, flags)| {
        let (inbound_spi, key, peer) = names;
        let (remote_selectors, local, any_local) = selectors;
        let (await_proof, transport, keepalive) = flags;
        let everything = Selector {
            start: 0,
            end: u128::MAX,
            protocol: 0,
            ports: (0, 65535),
            ..local
        };
        Step::Install(Box::new(ChildSa {
            peer: format!("peer {peer}"),
            inbound_spi,
            outbound_spi: 7,
            suite: Suite::ChaCha20Poly1305,
            esn: true,
            inbound_key: vec![1; 36].into(),
            outbound_key: vec![key; 36].into(),
            local_selectors: vec![if any_local { everything } else { local }],
            remote_selectors,
            encapsulation: Encapsulation::Udp,
            path: Path {
                local: endpoint(1),
                remote: endpoint(2),
                in_tcp: false,
            },
            keepalive,
            replay_window: 64,
            await_proof,
            mode: if transport {
                Mode::Transport
            } else {
                Mode::Tunnel
            },
            rewritten: false,
            copy_dscp: false,
            follow: false,
        }))
    })
}

fn any_flow() -> impl Strategy<Value = Flow> {
    let place = || {
        prop::sample::select(vec![0, NET, NET + 255, NET + 256, NET + 300])
            .prop_flat_map(|from| (from..from + 3).prop_union(from..from + 150))
    };
    let port = || prop::sample::select(vec![None, Some(443u16), Some(80)]);
    let protocol = prop::sample::select(vec![6u8, 17, 1]);
    let version = prop::sample::select(vec![4u8, 4, 6]);
    (version, place(), place(), protocol, port(), port()).prop_map(
        |(version, source, destination, protocol, source_port, destination_port)| Flow {
            version,
            source,
            destination,
            protocol,
            source_port,
            destination_port,
        },
    )
}

enum Step {
    Install(Box<ChildSa>),
    Remove(u32),
    Prove(u32),
    Retire(u32),
    Update(u32, bool),
}

// Keys are in no message.
impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Install(it) => write!(
                f,
                "install {:#x} of {}, {:?} <-> {:?}, {:?}, proved {}",
                it.inbound_spi,
                it.peer,
                it.local_selectors,
                it.remote_selectors,
                it.mode,
                !it.await_proof
            ),
            Step::Remove(spi) => write!(f, "remove {spi:#x}"),
            Step::Prove(spi) => write!(f, "prove {spi:#x}"),
            Step::Retire(spi) => write!(f, "retire {spi:#x}"),
            Step::Update(spi, keepalive) => write!(f, "update {spi:#x}, keepalive {keepalive}"),
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any_install(),
        2 => (256u32..280).prop_map(Step::Remove),
        1 => (256u32..280).prop_map(Step::Prove),
        1 => (256u32..280).prop_map(Step::Retire),
        1 => (256u32..280, any::<bool>()).prop_map(|(spi, on)| Step::Update(spi, on)),
    ]
}

/// The same step with both; false where they say different things about it.
fn done(step: &Step, table: &mut Table, plain: &mut Plain) -> bool {
    let at = |plain: &Plain, spi| plain.0.iter().position(|it| it.inbound_spi == spi);
    match step {
        Step::Install(child) => {
            let serial = table.installed;
            let mut hash = [0; 32];
            hash.copy_from_slice(digest(&SHA256, &child.outbound_key).as_ref());
            let expected = if at(plain, child.inbound_spi).is_some() {
                Err(Refused::SpiInUse(child.inbound_spi))
            } else if plain.0.iter().any(|it| it.outbound_key_hash == hash) {
                Err(Refused::KeyInUse)
            } else {
                plain.0.push(Tunnel::new(child, hash, serial));
                plain.keep(serial, child.keepalive);
                Ok(())
            };
            table.install(child).map(drop) == expected
        }
        Step::Remove(spi) => {
            let expected = at(plain, *spi).map(|index| plain.0.remove(index));
            table.remove(*spi).is_ok() == expected.is_some()
        }
        Step::Prove(spi) | Step::Retire(spi) => {
            let change = |it: &mut Tunnel| match step {
                Step::Prove(_) => it.proved = true,
                _ => it.retired = true,
            };
            let mine = at(plain, *spi).map(|index| change(&mut plain.0[index]));
            table.named(*spi).map(change).is_ok() == mine.is_some()
        }
        Step::Update(spi, keepalive) => {
            let way = Way {
                path: Path {
                    local: endpoint(1),
                    remote: endpoint(3),
                    in_tcp: false,
                },
                encapsulation: Encapsulation::Udp,
                keepalive: *keepalive,
                follow: true,
            };
            let mine = at(plain, *spi).map(|index| plain.0[index].serial);
            if let Some(serial) = mine {
                plain.keep(serial, *keepalive);
            }
            let updated = table.update(*spi, way).is_ok();
            let moved = |it: &Tunnel| it.path == way.path && it.follow;
            updated == mine.is_some() && (!updated || table.named(*spi).is_ok_and(|it| moved(it)))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_says_what_a_look_at_every_tunnel_says(
        steps in prop::collection::vec(any_step(), 1..40),
        flows in prop::collection::vec(any_flow(), 20),
    ) {
        let (mut table, mut plain) = (Table::default(), Plain::default());
        for step in &steps {
            prop_assert!(done(step, &mut table, &mut plain), "{step:?}");
            plain.look_for_nested();
            prop_assert_eq!(table.nested > 0, plain.nested());
            prop_assert_eq!(table.entries().count(), plain.0.len());
            let kept: Vec<u64> = table.with_keepalive().iter().map(|at| table.tunnels[*at].serial).collect();
            let expected: Vec<u64> = plain.0.iter().rev().map(|it| it.serial).filter(|it| plain.2.contains(it)).collect();
            prop_assert_eq!(kept, expected);
            for flow in &flows {
                let spi = table.outbound(flow).map(|at| table.tunnels[at].inbound_spi);
                prop_assert_eq!(spi, plain.outbound(flow).map(|it| it.inbound_spi), "{:?}", flow);
                prop_assert_eq!(table.is_transport(flow), plain.is_transport(flow));
                for one in &plain.0 {
                    let index = table.inbound(one.inbound_spi).unwrap();
                    prop_assert_eq!(table.belongs(index, flow), plain.belongs(&one.peer, flow));
                }
            }
        }
        for one in &plain.0 {
            table.remove(one.inbound_spi).unwrap();
        }
        prop_assert!(table.is_empty() && table.hosts.is_empty() && table.outbound_keys.is_empty());
        prop_assert!(table.with_keepalive.is_empty() && table.nested == 0);
    }
}
