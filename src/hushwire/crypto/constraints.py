"""Name constraints: whom an authority may certify (RFC 5280 §4.2.1.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cryptography import x509

from hushwire.crypto.x509 import Certificate

_Fits = Callable[[x509.GeneralName, x509.GeneralName], bool]


def violation(authority: Certificate, below: Certificate) -> str:
    """The name in `below` that `authority` may not certify, or ""."""
    limits = authority.constraints
    if limits is None:
        return ""
    for name in _names(below):
        fits = _FITS.get(type(name))
        permitted = _of_kind(type(name), limits.permitted_subtrees)
        excluded = _of_kind(type(name), limits.excluded_subtrees)
        if fits is None:
            # A kind of name whose subtrees are not known here: allowed only where none are given.
            if permitted or excluded:
                return str(name.value)
        elif any(fits(name, tree) for tree in excluded) or (
            permitted and not any(fits(name, tree) for tree in permitted)
        ):
            return str(name.value)
    return ""


def _names(certificate: Certificate) -> Iterable[x509.GeneralName]:
    subject = certificate.pyca.subject
    if subject.rdns:
        yield x509.DirectoryName(subject)
    for attribute in subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS):
        # Where old certificates have their mail address, it is constrained too.
        yield x509.RFC822Name(str(attribute.value))
    try:
        alternative = certificate.pyca.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return
    yield from alternative.value


def _of_kind(
    kind: type[x509.GeneralName], trees: Iterable[x509.GeneralName] | None
) -> list[x509.GeneralName]:
    return [tree for tree in trees or () if type(tree) is kind]


def _dns(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    """The host itself and everything to its left; an empty one is every name."""
    host, base = str(name.value).lower(), str(tree.value).lower().removeprefix(".")
    return not base or host == base or host.endswith(f".{base}")


def _mail(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    """One mailbox, all at one host, or with a dot all at the hosts of a domain."""
    address, base = str(name.value).lower(), str(tree.value).lower()
    host = address.rpartition("@")[2]
    if "@" in base:
        return address == base
    return host.endswith(base) if base.startswith(".") else host == base


def _address(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    return name.value in tree.value  # an address in a network; of the other family it is not


def _directory(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    base = list(tree.value.rdns)
    return list(name.value.rdns)[: len(base)] == base


_FITS: dict[type[x509.GeneralName], _Fits] = {
    x509.DNSName: _dns,
    x509.RFC822Name: _mail,
    x509.IPAddress: _address,
    x509.DirectoryName: _directory,
}
