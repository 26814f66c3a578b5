from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hushwire.lab import reader
from hushwire.lab.story import MESSAGE, TRANSFER_OCTETS
from tests.netns.gone import namespaces_below, processes_in
from tests.netns.waiting import wait_until

LAB = [sys.executable, "-m", "hushwire.cli.main", "lab"]


@pytest.mark.parametrize(
    ("encap", "mode"),
    [("esp", "tunnel"), ("udp", "tunnel"), ("tcp", "tunnel"), ("esp", "transport")],
)
def test_the_story_is_true(tmp_path: Path, encap: str, mode: str) -> None:
    pcap = tmp_path / "eve.pcap"
    told = subprocess.run(
        [*LAB, "demo", "--json", "--mode", mode, "--encap", encap, "--pcap", pcap],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    facts = json.loads(told.stdout)
    assert facts["fine"] is True
    assert facts["in_clear"]["eve_reads_it"] is True
    assert MESSAGE.encode() in bytes.fromhex(facts["in_clear"]["frame"])
    assert facts["through_tunnel"]["eve_reads_it"] is False
    assert facts["carried_by"] == encap
    assert facts["agreed_mode"] == mode
    # In transport mode the packet's own header is what eve sees, unless UDP goes between hosts.
    own = mode == "transport" and encap == "esp"
    assert facts["through_tunnel"]["source"] == ("10.0.1.1" if own else "192.168.77.1")
    assert facts["ping"]["received"] == facts["ping"]["sent"] == 10
    assert facts["transfer"]["octets_received"] == TRANSFER_OCTETS
    assert facts["transfer"]["sha256_received"] == facts["transfer"]["sha256_sent"]
    assert facts["frames"]["clear"] == facts["frames_with_message"] == 0
    sealed = "tcp" if encap == "tcp" else "esp"
    assert facts["frames"][sealed] > TRANSFER_OCTETS // 1500
    assert facts["suite"] == {
        "ike": facts["status"][0]["peers"][0]["ike_suite"],
        "esp": facts["status"][0]["peers"][0]["esp_suite"],
    }
    # The kept capture tells the same as the facts: the message once, in act 1.
    frames = reader.read(pcap)
    assert [frame.kind for frame in reader.holding(frames, MESSAGE.encode())] == ["clear"]
    carried = bytes.fromhex(facts["through_tunnel"]["frame"])
    assert carried[14 + 9] == {"esp": 50, "udp": 17, "tcp": 6}[encap]


def test_the_story_reads_well_without_a_terminal() -> None:
    told = subprocess.run([*LAB, "demo"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "\x1b" not in told.stdout
    for sentence in (
        "Act 1: in clear",
        "the message, for everybody to read",
        'networks = ["10.0.1.2/32", "fd00:1::2/128"]',
        "tunnel up",
        "ESP header: SPI and sequence number",
        "10 of 10 came back",
        "0 packets in clear",
    ):
        assert sentence in told.stdout


def test_in_transport_mode_it_tells_whose_header_that_is() -> None:
    told = subprocess.run([*LAB, "demo", "--mode", "transport"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    for sentence in (
        'mode = "transport"',
        "tunnel up in transport mode",
        "IP header: from 10.0.1.1 to 10.0.1.2, nothing more",
        "Transport mode: the packet has kept its own IP header, from 10.0.1.1 to 10.0.1.2.",
        "0 packets in clear",
    ):
        assert sentence in told.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_story_leaves_nothing(how: signal.Signals) -> None:
    story = subprocess.Popen(
        [sys.executable, "-u", *LAB[1:], "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert story.stdout is not None
    for line in story.stdout:
        if "Act 2" in line:
            break
    namespaces = wait_until(lambda: namespaces_below(story.pid), "world of the story")
    assert namespaces is not None
    story.send_signal(how)
    rest, errors = story.communicate(timeout=60)
    assert story.returncode == 128 + how
    assert "Nothing is left behind" in rest
    assert "Traceback" not in errors
    assert processes_in(namespaces) == []


def test_a_story_that_goes_wrong_shows_what_the_daemons_said() -> None:
    # Files that name a device as Linux allows none: both daemons must refuse them.
    broken = "import hushwire.lab.tunnel as t; t.TUNNEL = 'far-too-long-a-name'; import sys; "
    broken += "import hushwire.cli.main as m; sys.exit(m.main(['lab', 'demo']))"
    told = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True)
    assert told.returncode == 1
    assert "This went wrong" in told.stdout
    assert re.search(r"alice │ hushwire: .*far-too-long-a-name", told.stdout)


def test_a_capture_that_cannot_be_kept_is_said_before_anything_begins() -> None:
    told = subprocess.run(
        [*LAB, "demo", "--pcap", "/no/such/folder/eve.pcap"], capture_output=True, text=True
    )
    assert told.returncode == 1
    assert told.stdout == ""
    assert "/no/such/folder/eve.pcap" in told.stderr
