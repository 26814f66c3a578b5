//! Hushwire's packet path: ESP between a TUN device and the wire, without Python.
//!
//! The readable reference of what it does is `src/hushwire/engines/python`; where the two differ,
//! one of them is wrong. Modules follow the layers there: `wire`, `crypto`, `sa`, `esp`, `engine`,
//! and `system`, the only one with system calls.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod crypto;
pub mod engine;
pub mod esp;
pub mod offload;
pub mod sa;
pub mod system;
pub mod wire;
