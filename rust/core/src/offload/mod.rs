//! Many packets in one: what the kernel gives and takes as super-packets (TSO, USO, GRO).

pub mod coalesce;
pub mod layers;
pub mod segment;
pub mod virtio;
