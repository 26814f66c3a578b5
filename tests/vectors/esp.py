"""ESP as the Python reference does it, written down for the Rust core to be held against.

`python -m tests.vectors.esp` writes `esp.txt` anew: for each cipher, without ESN and with it,

sa CIPHER ESN KEYMAT            keys as octets in hexadecimal
packet SEQUENCE INNER SEALED    in ascending order, so that one receiver opens all of them
flipped CAUSE*BITS ...          what becomes of the first packet with one bit changed, bit by bit
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.crypto.exchange import Rng
from hushwire.esp.drops import EspDropError
from hushwire.esp.open import InboundSa
from hushwire.esp.seal import OutboundSa
from hushwire.sa.association import ChildSa
from tests.esp.packets import inner
from tests.sa.pairs import mirror, pair

FILE = Path(__file__).with_name("esp.txt")

_SEQUENCES = {
    False: (1, 2, 70, 1 << 31, (1 << 32) - 1),
    True: (1, 2, 70, 1 << 31, (1 << 32) - 1, (1 << 32) + 5, (1 << 33) - 5000),
}
_SIZES = (20, 21, 60, 64, 1400)


def lines() -> Iterator[str]:
    for cipher in CIPHERS:
        for esn in (False, True):
            yield from _lines(cipher, esn)


def _lines(cipher: Cipher, esn: bool) -> Iterator[str]:
    child, _ = pair(cipher, esn=esn)
    yield f"sa {cipher.name} {int(esn)} {child.outbound_key.hex()}"
    first = b""
    for number, sequence in enumerate(_SEQUENCES[esn]):
        packet = inner(_SIZES[number % len(_SIZES)], 4)
        sealed = OutboundSa(child, sequence - 1, _fixed(sequence)).seal(packet)
        first = first or sealed
        yield f"packet {sequence} {packet.hex()} {sealed.hex()}"
    causes = (_opened(child, _flip(first, bit)) for bit in range(len(first) * 8))
    runs = (f"{cause}*{len(list(same))}" for cause, same in groupby(causes))
    yield f"flipped {' '.join(runs)}"


def _fixed(sequence: int) -> Rng:
    """Randomness that is the same every time, for IVs that must be random."""
    return lambda octets: hashlib.sha256(b"%d" % sequence).digest()[:octets]


def _flip(packet: bytes, bit: int) -> bytes:
    changed = bytearray(packet)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _opened(child: ChildSa, packet: bytes) -> str:
    try:
        InboundSa(mirror(child, "alice")).open(packet)
    except EspDropError as error:
        return str(error.drop)
    return "opened"


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()) + "\n")
