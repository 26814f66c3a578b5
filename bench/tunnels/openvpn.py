"""OpenVPN 2.6 between two hosts, AES-256-GCM, with its data channel in user space (no DCO)."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bench.network import INNER, OUTER, Hosts, wait_for_line
from bench.tunnels.base import PEERS, Programs, Tunnel, refusal

_ROOT = PEERS / "openvpn.root"
_PROGRAM = str(_ROOT / "usr/sbin/openvpn")
# What a UDP packet of 1500 octets holds: 20 and 8 of headers, 4 of opcode and peer, 4 of packet
# number, 16 of tag.
_MTU = 1500 - 52
_SAME = (
    f"--dev tun0 --dev-type tun --proto udp --port 1194 --tun-mtu {_MTU} --mssfix 0 --fast-io "
    "--txqueuelen 1000 --data-ciphers AES-256-GCM --disable-dco --dh none"
).split()


def missing() -> str:
    return refusal("openvpn")


def version() -> str:
    done = subprocess.run(
        [_PROGRAM, "--version"], env=_libraries(), capture_output=True, text=True, check=False
    )
    return " ".join(done.stdout.split()[:2])


@contextmanager
def openvpn(hosts: Hosts) -> Generator[Tunnel]:
    with Programs() as programs:
        prints = [_certificate(programs.folder, end) for end in (0, 1)]
        ends = []
        for end, host in enumerate(hosts):
            log = programs.folder / f"{end}.log"
            files = [str(programs.folder / f"{end}.{kind}") for kind in ("crt", "key")]
            program = host.start_logged(
                log,
                _PROGRAM,
                *_SAME,
                *("--tls-client", "--tls-server")[end : end + 1],
                *("--remote", OUTER[1 - end]),
                *("--ifconfig", INNER[end], INNER[1 - end]),
                *("--cert", files[0], "--key", files[1]),
                *("--peer-fingerprint", prints[1 - end]),
                **_libraries(),
            )
            ends.append((log, programs.add(program)))
        for log, program in ends:
            wait_for_line(log, "Initialization Sequence Completed", program)
        yield programs.tunnel


def _certificate(folder: Path, end: int) -> str:
    """Signed by itself; its SHA-256 fingerprint, by which the other end knows it."""
    key, certificate = folder / f"{end}.key", folder / f"{end}.crt"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    _openssl(
        "req",
        "-x509",
        *kind,
        "-subj",
        f"/CN=end{end}",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    )
    said = _openssl("x509", "-in", str(certificate), "-noout", "-fingerprint", "-sha256")
    return said.strip().rpartition("=")[2]


def _openssl(*words: str) -> str:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=True)
    return done.stdout


def _libraries() -> dict[str, str]:
    return {"LD_LIBRARY_PATH": ":".join(str(path) for path in _ROOT.glob("**/lib/*-linux-gnu"))}
