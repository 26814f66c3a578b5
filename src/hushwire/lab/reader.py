"""Reads what eve recorded, independently of Hushwire's own code: by scapy, and its own eyes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from hushwire.lab import tcp_reader
from hushwire.lab.talk import BOOKMARK_ETHERTYPE
from hushwire.records import dataclass
from hushwire.system.errors import SystemFailureError

try:
    from scapy.config import conf
    from scapy.error import Scapy_Exception
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP, Ether
    from scapy.utils import RawPcapReader
except ImportError as error:
    raise SystemFailureError(
        "reading eve's capture", "scapy is not installed", "`pip install hushwire[lab]` brings it."
    ) from error

_ETHERNET = 1  # LINKTYPE_ETHERNET
_IKE_PORT = 500
_NATT_PORT = 4500
_ICMP = 1
_ICMPV6 = 58
_ESP = 50
_TCP = 6
_UDP = 17
_IPV6_FRAGMENT = 44
_IPV6_EXTENSIONS = frozenset({0, 43, _IPV6_FRAGMENT, 60})
# RFC 4861 (neighbours, routers, redirect) and RFC 2710, 3810 (multicast listeners).
_HOUSEKEEPING = frozenset({130, 131, 132, 143, 133, 134, 135, 136, 137})
# Unreachable, too big or to be fragmented, time exceeded, parameter problem (RFC 792, RFC 4443).
_ICMP_ERRORS = {_ICMP: (3, 11, 12), _ICMPV6: (1, 2, 3, 4)}
_ICMP_HEADER_OCTETS = 8
_IPV4_HEADER_OCTETS = 20
_IKE_HEADER_OCTETS = 28
_ESP_HEADER_OCTETS = 8


class Kind(StrEnum):
    """What a frame is to one who only listens."""

    ESP = "esp"
    IKE = "ike"
    KEEPALIVE = "keepalive"
    TCP = "tcp"
    """IKE and ESP inside TCP (RFC 9329), and what TCP itself says of that connection."""
    ARP = "arp"
    NEIGHBOUR = "neighbour"
    ICMP_ERROR = "icmp_error"
    CLEAR = "clear"
    BOOKMARK = "bookmark"


@dataclass(frozen=True, slots=True)
class Frame:
    """One Ethernet frame; `source` and `destination` are its IP addresses, if it has any."""

    number: int
    kind: Kind
    octets: bytes
    source: str = ""
    destination: str = ""

    @property
    def bookmark(self) -> str:
        """The text of a bookmark, else nothing."""
        if self.kind is not Kind.BOOKMARK:
            return ""
        return self.octets[14:].rstrip(b"\0").decode(errors="replace")


def read(file: Path) -> list[Frame]:
    """Every frame of a capture, in order; bookmarks too.

    Raises `OSError`, and `ValueError` for a file that is no capture, or none of Ethernet.
    """
    frames = []
    fragments: dict[tuple[str, str, int], Kind] = {}
    segments: list[tuple[int, tcp_reader.Segment]] = []  # with the number of its frame
    # scapy's dissectors of all that UDP and TCP can carry are slow, and not wanted here.
    conf.layers.filter([Ether, ARP, IP, IPv6])
    try:
        with RawPcapReader(str(file)) as reader:
            if getattr(reader, "linktype", _ETHERNET) != _ETHERNET:
                raise ValueError("its frames are not Ethernet's (of `tcpdump -i any`, perhaps)")
            for number, (octets, _) in enumerate(reader, 1):
                frames.append(_classify(number, octets, fragments, segments))
    except Scapy_Exception as error:
        raise ValueError(str(error).lower()) from error
    finally:
        conf.layers.unfilter()
    for number in tcp_reader.sealed(segments):
        frames[number - 1] = replace(frames[number - 1], kind=Kind.TCP)
    return frames


def since(frames: list[Frame], bookmark: str) -> list[Frame]:
    """Those after the bookmark. Raises `ValueError` when there is none of this text."""
    for index, frame in enumerate(frames):
        if frame.bookmark == bookmark:
            return frames[index + 1 :]
    raise ValueError(f"no bookmark “{bookmark}” in the capture")


def until(frames: list[Frame], bookmark: str) -> list[Frame]:
    """Those before the bookmark, or all of them."""
    for index, frame in enumerate(frames):
        if frame.bookmark == bookmark:
            return frames[:index]
    return frames


def tally(frames: Iterable[Frame]) -> dict[Kind, int]:
    """How many of each kind, every kind named, bookmarks left out: they are eve's own."""
    counts = Counter(frame.kind for frame in frames)
    return {kind: counts[kind] for kind in Kind if kind is not Kind.BOOKMARK}


def holding(frames: Iterable[Frame], text: bytes) -> list[Frame]:
    """The frames that carry `text` for everybody to read, wherever in the frame."""
    return [frame for frame in frames if text in frame.octets]


def _classify(
    number: int,
    octets: bytes,
    fragments: dict[tuple[str, str, int], Kind],
    segments: list[tuple[int, tcp_reader.Segment]],
) -> Frame:
    ether = Ether(octets)
    if ether.type == BOOKMARK_ETHERTYPE:
        return Frame(number, Kind.BOOKMARK, octets)
    if ARP in ether:
        return Frame(number, Kind.ARP, octets)
    if IP not in ether and IPv6 not in ether:
        return Frame(number, Kind.CLEAR, octets)
    packet = ether[IP] if IP in ether else ether[IPv6]
    content = _content(packet)
    flow = (packet.src, packet.dst, content.identification)
    # Only a datagram's first fragment has ports; the later ones are what it was.
    later = content.offset > 0
    kind = fragments.get(flow, Kind.CLEAR) if later else _kind_of(content)
    if content.more and not later:
        fragments[flow] = kind
    elif content.protocol == _TCP and not later:
        segment = tcp_reader.parse(packet.src, packet.dst, content.octets)
        if segment is not None:
            segments.append((number, segment))
    return Frame(number, kind, octets, packet.src, packet.dst)


@dataclass(frozen=True, slots=True)
class _Content:
    """What an IP packet carries; offset, more and identification are of a fragment."""

    protocol: int
    octets: bytes
    offset: int = 0
    more: bool = False
    identification: int = 0


def _content(packet: IP | IPv6) -> _Content:
    if packet.version == 6:
        return _behind_extensions(packet.nh, packet.original[40 : 40 + packet.plen])
    octets = packet.original[packet.ihl * 4 : packet.len]
    return _Content(packet.proto, octets, packet.frag, "MF" in packet.flags, packet.id)


def _behind_extensions(protocol: int, octets: bytes) -> _Content:
    """The content of an IPv6 packet behind its extension headers (RFC 8200 §4)."""
    offset, more, identification = 0, False, 0
    while protocol in _IPV6_EXTENSIONS and len(octets) >= 8:
        if protocol == _IPV6_FRAGMENT:
            where = int.from_bytes(octets[2:4], "big")
            offset, more = where >> 3, bool(where & 1)
            identification = int.from_bytes(octets[4:8], "big")
            length = 8
        else:
            length = (octets[1] + 1) * 8
        protocol, octets = octets[0], octets[length:]
        if offset:
            break
    return _Content(protocol, octets, offset, more, identification)


def _kind_of(content: _Content) -> Kind:
    octets = content.octets
    if content.protocol == _ESP:
        return Kind.ESP
    if content.protocol == _ICMPV6 and octets and octets[0] in _HOUSEKEEPING:
        return Kind.NEIGHBOUR
    if octets[:1] and octets[0] in _ICMP_ERRORS.get(content.protocol, ()):
        return _kind_of_error(octets)
    if content.protocol == _UDP and len(octets) >= 8:
        ports = {int.from_bytes(octets[0:2], "big"), int.from_bytes(octets[2:4], "big")}
        payload = octets[8 : int.from_bytes(octets[4:6], "big")]
        if _NATT_PORT in ports:
            return _kind_on_natt_port(payload)
        if _IKE_PORT in ports and _is_ike(payload):
            return Kind.IKE
    return Kind.CLEAR


def _kind_of_error(octets: bytes) -> Kind:
    """An ICMP error tells no more than what it quotes, the packet that it is about."""
    quoted = octets[_ICMP_HEADER_OCTETS:]
    if len(quoted) < _IPV4_HEADER_OCTETS:
        return Kind.CLEAR
    packet = IP(quoted) if quoted[0] >> 4 == 4 else IPv6(quoted)
    about = _kind_of(_content(packet))
    return Kind.ICMP_ERROR if about in {Kind.ESP, Kind.IKE, Kind.KEEPALIVE} else Kind.CLEAR


def _kind_on_natt_port(payload: bytes) -> Kind:
    """RFC 3948 §2: an octet 0xff, IKE behind four octets of zero, or ESP with its SPI."""
    if payload == b"\xff":
        return Kind.KEEPALIVE
    if payload[:4] == bytes(4):
        return Kind.IKE if _is_ike(payload[4:]) else Kind.CLEAR
    return Kind.ESP if len(payload) > _ESP_HEADER_OCTETS else Kind.CLEAR


def _is_ike(payload: bytes) -> bool:
    """The right length (RFC 7296 §3.1), or the first fragment of such a message; and version 2.

    Or a higher one with nothing but zeros: a probe of the path's MTU, which is answered by the
    version that the peer does know (§2.5).
    """
    if len(payload) < _IKE_HEADER_OCTETS:
        return False
    version = payload[17] >> 4
    if version != 2 and (version < 2 or any(payload[_IKE_HEADER_OCTETS:])):
        return False
    return int.from_bytes(payload[24:28], "big") >= len(payload)
