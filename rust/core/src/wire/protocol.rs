//! IP protocol numbers and IPv6 extension headers (IANA), as far as they matter here.

/// See the IANA registry.
pub const HOP_BY_HOP: u8 = 0;
/// See the IANA registry.
pub const ICMP: u8 = 1;
/// See the IANA registry.
pub const IPV4: u8 = 4;
/// See the IANA registry.
pub const TCP: u8 = 6;
/// See the IANA registry.
pub const UDP: u8 = 17;
/// See the IANA registry.
pub const DCCP: u8 = 33;
/// See the IANA registry.
pub const IPV6: u8 = 41;
/// See the IANA registry.
pub const ROUTING: u8 = 43;
/// See the IANA registry.
pub const FRAGMENT: u8 = 44;
/// See the IANA registry.
pub const ESP: u8 = 50;
/// See the IANA registry.
pub const ICMPV6: u8 = 58;
/// See the IANA registry.
pub const NO_NEXT_HEADER: u8 = 59;
/// See the IANA registry.
pub const DESTINATION_OPTIONS: u8 = 60;
/// See the IANA registry.
pub const SCTP: u8 = 132;
/// See the IANA registry.
pub const UDP_LITE: u8 = 136;
