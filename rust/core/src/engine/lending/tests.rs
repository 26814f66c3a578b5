use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::super::events::Events;
use super::super::interface::{Interface, Sockets};
use super::*;
use crate::esp::drops::Cause;
use crate::system::fd::Lent;

/// The half that reads `tun`, whatever that is.
fn outward(tun: &impl AsRawFd) -> Box<Outward> {
    let interface = Interface {
        tun: Lent::new(tun.as_raw_fd()).unwrap(),
        sockets: Sockets::default(),
        keepalive_seconds: 20.0,
    };
    let (events, poll) = (Events::new().unwrap(), Poll::new().unwrap());
    let outward = Outward::new(interface, false, Arc::new(events), Arc::new(poll));
    Box::new(outward)
}

/// A TUN device as far as a reader can see, and its other end.
fn device() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None).unwrap()
}

fn ready(waker: &Waker) -> bool {
    let poll = Poll::new().unwrap();
    poll.add(waker.as_fd(), 7).unwrap();
    let mut tokens = Vec::new();
    poll.wait(Duration::from_secs(30), &mut tokens).unwrap();
    tokens == [7]
}

#[test]
fn what_is_lent_works_there_and_comes_back_with_all_that_it_counted() {
    let (near, far) = device();
    let back = Arc::new(Waker::new().unwrap());
    let helper = Helper::new(Arc::clone(&back)).unwrap();
    let table: Arc<Table> = Arc::default();
    for _ in 0..5 {
        rustix::io::write(&far, b"no IP packet").unwrap();
    }
    assert!(helper.lend(outward(&near), Arc::clone(&table)).is_ok());
    // Nothing more comes, so it comes back by itself.
    assert!(ready(&back));
    back.clear();
    let (returned, done) = helper.returned().unwrap().unwrap();
    assert!(done.is_ok());
    let counted = |it: &Outward| it.drops.iter().find(|(cause, _)| *cause == Cause::NotIp);
    assert_eq!(counted(&returned), Some((Cause::NotIp, 5)));
    assert!(helper.returned().unwrap().is_none());
    assert_eq!(Arc::strong_count(&table), 1);
    // And again, until it is asked for.
    assert!(helper.lend(returned, Arc::clone(&table)).is_ok());
    rustix::io::write(&far, b"no IP packet").unwrap();
    let (mut returned, done) = helper.recall().unwrap();
    assert!(done.is_ok());
    assert_eq!(Arc::strong_count(&table), 1);
    returned.read_tun(&table, monotonic()).unwrap();
    assert_eq!(counted(&returned), Some((Cause::NotIp, 6)));
}

#[test]
fn a_device_that_fails_comes_back_with_the_reason() {
    let helper = Helper::new(Arc::new(Waker::new().unwrap())).unwrap();
    let directory = std::fs::File::open("/").unwrap(); // which nobody can wait for
    assert!(helper.lend(outward(&directory), Arc::default()).is_ok());
    let (_outward, done) = helper.recall().unwrap();
    assert!(done.is_err());
}
