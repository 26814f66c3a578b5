//! What a security association is, without packets and without sockets.

pub mod child;
pub mod networks;
pub mod replay;
pub mod selectors;
pub mod sequence;
