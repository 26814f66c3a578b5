"""Ways to spoil good bytes."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def mutants(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with a few octets changed, taken out or put in."""
    mutant = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        where = draw(st.integers(0, len(mutant)))
        kind = draw(st.sampled_from(["change", "remove", "insert"]))
        if kind == "insert":
            mutant[where:where] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "remove":
            del mutant[where : where + draw(st.integers(1, 8))]
        elif where < len(mutant):
            mutant[where] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    return bytes(mutant)


def with_true_length(message: bytes) -> bytes:
    """An IKE message whose header says how long it is, so that a parser looks further."""
    if len(message) < 28:
        return message
    return message[:24] + len(message).to_bytes(4, "big") + message[28:]
