"""`hushwire classroom` on alice and on bob, and the one trace_pipe of their kernel."""

from __future__ import annotations

import contextlib
import json
import time
from types import TracebackType
from typing import Any, Self

from hushwire.lab.network import LabError, Network, Program
from hushwire.lab.topology import ALICE, BOB, WIRE


class TracePipe:
    pass


_PATIENCE_SECONDS = 30.0
_USUAL_PORT = 12345

HOSTS = (ALICE.name, BOB.name)


def command(port: int) -> list[str]:
    """What one would type on either host."""
    other = [] if port == _USUAL_PORT else ["--port", str(port)]
    return ["hushwire", "classroom", "--interface", WIRE, *other]


class Classroom:
    """Both sides, attached. As a context manager it ends what still runs."""

    def __init__(self, network: Network, port: int) -> None:
        """Returns when both are attached. Raises `LabError` with what they have said."""
        self._traced: list[str] = []
        self.programs: dict[str, Program] = {}
        self._ending = contextlib.ExitStack()
        # First, so that no line is missed.
        self._pipe = self._ending.enter_context(TracePipe())
        try:
            for host in HOSTS:
                argv = [*command(port), "--json", "--label", host]
                self.programs[host] = network.start(host, argv)
            for program in self.programs.values():
                program.wait_for_line('"ready"')
        except BaseException:
            self.close()
            raise

    def events(self, host: str, kind: str) -> list[dict[str, Any]]:
        """Those of one kind that the host's side has told until now."""
        lines = (line for line in self.programs[host].lines if line.startswith("{"))
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def traced(self, host: str, direction: str, text: str) -> str:
        """The line of trace_pipe about the message `text`, out of or into `host`; waits for it.

        Raises `LabError`.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        head, tail = f"hushwire {host} {direction} ", f": {text}."
        while time.monotonic() < deadline:
            self._traced += self._pipe.lines()
            for line in self._traced:
                if line.startswith(head) and line.endswith(tail):
                    return line
            time.sleep(0.01)
        raise LabError(f"trace_pipe has no line “{head}…{tail}”, only\n" + "\n".join(self._traced))

    def stop(self) -> dict[str, dict[str, Any]]:
        """End both, orderly; returns each side's last statistics. Raises `LabError`."""
        statistics = {}
        for host, program in self.programs.items():
            program.stop()
            last = self.events(host, "statistics")[-1:]
            if program.returncode or not last or not last[0]["final"]:
                raise LabError(f"{program.title} ended badly. It said:\n{program.output}")
            statistics[host] = last[0]
        return statistics

    def close(self) -> None:
        """End what still runs."""
        for program in self.programs.values():
            program.stop()
        self._ending.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
