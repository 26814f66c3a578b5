from __future__ import annotations

import json
import sys

from hushwire.lab import reader
from hushwire.lab.eve import Recorder
from hushwire.lab.reader import Kind
from hushwire.lab.topology import ALICE, BOB, Topology

TALK = [sys.executable, "-m", "hushwire.lab.talk"]


def test_everything_between_two_bookmarks_is_recorded_between_them(topology: Topology) -> None:
    recorder = Recorder(topology)
    for act in ("one", "two", "three"):
        recorder.bookmark(f"begin {act}")
        ear = topology.start(BOB.name, [*TALK, "hear", str(BOB.underlay), "7000"])
        ear.wait_for_line("ready")
        topology.run(ALICE.name, [*TALK, "say", str(BOB.underlay), "7000", f"act {act}"])
        told = json.loads(ear.finish().splitlines()[-1])
        assert told == {"message": f"act {act}", "sender": str(ALICE.underlay)}
        recorder.bookmark(f"end {act}")
    assert recorder.stop() == 0
    frames = reader.read(recorder.file)
    for act in ("one", "two", "three"):
        (found,) = reader.holding(reader.since(frames, f"begin {act}"), f"act {act}".encode())
        assert found.kind is Kind.CLEAR
        assert (found.source, found.destination) == (str(ALICE.underlay), str(BOB.underlay))
        assert found not in reader.since(frames, f"end {act}")


def test_a_large_transfer_is_recorded_and_arrives_whole(topology: Topology) -> None:
    recorder = Recorder(topology)
    where = [str(BOB.underlay6), "7001"]
    taker = topology.start(BOB.name, [*TALK, "take", *where])
    taker.wait_for_line("ready")
    gave = json.loads(topology.run(ALICE.name, [*TALK, "give", *where, "1000000"]).stdout)
    took = json.loads(taker.finish().splitlines()[-1])
    assert took == {"octets": 1000000, "sha256": gave["sha256"]}
    assert recorder.stop() == 0
    # Large enough to hold the transfer, whichever way TCP has cut it.
    assert sum(len(frame.octets) for frame in reader.read(recorder.file)) > 100_000


def test_nobody_listening_is_one_line(topology: Topology) -> None:
    failed = topology.run(ALICE.name, [*TALK, "give", str(BOB.underlay), "7001", "1"], check=False)
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == ["give: [Errno 111] Connection refused"]
