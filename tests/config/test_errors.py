"""Each mistake in its exact words: the file, the line, what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.files import (
    ALICE,
    ALICE_KEY,
    BOB,
    RIGHT,
    changed,
    complaint,
    load_text,
    write_keys,
)

_KEY_LINE = f'public_key = "{BOB.to_text()}"\n'
_KNOWN = (
    "Known keys: name, address, private_key_file, engine, underlay, guard, ipv6, tcp_port, "
    "cert_file, ca_file, crl_file, crl_url, crl, key_purpose, rsa."
)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_keys(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # keys and tables
        ("address", "adress", ':3: unknown key "adress" in [interface]. Did you mean "address"?'),
        ('name = "hw0"', "zzz = 1", f':2: unknown key "zzz" in [interface]. {_KNOWN}'),
        ("\n\n", "\nmtu = 1400\n\n", f':5: unknown key "mtu" in [interface]. {_KNOWN}'),
        (
            "networks",
            "network",
            ':9: unknown key "network" in [peer.bob]. Did you mean "networks"?',
        ),
        ("[peer.bob]", "[peers.bob]", ":6: unknown table [peers]. Did you mean [peer.NAME]?"),
        (
            "[interface]",
            "[interfaec]",
            ":1: unknown table [interfaec]. Did you mean [interface]?",
        ),
        (
            "[peer.bob]",
            "[bob]",
            ":6: unknown table [bob]. There are [interface], [peer.NAME] and [limits].",
        ),
        (
            "[peer.bob]",
            "[peer]",
            ':7: "endpoint" stands in [peer], and a peer needs a name. '
            "Write for example: [peer.bob]",
        ),
        ("[peer.bob]", "[[peer]]", ":6: a peer needs a name. Write for example: [peer.bob]"),
        ("[interface]", "[[interface]]", ":1: interface must be one table. Write [interface]."),
        (
            "[peer.bob]",
            '[peer."b\\u001bob"]',
            ':6: "b\\u001bob" cannot be the name of a peer. Letters and digits without spaces can.',
        ),
        (
            "[interface]",
            'name = "x"\n[interface]',
            ':1: "name" stands above every table. Put it below [interface] or [peer.NAME].',
        ),
        # types
        (
            '"hw0"',
            "0",
            ":2: name in [interface] must be text in quotes, not a number. "
            'Write for example: name = "hw0"',
        ),
        (
            '["10.0.1.1/24"]',
            '"10.0.1.1/24"',
            ":3: address in [interface] must be a list, not text. "
            'Write for example: address = ["10.0.1.1/24"]',
        ),
        (
            '["10.0.1.2/32"]',
            '[\n  "10.0.1.2/32", # bob\n  7,\n]',
            ":11: networks in [peer.bob] must be a list of texts in quotes; "
            'one of them is a number. Write for example: networks = ["10.0.1.2/32"]',
        ),
        (
            '"192.168.77.2"',
            "true",
            ":7: endpoint in [peer.bob] must be text in quotes, not true or false. "
            'Write for example: endpoint = "192.0.2.1"',
        ),
        (
            '"192.168.77.2"',
            '""',
            ':7: endpoint in [peer.bob] is empty. Write for example: endpoint = "192.0.2.1"',
        ),
        # names and addresses
        (
            '"hw0"',
            '"a-name-too-long-for-linux"',
            ':2: name in [interface]: "a-name-too-long-for-linux" cannot be the name of a device. '
            "1 to 15 letters, digits, dots, dashes and underscores can, as in hw0.",
        ),
        (
            "10.0.1.1/24",
            "10.0.1.1/33",
            ':3: address in [interface]: "10.0.1.1/33" is not an address. '
            'Write "10.0.1.1/24" or "fd00::1/64".',
        ),
        (
            "10.0.1.1/24",
            "10.0.1.0/24",
            ':3: address in [interface]: "10.0.1.0/24" is a network, and no host in it. '
            'Write for example "10.0.1.1/24".',
        ),
        (
            '["10.0.1.1/24"]',
            '["10.0.1.1/24", "10.0.1.1/24"]',
            ':3: address in [interface] has "10.0.1.1/24" twice. Leave one out.',
        ),
        (
            'address = ["10.0.1.1/24"]\n',
            "",
            ':1: [interface] has no address. Write for example: address = ["10.0.1.1/24"]',
        ),
        # networks
        (
            "10.0.1.2/32",
            "10.0.1.2/24",
            ':9: networks in [peer.bob]: "10.0.1.2/24" has bits set after its prefix. '
            'Did you mean "10.0.1.0/24", or "10.0.1.2/32" for that host alone?',
        ),
        (
            '["10.0.1.2/32"]',
            '[\n"10.9.0.0/16",\n"bob",\n]',
            ':11: networks in [peer.bob]: "bob" is not a network. '
            'Write "10.0.1.2/32" or "fd00::/64".',
        ),
        (
            "10.0.1.2/32",
            "fe80::%eth0/64",
            ':9: networks in [peer.bob]: "fe80::%eth0/64" names a zone, which cannot be used '
            "here. Leave out the % and what follows it.",
        ),
        (
            '["10.0.1.2/32"]',
            "[]",
            ':9: networks in [peer.bob] is empty. Write for example: networks = ["10.0.1.2/32"]',
        ),
        (
            'networks = ["10.0.1.2/32"]\n',
            "",
            ':6: [peer.bob] has no networks. Write for example: networks = ["10.0.1.2/32"]',
        ),
        (
            "10.0.1.2/32",
            "10.0.1.1/32",
            ":9: \"10.0.1.1/32\" in [peer.bob] is this host's own address. The peer's belong here.",
        ),
        (
            "10.0.1.2/32",
            "fd00::2/128",
            ':9: "fd00::2/128" in [peer.bob] is IPv6, and this host has no IPv6 here to reach it '
            "from. Add an IPv6 address to [interface], or leave it out.",
        ),
        # the endpoint
        *(
            (
                "192.168.77.2",
                f"{written}:4500",
                ":7: endpoint in [peer.bob]: a port cannot be given here: IKEv2 has UDP 500 and "
                f'4500 on every host. Write endpoint = "{host}"',
            )
            for written, host in [
                ("192.0.2.1", "192.0.2.1"),
                ("bob.example", "bob.example"),
                ("[2001:db8::1]", "2001:db8::1"),
            ]
        ),
        *(
            (
                "192.168.77.2",
                wrong,
                f':7: endpoint in [peer.bob]: "{wrong}" is neither an address nor a name. '
                'Write "192.0.2.1", "2001:db8::1" or "bob.example".',
            )
            for wrong in ["192.168.77.256", "192.0.2.1/24", "[2001:db8::1]", "bob example"]
        ),
        (
            "192.168.77.2",
            "0.0.0.0",
            ':7: endpoint in [peer.bob]: "0.0.0.0" is not the address of one host.',
        ),
        (
            'endpoint = "192.168.77.2"',
            'start = "up"',
            ':7: start = "up" in [peer.bob], and no endpoint to begin with. '
            'Write for example: endpoint = "192.0.2.1"',
        ),
        # choices
        # ports
        *(
            (
                place,
                f"tcp_port = {wrong}\n{place}",
                f":{line}: tcp_port in {table} {what}. Write for example: tcp_port = 4500",
            )
            for place, line, table in [
                ('name = "hw0"', 2, "[interface]"),
                ("endpoint", 7, "[peer.bob]"),
            ]
            for wrong, what in [
                ("0", "cannot be 0: ports are 1 to 65535"),
                ("65536", "cannot be 65536: ports are 1 to 65535"),
                ("-1", "cannot be -1: ports are 1 to 65535"),
                ('"4500"', "must be a whole number, not text"),
                ("true", "must be a whole number, not true or false"),
                ("4500.0", "must be a whole number, not a number"),
            ]
        ),
        *(
            (
                'name = "hw0"',
                f'engine = "{engine}"',
                f':2: engine = "{engine}" in [interface] is not in this version. '
                'It has "auto", "native" and "python" only.',
            )
            for engine in ("ebpf", "xfrm")
        ),
        (
            "endpoint",
            'encap = "upd"\nendpoint',
            ':7: encap in [peer.bob] cannot be "upd". Did you mean "udp"?',
        ),
        (
            "endpoint",
            'start = "later"\nendpoint',
            ':7: start in [peer.bob] cannot be "later". It can be: "up", "traffic", "wait".',
        ),
        # durations and identities
        (
            "endpoint",
            'dpd = "20"\nendpoint',
            ':7: dpd in [peer.bob]: "20" is not a duration. Write "20s", "5m" or "1h".',
        ),
        (
            "endpoint",
            "dpd = 20\nendpoint",
            ":7: dpd in [peer.bob] must be text in quotes, not a number. "
            'Write for example: dpd = "20s"',
        ),
        (
            "endpoint",
            'copy_dscp = "yes"\nendpoint',
            ":7: copy_dscp in [peer.bob] must be true or false, not text. "
            "Write for example: copy_dscp = true",
        ),
        (
            "endpoint",
            'keepalive = "0s"\nendpoint',
            ":7: keepalive in [peer.bob]: a duration of zero is not possible. "
            'Write "20s", "5m" or "1h".',
        ),
        (
            "endpoint",
            'id = "C=Germany"\nendpoint',
            ':7: id in [peer.bob]: "C=Germany" cannot be used: an identity is an address '
            "(192.0.2.1), a name (bob.example), a mail address (bob@example.org), a distinguished "
            "name (C=CH, O=Example, CN=bob) or key: with hexadecimal octets.",
        ),
        (
            "endpoint",
            'rekey_after = "1d"\nendpoint',
            ':7: rekey_after in [peer.bob]: "1d" is not a duration. Write "20s", "5m" or "1h".',
        ),
        (
            "endpoint",
            'rekey_bytes = "64GB"\nendpoint',
            ':7: rekey_bytes in [peer.bob]: "64GB" is not an amount of data. '
            'Write "500MiB", "64GiB" or "never".',
        ),
        (
            "endpoint",
            'rekey_packets = "0"\nendpoint',
            ':7: rekey_packets in [peer.bob]: "0" is not a number of packets. '
            'Write "1000000000" or "never".',
        ),
        # keys and secrets
        (
            _KEY_LINE,
            "",
            ":6: [peer.bob] has neither public_key nor psk_file nor ca_file. "
            "The peer's hushwire pubkey prints its public_key.",
        ),
        (
            _KEY_LINE,
            _KEY_LINE + 'psk_file = "bob.psk"\n',
            ":9: [peer.bob] has both public_key and psk_file. Leave one of them out.",
        ),
        (
            BOB.to_text(),
            ALICE.to_text(),
            ":8: public_key in [peer.bob] is this host's own. "
            "Put the peer's there: run hushwire pubkey on the peer.",
        ),
        (
            'private_key_file = "alice.key"\n',
            "",
            ":7: [peer.bob] has a public_key, and [interface] has no private_key_file. "
            "Make one (hushwire genkey -o alice.key) and name it there.",
        ),
        (
            '"alice.key"',
            '"no such.key"',
            ":4: private_key_file in [interface]: there is no file no such.key. "
            "Make it: hushwire genkey -o 'no such.key'",
        ),
        (
            '"alice.key"',
            '"open.key"',
            ":4: private_key_file in [interface]: open.key holds a secret, and others than its "
            "owner can use it (mode 0640). Run: chmod 600 open.key",
        ),
        (
            '"alice.key"',
            '"public.key"',
            ":4: private_key_file in [interface]: public.key: this is a public key where a "
            "private key belongs. The private key is what hushwire genkey writes.",
        ),
        (
            '"alice.key"',
            '"bob.psk"',
            ":4: private_key_file in [interface]: bob.psk: this is not a private key in PEM "
            "(-----BEGIN PRIVATE KEY-----); `hushwire genkey` makes one.",
        ),
        (
            '"alice.key"',
            f'"{ALICE.to_text()}"',
            ":4: private_key_file in [interface]: here stands the name of a file, not a key. "
            "Put the key into a file of its own, with mode 600, and its name here.",
        ),
        ('"alice.key"', '"."', ":4: private_key_file in [interface]: . is not a plain file."),
        (
            '"alice.key"',
            '"a\\u0000b"',
            ':4: private_key_file in [interface]: "a\\u0000b" cannot be the name of a file.',
        ),
        (
            '"alice.key"',
            '"long"',
            ":4: private_key_file in [interface]: long is longer than any key.",
        ),
        (
            f'"{BOB.to_text()}"',
            f"'''{ALICE_KEY.to_pem()}'''",
            ":8: public_key in [peer.bob]: this is a private key, which stays on its own host. "
            "Make a new one there, and give here what hushwire pubkey makes of it.",
        ),
        (
            BOB.to_text(),
            BOB.to_text()[:-5],
            ":8: public_key in [peer.bob]: what follows ed25519: in the public key is not base64; "
            "was all of it copied?",
        ),
        *(
            (_KEY_LINE, f'psk_file = "{name}"\n', f":8: psk_file in [peer.bob]: {said}")
            for name, said in [
                (
                    "bob.pks",
                    "there is no file bob.pks. "
                    "Make it, once for both hosts: hushwire genpsk -o bob.pks",
                ),
                (
                    "open.psk",
                    "open.psk holds a secret, and others than its owner can use it "
                    "(mode 0640). Run: chmod 600 open.psk",
                ),
                ("empty", "empty is empty. hushwire genpsk makes a strong shared secret."),
                (
                    "alice.key",
                    "in alice.key is a key in PEM where a shared secret belongs. "
                    "hushwire genpsk makes a strong shared secret.",
                ),
            ]
        ),
        # proposals
        (
            "endpoint",
            'ike = [\n  "aes256gcm16-prfsha384-x25519",\n'
            '  "aes256gcm61-prfsha384-x25519"]\nendpoint',
            ":9: ike in [peer.bob]: 'aes256gcm61' is not the name of an algorithm; "
            "use 'aes256gcm16'.",
        ),
        (
            "endpoint",
            'ike = ["aes256gcm16-esn"]\nendpoint',
            ":7: ike in [peer.bob]: proposal 'aes256gcm16-esn': esn has no place in a proposal "
            "for IKE; leave it out. As it is, it fits into the list esp.",
        ),
        (
            "endpoint",
            'esp = ["aes256gcm16-prfsha384-x25519"]\nendpoint',
            ":7: esp in [peer.bob]: proposal 'aes256gcm16-prfsha384-x25519': prfsha384 has no "
            "place in a proposal for ESP; leave it out. As it is, it fits into the list ike.",
        ),
        # not TOML
        (
            '"192.168.77.2"',
            "192.168.77.2",
            ":7: not TOML: Expected newline or end of document after a statement. "
            'Text stands in quotes, a list in brackets: networks = ["10.0.1.2/32"]',
        ),
        (
            '["10.0.1.2/32"]',
            '["10.0.1.2/32"',
            ":9: not TOML: Unclosed array. "
            'Text stands in quotes, a list in brackets: networks = ["10.0.1.2/32"]',
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_its_cure(old: str, new: str, said: str) -> None:
    assert complaint(changed(old, new)) == f"alice.toml{said}"


def _second_peer(lines: str) -> str:
    return f"{RIGHT}[peer.carol]\n{lines}\n"


def test_two_peers_cannot_have_one_network() -> None:
    carol = 'psk_file = "bob.psk"\nnetworks = [\n  "10.7.0.0/16",\n  "10.0.1.2/32",\n]'
    assert complaint(_second_peer(carol)) == (
        'alice.toml:14: "10.0.1.2/32" of carol is also bob\'s. An address can be behind one peer '
        "only; of two networks one within the other the smaller one decides."
    )


def test_two_peers_cannot_have_one_key() -> None:
    carol = f'{_KEY_LINE}networks = ["10.0.1.3/32"]'
    assert complaint(_second_peer(carol)) == (
        "alice.toml:11: public_key of carol is also bob's. Each host has a key of its own."
    )


@pytest.mark.parametrize(
    ("endpoint", "who"),
    [("", "have no id"), ('endpoint = "192.0.2.1"\n', "have the same id, 192.0.2.1")],
)
def test_two_peers_that_could_not_be_told_apart_are_refused(endpoint: str, who: str) -> None:
    peers = "".join(
        f'[peer.{name}]\n{endpoint}psk_file = "bob.psk"\nnetworks = ["10.0.1.{n}/32"]\n'
        for n, name in [(2, "bob"), (3, "carol")]
    )
    text = f'[interface]\naddress = ["10.0.1.1/24"]\n{peers}'
    line = 7 if endpoint else 6
    assert complaint(text) == (
        f"alice.toml:{line}: bob and carol {who}, so one could pass for the other. "
        'Give each its own: id = "..."'
    )
    load_text(text.replace("[peer.carol]\n", '[peer.carol]\nid = "carol"\n'))


def test_without_a_peer_or_an_interface_there_is_nothing_to_do() -> None:
    assert complaint(RIGHT[: RIGHT.index("[peer")]) == (
        "alice.toml: there is no peer. "
        "Write [peer.bob], and below it the peer's endpoint, key and networks."
    )
    assert complaint(RIGHT[RIGHT.index("[peer") :]) == (
        "alice.toml: there is no [interface]. It holds this host's address and key."
    )
    assert "no [interface]" in complaint("")
