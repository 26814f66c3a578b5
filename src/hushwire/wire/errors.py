"""What can be wrong with bytes from the wire. The blame is the packet's, never the program's."""


class WireError(ValueError):
    """A datagram, packet or payload that its RFC does not allow. The text says what and where."""


class TruncatedError(WireError):
    """Fewer octets than a length field or a fixed format promises."""


class UnsupportedCriticalPayloadError(WireError):
    """An unknown payload with the critical bit set (RFC 7296 §2.5)."""

    def __init__(self, payload_type: int) -> None:
        super().__init__(f"payload type {payload_type} is marked critical and not known here")
        self.payload_type = payload_type


class UnsupportedVersionError(WireError):
    """An IKE header whose major version is higher than 2 (RFC 7296 §2.5)."""

    def __init__(self, major: int) -> None:
        super().__init__(f"IKE major version {major}; this side speaks 2")
        self.major = major
