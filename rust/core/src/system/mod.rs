//! System calls. `unsafe` is here alone, one call to a function; all parsing around it is safe.

pub mod clock;
pub mod control;
pub mod datagram;
pub mod fd;
pub mod many;
pub mod poll;
pub mod tun;
