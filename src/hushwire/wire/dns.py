"""As much of DNS (RFC 1035) as finds the address of an endpoint: one question, its answers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError

A, AAAA = 1, 28  # RFC 1035 §3.2.2, RFC 3596 §2.1
_INTERNET = 1
_RECURSION_DESIRED = 0x0100
_RESPONSE = 0x8000
_RCODE = 0x000F
_POINTER = 0xC0
_LONGEST_LABEL = 63


def build_query(identifier: int, name: str, kind: int) -> bytes:
    """A question for the records of `kind` (A or AAAA). Raises `ValueError`: no name for DNS."""
    labels = name.rstrip(".").encode("idna" if not name.isascii() else "ascii").split(b".")
    if not all(1 <= len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError(f"{name} is no name that DNS could have")
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    header = (identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
    fields = b"".join(value.to_bytes(2, "big") for value in header)
    return fields + question + kind.to_bytes(2, "big") + _INTERNET.to_bytes(2, "big")


def parse_answer(query: bytes, data: bytes) -> list[IPv4Address | IPv6Address]:
    """The addresses in a response to this query; none where the name has none.

    Aliases (CNAME) are passed over: the address that they lead to is in the same response.
    Raises `WireError` for what is no response to it.
    """
    reader = Reader(data, "DNS response")
    if reader.u16() != int.from_bytes(query[:2], "big"):
        raise WireError("DNS response: to another question")
    flags = reader.u16()
    questions, answers = reader.u16(), reader.u16()
    reader.skip(4)
    asked = query[12:]
    if not flags & _RESPONSE or questions != 1:
        raise WireError("DNS response: it is none")
    # Servers give the question back, its letters perhaps in another case.
    if reader.take(len(asked)).lower() != asked.lower():
        raise WireError("DNS response: to another question")
    if flags & _RCODE:
        return []
    return [address for _ in range(answers) if (address := _record(reader)) is not None]


def _record(reader: Reader) -> IPv4Address | IPv6Address | None:
    _skip_name(reader)
    kind, network = reader.u16(), reader.u16()
    reader.skip(4)
    content = reader.take(reader.u16())
    if (kind, network, len(content)) == (A, _INTERNET, 4):
        return IPv4Address(content)
    if (kind, network, len(content)) == (AAAA, _INTERNET, 16):
        return IPv6Address(content)
    return None


def _skip_name(reader: Reader) -> None:
    """RFC 1035 §4.1.4: labels, the last of them empty or a pointer."""
    while length := reader.u8():
        if length & _POINTER == _POINTER:
            reader.skip(1)
            return
        reader.skip(length)
