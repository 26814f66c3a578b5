"""Who a peer says it is: the identities of RFC 7296 §3.5 as a person writes them."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from hushwire.crypto.dn import dn_from_text, dn_text, same_dn
from hushwire.records import dataclass
from hushwire.wire.registry import IdType

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# §3.5: ASCII without terminators. A last label of digits alone is a mistyped IPv4 address.
_NAME = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*(?![0-9]+\Z){_LABEL}\Z")
_KEY_PREFIX = "key:"


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity: its type and the octets that the ID payload carries."""

    type: IdType
    data: bytes

    @classmethod
    def parse(cls, text: str) -> Identity:
        """From an address, a DNS name, a mail address, `key:` and hexadecimal octets, or a
        distinguished name.

        Raises `ValueError`, whose text says what an identity looks like.
        """
        if text.startswith(_KEY_PREFIX):
            return cls(IdType.KEY_ID, _octets(text.removeprefix(_KEY_PREFIX)))
        try:
            return cls.of_address(ip_address(text))
        except ValueError:
            pass
        if "=" in text:
            with suppress(ValueError):
                return cls(IdType.DER_ASN1_DN, dn_from_text(text))
        user, at, domain = text.rpartition("@")
        if at and user and user.isprintable() and " " not in user and is_dns_name(domain):
            # §3.5: a mail address is to be treated as UTF-8, since its user part may be.
            return cls(IdType.RFC822_ADDR, text.encode())
        if is_dns_name(text):
            return cls(IdType.FQDN, text.encode("ascii"))
        raise ValueError(
            "an identity is an address (192.0.2.1), a name (bob.example), "
            "a mail address (bob@example.org), a distinguished name (C=CH, O=Example, CN=bob) "
            "or key: with hexadecimal octets"
        )

    @classmethod
    def of_address(cls, address: IPv4Address | IPv6Address) -> Identity:
        """The identity of a host known by its address alone."""
        if isinstance(address, IPv4Address):
            return cls(IdType.IPV4_ADDR, address.packed)
        if address.scope_id is not None:
            raise ValueError("an identity is an address without a %scope")
        return cls(IdType.IPV6_ADDR, address.packed)

    @property
    def text(self) -> str:
        """As `parse` reads it. Octets that do not fit their type (a hostile peer's) in hex."""
        if self.type == IdType.KEY_ID:
            return _KEY_PREFIX + self.data.hex()
        if self.type == IdType.IPV4_ADDR and len(self.data) == 4:
            return str(IPv4Address(self.data))
        if self.type == IdType.IPV6_ADDR and len(self.data) == 16:
            return str(IPv6Address(self.data))
        if self.type in (IdType.FQDN, IdType.RFC822_ADDR):
            text = self.data.decode(errors="replace")
            # What a terminal would obey instead of print never gets there.
            if text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text:
                return text
        if self.type == IdType.DER_ASN1_DN:
            with suppress(ValueError):
                return dn_text(self.data)
        return f"{self.type.name}:{self.data.hex()}"

    def is_same_as(self, other: Identity) -> bool:
        """Names of DNS and mail without regard to case (RFC 4945 §3.1), distinguished names
        without regard to their kind of string; everything else octet for octet."""
        if self.type != other.type:
            return False
        if self.type in (IdType.FQDN, IdType.RFC822_ADDR):
            return self.data.lower() == other.data.lower()
        if self.type == IdType.DER_ASN1_DN:
            return same_dn(self.data, other.data)
        return self.data == other.data

    def __str__(self) -> str:
        return self.text


def is_dns_name(text: str) -> bool:
    """Whether `text` is a DNS name in ASCII (one label is enough), and no mistyped address."""
    return _NAME.match(text) is not None


def _octets(text: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if not data:
        raise ValueError("after key: stand hexadecimal octets, two digits each")
    return data
