"""The sockets of one interface, both families: UDP 500 and 4500, ESP as protocol 50, TCP."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path as FilePath

from hushwire.sa.association import Path
from hushwire.system import datagram, stream
from hushwire.wire.natt import NON_ESP_MARKER

IKE_PORT = 500
NATT_PORT = 4500


class Sockets:
    """Opens them all, or none. The engine reads `natt` and `raw`; the daemon reads `ike`.

    On `listeners` TCP connections come in, on `tcp_port`; None: no TCP. `device` binds every one
    of them. Raises `SystemFailureError` and `NotPermittedError`.
    """

    def __init__(self, device: str | None, tcp_port: int | None = None) -> None:
        # A kernel booted without IPv6 has no such file; then IPv4 is all there is.
        self.families = [socket.AF_INET]
        if FilePath("/proc/net/if_inet6").exists():
            self.families.append(socket.AF_INET6)
        self._all: list[socket.socket] = []
        try:
            self.ike = self._open(lambda f: datagram.open_udp(f, IKE_PORT, device))
            self.natt = self._open(lambda f: datagram.open_udp(f, NATT_PORT, device))
            self.raw = self._open(lambda f: datagram.open_raw_esp(f, device))
            self.listeners = (
                self._open(lambda f: stream.open_listener(f, tcp_port, device)) if tcp_port else ()
            )
        except BaseException:
            self.close()
            raise

    def send_ike(self, data: bytes, path: Path) -> None:
        """Send an IKE message from `path.local`; its port decides which socket.

        Raises `OSError` as the kernel does.
        """
        natt = path.local.port == NATT_PORT
        family = socket.AF_INET if path.remote.ip.version == 4 else socket.AF_INET6
        for sock in self.natt if natt else self.ike:
            if sock.family == family:
                # RFC 3948 §2.2: four zero octets tell IKE from ESP on this port.
                datagram.send(sock, NON_ESP_MARKER + data if natt else data, path)
                return
        raise OSError(0, "this kernel has no IPv6")

    def close(self) -> None:
        for sock in self._all:
            sock.close()
        self._all.clear()

    def _open(self, make: Callable[[int], socket.socket]) -> tuple[socket.socket, ...]:
        made = []
        for family in self.families:
            made.append(make(family))
            self._all.append(made[-1])
        return tuple(made)
