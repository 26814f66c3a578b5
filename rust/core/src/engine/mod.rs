//! Packets between one TUN device and the wire, by the SAs installed.

mod delivery;
mod events;
mod halves;
mod handle;
mod interface;
mod inward;
mod jobs;
mod keepalive;
mod lending;
mod origins;
mod outbox;
mod outward;
mod own_header;
mod pump;
mod reading;
mod sealing;
mod streams;
mod table;
mod transport;
mod tunnel;
mod way;

pub use events::Event;
pub use handle::{Engine, Gone};
pub use interface::{Counters, Features, Interface, Sockets};
pub use streams::NewStream;
pub use table::{Refused, Unknown};
pub use tunnel::SaCounters;
