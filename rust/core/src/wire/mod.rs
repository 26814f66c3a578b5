//! Octets and what they mean. Nothing here decides anything, or knows of sockets.

pub mod checksum;
pub mod esp;
pub mod fragments;
pub mod front;
pub mod icmp;
pub mod ip;
pub mod natt;
pub mod octets;
pub mod protocol;
pub mod tcpencap;
