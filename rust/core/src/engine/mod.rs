//! Packets between one TUN device and the wire, by the SAs installed.

mod events;
mod handle;
mod inward;
mod outbox;
mod outward;
mod own_header;
mod pump;
mod streams;
mod table;
mod transport;
mod tunnel;

pub use events::Event;
pub use handle::{Engine, Gone};
pub use pump::{Counters, Interface, Sockets};
pub use streams::NewStream;
pub use table::{Refused, Unknown};
pub use tunnel::SaCounters;
