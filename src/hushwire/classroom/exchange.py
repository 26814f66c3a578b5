"""The key exchange packet and the cipher, as they are on the wire. Nothing here protects anything.

    0   magic     16 octets
    16  version   1
    17  kind      1 OFFER, 2 ANSWER
    18  p         23
    19  g         5
    20  public    4 octets: g to the power of the sender's private value, modulo p
    24  epoch     4 octets: another one whenever the sender has another private value; never 0
    28  echo      4 octets: in an ANSWER the epoch of the OFFER that it answers, else 0

All in network byte order. `bpf/classroom/shared.h` has the same as `struct exchange`.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

P = 23
G = 5
MAGIC = b"HUSHWIRE-LESSON!"
VERSION = 1

_FORMAT = struct.Struct(f">{len(MAGIC)}sBBBBIII")
OCTETS = _FORMAT.size


class Kind(IntEnum):
    OFFER = 1
    ANSWER = 2


class Exchange(NamedTuple):
    """One key exchange packet."""

    kind: Kind
    public: int
    epoch: int
    echo: int = 0
    p: int = P
    g: int = G

    def payload(self) -> bytes:
        """The UDP payload, 32 octets."""
        fields = (self.p, self.g, self.public, self.epoch, self.echo)
        return _FORMAT.pack(MAGIC, VERSION, self.kind, *fields)


def parse(payload: bytes) -> Exchange | None:
    """None for a payload that is no key exchange packet of this version."""
    if len(payload) != OCTETS:
        return None
    magic, version, kind, p, g, public, epoch, echo = _FORMAT.unpack(payload)
    if magic != MAGIC or version != VERSION or kind not in tuple(Kind):
        return None
    return Exchange(Kind(kind), public, epoch, echo, p, g)


def xor(payload: bytes, secret: int) -> bytes:
    """Every octet XOR the secret (0 to 255); doing it twice undoes it."""
    return bytes(octet ^ secret for octet in payload)
