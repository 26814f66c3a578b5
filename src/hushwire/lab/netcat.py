"""Two `nc`, one on alice and one on bob, and what is typed into them."""

from __future__ import annotations

import time

from hushwire.lab.network import LabError, Network, Program
from hushwire.lab.topology import Resident
from hushwire.lab.world import need

_PATIENCE_SECONDS = 30.0


class Conversation:
    """An open line: `caller` has called `listener`, and either may speak."""

    def __init__(
        self, network: Network, caller: Resident, listener: Resident, port: int, *, ipv6: bool
    ) -> None:
        """Start both. Raises `SystemFailureError` if there is no nc, `LabError`."""
        need("nc", "netcat-openbsd")
        self._network = network
        address = listener.underlay6 if ipv6 else listener.underlay
        self.commands = {
            # Left alone, nc listens on one address: that of IPv4.
            listener.name: ["nc", *(["-6"] if ipv6 else []), "-ul", str(port)],
            caller.name: ["nc", "-u", "-p", str(port), str(address), str(port)],
        }
        """What one would type on each host, the listener's first."""
        self._programs: dict[str, Program] = {}
        try:
            self._start(listener.name)
            self._wait_until_bound(listener.name, port)
            self._start(caller.name)
        except BaseException:
            self.hang_up()
            raise
        self._names = (caller.name, listener.name)

    def say(self, speaker: str, line: str) -> str:
        """Type the line there; returns what the other `nc` then shows. Raises `LabError`."""
        (hearer,) = (name for name in self._names if name != speaker)
        ear = self._programs[hearer]
        before = len(ear.lines)
        self._programs[speaker].type(line)
        return ear.wait_for_line("", _PATIENCE_SECONDS, after=before)

    def heard(self, name: str) -> list[str]:
        """Every line that the `nc` there has shown."""
        return list(self._programs[name].lines)

    def hang_up(self) -> None:
        """End both."""
        for program in self._programs.values():
            program.stop()

    def _start(self, name: str) -> None:
        self._programs[name] = self._network.start(name, self.commands[name], typed=True)

    def _wait_until_bound(self, name: str, port: int) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        sockets = ["ss", "-Hnlu", f"sport = :{port}"]
        while not self._network.run(name, sockets).stdout.strip():
            if self._programs[name].poll() is not None or time.monotonic() > deadline:
                raise LabError(f"nc does not listen on {name}: {self._programs[name].output}")
            time.sleep(0.01)
