"""An honest client that connects again and again: `honest LOCAL REMOTE SECRET TIMES`.

The protocol of Hushwire on a UDP socket, without a tunnel behind it. Prints the seconds of every
attempt, from the first IKE_SA_INIT to the authenticated answer; "inf" when it failed.
"""

from __future__ import annotations

import math
import os
import select
import socket
import sys
import time
from ipaddress import ip_address, ip_network

from hushwire.config.values import esp_proposal, ike_proposal
from hushwire.crypto.suites import DEFAULT_ESP, DEFAULT_IKE
from hushwire.explain.outcome import Failure, TunnelUp
from hushwire.ike.credentials import Psk
from hushwire.ike.effects import Effect, Report, Send, SetTimer
from hushwire.ike.endpoint import Endpoint
from hushwire.ike.inputs import Peer
from hushwire.sa.association import Address, Encap, Path
from hushwire.sa.identity import Identity
from hushwire.sa.selectors import from_network

_PORT = 500
_PAUSE_SECONDS = 0.05


class Client:
    """One socket, and one IKE SA after the other."""

    def __init__(self, local: str, remote: str, secret: str) -> None:
        self._path = Path(Address(ip_address(local), _PORT), Address(ip_address(remote), _PORT))
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((local, _PORT))
        self._peer = Peer(
            name="bob",
            credential=Psk(secret.encode()),
            local_id=Identity.of_address(self._path.local.ip),
            remote_id=Identity.of_address(self._path.remote.ip),
            ike_proposals=tuple(ike_proposal(text) for text in DEFAULT_IKE),
            esp_proposals=tuple(esp_proposal(text) for text in DEFAULT_ESP),
            local_selectors=(from_network(ip_network("10.0.1.3/32")),),
            remote_selectors=(from_network(ip_network("10.0.1.2/32")),),
            encap=Encap.ESP,
        )

    def connect(self) -> float:
        """Seconds until the tunnel is up; infinity when it does not come up."""
        begun = time.monotonic()
        endpoint = Endpoint([self._peer], os.urandom, begun)
        effects = endpoint.connect("bob", self._path, begun)
        timer: float | None = None
        took: float | None = None
        while True:
            timer, ended = self._carry_out(effects, timer)
            effects = []
            if took is not None and endpoint.idle:
                return took
            if ended is not None and took is None:
                took = time.monotonic() - begun if ended else math.inf
                effects = endpoint.close(time.monotonic())
                continue
            wait = None if timer is None else max(0.0, timer - time.monotonic())
            if select.select([self._sock], [], [], wait)[0]:
                data = self._sock.recv(65536)
                effects = endpoint.datagram(data, self._path, time.monotonic())
            elif timer is not None and timer <= time.monotonic():
                effects = endpoint.timer(time.monotonic())

    def _carry_out(
        self, effects: list[Effect], timer: float | None
    ) -> tuple[float | None, bool | None]:
        ended = None
        for effect in effects:
            match effect:
                case Send(data, path):
                    self._sock.sendto(data, (str(path.remote.ip), path.remote.port))
                case SetTimer(at):
                    timer = at
                case Report(TunnelUp()):
                    ended = True
                case Report(Failure()):
                    ended = False
        return timer, ended


def main() -> None:
    local, remote, secret, times = sys.argv[1:]
    client = Client(local, remote, secret)
    for _ in range(int(times)):
        print(client.connect(), flush=True)
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
