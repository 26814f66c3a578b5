"""Every way a packet can end other than delivered, each with the line that `status` shows."""

from __future__ import annotations

from enum import StrEnum


class Drop(StrEnum):
    """A cause; its value is its name in counters, `meaning` says it to a person."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Drop:  # Drop("replay") finds a member
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    # From the wire, before anything is known about the packet.
    NOT_ESP = "not_esp", "on port 4500, but too short to be ESP, IKE or a keepalive"
    KEEPALIVE = "keepalive", "a NAT keepalive: arrived, and has nothing more to do"
    TRUNCATED = "truncated", "an ESP packet too short, or not in whole words or blocks"
    UNKNOWN_SPI = "unknown_spi", "ESP for an SA that is not (or no longer) here"
    REPLAY = "replay", "a packet seen before, or older than the replay window"
    BAD_ICV = "bad_icv", "forged, damaged or very late, or the peer has other keys"
    # Authentic, but not what the SA allows.
    DUMMY = "dummy", "a dummy packet, sent by the peer to hide how much it says"
    BAD_PADDING = "bad_padding", "authentic, but its padding is not 1, 2, 3, ..."
    BAD_NEXT_HEADER = "bad_next_header", "authentic, but not IPv4 or IPv6 as its trailer says"
    BAD_INNER = "bad_inner", "authentic, but the IP packet inside is malformed"
    SELECTOR_MISMATCH_IN = (
        "selector_mismatch_in",
        "authentic, but from or to an address that this tunnel does not carry",
    )
    CONGESTED = (
        "congested",
        "authentic, but the network marked it as congested, which its sender hears only as a loss",
    )
    TUN_WRITE_FAILED = (
        "tun_write_failed",
        "opened, but this host did not take it (TUN device down?)",
    )
    # From this host.
    NOT_IP = "not_ip", "from this host, but not a well-formed IP packet"
    NO_SA = "no_sa", "from this host while no tunnel is up: dropped, never sent in clear"
    SELECTOR_MISMATCH_OUT = (
        "selector_mismatch_out",
        "from this host to or from an address that no tunnel carries",
    )
    REASSEMBLY = (
        "reassembly",
        "fragments from this host that never became a whole datagram, as transport mode needs it",
    )
    TOO_BIG = (
        "too_big",
        "from this host, not to be fragmented, too large for the path; its sender has been told",
    )
    SEQUENCE_EXHAUSTED = "sequence_exhausted", "the SA has used all its sequence numbers; rekey"
    OVERSIZED = "oversized", "sealed, but larger than the network's path lets through"
    SEND_FAILED = "send_failed", "sealed, but this host's network refused to send it"
    STREAM_FULL = (
        "stream_full",
        "sealed, but the TCP connection to the peer takes no more now: dropped, not delayed",
    )
    NO_STREAM = "no_stream", "sealed, but the TCP connection to the peer is down"
    # Around the packets.
    RECEIVE_FAILED = "receive_failed", "this host's network reported an error instead of a packet"
    EVENTS_FULL = "events_full", "an IKE message that came faster than the daemon could read"


class EspDropError(Exception):
    """A packet that goes no further, because of `drop`. Never an error of this program."""

    def __init__(self, drop: Drop) -> None:
        super().__init__(drop.meaning)
        self.drop = drop
