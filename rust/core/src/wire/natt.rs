//! What may arrive on UDP port 4500, or as a message in a TCP stream (RFC 3948 §2, RFC 9329 §3).

/// In front of every IKE message, where an ESP packet has its SPI, never zero.
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// The datagram that keeps a NAT's mapping alive.
pub const KEEPALIVE: [u8; 1] = [0xFF];

/// The three kinds of datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One octet that does nothing.
    Keepalive,
    /// Behind the marker.
    Ike,
    /// Begins with an SPI.
    Esp,
}

/// Which kind it is; None when it is too short to be any.
#[must_use]
pub fn classify(datagram: &[u8]) -> Option<Kind> {
    if datagram == KEEPALIVE {
        return Some(Kind::Keepalive);
    }
    let marker = datagram.get(..NON_ESP_MARKER.len())?;
    Some(if marker == NON_ESP_MARKER {
        Kind::Ike
    } else {
        Kind::Esp
    })
}
