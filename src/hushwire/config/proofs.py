"""How a peer proves who it is, how we do, and under which names: one way for each peer."""

from __future__ import annotations

from hushwire.config import keys, values
from hushwire.config.model import CertificateConfig, InterfaceConfig, IpAddress
from hushwire.config.table import Table
from hushwire.crypto.sign import PrivateKey, PublicKey
from hushwire.records import dataclass
from hushwire.sa.identity import Identity
from hushwire.wire.registry import IdType


@dataclass(frozen=True, slots=True)
class Proof:
    """Exactly one of `public_key`, `psk` and `certificates`; `private_key` is ours to go with."""

    public_key: PublicKey | None
    psk: bytes | None
    certificates: CertificateConfig | None
    private_key: PrivateKey | None


def private_key(table: Table) -> PrivateKey | None:
    """The key in the file that `private_key_file` names."""
    return table.parse(
        "private_key_file",
        lambda text: keys.read_private_key(keys.key_path(text, table.file.parent)),
    )


def proof(table: Table, interface: InterfaceConfig, interface_table: Table) -> Proof:
    """The peer's way, and what we need for it. Raises `ConfigError`."""
    given = [key for key in ("public_key", "psk_file", "ca_file") if key in table.values]
    if len(given) > 1:
        what = f"{table.name} has both {given[0]} and {given[1]}"
        raise table.error((given[1],), what, "Leave one of them out.")
    public_key = table.parse("public_key", keys.public_key)
    psk = table.parse(
        "psk_file", lambda text: keys.read_psk(keys.key_path(text, table.file.parent))
    )
    own = private_key(table) or interface.private_key
    if psk is not None:
        return Proof(None, psk, None, None)
    if public_key is not None:
        return Proof(public_key, None, None, _checked(table, own, public_key))
    from hushwire.config.certificates import certificates

    by_certificates = certificates(table, interface_table, own)
    if by_certificates is None:
        what = f"{table.name} has neither public_key nor psk_file nor ca_file"
        raise table.error((), what, "The peer's hushwire pubkey prints its public_key.")
    return Proof(None, None, by_certificates, own)


def identities(
    table: Table, endpoint: IpAddress | str | None, by: Proof
) -> tuple[Identity | None, Identity | None]:
    """The peer's and ours. Raises `ConfigError`."""
    remote = table.parse("id", values.identity)
    local = table.parse("local_id", values.identity)
    if by.certificates is not None:
        from hushwire.config.certificates import own_id, peer_id

        own = by.certificates.chain[0]
        return peer_id(table, endpoint, remote), own_id(table, own, local)
    if by.public_key is not None and by.private_key is not None:
        return remote or _key_id(by.public_key), local or _key_id(by.private_key.public)
    # What a name resolves to is not known yet, and the pre-shared key is proof enough.
    if remote is None and endpoint is not None and not isinstance(endpoint, str):
        remote = Identity.of_address(endpoint)
    return remote, local


def _checked(table: Table, own: PrivateKey | None, public_key: PublicKey) -> PrivateKey:
    if own is None:
        raise table.error(
            ("public_key",),
            f"{table.name} has a public_key, and [interface] has no private_key_file",
            f"Make one (hushwire genkey -o {table.file.stem}.key) and name it there.",
        )
    if own.public == public_key:
        raise table.error(
            ("public_key",),
            f"public_key in {table.name} is this host's own",
            "Put the peer's there: run hushwire pubkey on the peer.",
        )
    return own


def _key_id(public_key: PublicKey) -> Identity:
    return Identity(IdType.KEY_ID, public_key.key_id)
