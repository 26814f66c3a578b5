"""What has passed between two hosts, message by message, with the points where it was decided.

The ladder that `hushwire explain` draws is made from this, for a daemon's own attempts as for a
capture of any two hosts. There are no keys in it, and no octets of what was protected.
"""

from __future__ import annotations

from hushwire.explain.outcome import Event
from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class MessageStep:
    """One IKE message. `at` and `repeated` are seconds since the attempt began.

    `from_left` says who sent it. `octets` are those of all its `datagrams`: more than one when it
    came in fragments (RFC 7383). `repeated` is when it was sent or came once more, octet for octet.
    `words` name its payloads, as far as they can be read. `ignored` says why it had no effect.
    `ports` are the sender's and the receiver's, of TCP where it went inside of that, else of UDP.
    """

    at: float
    from_left: bool
    exchange: str
    message_id: int
    response: bool
    octets: int
    ports: tuple[int, int]
    tcp: bool = False
    words: tuple[str, ...] = ()
    datagrams: int = 1
    repeated: tuple[float, ...] = ()
    ignored: str = ""

    @property
    def to_port(self) -> str:
        """Where it went, as in "UDP port 500"."""
        return f"{'TCP' if self.tcp else 'UDP'} port {self.ports[1]}"


@dataclass(frozen=True, slots=True)
class Decision:
    """Something came out of it: a suite chosen, a peer authenticated, a failure."""

    at: float
    event: Event


@dataclass(frozen=True, slots=True)
class IcmpError:
    """`sender` says that what we sent to UDP `port` of the peer did not arrive.

    `kind` is "port unreachable", "prohibited", "host unreachable", "network unreachable",
    "time exceeded". Anybody can forge it: it explains, and decides nothing.
    """

    at: float
    sender: str
    kind: str
    port: int


@dataclass(frozen=True, slots=True)
class Remark:
    """A fact from beside the protocol, such as a socket that would not send."""

    at: float
    text: str


Step = MessageStep | Decision | IcmpError | Remark


@dataclass(frozen=True, slots=True)
class Attempt:
    """One IKE SA from its first message on, and those that took its place by rekeying.

    `left` and `right` are what the two sides are called: "we" and the peer's name, or addresses.
    `peer` is "" for a stranger. `began` is in the caller's seconds. `left_out` counts steps in the
    middle that were not kept. `outcome` is None while nothing has come of it.
    """

    peer: str
    left: str
    right: str
    right_address: str
    initiator: bool
    began: float
    steps: tuple[Step, ...]
    left_out: int = 0
    outcome: Event | None = None
