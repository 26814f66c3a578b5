use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use super::*;
use crate::sa::child::Endpoint;

/// A socket on loopback that says at which address each datagram came.
fn socket() -> (UdpSocket, Destination) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let on: libc::c_int = 1;
    // SAFETY: the option is an int, and outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            (&raw const on).cast(),
            size_of_val(&on) as u32,
        )
    };
    assert_eq!(done, 0);
    let endpoint = |port| Endpoint {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scope: 0,
        port,
    };
    let to = Destination {
        local: endpoint(0),
        remote: endpoint(socket.local_addr().unwrap().port()),
        traffic_class: 0,
    };
    (socket, to)
}

fn take(arrivals: &mut Arrivals, from: &UdpSocket, most: usize) -> Vec<Vec<u8>> {
    let count = arrivals.receive(from, most).unwrap();
    let get = |index| arrivals.get(index).map(|(_, data, _)| data.to_vec());
    (0..count).map(get).collect::<Result<_>>().unwrap()
}

#[test]
fn many_leave_and_come_in_order_each_with_its_sender() {
    let ((receiver, to), (sender, from)) = (socket(), socket());
    let sizes = [0usize, 1, 1400, 0, 9000, 40];
    let data: Vec<Vec<u8>> = sizes.iter().map(|size| vec![*size as u8; *size]).collect();
    let message = |it: &'_ Vec<u8>| (it.clone(), to);
    let kept: Vec<_> = data.iter().map(message).collect();
    let messages: Vec<Outgoing<'_>> = kept
        .iter()
        .map(|(it, to)| Outgoing::new(it, to, None).unwrap())
        .collect();
    let (sent, error) = send(&sender, &messages);
    assert!(sent == data.len() && error.is_none());
    for many in [true, false] {
        let mut arrivals = Arrivals {
            many,
            ..Arrivals::default()
        };
        let mut got = Vec::new();
        while got.len() < data.len() {
            let part = take(&mut arrivals, &receiver, MOST_AT_ONCE);
            assert_eq!(part.len(), if many { data.len() } else { 1 });
            let (received, _, _) = arrivals.get(0).unwrap();
            assert_eq!(received.sender, from.remote);
            assert_eq!(received.local.ip, to.remote.ip);
            got.extend(part);
        }
        assert_eq!(got, data);
        assert_eq!(arrivals.receive(&receiver, MOST_AT_ONCE).unwrap(), 0);
        assert!(arrivals.get(0).is_err());
        assert_eq!(send(&sender, &messages).0, data.len());
    }
}

#[test]
fn the_first_that_is_refused_says_why_and_how_many_had_left() {
    let ((receiver, to), (sender, _)) = (socket(), socket());
    let large = vec![0; 70_000];
    let small = Outgoing::new(b"small", &to, None);
    let large = Outgoing::new(&large, &to, None);
    let messages = [small, large].map(Option::unwrap);
    let (sent, error) = send(&sender, &messages);
    assert_eq!(sent, 1);
    assert_eq!(error.unwrap().raw_os_error(), Some(libc::EMSGSIZE));
    let mut arrivals = Arrivals::default();
    assert_eq!(take(&mut arrivals, &receiver, 4), [b"small"]);
}
