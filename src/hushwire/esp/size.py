"""How large a packet may be inside so that it fits outside."""

from __future__ import annotations

from hushwire.crypto.cipher import Cipher
from hushwire.esp.padding import TRAILER_OCTETS, WORD_OCTETS, alignment
from hushwire.sa.association import Encapsulation
from hushwire.wire.esp import ESP_HEADER_OCTETS

_IP_HEADER_OCTETS = {4: 20, 6: 40}
_UDP_HEADER_OCTETS = 8


def inner_mtu(
    underlay_mtu: int, outer_version: int, encapsulation: Encapsulation, cipher: Cipher
) -> int:
    """The largest inner packet, in octets, whose outer packet has at most `underlay_mtu`.

    `outer_version` is 4 or 6; the outer header carries no options or extension headers. May be
    zero or less on an absurdly small underlay.
    """
    around = _IP_HEADER_OCTETS[outer_version] + ESP_HEADER_OCTETS
    if encapsulation is Encapsulation.UDP:
        around += _UDP_HEADER_OCTETS
    plaintext = underlay_mtu - around - cipher.iv_octets - cipher.icv_octets
    return plaintext - plaintext % alignment(cipher) - TRAILER_OCTETS


def transport_mtu(
    underlay_mtu: int, version: int, encapsulation: Encapsulation, cipher: Cipher
) -> int:
    """The same in transport mode, where the packet, of IP `version`, keeps its own header.

    However long its header is: padding to blocks larger than a word may cost more then.
    """
    tunnelled = inner_mtu(underlay_mtu, version, encapsulation, cipher)
    return tunnelled + _IP_HEADER_OCTETS[version] - (alignment(cipher) - WORD_OCTETS)
