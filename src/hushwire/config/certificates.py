"""X.509 in the configuration: whose certificate we show, and whom we believe.

Every key may stand in [interface], for all peers, or in [peer.NAME], for that one.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from hushwire.config import keys
from hushwire.config.certificate_keys import KEYS
from hushwire.config.errors import BadValueError
from hushwire.config.files import read
from hushwire.config.model import CertificateConfig, IpAddress
from hushwire.config.table import Table, quote
from hushwire.crypto.chain import Trust
from hushwire.crypto.crl import MOST_OCTETS as LARGEST_CRL
from hushwire.crypto.crl import Crl, Crls, Revocation
from hushwire.crypto.errors import CertificateFormatError
from hushwire.crypto.sign import PrivateKey
from hushwire.crypto.x509 import Certificate
from hushwire.sa.identity import Identity
from hushwire.wire.registry import IdType

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_MOST_OCTETS = 1 << 20
_URL = re.compile(r"https?://[!-~]+")
# In which order a certificate's names serve as ours when none is chosen (RFC 4945 §3.1.8).
_PREFERRED = (
    IdType.FQDN,
    IdType.RFC822_ADDR,
    IdType.IPV4_ADDR,
    IdType.IPV6_ADDR,
    IdType.DER_ASN1_DN,
)
_T = TypeVar("_T")


class Purpose(StrEnum):
    """What the peer's certificate must be meant for (RFC 4945 §5.1.3.12)."""

    IKE = "ike"
    ANY = "any"


class RsaPadding(StrEnum):
    """How our RSA key signs."""

    PSS = "pss"
    PKCS1 = "pkcs1"


def certificates(
    table: Table, interface: Table, private_key: PrivateKey | None
) -> CertificateConfig | None:
    """X.509 for the peer of `table`, if it or `interface` has a ca_file. Raises `ConfigError`."""
    tables = (table, interface)
    anchors = _either(tables, "ca_file", lambda path: _read(path, "authority"))
    if anchors is None:
        return None
    _check_authorities(tables, anchors)
    own = _either(tables, "cert_file", lambda path: _read(path, "host"))
    if own is None:
        raise table.error(
            _place(table, "ca_file"),
            f"{table.name} has a ca_file, and there is no cert_file for our own certificate",
            f"Write for example: cert_file = {KEYS['cert_file']}",
        )
    where = _holder(tables, "cert_file")
    if private_key is None:
        raise where.error(
            ("cert_file",),
            "there is a cert_file, and no private_key_file for its key",
            'Write for example: private_key_file = "alice.key"',
        )
    _check_own(where, own, private_key)
    crls = _either(tables, "crl_file", read_crls) or ()
    return CertificateConfig(
        chain=own,
        trust=Trust(
            anchors=anchors,
            crls=Crls(*crls),
            revocation=_holder(tables, "crl").choice("crl", Revocation.IF_PRESENT),
            any_purpose=_holder(tables, "key_purpose").choice("key_purpose", Purpose.IKE)
            is Purpose.ANY,
        ),
        crl_file=_either(tables, "crl_file", lambda path: path),
        crl_url=_holder(tables, "crl_url").parse("crl_url", _url),
        pkcs1=_holder(tables, "rsa").choice("rsa", RsaPadding.PSS) is RsaPadding.PKCS1,
    )


def peer_id(table: Table, endpoint: IpAddress | str | None, given: Identity | None) -> Identity:
    """Whom the peer's certificate has to name: by default, its endpoint."""
    if given is None:
        if endpoint is None:
            raise table.error(
                (),
                f"{table.name} has neither id nor endpoint, so whoever has a certificate of that "
                "authority could pass for this peer",
                'Write for example: id = "bob.example.org"',
            )
        return Identity.parse(str(endpoint))
    if given.type == IdType.KEY_ID:
        raise table.error(
            ("id",),
            f"id in {table.name} is {given}, which no certificate can say",
            'Write a name that its certificate has: id = "bob.example.org"',
        )
    return given


def own_id(table: Table, own: Certificate, given: Identity | None) -> Identity:
    """Which of our certificate's names is ours towards this peer."""
    names = sorted(
        (Identity(kind, data) for kind, data in own.names),
        key=lambda name: (_PREFERRED.index(name.type), name.data),
    )
    if given is None:
        if not names:
            what = f"our certificate for {table.name} has no name in it"
            raise table.error((), what, "Have one issued with subjectAltName.")
        return names[0]
    if not any(given.is_same_as(name) for name in names):
        raise table.error(
            ("local_id",),
            f"local_id in {table.name} is {given}, and our certificate does not say that",
            f"It says: {', '.join(name.text for name in names)}.",
        )
    return given


def read_crls(path: Path) -> tuple[Crl, ...]:
    """The revocation lists in a file. Raises `BadValueError`."""
    try:
        lists = Crl.from_file(_octets(path, LARGEST_CRL))
    except CertificateFormatError as error:
        raise BadValueError(f"{path}: {error}") from error
    for crl in lists:
        if crl.flaw:
            # Silently it would revoke nothing.
            raise BadValueError(
                f"{path}: the revocation list of {crl.issuer} says nothing to us: {crl.flaw}"
            )
    return lists


def _read(path: Path, whose: str) -> tuple[Certificate, ...]:
    """The certificates in a file, PEM or one in DER."""
    octets = _octets(path, _MOST_OCTETS)
    ders = [_der(path, pem) for pem in _PEM.findall(octets)]
    if not ders:
        if b"PRIVATE KEY" in octets:
            raise BadValueError(
                f"{path} holds a private key, and no certificate",
                "The key's file belongs into private_key_file.",
            )
        if b"-----BEGIN" in octets or not octets.startswith(b"\x30"):
            raise BadValueError(
                f"in {path} is no certificate",
                f"The {whose}'s stands between -----BEGIN CERTIFICATE----- and its END.",
            )
        ders = [octets]
    try:
        return tuple(dict.fromkeys(Certificate.from_der(der) for der in ders))
    except CertificateFormatError as error:
        raise BadValueError(f"{path}: {error}") from error


def _der(path: Path, pem: bytes) -> bytes:
    try:
        return binascii.a2b_base64(b"".join(pem.split(b"\n")[1:-1]))
    except ValueError:
        raise BadValueError(
            f"{path}: a certificate in it is not base64; is all of it there?"
        ) from (None)


def _octets(path: Path, most: int) -> bytes:
    try:
        return read(path, most, f"{most >> 20} MiB")
    except FileNotFoundError:
        raise BadValueError(f"there is no file {path}") from None


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise BadValueError(
            f"{quote(text)} is not the address of a file on the web",
            f"Write for example: crl_url = {KEYS['crl_url']}",
        )
    return text


def _check_authorities(tables: Sequence[Table], anchors: Sequence[Certificate]) -> None:
    where = _holder(tables, "ca_file")
    for anchor in anchors:
        if not anchor.is_authority:
            raise where.error(
                ("ca_file",),
                f"ca_file holds the certificate of {anchor.subject}, which is no authority",
                "The one that issued it belongs there, with CA:TRUE in its basic constraints.",
            )
        if anchor.key is None:
            what = f"the authority {anchor.subject} in ca_file cannot be used: {anchor.key_flaw}"
            raise where.error(("ca_file",), what)


def _check_own(where: Table, own: Sequence[Certificate], private_key: PrivateKey) -> None:
    first = own[0]
    if first.key is None:
        what = f"the certificate of {first.subject} cannot be used: {first.key_flaw}"
        raise where.error(("cert_file",), what)
    if first.key == private_key.public:
        return
    right = [other for other in own if other.key == private_key.public]
    if right:
        cure = f"The one of {right[0].subject} is; put it first."
    elif first.key.kind != private_key.public.kind:
        cure = f"The certificate is for a key of the kind {first.key.kind}, and ours is "
        cure += f"{private_key.public.kind}: is it another file?"
    else:
        cure = "Is it another file, or was the key made anew after the certificate?"
    raise where.error(
        ("cert_file",),
        f"the certificate of {first.subject} in cert_file is not for the key in private_key_file",
        cure,
    )


def _holder(tables: Sequence[Table], key: str) -> Table:
    """The first that has the key."""
    return next((table for table in tables if key in table.values), tables[0])


def _place(table: Table, key: str) -> tuple[str, ...]:
    return (key,) if key in table.values else ()


def _either(tables: Sequence[Table], key: str, parser: Callable[[Path], _T]) -> _T | None:
    table = _holder(tables, key)
    return table.parse(key, lambda text: parser(keys.key_path(text, table.file.parent)))
