"""mode = "transport": between two hosts, with the interface's addresses or their real ones."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from hushwire.config.load import load
from hushwire.config.model import PeerConfig
from hushwire.sa.association import Mode
from tests.config.files import ALICE, ALICE_KEY, BOB, complaint


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("alice.key").write_text(ALICE_KEY.to_pem())
    Path("alice.key").chmod(0o600)


def text(*peer: str, address: str | None = '["10.0.1.1/24", "fd00::1/64"]') -> str:
    lines = ["[interface]", 'name = "hw0"', 'private_key_file = "alice.key"']
    if address:
        lines.append(f"address = {address}")
    key = BOB.to_text()
    return "\n".join([*lines, "[peer.bob]", 'mode = "transport"', f'public_key = "{key}"', *peer])


def peer_of(content: str) -> PeerConfig:
    Path("alice.toml").write_text(content)
    (peer,) = load(Path("alice.toml")).peers
    return peer


def nets(*texts: str) -> tuple[object, ...]:
    return tuple(ip_network(text) for text in texts)


REAL = ('endpoint = "192.0.2.2"', 'networks = ["192.0.2.2/32"]')


@pytest.mark.parametrize(
    ("peer", "address", "local"),
    [
        # The device's own address of the same family.
        (('endpoint = "192.0.2.2"', 'networks = ["10.0.1.2/32"]'), '["10.0.1.1/24"]', "10.0.1.1"),
        (('endpoint = "2001:db8::2"', 'networks = ["fd00::2/128"]'), '["fd00::1/64"]', "fd00::1"),
        (('networks = ["fd00::2/128"]',), '["10.0.1.1/24", "fd00::1/64"]', "fd00::1"),
        (
            ('endpoint = "192.0.2.2"', 'networks = ["fd00::2/128"]', 'encap = "udp"'),
            '["fd00::1/64"]',
            "fd00::1",
        ),
        # The real one, to be found at the start.
        (REAL, None, None),
        (REAL, '["10.0.1.1/24"]', None),
        (('networks = ["192.0.2.2/32"]',), None, None),
        (('networks = ["192.0.2.2/32"]',), '["fd00::1/64"]', None),
        ((*REAL, 'local_networks = ["192.0.2.1/32"]'), None, "192.0.2.1"),
    ],
)
def test_our_own_host_is_the_devices_address_or_the_real_one(
    peer: tuple[str, ...], address: str | None, local: str | None
) -> None:
    read = peer_of(text(*peer, address=address))
    assert read.mode is Mode.TRANSPORT
    assert read.local_networks == (nets(local) if local else ())


@pytest.mark.parametrize(
    ("peer", "address", "said"),
    [
        (
            ('networks = ["10.0.1.2/32", "10.0.1.3/32"]',),
            '["10.0.1.1/24"]',
            ':8: mode = "transport" is between two hosts, so networks in [peer.bob] is one '
            'address. Write for example networks = ["10.0.1.2/32"], or mode = "tunnel".',
        ),
        (
            ('networks = ["10.0.1.0/24"]',),
            '["10.0.2.1/24"]',
            ':8: mode = "transport" is between two hosts, so networks in [peer.bob] is one '
            'address. Write for example networks = ["10.0.1.0/32"], or mode = "tunnel".',
        ),
        (
            (*REAL, 'local_networks = ["192.0.2.0/31"]'),
            None,
            ':9: mode = "transport" is between two hosts, so local_networks in [peer.bob] is one '
            'address. Write for example local_networks = ["192.0.2.0/32"], or mode = "tunnel".',
        ),
        (
            ('networks = ["10.0.1.2/32"]',),
            '["10.0.1.1/24", "10.0.2.1/24"]',
            ':5: mode = "transport" is between two hosts, and [interface] has 2 IPv4 addresses. '
            'Say which one in [peer.bob]: local_networks = ["10.0.1.1/32"]',
        ),
        (
            ('networks = ["10.0.1.2/32"]', 'local_networks = ["fd00::1/128"]'),
            '["10.0.1.1/24", "fd00::1/64"]',
            ':9: "fd00::1/128" in [peer.bob] is IPv6, and networks is IPv4. In transport mode '
            "both are of one family: a packet has one IP header.",
        ),
        (
            ('endpoint = "192.0.2.2"', 'networks = ["fd00::2/128"]'),
            '["fd00::1/64"]',
            ':9: "fd00::2/128" in [peer.bob] is IPv6, and in transport mode it needs an IPv6 '
            'endpoint to go to. Give the endpoint\'s IPv6 address, or encap = "udp".',
        ),
        (
            ('networks = ["10.0.1.1/32"]',),
            '["10.0.1.1/24"]',
            ':8: "10.0.1.1/32" in [peer.bob] is this host\'s own address. '
            "The peer's belongs here.",
        ),
        (
            ('networks = ["fe80::2/128"]',),
            None,
            ':7: "fe80::2/128" in [peer.bob] is link-local, and belongs to one device. '
            "Use an address that both hosts have beyond their link.",
        ),
        ((), None, ":4: [peer.bob] has no networks. Write for example: "),
    ],
)
def test_what_cannot_be_two_hosts_is_explained(
    peer: tuple[str, ...], address: str | None, said: str
) -> None:
    got = complaint(text(*peer, address=address))
    assert got.startswith(f"alice.toml{said}"), got


def test_tunnel_mode_still_needs_an_address() -> None:
    other = f'[peer.carol]\npublic_key = "{ALICE.to_text()}"\nnetworks = ["10.0.2.2/32"]\n'
    content = text(*REAL, address=None) + "\n" + other
    assert complaint(content).startswith("alice.toml:1: [interface] has no address.")
