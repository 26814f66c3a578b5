"""One real strongSwan on bob with many connections: one for each way to prove who one is.

alice has one file with a peer for each of them, so a whole table costs two programs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hushwire.lab.network import Program
from hushwire.lab.topology import ALICE, BOB, TUNNEL, Topology
from hushwire.lab.world import FILES
from tests.crypto.pki import Entity
from tests.interop.strongswan import HERE, ROOT, settings
from tests.netns.waiting import wait_until

NOW = datetime.now(UTC)
"""The certificates are for real clocks."""
_ALICE = FILES / "alice"


@dataclass(frozen=True)
class Connection:
    """One of strongSwan's, and how alice's file has it.

    `own` and `peer` are swanctl's settings of local and remote; `alice` keys of [peer.NAME].
    """

    name: str
    ike: str
    esp: str
    auth: str
    bob_id: str
    alice_id: str
    own: str = ""
    peer: str = ""
    secret: str = ""
    alice: dict[str, object] = field(default_factory=dict)


@dataclass
class Gateway:
    """charon on bob; the connection number N has 10.0.1.(10 + N) behind it."""

    topology: Topology
    connections: Sequence[Connection]
    authorities: Sequence[Entity]
    charon: Program = field(init=False)

    def start(self) -> Gateway:
        """Until it listens, with everything loaded."""
        world, topology = self.topology.world, self.topology
        for folder in ("private", "pubkey", "x509", "x509ca"):
            world.path(HERE / "swanctl" / folder).mkdir(parents=True, exist_ok=True)
        libraries = f"lowerdir={ROOT}/usr/lib:/usr/lib"
        topology.run(None, ["mount", "-t", "overlay", "overlay", "-o", libraries, "/usr/lib"])
        world.path(HERE / "strongswan.conf").write_text(settings())
        for number, ca in enumerate(self.authorities):
            world.path(HERE / "swanctl/x509ca" / f"ca{number}.pem").write_text(ca.pem)
        world.path(HERE / "swanctl/swanctl.conf").write_text(self._swanctl())
        topology.ip(
            *(f"address add {self.behind(one)}/32 dev lo" for one in self.connections), host="bob"
        )
        environment = [f"STRONGSWAN_CONF={HERE}/strongswan.conf", f"SWANCTL_DIR={HERE}/swanctl"]
        self._prefix = ["env", *environment]
        self.charon = topology.start("bob", [*self._prefix, str(ROOT / "usr/sbin/charon-systemd")])
        wait_until(world.path(HERE / "vici").exists, "charon")
        self.swanctl("--load-all")
        return self

    def swanctl(self, *words: str, check: bool = True) -> str:
        program = str(ROOT / "usr/sbin/swanctl")
        uri = ["--uri", f"unix://{HERE}/vici"]
        done = self.topology.run("bob", [*self._prefix, program, *words, *uri], check=check)
        return done.stdout + done.stderr

    @property
    def log(self) -> str:
        return self.topology.world.path(HERE / "log").read_text()

    def behind(self, connection: Connection) -> str:
        return f"10.0.1.{10 + self.connections.index(connection)}"

    def give(self, name: str, entity: Entity, *others: Entity) -> str:
        """A key and its certificate, and those between, for strongSwan; what `certs` says."""
        swanctl = self.topology.world.path(HERE / "swanctl")
        for folder in ("private", "x509"):
            (swanctl / folder).mkdir(parents=True, exist_ok=True)
        (swanctl / "private" / f"{name}.pem").write_text(entity.key_pem)
        (swanctl / "x509" / f"{name}.pem").write_text(entity.pem)
        for number, other in enumerate(others):
            (swanctl / "x509" / f"{name}{number}.pem").write_text(other.pem)
        return f"certs = {name}.pem"

    def public_key(self, name: str, pem: str) -> str:
        """A raw public key for strongSwan; what `pubkeys` says."""
        folder = self.topology.world.path(HERE / "swanctl/pubkey")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.pem").write_text(pem)
        return f"pubkeys = {name}.pem"

    def private_key(self, name: str, pem: str) -> None:
        folder = self.topology.world.path(HERE / "swanctl/private")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.pem").write_text(pem)

    def _swanctl(self) -> str:
        connections = "\n".join(
            f"""
  {one.name} {{
    version = 2
    local_addrs = {BOB.underlay}
    remote_addrs = {ALICE.underlay}
    proposals = {one.ike}
    local {{
      auth = {one.auth}
      id = {one.bob_id}
      {one.own}
    }}
    remote {{
      auth = {one.auth}
      id = {one.alice_id}
      {one.peer}
    }}
    children {{
      {one.name} {{
        local_ts = {self.behind(one)}/32
        remote_ts = {ALICE.tunnel.ip}/32
        esp_proposals = {one.esp}
      }}
    }}
  }}"""
            for one in self.connections
        )
        secrets = "\n".join(
            f'  ike-{one.name} {{\n    id-1 = {one.bob_id}\n    secret = "{one.secret}"\n  }}'
            for one in self.connections
            if one.secret
        )
        return f"connections {{{connections}\n}}\nsecrets {{\n{secrets}\n}}\n"


@dataclass
class Alice:
    """alice's one file for all connections, and what her hushwire says of them."""

    gateway: Gateway
    file: Path = _ALICE / f"{TUNNEL}.toml"

    @property
    def topology(self) -> Topology:
        return self.gateway.topology

    def give(self, name: str, text: str | bytes) -> str:
        """A file beside the configuration; its name."""
        path = self.topology.world.path(_ALICE / name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o600)
        return name

    def write(self, **changes: object) -> None:
        """`changes` are keys that every peer gets."""
        lines = [
            "[interface]",
            f'name = "{TUNNEL}"',
            f'address = ["{ALICE.tunnel.ip}/32"]',
        ]
        for one in self.gateway.connections:
            keys: dict[str, object] = {
                "endpoint": str(BOB.underlay),
                "networks": [f"{self.gateway.behind(one)}/32"],
                "ike": [one.ike],
                "esp": [one.esp],
                "local_id": one.alice_id,
                "id": one.bob_id,
                **one.alice,
                **changes,
            }
            lines.append(f"[peer.{one.name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        self.give(self.file.name, "\n".join(lines) + "\n")

    def run(self) -> Program:
        program = self.topology.start("alice", ["hushwire", "run", self.file])
        program.wait_for_line("Listening")
        return program

    def tunnels(self) -> dict[str, dict[str, Any]]:
        """What `hushwire status --json` says of each peer."""
        done = self.topology.run("alice", ["hushwire", "status", "--json"])
        (facts,) = json.loads(done.stdout)
        return {peer["name"]: dict(peer) for peer in facts["peers"]}

    def pings(self) -> dict[str, bool]:
        """Does the far side of each connection answer?"""
        return {
            one.name: self.topology.run(
                "alice", ["ping", "-c", "1", "-W", "5", self.gateway.behind(one)], check=False
            ).returncode
            == 0
            for one in self.gateway.connections
        }
