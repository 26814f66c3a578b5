"""What a right configuration means."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from hushwire.config.load import find, load
from hushwire.config.model import EngineChoice, Start
from hushwire.crypto.suites import DEFAULT_ESP, DEFAULT_IKE, parse_proposal
from hushwire.sa.association import Encap
from hushwire.sa.identity import Identity
from hushwire.sa.lifetimes import Lifetimes
from hushwire.wire.registry import IdType, ProtocolId
from tests.config.files import ALICE, ALICE_KEY, BOB, RIGHT, changed, load_text, write_keys


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_keys(tmp_path)


def test_ten_lines_are_a_whole_configuration() -> None:
    config = load_text(RIGHT)
    assert config.path == Path("alice.toml")
    assert config.interface.name == "hw0"
    assert config.interface.address == (ip_interface("10.0.1.1/24"),)
    assert config.interface.private_key == ALICE_KEY
    assert config.interface.engine is EngineChoice.AUTO
    assert config.interface.underlay is None
    assert config.interface.tcp_port == 4500
    assert config.listens_in_tcp
    assert config.lines == {"bob": {"": 6, "endpoint": 7, "public_key": 8, "networks": 9}}
    (bob,) = config.peers
    assert bob.name == "bob"
    assert bob.endpoint == ip_address("192.168.77.2")
    assert bob.public_key == BOB
    assert bob.psk is None
    assert bob.id == Identity(IdType.KEY_ID, BOB.key_id)
    assert bob.local_id == Identity(IdType.KEY_ID, ALICE.key_id)
    assert bob.networks == (ip_network("10.0.1.2/32"),)
    assert bob.local_networks == (ip_network("10.0.1.1/32"),)
    assert (bob.encap, bob.start) == (Encap.AUTO, Start.UP)
    assert bob.ike == tuple(parse_proposal(text, ProtocolId.IKE) for text in DEFAULT_IKE)
    assert bob.esp == tuple(parse_proposal(text, ProtocolId.ESP) for text in DEFAULT_ESP)
    assert (bob.dpd, bob.keepalive) == (20.0, 20.0)
    assert bob.copy_dscp is False
    assert bob.tcp_port == 4500


def test_every_key_can_be_given() -> None:
    config = load_text(
        """\
        [interface]
        address = ["10.0.1.1/24", "fd00::1/64"]
        engine = "python"
        underlay = "eth0"
        tcp_port = 443
        [peer."bob.example"]
        endpoint = "bob.example"
        psk_file = "bob.psk"
        id = "bob@example.org"
        local_id = "alice.example"
        networks = ["10.0.1.2/32", "fd00::2/128", "10.9.0.0/16"]
        local_networks = ["10.8.0.0/16", "fd00::/64"]
        mode = "tunnel"
        encap = "udp"
        start = "wait"
        ike = ["aes256gcm16-prfsha384-x25519"]
        esp = ["aes256gcm16-esn", "chacha20poly1305"]
        dpd = "5m"
        keepalive = "1h"
        copy_dscp = true
        tcp_port = 8443
        """,
        "hw7.toml",
    )
    assert config.interface.name == "hw7", "without a name the file's name counts"
    assert config.interface.private_key is None
    assert config.interface.engine is EngineChoice.PYTHON
    assert config.interface.underlay == "eth0"
    assert config.interface.tcp_port == 443
    assert not config.listens_in_tcp, 'no peer may come inside TCP with encap = "udp"'
    (bob,) = config.peers
    assert (bob.name, bob.endpoint) == ("bob.example", "bob.example")
    assert (bob.public_key, bob.psk) == (None, b"c2VjcmV0")
    assert (str(bob.id), str(bob.local_id)) == ("bob@example.org", "alice.example")
    assert [str(network) for network in bob.local_networks] == ["10.8.0.0/16", "fd00::/64"]
    assert (bob.encap, bob.start) == (Encap.UDP, Start.WAIT)
    assert bob.ike == (parse_proposal("aes256gcm16-prfsha384-x25519", ProtocolId.IKE),)
    assert len(bob.esp) == 2
    assert (bob.dpd, bob.keepalive) == (300.0, 3600.0)
    assert bob.copy_dscp is True


def test_without_an_endpoint_the_peer_is_waited_for() -> None:
    (bob,) = load_text(changed('endpoint = "192.168.77.2"\n', "")).peers
    assert (bob.endpoint, bob.start) == (None, Start.WAIT)


@pytest.mark.parametrize(
    ("endpoint", "identity"),
    [
        ("192.168.77.2", "192.168.77.2"),
        ("2001:db8::1", "2001:db8::1"),
        ("bob.example", None),
        (None, None),
    ],
)
def test_with_a_shared_secret_the_peer_is_named_by_its_address(
    endpoint: str | None, identity: str | None
) -> None:
    line = "" if endpoint is None else f'endpoint = "{endpoint}"\n'
    text = changed('endpoint = "192.168.77.2"\n', line)
    (bob,) = load_text(text.replace(f'public_key = "{BOB.to_text()}"', 'psk_file="bob.psk"')).peers
    assert (None if bob.id is None else str(bob.id)) == identity
    assert bob.local_id is None, "the address on our side, which is not known yet"


def test_keys_are_looked_for_beside_the_file_and_not_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("alice.toml").write_text(RIGHT)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(tmp_path / "alice.toml").interface.private_key == ALICE_KEY


def test_no_secret_shows_when_a_configuration_is_printed() -> None:
    secret_text = changed(f'public_key = "{BOB.to_text()}"', 'psk_file = "bob.psk"')
    printed = repr(load_text(secret_text)) + repr(load_text(RIGHT))
    assert "c2VjcmV0" not in printed
    assert "private_key" not in printed


def test_networks_inside_each_other_are_fine_for_one_peer() -> None:
    (bob,) = load_text(changed('["10.0.1.2/32"]', '["10.0.0.0/8", "10.0.1.0/24"]')).peers
    assert len(bob.networks) == 2


def test_a_name_is_a_file_in_etc_and_a_path_is_itself() -> None:
    assert find("hw0") == Path("/etc/hushwire/hw0.toml")
    assert find("hw0.toml") == Path("hw0.toml")
    assert find("./hw0") == Path("hw0")
    assert find("/tmp/x.conf") == Path("/tmp/x.conf")


def test_one_peers_network_may_lie_within_anothers() -> None:
    carol = '[peer.carol]\npsk_file = "bob.psk"\nid = "carol.example"\nnetworks = ["10.0.0.0/8"]\n'
    bob, of_carol = load_text(f"{RIGHT}{carol}").peers
    assert bob.networks == (ip_network("10.0.1.2/32"),)
    assert of_carol.networks == (ip_network("10.0.0.0/8"),)


def test_keys_are_renewed_each_hour_unless_told_otherwise() -> None:
    (peer,) = load_text(RIGHT).peers
    assert peer.lifetimes == Lifetimes(3600.0, 64 << 30, None, 4 * 3600.0, None)
    (peer,) = load_text(
        changed(
            "endpoint",
            'rekey_after = "10m"\nrekey_bytes = "500MiB"\nrekey_packets = "1000"\n'
            'rekey_ike_after = "never"\nreauth_after = "8h"\nendpoint',
        )
    ).peers
    assert peer.lifetimes == Lifetimes(600.0, 500 << 20, 1000, None, 8 * 3600.0)
    (peer,) = load_text(changed("endpoint", 'rekey_bytes = "never"\nendpoint')).peers
    assert peer.lifetimes.child_octets is None
