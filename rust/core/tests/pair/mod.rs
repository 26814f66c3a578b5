//! Two engines on this machine's loopback, without root: a socket takes the place of TUN.

#![allow(unsafe_code, dead_code)]

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use hushwire_core::crypto::Suite;
use hushwire_core::engine::{Engine, Interface, Sockets};
use hushwire_core::sa::child::{ChildSa, Encapsulation, Endpoint, Mode, Path};
use hushwire_core::sa::selectors::Selector;
use hushwire_core::system::fd::Lent;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

/// An engine, and the application's end of its TUN device.
pub struct Host {
    pub engine: Engine,
    pub application: OwnedFd,
    pub path: Path,
    _tun: OwnedFd,
    _udp: UdpSocket,
}

/// Alice and Bob, running; their threads have these names.
pub fn hosts(names: [&str; 2]) -> (Host, Host) {
    let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let [alice, bob] = [0, 1].map(|at| endpoint(sockets[at].local_addr().unwrap().port()));
    let [at_alice, at_bob] = sockets;
    (
        host(names[0], at_alice, way(alice, bob)),
        host(names[1], at_bob, way(bob, alice)),
    )
}

fn way(local: Endpoint, remote: Endpoint) -> Path {
    Path {
        local,
        remote,
        in_tcp: false,
    }
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scope: 0,
        port,
    }
}

fn host(name: &str, udp: UdpSocket, path: Path) -> Host {
    udp.set_nonblocking(true).unwrap();
    for option in [libc::IP_PKTINFO, libc::IP_RECVTOS] {
        let on = 1i32;
        // SAFETY: the option takes an int, and that is what is given.
        let done = unsafe {
            let at = (&raw const on).cast();
            libc::setsockopt(udp.as_raw_fd(), libc::IPPROTO_IP, option, at, 4)
        };
        assert_eq!(done, 0);
    }
    let _ = sockopt::set_socket_recv_buffer_size_force(&udp, 8 << 20);
    let (tun, application) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::io::ioctl_fionbio(&tun, true).unwrap();
    for end in [&tun, &application] {
        let _ = sockopt::set_socket_send_buffer_size_force(end, 8 << 20);
    }
    let engine = Engine::new().unwrap();
    let interface = Interface {
        tun: Lent::new(tun.as_raw_fd()).unwrap(),
        sockets: Sockets {
            udp: [Lent::new(udp.as_raw_fd()), None],
            ..Sockets::default()
        },
        keepalive_seconds: 20.0,
    };
    assert!(engine.open(interface, name).unwrap());
    Host {
        engine,
        application,
        path,
        _tun: tun,
        _udp: udp,
    }
}

impl Host {
    /// SA number `number` with a peer that has only the address 10.x.y.z of that number; `key` is
    /// what the first octets of the keys are: ours, the peer's.
    pub fn sa(&self, number: u32, suite: Suite, keys: [u8; 2], window: u32) -> ChildSa {
        let [outbound_key, inbound_key] = keys.map(|first| {
            let mut key = vec![first; suite.keymat_octets()];
            key[1..5].copy_from_slice(&number.to_be_bytes());
            key.into()
        });
        let anything = Selector {
            version: 4,
            start: 0,
            end: u32::MAX.into(),
            protocol: 0,
            ports: (0, 65535),
        };
        let peer = u128::from(address(number));
        ChildSa {
            peer: format!("peer {number}"),
            inbound_spi: 0x1000_0000 + number,
            outbound_spi: 0x1000_0000 + number,
            suite,
            esn: true,
            inbound_key,
            outbound_key,
            local_selectors: vec![anything],
            remote_selectors: vec![Selector {
                start: peer,
                end: peer,
                ..anything
            }],
            encapsulation: Encapsulation::Udp,
            path: self.path,
            keepalive: false,
            replay_window: window,
            await_proof: false,
            mode: Mode::Tunnel,
            rewritten: false,
            copy_dscp: false,
            follow: false,
        }
    }

    /// CPU time of its packet threads so far, in nanoseconds.
    pub fn cpu(name: &str) -> u64 {
        let of = |file: PathBuf| std::fs::read_to_string(file).unwrap_or_default();
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let tasks = tasks.map(|it| it.unwrap().path());
        let own = tasks.filter(|task| of(task.join("comm")).trim() == format!("hushwire {name}"));
        let stat = own.map(|task| of(task.join("schedstat")));
        stat.map(|it| it.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

/// The inner address of a number.
pub fn address(number: u32) -> u32 {
    10 << 24 | number
}

/// A UDP packet from one inner address to another; `payload` behind the headers.
pub fn packet(from: u32, to: u32, payload: &[u8]) -> Vec<u8> {
    let total = (28 + payload.len()) as u16;
    let mut out = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0];
    out[2..4].copy_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&from.to_be_bytes());
    out.extend_from_slice(&to.to_be_bytes());
    out.extend_from_slice(&[0x1F, 0x90, 0x1F, 0x90]);
    out.extend_from_slice(&(total - 20).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(payload);
    out
}
