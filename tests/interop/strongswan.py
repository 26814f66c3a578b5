"""Real strongSwan on bob, with ESP of its own in user space, and what it says and logs.

`tools/strongswan` unpacks it; in the test's private world its libraries lie over /usr/lib.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from hushwire.lab.network import Program
from hushwire.lab.topology import ALICE, BOB, Topology
from hushwire.lab.world import FILES
from tests.netns.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2] / "build" / "strongswan"
HERE = FILES / "strongswan"
PSK = "correct horse battery staple"
PPK = "a long secret that goes into the keys beside it"
PPK_ID = "bob and alice"

_PLUGINS = (
    "random drbg nonce openssl aes sha1 sha2 hmac kdf gcm chapoly curve25519 x509 constraints "
    "pubkey pkcs1 pkcs8 pem kernel-libipsec kernel-netlink socket-default vici counters"
)
_SETTINGS = f"""
charon-systemd {{
  load = {_PLUGINS}
  retransmit_tries = 4
  retransmit_timeout = 0.5
  retransmit_base = 1.3
  fragment_size = FRAGMENT_SIZE
  plugins {{
    vici {{
      socket = unix://{HERE}/vici
    }}
  }}
  filelog {{
    l {{
      path = {HERE}/log
      default = 1
      ike = IKE_LOG
      flush_line = yes
    }}
  }}
}}
"""


def settings(ike_log: str = "2", fragment_size: int = 1280) -> str:
    """strongswan.conf: which plugins there are, how patient it is, and how much it logs."""
    text = _SETTINGS.replace("IKE_LOG", ike_log)
    return text.replace("FRAGMENT_SIZE", str(fragment_size))


_CONNECTION = """
connections {{
  net {{
    version = 2
    remote_addrs = {there}
    proposals = {ike}
    fragmentation = force
    {ppk}
    dpd_delay = {dpd}
    local {{
      auth = {auth}
      id = bob.example
      {own_key}
    }}
    remote {{
      auth = {auth}
      id = alice.example
      {pubkeys}
    }}
    children {{
      net {{
        local_ts = {local}
        remote_ts = {remote}
        esp_proposals = {esp}
        {child}
      }}
    }}
  }}
}}
secrets {{
  ike-1 {{
    secret = "{psk}"
  }}
  ppk-1 {{
    id = bob and alice
    secret = "{ppk_secret}"
  }}
}}
"""


@dataclass
class Strongswan:
    """One charon on bob. `ike` and `esp` are its proposals, as it writes them."""

    topology: Topology
    ike: str = "aes256gcm16-prfsha384-x25519"
    esp: str = "aes256gcm16"
    auth: str = "psk"
    psk: str = PSK
    dpd: str = "0s"
    local: str = f"{BOB.tunnel.ip}/32"
    remote: str = f"{ALICE.tunnel.ip}/32"
    child: str = ""
    ppk: str = ""
    ppk_secret: str = PPK
    ike_log: str = "2"
    fragment_size: int = 1280
    charon: Program = field(init=False)

    def start(self) -> Strongswan:
        """Until it listens, with the connection loaded."""
        world, topology = self.topology.world, self.topology
        for folder in ("private", "pubkey"):
            world.path(HERE / "swanctl" / folder).mkdir(parents=True)
        self._mount()
        text = settings(self.ike_log, self.fragment_size)
        world.path(HERE / "strongswan.conf").write_text(text)
        self._write_keys()
        world.path(HERE / "swanctl" / "swanctl.conf").write_text(
            _CONNECTION.format(
                there=ALICE.underlay,
                ike=self.ike,
                esp=self.esp,
                auth=self.auth,
                dpd=self.dpd,
                psk=self.psk,
                local=self.local,
                remote=self.remote,
                own_key="pubkeys = bob.pem" if self.auth == "pubkey" else "",
                pubkeys="pubkeys = alice.pem" if self.auth == "pubkey" else "",
                child=self.child,
                ppk=self.ppk,
                ppk_secret=self.ppk_secret,
            )
        )
        topology.ip(f"address add {BOB.tunnel.ip}/32 dev lo", host="bob")
        environment = [f"STRONGSWAN_CONF={HERE}/strongswan.conf", f"SWANCTL_DIR={HERE}/swanctl"]
        self._prefix = [*self._enter(), "env", *environment]
        self.charon = topology.start("bob", [*self._prefix, self._program("charon-systemd")])
        wait_until(world.path(HERE / "vici").exists, "charon")
        self.swanctl("--load-all")
        return self

    # Where it lies.

    def _mount(self) -> None:
        """Its libraries lie over this host's."""
        libraries = f"lowerdir={ROOT}/usr/lib:/usr/lib"
        self.topology.run(None, ["mount", "-t", "overlay", "overlay", "-o", libraries, "/usr/lib"])

    def _enter(self) -> list[str]:
        return []

    def _program(self, name: str) -> str:
        return str(ROOT / "usr/sbin" / name)

    def swanctl(self, *words: str, check: bool = True) -> str:
        """What it answers; it waits until what is asked is done."""
        program = self._program("swanctl")
        uri = ["--uri", f"unix://{HERE}/vici"]
        done = self.topology.run("bob", [*self._prefix, program, *words, *uri], check=check)
        return done.stdout + done.stderr

    @property
    def log(self) -> str:
        return self.topology.world.path(HERE / "log").read_text()

    def spis(self) -> list[tuple[str, str, str]]:
        """For each CHILD_SA that is up: the IKE SA's, the one it receives by, and sends by."""
        found, ike = [], ""
        for line in self.swanctl("--list-sas").splitlines():
            if match := re.search(r"([0-9a-f]{16})_i\*? ([0-9a-f]{16})_r", line):
                ike, up = "_".join(match.groups()), False
            elif "INSTALLED" in line or "REKE" in line or "DELET" in line:
                up = "INSTALLED" in line
            elif match := re.match(r"\s+(in|out)\s+([0-9a-f]{8}),", line):
                if match[1] == "in":
                    inbound = f"0x{match[2]}"
                elif up:
                    found.append((ike, inbound, f"0x{match[2]}"))
        return found

    def _write_keys(self) -> None:
        if self.auth != "pubkey":
            return
        world, keys = self.topology.world, HERE / "swanctl"
        for name in ("alice", "bob"):
            private = FILES / name / f"{name}.key"
            public = keys / "pubkey" / f"{name}.pem"
            argv = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
            self.topology.run(name, argv)
        own = world.path(FILES / "bob" / "bob.key").read_bytes()
        world.path(keys / "private" / "bob.pem").write_bytes(own)
