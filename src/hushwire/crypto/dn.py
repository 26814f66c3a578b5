"""Distinguished names: as a person writes them, and as they travel (RFC 5280 §4.1.2.4).

In text the parts stand in the order of the certificate, as `openssl x509 -subject` and strongSwan
write them: C=CH, O=Example, CN=bob. (RFC 4514 has them the other way round.)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

_PART = re.compile(r"(?:[^,\\]|\\.)+")
_LONGEST_TEXT = 300


def dn_from_text(text: str) -> bytes:
    """The name in DER. Raises `ValueError`."""
    from cryptography import x509  # slow to load, and few identities are names

    parts = [re.sub(r"\s*=\s*", "=", part.strip(), count=1) for part in _PART.findall(text)]
    name = x509.Name.from_rfc4514_string(",".join(reversed(parts)))
    if not name.rdns:
        raise ValueError("an empty distinguished name")
    return name.public_bytes()


def dn_text(der: bytes) -> str:
    """As `dn_from_text` reads it. Raises `ValueError` for what is no name."""
    name = _parse(der)
    if not name.rdns:
        raise ValueError("an empty distinguished name")
    return name_text(name)


def name_text(name: x509.Name) -> str:
    """The same of a name already read, `printable`."""
    return printable(", ".join(part.rfc4514_string() for part in name.rdns))


def printable(text: str) -> str:
    """Cut where it is long. What a terminal would obey instead of print is a ?."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[:_LONGEST_TEXT]}…"


def same_dn(one: bytes, other: bytes) -> bool:
    """Are these the same attributes in the same order? The kinds of string may differ."""
    if one == other:
        return True
    try:
        return _parse(one) == _parse(other)
    except ValueError:
        return False


def _parse(der: bytes) -> x509.Name:
    from cryptography import x509

    try:
        return x509.Name.from_bytes(der)
    except Exception as error:  # whatever the library finds in a stranger's octets
        raise ValueError(f"no distinguished name: {error}") from error
