"""strongSwan 5.9 and who one is: every credential in both roles, and everything that is wrong."""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Iterator
from typing import Any

import pytest

from hushwire.crypto.sign import PrivateKey
from hushwire.lab.topology import Topology
from hushwire.lab.world import World
from hushwire.system.errors import NotPermittedError
from tests.crypto.pki import DAY, Entity, authority, issue, revoked, rsa_key
from tests.interop.gateway import NOW, Alice, Connection, Gateway
from tests.interop.strongswan import PSK, ROOT
from tests.netns.tunnels import interrupt

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / ".unpacked").exists(), reason="strongSwan is not unpacked: run tools/strongswan"
    ),
    pytest.mark.xdist_group("certificates with strongSwan"),
]

SUITES = {
    "AES-GCM": ("aes256gcm16-prfsha384-x25519", "aes256gcm16"),
    "ChaCha20-Poly1305": ("chacha20poly1305-prfsha256-x25519", "chacha20poly1305"),
    "AES-CBC with HMAC": ("aes256-sha256-prfsha256-ecp256", "aes256-sha256"),
}
KINDS = {"X.509 ECDSA": "ecdsa-p256", "X.509 Ed25519": "ed25519", "X.509 RSA": "rsa"}
AUTH = (*KINDS, "shared secret", "raw keys")
ROLES = ("initiator", "responder")


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    """One world for this whole file."""
    try:
        world = World.begin()
    except NotPermittedError as error:
        pytest.skip(str(error))
    with world, Topology(world) as network:
        yield network


def public_pem(key: PrivateKey) -> str:
    body = encodebytes(key.public.spki).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n"


def name_of(auth: str, suite: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{auth} {suite}".lower())


class Setting:
    """Who there is: authorities, bob's and alice's certificates, and what is wrong with some."""

    def __init__(self, topology: Topology) -> None:
        self.root = authority("O=Example, CN=Root", now=NOW)
        self.between = authority("O=Example, CN=Between", by=self.root, now=NOW)
        self.other = authority("O=Else, CN=Other", now=NOW)
        self.gateway = Gateway(topology, [], [self.root, self.other])
        self.alice = Alice(self.gateway)
        self.alice.give("ca.pem", self.root.pem)

    def good(self, auth: str, suite: str) -> Connection:
        ike, esp = SUITES[suite]
        name = name_of(auth, suite)
        bob_id = f"{name}.bob.example"
        if auth == "shared secret":
            secret: dict[str, object] = {"psk_file": self.alice.give("psk", PSK)}
            return Connection(
                name, ike, esp, "psk", bob_id, "alice.example", secret=PSK, alice=secret
            )
        if auth == "raw keys":
            return self.raw(name, ike, esp, bob_id)
        return self.certified(name, ike, esp, kind=KINDS[auth])

    def raw(self, name: str, ike: str, esp: str, bob_id: str) -> Connection:
        own, peer = PrivateKey.generate(), PrivateKey.generate()
        self.gateway.private_key(name, peer.to_pem())
        return Connection(
            name,
            ike,
            esp,
            "pubkey",
            bob_id,
            f"{name}.alice.example",
            own=self.gateway.public_key(f"{name}-bob", public_pem(peer)),
            peer=self.gateway.public_key(f"{name}-alice", public_pem(own)),
            alice={
                "public_key": peer.public.to_text(),
                "private_key_file": self.alice.give(f"{name}.key", own.to_pem()),
            },
        )

    def certified(
        self,
        name: str,
        ike: str = SUITES["AES-GCM"][0],
        esp: str = SUITES["AES-GCM"][1],
        *,
        kind: str = "ecdsa-p256",
        bob: Entity | None = None,
        peer: str = "",
        **alice: object,
    ) -> Connection:
        """bob's authority is below the root, alice's the root."""
        bob_id = f"{name}.bob.example"
        has = bob or issue(
            f"O=Example, CN={name}", by=self.between, kind=kind, names=[bob_id], now=NOW
        )
        own = issue(
            "O=Example, CN=alice", by=self.root, kind=kind, names=["alice.example"], now=NOW
        )
        return Connection(
            name,
            ike,
            esp,
            "pubkey",
            bob_id,
            "alice.example",
            own=self.gateway.give(name, has, self.between),
            peer=peer,
            alice={
                "ca_file": "ca.pem",
                "cert_file": self.alice.give(f"{name}.pem", own.pem),
                "private_key_file": self.alice.give(f"{name}.key", own.key_pem),
                **alice,
            },
        )


# Who one is, in every way and with every suite.

CASES = {
    f"{role}-{auth}-{suite}": (role, auth, suite)
    for role in ROLES
    for auth in AUTH
    for suite in SUITES
}
Facts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(topology: Topology) -> Facts:
    """For each role, each tunnel as `status` has it, whether a ping came back, and what was said.

    All at once: alice begins every tunnel, and then strongSwan every one again.
    """
    setting = Setting(topology)
    gateway, alice = setting.gateway, setting.alice
    gateway.connections = [setting.good(auth, suite) for auth in AUTH for suite in SUITES]
    # strongSwan itself signs as PKCS #1 v1.5; once we do too.
    pkcs1 = name_of("X.509 RSA", "AES-CBC with HMAC")
    for one in gateway.connections:
        if one.name == pkcs1:
            one.alice["rsa"] = "pkcs1"
    gateway.start()
    found = {}
    for role in ROLES:
        alice.write(start="up" if role == "initiator" else "wait")
        program = alice.run()
        for one in gateway.connections:
            if role == "responder":
                gateway.swanctl("--initiate", "--child", one.name, check=False)
        for one in gateway.connections:
            program.wait_for_line(f"{one.name}: tunnel up")
        pings, tunnels = alice.pings(), alice.tunnels()
        said = interrupt(program)
        for one in gateway.connections:
            lines = [line for line in said.splitlines() if line.startswith(f"{one.name}: ")]
            found[f"{role} {one.name}"] = {
                **tunnels[one.name], "ping": pings[one.name], "said": "\n".join(lines)
            }  # fmt: skip
    return found


@pytest.mark.parametrize(("role", "auth", "suite"), CASES.values(), ids=CASES)
@pytest.mark.interop("Authentication, we are the {role}", row="{auth}", column="{suite}")
def test_both_prove_who_they_are(seen: Facts, role: str, auth: str, suite: str) -> None:
    tunnel = seen[f"{role} {name_of(auth, suite)}"]
    ike, esp = SUITES[suite]
    assert tunnel["ping"]
    assert tunnel["ike_suite"] == ike
    assert tunnel["esp_suite"] == esp
    method = {"shared secret": "shared secret", "raw keys": "public key"}.get(auth, "certificate")
    assert f"by its {method}." in tunnel["said"]
    assert ("knocking" in tunnel["said"]) == (role == "initiator")


# Everything that is wrong, and what is said about it.

WRONG = {
    "authority unknown to us": "no authority in our ca_file has issued it",
    "certificate expired": "its time is over",
    "certificate not yet valid": "its time has not come yet",
    "certificate revoked": "its authority has revoked it",
    "no revocation list": "no current revocation list says that it is still good",
    "certificate for web servers": "it is meant for something else than IKE",
    "RSA key of 1024 bits": "a key in its chain is too weak",
    "name not in the certificate": "that is not among the names that it certifies",
    "raw key of another kind": "its signature is not by the configured public key",
    "our authority unknown to it": "Does the peer trust the authority of our cert_file",
}


BEGINS = {"we begin": "up", "strongSwan begins": "wait"}


class Mistakes(Setting):
    """The same, with one thing wrong each."""

    def wrong(self, what: str) -> Connection:
        name = name_of("wrong", what)
        bob_id = f"{name}.bob.example"

        def has(**settings: object) -> Entity:
            more: dict[str, Any] = {"by": self.between, "names": [bob_id], "now": NOW}
            return issue(f"O=Example, CN={name}", **(more | settings))

        if what == "raw key of another kind":
            right = self.raw(name, *SUITES["AES-GCM"], bob_id)
            right.alice["public_key"] = PrivateKey.generate("ecdsa-p256").public.to_text()
            return right
        if what == "our authority unknown to it":
            return self.certified(name, peer="cacerts = ca1.pem")
        if what == "name not in the certificate":
            mallory = issue("O=Example, CN=mallory", by=self.between, names=["x.example"], now=NOW)
            return self.certified(name, bob=mallory)
        if what == "certificate revoked":
            revoke = revoked(self.between, 77, now=NOW)
            crl_file = self.alice.give("revoked.crl", revoke)
            return self.certified(name, bob=has(serial=77), crl_file=crl_file)
        if what == "no revocation list":
            return self.certified(name, bob=has(), crl="require")
        settings: dict[str, dict[str, object]] = {
            "authority unknown to us": {"by": self.other},
            "certificate expired": {"until": -DAY / 24},
            "certificate not yet valid": {"since": DAY},
            "certificate for web servers": {"purposes": ("1.3.6.1.5.5.7.3.1",)},
            "RSA key of 1024 bits": {"key": rsa_key(1024)},
        }
        return self.certified(name, bob=has(**settings[what]))


@pytest.fixture(scope="module")
def told() -> Iterator[dict[tuple[str, str], str]]:
    """For each beginning and mistake, what alice says."""
    try:
        world = World.begin()
    except NotPermittedError as error:
        pytest.skip(str(error))
    with world, Topology(world) as topology:
        setting = Mistakes(topology)
        gateway, alice = setting.gateway, setting.alice
        gateway.connections = [setting.wrong(what) for what in WRONG]
        gateway.start()
        found = {}
        for begins, start in BEGINS.items():
            alice.write(start=start)
            program = alice.run()
            for what, sentence in WRONG.items():
                if start == "wait":
                    name = name_of("wrong", what)
                    gateway.swanctl("--initiate", "--child", name, check=False)
                program.wait_for_line(sentence)
            assert not any(tunnel["state"] == "up" for tunnel in alice.tunnels().values())
            said = interrupt(program)
            for what, sentence in WRONG.items():
                found[begins, what] = next(
                    part for part in re.split(r"\n(?! )", said) if sentence in part
                )
        yield found


@pytest.mark.parametrize("begins", BEGINS)
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.interop("Mistakes, explained", row="{what}", column="{begins}")
def test_what_is_wrong_is_said_with_its_certificate(
    told: dict[tuple[str, str], str], what: str, begins: str
) -> None:
    said = told[begins, what]
    shows = what not in ("raw key of another kind", "our authority unknown to it")
    assert ("issued by      O=" in said) == shows
    assert ("(our clock: " in said) == shows
    assert ("certifies      O=Example, CN=mallory, x.example" in said) == (
        what == "name not in the certificate"
    )
    assert said.startswith(f"{name_of('wrong', what)}: ")
