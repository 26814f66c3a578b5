"""Name constraints: whom an authority may certify (RFC 5280 §4.2.1.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from cryptography import x509

from hushwire.crypto.dn import name_text, printable
from hushwire.crypto.x509 import Certificate

# A name's value and a subtree's, as pyca/cryptography has them for the one kind of name.
_Fits = Callable[[Any, Any], bool]


def violation(authority: Certificate, below: Certificate) -> str:
    """The name in `below` that `authority` may not certify, `printable`, or ""."""
    limits = authority.constraints
    if limits is None:
        return ""
    for kind, value in _names(below):
        fits = _FITS.get(kind)
        permitted = _of_kind(kind, limits.permitted_subtrees)
        excluded = _of_kind(kind, limits.excluded_subtrees)
        if fits is None:
            # A kind of name whose subtrees are not known here: allowed only where none are given.
            if permitted or excluded:
                return _shown(value)
        elif any(fits(value, tree.value) for tree in excluded) or (
            permitted and not any(fits(value, tree.value) for tree in permitted)
        ):
            return _shown(value)
    return ""


def _names(certificate: Certificate) -> Iterable[tuple[type[x509.GeneralName], object]]:
    subject = certificate.pyca.subject
    if subject.rdns:
        yield x509.DirectoryName, subject
    for attribute in subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS):
        # Where old certificates have their mail address, it is constrained too: whatever stands
        # there, also what the library would not take for an address.
        yield x509.RFC822Name, attribute.value
    try:
        alternative = certificate.pyca.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return
    for name in alternative.value:
        yield type(name), name.value


def _shown(value: object) -> str:
    return name_text(value) if isinstance(value, x509.Name) else printable(str(value)) or "no name"


def _of_kind(
    kind: type[x509.GeneralName], trees: Iterable[x509.GeneralName] | None
) -> list[x509.GeneralName]:
    return [tree for tree in trees or () if type(tree) is kind]


def _dns(name: str, tree: str) -> bool:
    """The host itself and everything to its left; an empty one is every name."""
    host, base = name.lower(), tree.lower().removeprefix(".")
    return not base or host == base or host.endswith(f".{base}")


def _mail(name: str, tree: str) -> bool:
    """One mailbox, all at one host, with a dot all at the hosts of a domain; empty, all."""
    address, base = str(name).lower(), tree.lower()
    host = address.rpartition("@")[2]
    if "@" in base:
        return address == base
    return not base or (host.endswith(base) if base.startswith(".") else host == base)


def _address(name: IPv4Address | IPv6Address, tree: IPv4Network | IPv6Network) -> bool:
    return name in tree  # an address in a network; of the other family it is not


def _directory(name: x509.Name, tree: x509.Name) -> bool:
    base = list(tree.rdns)
    return list(name.rdns)[: len(base)] == base


_FITS: dict[type[x509.GeneralName], _Fits] = {
    x509.DNSName: _dns,
    x509.RFC822Name: _mail,
    x509.IPAddress: _address,
    x509.DirectoryName: _directory,
}
