"""`hushwire classroom` on alice and on bob, and the one trace_pipe of their kernel."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Self

from hushwire.lab.network import LabError, Network, Program
from hushwire.lab.topology import ALICE, BOB, WIRE
from hushwire.system.tracing import TracePipe

_PATIENCE_SECONDS = 30.0
_USUAL_PORT = 12345
_OF_THE_EXCHANGE = re.compile(r"(OFFER [AB]|ANSWER [AB]|secret) = \d+$")
_STATISTICS = re.compile(
    r"sent (\d+) messages? of (\d+) octets?, received (\d+) messages? of (\d+) octets?"
)

READY = "Ctrl-C ends it"
"""`hushwire classroom` says this when its programs are attached."""

HOSTS = (ALICE.name, BOB.name)


def command(port: int) -> list[str]:
    """What one would type on either host."""
    other = [] if port == _USUAL_PORT else ["--port", str(port)]
    return ["hushwire", "classroom", "--interface", WIRE, *other]


class Classroom:
    """Both sides, attached. As a context manager it ends what still runs."""

    def __init__(self, network: Network, port: int, *options: str) -> None:
        """Returns when both are attached. Raises `LabError` with what they have said."""
        self._port = f"{port} > "
        self._traced: list[str] = []
        self._told: dict[str, int] = {}
        self.programs: dict[str, Program] = {}
        self._ending = contextlib.ExitStack()
        # First, so that no line is missed.
        self._pipe = self._ending.enter_context(TracePipe())
        try:
            for host in HOSTS:
                argv = [*command(port), "--label", host, *options]
                self.programs[host] = network.start(host, argv)
            for program in self.programs.values():
                program.wait_for_line('"ready"' if "--json" in options else READY)
        except BaseException:
            self.close()
            raise

    def news(self, host: str) -> str:
        """What the host's side has said since this was asked last."""
        lines = self.programs[host].lines[self._told.get(host, 0) :]
        self._told[host] = self._told.get(host, 0) + len(lines)
        return "\n".join(lines)

    def traced(self, host: str, direction: str, text: str) -> str:
        """The line of trace_pipe about the message `text`, out of or into `host`; waits for it.

        Raises `LabError`.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        head, tail = f"hushwire {host} {direction} ", f": {text}."
        while time.monotonic() < deadline:
            self._traced += self._pipe.lines()
            for line in self._traced:
                if line.startswith(head) and line.endswith(tail) and self._port in line:
                    return line
            time.sleep(0.01)
        raise LabError(f"trace_pipe has no line “{head}…{tail}”, only\n" + "\n".join(self._traced))

    def traced_exchange(self) -> list[str]:
        """Those lines that are about the key exchange, of what has been read of trace_pipe."""
        heads = tuple(f"hushwire {host} " for host in HOSTS)
        return [
            line
            for line in self._traced
            if line.startswith(heads) and _OF_THE_EXCHANGE.search(line)
        ]

    def stop(self) -> None:
        """End both, orderly. Raises `LabError`."""
        for program in self.programs.values():
            program.stop()
            if program.returncode:
                raise LabError(f"{program.title} ended badly. It said:\n{program.output}")

    def counted(self, host: str) -> dict[str, dict[str, int]]:
        """What the host's side has counted, as it tells when it ends. Raises `LabError`."""
        told = _STATISTICS.search(self.programs[host].output)
        if told is None:
            raise LabError(f"no statistics at the end of:\n{self.programs[host].output}")
        out, out_octets, into, into_octets = map(int, told.groups())
        return {
            "egress": {"messages": out, "octets": out_octets},
            "ingress": {"messages": into, "octets": into_octets},
        }

    def close(self) -> None:
        """End what still runs."""
        for program in self.programs.values():
            program.stop()
        self._ending.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
