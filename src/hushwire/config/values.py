"""Single values as people write them. Every function raises `BadValueError`."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_interface, ip_network

from hushwire.config.errors import BadValueError
from hushwire.config.model import IpAddress, IpInterface, IpNetwork, Transforms
from hushwire.config.table import quote
from hushwire.crypto.errors import ProposalFormatError
from hushwire.crypto.suites import parse_proposal
from hushwire.sa.identity import Identity, is_dns_name
from hushwire.wire.registry import ProtocolId

_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")  # Linux: 15 octets
_DURATION = re.compile(r"([0-9]{1,6})([smh])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_WITH_PORT = re.compile(r"\[?([^\[\]]+?)\]?:([0-9]+)")


def device(text: str) -> str:
    """The name of a network device."""
    if not _DEVICE.fullmatch(text):
        raise BadValueError(
            f"{quote(text)} cannot be the name of a device",
            "1 to 15 letters, digits, dots, dashes and underscores can, as in hw0.",
        )
    return text


def duration(text: str) -> float:
    """Seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadValueError(f"{quote(text)} is not a duration", 'Write "20s", "5m" or "1h".')
    seconds = int(match[1]) * _SECONDS[match[2]]
    if not seconds:
        raise BadValueError("a duration of zero is not possible", 'Write "20s", "5m" or "1h".')
    return seconds


def interface_address(text: str) -> IpInterface:
    """An address of this host's with the prefix of the network it stands in."""
    try:
        address = ip_interface(_without_scope(text))
    except ValueError:
        raise BadValueError(
            f"{quote(text)} is not an address",
            'Write "10.0.1.1/24" or "fd00::1/64".',
        ) from None
    if (
        address.network.prefixlen < address.max_prefixlen - 1
        and address.ip == address.network.network_address
    ):
        raise BadValueError(
            f"{quote(text)} is a network, and no host in it",
            f'Write for example "{address.ip + 1}/{address.network.prefixlen}".',
        )
    return address


def network(text: str) -> IpNetwork:
    """A CIDR block whose host bits are zero."""
    try:
        around = ip_network(_without_scope(text), strict=False)
    except ValueError:
        raise BadValueError(
            f"{quote(text)} is not a network", 'Write "10.0.1.2/32" or "fd00::/64".'
        ) from None
    host = ip_interface(text).ip
    if host != around.network_address:
        raise BadValueError(
            f"{quote(text)} has bits set after its prefix",
            f'Did you mean "{around}", or "{host}/{host.max_prefixlen}" for that host alone?',
        )
    return around


def endpoint(text: str) -> IpAddress | str:
    """An address, or a DNS name as it is."""
    try:
        address = ip_address(_without_scope(text))
    except ValueError:
        pass
    else:
        if address.is_unspecified or address.is_multicast:
            raise BadValueError(f"{quote(text)} is not the address of one host")
        return address
    if with_port := _WITH_PORT.fullmatch(text):
        raise BadValueError(
            "a port cannot be given here: IKEv2 has UDP 500 and 4500 on every host",
            f"Write endpoint = {quote(with_port[1])}",
        )
    if not is_dns_name(text):
        raise BadValueError(
            f"{quote(text)} is neither an address nor a name",
            'Write "192.0.2.1", "2001:db8::1" or "bob.example".',
        )
    return text


def identity(text: str) -> Identity:
    """See `Identity.parse`."""
    try:
        return Identity.parse(text)
    except ValueError as error:
        raise BadValueError(f"{quote(text)} cannot be used: {error}") from error


def ike_proposal(text: str) -> Transforms:
    """The transforms of `aes256gcm16-prfsha384-x25519` and the like."""
    return _proposal(text, ProtocolId.IKE, ProtocolId.ESP)


def esp_proposal(text: str) -> Transforms:
    """The transforms of `aes256gcm16-esn` and the like."""
    return _proposal(text, ProtocolId.ESP, ProtocolId.IKE)


def _proposal(text: str, protocol: ProtocolId, other: ProtocolId) -> Transforms:
    try:
        return parse_proposal(text, protocol)
    except ProposalFormatError as error:
        raise BadValueError(str(error), _other_list(text, other)) from error


def _other_list(text: str, other: ProtocolId) -> str:
    try:
        parse_proposal(text, other)
    except ProposalFormatError:
        return ""
    return f"As it is, it fits into the list {other.name.lower()}."


def _without_scope(text: str) -> str:
    """`text`, if it has no IPv6 zone: a zone means something on one host only."""
    if "%" in text:
        raise BadValueError(
            f"{quote(text)} names a zone, which cannot be used here",
            "Leave out the % and what follows it.",
        )
    return text
