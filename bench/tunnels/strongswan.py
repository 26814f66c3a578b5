"""strongSwan with kernel-libipsec: IKEv2 and ESP in user space, as Hushwire has them."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bench.network import INNER, OUTER, Host, Hosts, wait_until
from bench.tunnels.base import ROOT, Programs, Tunnel

_ROOT = ROOT / "build" / "strongswan"
_CHARON, _SWANCTL = (str(_ROOT / "usr/sbin" / name) for name in ("charon-systemd", "swanctl"))
_PLUGINS = (
    "random drbg nonce openssl aes sha1 sha2 hmac kdf gcm chapoly curve25519 pubkey pkcs1 pkcs8 "
    "pem kernel-libipsec kernel-netlink socket-default vici"
)
_SETTINGS = """
charon-systemd {{
  load = {plugins}
  plugins {{
    vici {{
      socket = unix://{folder}/vici
    }}
  }}
  filelog {{
    log {{
      path = {folder}/log
      default = 0
      flush_line = yes
    }}
  }}
}}
"""
CONNECTION = """
connections {{
  net {{
    version = 2
    local_addrs = {here}
    remote_addrs = {there}
    proposals = aes256gcm16-prfsha384-x25519
    mobike = no
    unique = never
    local {{
      auth = psk
      id = {here}
    }}
    remote {{
      auth = psk
      id = {there}
    }}
    children {{
      net {{
        local_ts = {inside}/32
        remote_ts = {beyond}/32
        esp_proposals = aes256gcm16
        start_action = {start}
      }}
    }}
  }}
}}
secrets {{
  ike-1 {{
    secret = "a shared secret between two namespaces of one machine"
  }}
}}
"""


def missing() -> str:
    return "" if (_ROOT / ".unpacked").exists() else "tools/strongswan could not bring it"


def version() -> str:
    libraries = {"LD_LIBRARY_PATH": str(_ROOT / "usr/lib/ipsec")}
    said = subprocess.run(
        [_SWANCTL, "--help"], env=libraries, capture_output=True, text=True, check=False
    ).stdout
    return " ".join(said.split()[:2])


class Charon:
    """One of them on a host, from its own `folder`."""

    def __init__(self, host: Host, folder: Path, programs: Programs) -> None:
        self.host = host
        self.folder = folder
        self._settings = {
            "STRONGSWAN_CONF": f"{folder}/strongswan.conf",
            "SWANCTL_DIR": f"{folder}/swanctl",
        }
        self._programs = programs

    def prepare(self, end: int, start: str) -> None:
        """`start` is what it will do with its connection: "start" it, or "none"."""
        (self.folder / "swanctl").mkdir(parents=True)
        settings = _SETTINGS.format(plugins=_PLUGINS, folder=self.folder)
        (self.folder / "strongswan.conf").write_text(settings)
        (self.folder / "swanctl" / "swanctl.conf").write_text(
            CONNECTION.format(
                here=OUTER[end],
                there=OUTER[1 - end],
                inside=INNER[end],
                beyond=INNER[1 - end],
                start=start,
            )
        )
        host = self.host
        # Its libraries and plugins are looked for there.
        over = f"lowerdir={_ROOT}/usr/lib:/usr/lib"
        host.run("mount", "-t", "overlay", "overlay", "-o", over, "/usr/lib")
        host.run("ip", "address", "add", f"{INNER[end]}/32", "dev", "lo")

    def start(self) -> subprocess.Popen[bytes]:
        """Until it has its connection. Raises `BenchError`."""
        log = self.folder / "output"
        program = self._programs.add(self.host.start_logged(log, _CHARON, **self._settings))
        wait_until((self.folder / "vici").exists, "charon")
        self.swanctl("--load-all")
        return program

    def swanctl(self, *words: str) -> str:
        """What it answers, when what is asked is done. Raises `BenchError`."""
        settings = [f"{name}={value}" for name, value in self._settings.items()]
        uri = ("--uri", f"unix://{self.folder}/vici")
        return self.host.run("env", *settings, _SWANCTL, *words, *uri)


@contextmanager
def strongswan(hosts: Hosts) -> Generator[Tunnel]:
    with Programs() as programs:
        charons = []
        for end, host in enumerate(hosts):
            charon = Charon(host, programs.folder / str(end), programs)
            charon.prepare(end, "none")
            charon.start()
            charons.append(charon)
        charons[0].swanctl("--initiate", "--child", "net")
        hosts[0].run("ping", "-c", "1", "-W", "10", INNER[1])
        yield programs.tunnel
