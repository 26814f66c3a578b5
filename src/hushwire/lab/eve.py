"""eve records: everything that crosses her bridge, into a pcap file."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from hushwire.lab.network import LabError, Network
from hushwire.lab.topology import BRIDGE, EVE
from hushwire.lab.world import FILES, need

CAPTURE = FILES / "eve.pcap"

# A frame of the wire fits; only TCP's unsegmented giants, which no real wire carries, are cut.
_SNAP_OCTETS = 9216
_BUFFER_KIB = 65536
_PATIENCE_SECONDS = 30.0


class Recorder:
    """A running tcpdump. Bookmarks, frames that eve sends to nobody, divide its file."""

    def __init__(self, network: Network, host: str = EVE, device: str = BRIDGE) -> None:
        """Returns when frames are being recorded. Raises `SystemFailureError`, `LabError`."""
        need("tcpdump", "tcpdump")
        self._network = network
        self._host = host
        self._device = device
        self._file = network.world.path(CAPTURE)
        self._read = 0
        options = ["--immediate-mode", "-U", "-n", "-s", str(_SNAP_OCTETS), "-B", str(_BUFFER_KIB)]
        self._tcpdump = network.start(host, ["tcpdump", *options, "-i", device, "-w", CAPTURE])
        self._tcpdump.wait_for_line("listening on")

    @property
    def file(self) -> Path:
        """The capture, as this process finds it; it goes when the world ends."""
        return self._file

    def bookmark(self, text: str) -> None:
        """Put `text` into the file here; all that crossed the wire before is before it.

        Raises `LabError`.
        """
        talk = [sys.executable, "-m", "hushwire.lab.talk"]
        self._network.run(self._host, [*talk, "bookmark", self._device, text])
        self._wait_until_written(text.encode())

    def stop(self) -> int:
        """End orderly, with a complete file; returns how many frames tcpdump has missed."""
        self.bookmark("end of the recording")
        said = self._tcpdump.stop()
        missed = re.search(r"(\d+) packets? dropped by kernel", said)
        if missed is None:
            raise LabError(f"tcpdump ended without its counts. It said:\n{said}")
        return int(missed[1])

    def _wait_until_written(self, mark: bytes) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        tail = b""
        with self._file.open("rb") as file:
            file.seek(self._read)
            while mark not in tail:
                if time.monotonic() > deadline:
                    raise LabError(f"tcpdump did not record in {_PATIENCE_SECONDS:g} s")
                if more := file.read():
                    tail = tail[-len(mark) :] + more
                else:
                    time.sleep(0.005)
            self._read = file.tell()
