"""The program `nft`, which puts rules into the kernel, all of a script or nothing of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from typing import Any

from hushwire.system.errors import NotPermittedError, SystemFailureError

_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
_PATIENCE_SECONDS = 30.0

# From <linux/netlink.h> and <linux/netfilter/nfnetlink.h>.
_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7


def program() -> str | None:
    """Where `nft` is; an ordinary user's PATH often leaves its directory out."""
    return shutil.which("nft", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")


def apply(script: str) -> None:
    """Carry out a script as one transaction: no packet meets half of it.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    _run(["-f", "-"], script)


def check(script: str) -> None:
    """Let the kernel look at a script, and change nothing. Raises as `apply`."""
    _run(["--check", "-f", "-"], script)


def listing(*what: str) -> list[dict[str, Any]]:
    """The objects of `nft list WHAT`, without those about the listing itself. Raises as `apply`."""
    objects = json.loads(_run(["-j", "list", *what]))["nftables"]
    return [entry for entry in objects if "metainfo" not in entry]


def text(*what: str) -> str | None:
    """`nft list WHAT` as a script that makes the same again; None: there is no such thing.

    Raises as `apply`.
    """
    try:
        return _run(["list", *what])
    except SystemFailureError as error:
        if error.why.endswith("No such file or directory"):
            return None
        raise


def changes() -> socket.socket:
    """A non-blocking socket that is readable when anybody has changed rules. Raises `OSError`."""
    sock = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER
    )
    try:
        sock.bind((0, 1 << _NFNLGRP_NFTABLES - 1))
    except OSError:
        sock.close()
        raise
    return sock


def _run(arguments: list[str], script: str = "") -> str:
    nft = program()
    if nft is None:
        raise SystemFailureError(
            "nftables",
            "the program nft is not installed",
            "`sudo apt install nftables` brings it.",
        )
    try:
        done = subprocess.run(
            [nft, *arguments],
            input=script,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemFailureError(
            "nftables", f"nft did not run ({error})", "Try it: `nft list tables`."
        ) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
        if "Operation not permitted" in done.stderr:
            raise NotPermittedError(["nftables: this needs CAP_NET_ADMIN. Run it with sudo."])
        raise SystemFailureError(
            "nftables", f"nft refuses: {said}", "Does this kernel have nftables (CONFIG_NF_TABLES)?"
        )
    return done.stdout
