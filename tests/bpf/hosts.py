"""Hosts that are two loaded programs and nothing else: frames go from one to the other by hand.

Every frame is built and judged by scapy, which knows nothing of how the programs mend checksums.
"""

from __future__ import annotations

from collections import Counter

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from hushwire.classroom.exchange import Exchange, parse
from hushwire.classroom.programs import Agreed, HeldFrame, Programs, Unreadable

PORT = 12345
A4, B4 = "192.0.2.1", "192.0.2.2"
A6, B6 = "2001:db8::1", "2001:db8::2"

GOES_ON, DROPPED, REDIRECTED = -1, 2, 7  # TC_ACT_UNSPEC, TC_ACT_SHOT, TC_ACT_REDIRECT
SWALLOWED = REDIRECTED  # to no device: gone, and the sender is told of success


def ether() -> Packet:
    """A test run lets frames in by lo; what is for another MAC address than its own is not ours."""
    return Ether(src="00:00:00:00:00:00", dst="00:00:00:00:00:00")


class Host:
    """One host's programs, and what they have said."""

    def __init__(self, port: int = PORT) -> None:
        self.programs = Programs("host", port)

    def out(self, frame: bytes, mark: int = 0, gso_size: int = 0) -> tuple[int, bytes]:
        """What leaves when an application on it sends the frame."""
        code, after, _ = self.programs.test_run("egress", frame, mark, gso_size)
        return code, after

    def get(self, frame: bytes) -> tuple[int, bytes]:
        """What becomes of a frame that comes."""
        code, after, _ = self.programs.test_run("ingress", frame)
        return code, after

    def events(self) -> list[HeldFrame | Agreed | Unreadable]:
        return self.programs.events()

    def send_held(self) -> None:
        """Be done with all that is held, as user space when it has sent it."""
        held = Counter(event.pair for event in self.events() if isinstance(event, HeldFrame))
        for pair, frames in held.items():
            self.programs.done(pair, frames)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Those that are not zero, as "egress xored": (messages, octets)."""
        return {
            f"{direction} {outcome}": count
            for direction, outcomes in self.programs.counts().items()
            for outcome, count in outcomes.items()
            if count != (0, 0)
        }

    def secret(self, version: int = 4) -> int | None:
        """The one with its only peer of this family."""
        (found,) = (
            peer.secret
            for peer in self.programs.peers()
            if peer.pair.remote.startswith(bytes(10)) == (version == 4)
        )
        return found


def udp(
    payload: bytes, *, version: int = 4, back: bool = False, source: int = PORT, to: int = PORT
) -> Packet:
    """A layered frame from A to B, or `back`."""
    ends = (A4, B4) if version == 4 else (A6, B6)
    src, dst = ends[::-1] if back else ends
    ip = IP(src=src, dst=dst, id=7) if version == 4 else IPv6(src=src, dst=dst)
    return ether() / ip / UDP(sport=source, dport=to) / Raw(payload)


def frame(payload: bytes, *, version: int = 4, back: bool = False) -> bytes:
    """The octets of `udp`."""
    return bytes(udp(payload, version=version, back=back))


def payload_of(octets: bytes) -> bytes:
    """What UDP carries, by the UDP header's own length."""
    message = Ether(octets)[UDP]
    return bytes(message.payload)[: message.len - 8]


def exchange_of(octets: bytes) -> Exchange:
    """The frame is a key exchange packet."""
    found = parse(payload_of(octets))
    assert found is not None
    return found


def assert_checksums(octets: bytes) -> None:
    """Those of IP and UDP are what scapy would have written, and so are the lengths."""
    again = Ether(octets)
    for layer in (IP, IPv6, UDP):
        if layer in again:
            for field in ("chksum", "len", "plen"):
                if field in again[layer].fields:
                    delattr(again[layer], field)
    assert bytes(again) == octets


def agree(one: Host, other: Host, *, version: int = 4) -> int:
    """A whole key exchange that `one` begins; returns the secret."""
    _, offer = one.out(frame(b"first", version=version))
    code, answer = other.get(offer)
    assert code == REDIRECTED
    assert one.get(answer)[0] == DROPPED
    for host in (one, other):
        host.send_held()
    secret = one.secret(version)
    assert secret is not None
    assert secret == other.secret(version)
    return secret
