"""What octets alone tell of an IKE message, before anything of it is parsed.

Floods pass by here: this is the one reader that is made for speed. It gives nothing that `Header`
and `Message` would not, and whatever looks wrong to it is left to them, or refused.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import HEADER_OCTETS, SPI_OCTETS, Header
from hushwire.wire.ike.message import GENERIC_HEADER_OCTETS, MAX_PAYLOADS, build_plain
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, HeaderFlag, NotifyType, PayloadType

_HEADER = struct.Struct(">8s8sBBBBLL")
_GENERIC = struct.Struct(">BBH")
_NOTIFY = struct.Struct(">BBH")
_VERSION_2 = 2
_NONCE_OCTETS = range(16, 257)  # RFC 7296 §3.9


class Glance(NamedTuple):
    """The fixed header of an IKEv2 message. `own_spi` is the receiver's, zero if it has none yet.

    `asks` says that it is an IKE_SA_INIT request.
    """

    initiator_spi: bytes
    own_spi: bytes
    asks: bool


def glance(data: bytes) -> Glance | None:
    """None for anything that is not of version 2, or too short."""
    if len(data) < HEADER_OCTETS:
        return None
    spi_i, spi_r, _, version, exchange, flags, _, _ = _HEADER.unpack_from(data)
    if version >> 4 != _VERSION_2:
        return None
    asks = exchange == ExchangeType.IKE_SA_INIT and not flags & HeaderFlag.RESPONSE
    return Glance(spi_i, spi_r if flags & HeaderFlag.INITIATOR else spi_i, asks)


class Knock(NamedTuple):
    """Of an IKE_SA_INIT request: the nonce, and the cookie, empty when there is none."""

    nonce: bytes
    cookie: bytes


def parse_knock(data: bytes) -> Knock:
    """Raises `WireError` where there is no nonce, or the chain of payloads is broken before it."""
    kind, at, nonce, cookie = data[16], HEADER_OCTETS, b"", b""
    for _ in range(MAX_PAYLOADS):
        if kind == PayloadType.NONE or at + GENERIC_HEADER_OCTETS > len(data):
            break
        following, _, length = _GENERIC.unpack_from(data, at)
        end = at + length
        if length < GENERIC_HEADER_OCTETS or end > len(data):
            break
        body = at + GENERIC_HEADER_OCTETS
        if kind == PayloadType.NONCE:
            nonce = data[body:end]
        elif kind == PayloadType.NOTIFY and not cookie and length >= 2 * GENERIC_HEADER_OCTETS:
            _, spi_octets, notify = _NOTIFY.unpack_from(data, body)
            if notify == NotifyType.COOKIE and not spi_octets:
                cookie = data[body + _NOTIFY.size : end]
        kind, at = following, end
    if len(nonce) not in _NONCE_OCTETS:
        raise WireError("IKE_SA_INIT without a nonce")
    return Knock(nonce, cookie)


def _front(cookie_octets: int) -> bytes:
    """All of a demand between the initiator's SPI and the cookie."""
    header = Header(
        bytes(SPI_OCTETS), bytes(SPI_OCTETS), ExchangeType.IKE_SA_INIT, 0,
        initiator=False, response=True,
    )  # fmt: skip
    whole = build_plain(header, (Notify(NotifyType.COOKIE, bytes(cookie_octets)),))
    return whole[SPI_OCTETS:-cookie_octets]


COOKIE_OCTETS = 32
_FRONT = _front(COOKIE_OCTETS)


def build_demand(spi_i: bytes, cookie: bytes) -> bytes:
    """HDR(A,0), N(COOKIE): the answer to an IKE_SA_INIT request (RFC 7296 §2.6).

    The cookie has `COOKIE_OCTETS`.
    """
    return spi_i + _FRONT + cookie
