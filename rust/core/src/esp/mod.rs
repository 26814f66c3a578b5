//! Seal and open one packet, and all that is done to it on the way (RFC 4303).

pub mod boundary;
pub mod drops;
pub mod ecn;
pub mod mss;
pub mod open;
pub mod reassembly;
pub mod seal;
pub mod trailer;
