"""The sockets of one interface, both families: UDP 500 and 4500, ESP as protocol 50, TCP.

And ICMP's “too big”, and fragments of IPv6.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path as FilePath

from hushwire.esp.pmtu import LEAST
from hushwire.sa.association import Path
from hushwire.system import datagram, stream
from hushwire.system.fragments import Fragmenter, fits
from hushwire.system.icmp import open_too_big
from hushwire.system.probes import ProbeSender
from hushwire.wire.natt import NON_ESP_MARKER

IKE_PORT = 500
NATT_PORT = 4500
_UDP_HEADER_OCTETS = 8


class Sockets:
    """Opens them all, or none. The engine reads `natt` and `raw`; the daemon `ike` and `icmp`.

    `whole` only sends.

    On `listeners` TCP connections come in, on `tcp_port`; None: no TCP. `device` binds every one
    of them. Raises `SystemFailureError` and `NotPermittedError`.
    """

    def __init__(self, device: str | None, tcp_port: int | None = None) -> None:
        self.device = device
        # A kernel booted without IPv6 has no such file; then IPv4 is all there is.
        self.families: list[int] = [socket.AF_INET]
        if FilePath("/proc/net/if_inet6").exists():
            self.families.append(socket.AF_INET6)
        self._all: list[socket.socket | Fragmenter | ProbeSender] = []
        self.fragmenter: Fragmenter | None = None
        try:
            self.ike = self._open(lambda f: datagram.open_udp(f, IKE_PORT, device))
            self.natt = self._open(lambda f: datagram.open_udp(f, NATT_PORT, device))
            self.raw = self._open(lambda f: datagram.open_raw_esp(f, device))
            self.whole = self._open(lambda f: datagram.open_raw_whole(f, device))
            self.icmp = self._open(lambda f: open_too_big(f, device))
            self._prober = ProbeSender(self.families, device)
            self._all.append(self._prober)
            if socket.AF_INET6 in self.families:
                self.fragmenter = Fragmenter(device)
                self._all.append(self.fragmenter)
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
        # RFC 3948 §2.2: four zero octets tell IKE from ESP on port 4500.
        message = NON_ESP_MARKER + data if path.local.port == NATT_PORT else data
        octets = _UDP_HEADER_OCTETS + len(message)
        if (
            path.remote.ip.version == 6
            and self.fragmenter is not None
            and not fits(octets, LEAST[6])
        ):
            # No router fragments IPv6, and nothing may be known of the path yet.
            self.fragmenter.send_udp(message, path, LEAST[6])
        else:
            datagram.send(self._socket(path), message, path)

    def send_probe(self, data: bytes, path: Path) -> None:
        """Likewise, and nobody may fragment it on the way. Raises `OSError`."""
        message = NON_ESP_MARKER + data if path.local.port == NATT_PORT else data
        self._prober.send(message, path)

    def _socket(self, path: Path) -> socket.socket:
        family = socket.AF_INET if path.remote.ip.version == 4 else socket.AF_INET6
        for sock in self.natt if path.local.port == NATT_PORT else self.ike:
            if sock.family == family:
                return sock
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
