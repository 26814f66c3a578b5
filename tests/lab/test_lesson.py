"""`hushwire lab classroom`, told whole, and `hushwire lab break`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from hushwire.lab.conversation import LINES
from tests.netns.ebpf import loads_ebpf
from tests.netns.gone import namespaces_below, processes_in
from tests.netns.ordinary import as_ordinary_user, really_root
from tests.netns.waiting import wait_until

LAB = [sys.executable, "-m", "hushwire.cli.main", "lab"]
SAID = [f"{text}\n" for _, text in LINES]
PICTURES = {
    "attack",
    "conversation",
    "counted",
    "exchange",
    "places",
    "sealed",
    "side-by-side",
    "tunnel",
}

# Whoever reads trace_pipe has the lines of all classrooms in this kernel: one lesson at a time.
in_one_kernel = pytest.mark.xdist_group("trace_pipe")


def _lab(*words: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LAB, *words], capture_output=True, text=True, input=text)


@loads_ebpf
@in_one_kernel
def test_the_lesson_is_true(tmp_path: Path) -> None:
    pcap, pictures = tmp_path / "eve.pcap", tmp_path / "pictures"
    told = _lab("classroom", "--json", "--pcap", pcap, "--svg", pictures)
    assert told.returncode == 0, told.stdout + told.stderr
    facts = json.loads(told.stdout)
    assert facts["fine"] is True
    assert (facts["family"], facts["frames_missed_by_eve"]) == ("ipv4", 0)

    (session,) = facts["eve"]
    publics = session["public_values"]
    (a,), (b,) = session["private_exponents"].values()
    assert list(publics.values()) == [pow(5, a, 23), pow(5, b, 23)]
    secret = pow(5, a * b, 23)
    assert session["secret"] == secret
    assert {way["secret"] for way in session["ways"].values()} == {secret}
    assert [said["text"] for said in session["said"]] == SAID

    messages = facts["act1"]["messages"]
    for message, (speaker, text) in zip(messages, LINES, strict=True):
        assert (message["speaker"], message["typed"], message["read"]) == (speaker, text, text)
        sealed = bytes(octet ^ secret for octet in f"{text}\n".encode())
        assert bytes.fromhex(message["wire"]) == sealed
        out, into = message["trace_pipe"]["egress"], message["trace_pipe"]["ingress"]
        assert re.fullmatch(rf"hushwire {speaker} egress .* XOR {secret}: {re.escape(text)}\.", out)
        assert re.fullmatch(rf"hushwire (alice|bob) ingress .*: {re.escape(text)}\.", into)
    told_values = {re.sub(".* ", "", line) for line in facts["act1"]["key_exchange_in_trace_pipe"]}
    assert told_values >= {str(value) for value in (*publics.values(), secret)}
    for host, other in (("alice", "bob"), ("bob", "alice")):
        statistics = facts["act1"]["statistics"][host]
        assert statistics["egress"] == _count(host)
        assert statistics["ingress"] == _count(other)

    first, second = facts["compared"]
    assert first["sessions_broken"] == 1
    assert first["frames_with_a_message_under_any_key"] == len(LINES)
    assert second["sessions_broken"] == second["frames_with_a_message_under_any_key"] == 0
    assert second["frames"]["clear"] == 0
    assert second["frames"]["esp"] == len(LINES)
    assert [each["read"] for each in facts["act2"]["messages"]] == [text for _, text in LINES]

    # The kept capture, read by the verb for it, tells the same.
    (again,) = json.loads(_lab("break", "--json", pcap).stdout)["sessions"]
    assert again["said"] == session["said"]
    assert {picture.stem for picture in pictures.iterdir()} == PICTURES
    for picture in pictures.iterdir():
        ElementTree.fromstring(picture.read_text())
        assert "url(http" not in picture.read_text()


def _count(speaker: str) -> dict[str, int]:
    said = [f"{text}\n" for who, text in LINES if who == speaker]
    return {"messages": len(said), "octets": len("".join(said))}


@loads_ebpf
@in_one_kernel
def test_step_by_step_on_another_port_and_over_ipv6_it_reads_well(tmp_path: Path) -> None:
    pcap = tmp_path / "eve.pcap"
    options: list[str | Path] = ["--pause", "--ipv6", "--port", "4000", "--pcap", pcap]
    told = _lab("classroom", *options, text="\n" * 30)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "\x1b" not in told.stdout
    assert max(map(len, told.stdout.splitlines())) < 140
    for sentence in (
        "sudo hushwire classroom --interface eth0 --port 4000",
        "alice │ $ nc -u -p 4000 fd00:77::2 4000",
        "g^x mod p = ",
        "letter statistics",
        "the secret is",
        "ESP header: SPI and sequence number",
        "8 of 8 messages arrived as typed",
        "act 1: eve has the secret, and reads every word",
        "act 2: 0 packets in clear",
    ):
        assert sentence in told.stdout
    assert told.stdout.count("Enter goes on") >= 6
    broken = _lab("break", pcap, "--port", "4000")
    assert broken.returncode == 0
    for _, text in LINES:
        assert re.search(rf"^ fd00:77::[12] +\S.* {re.escape(text)} *$", broken.stdout, re.M)


@loads_ebpf
@in_one_kernel
def test_an_interrupted_lesson_leaves_nothing() -> None:
    lesson = subprocess.Popen(
        [sys.executable, "-u", *LAB[1:], "classroom", "--pause"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert lesson.stdout is not None
    for line in lesson.stdout:
        if "bob │ eth0: eBPF at ingress and egress" in line:
            break
    namespaces = wait_until(lambda: namespaces_below(lesson.pid), "world of the lesson")
    assert namespaces is not None
    lesson.send_signal(signal.SIGINT)
    rest, errors = lesson.communicate(timeout=60)
    assert lesson.returncode == 128 + signal.SIGINT
    assert "Nothing is left behind" in rest
    assert "Traceback" not in errors
    assert processes_in(namespaces) == []


def test_a_recording_without_a_classroom_gives_nothing(tmp_path: Path) -> None:
    pcap = tmp_path / "eve.pcap"
    wrpcap(str(pcap), [Ether() / IP() / UDP(sport=4500, dport=4500) / Raw(b"sealed" * 9)])
    broken = _lab("break", pcap)
    assert broken.returncode == 1
    assert "nothing from or to UDP port 12345" in broken.stdout
    assert json.loads(_lab("break", pcap, "--json").stdout) == {"sessions": []}


def test_what_is_no_recording_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "eve.pcap"
    file.write_text("the key is under the mat")
    for name, code in ((file, 2), (tmp_path / "none.pcap", 1)):
        broken = _lab("break", name)
        assert broken.returncode == code
        (sentence,) = broken.stderr.splitlines()
        assert str(name) in sentence


@loads_ebpf
@pytest.mark.parametrize(("port", "word"), [("0", "no UDP port"), ("4500", "IKE")])
def test_a_port_that_cannot_be_is_refused(port: str, word: str) -> None:
    refused = _lab("classroom", "--port", port)
    assert (refused.returncode, refused.stdout) == (2, "")
    (sentence,) = refused.stderr.splitlines()
    assert word in sentence


@really_root
@loads_ebpf
def test_an_ordinary_user_is_told_in_one_sentence_and_make_demo_goes_on() -> None:
    argv = as_ordinary_user(*LAB, "classroom")
    told = subprocess.run(argv, capture_output=True, text=True)
    assert told.returncode == 3
    assert told.stderr.splitlines() == [
        "hushwire: programs in the kernel (eBPF) need root; `sudo hushwire lab classroom` works."
    ]
    told = subprocess.run([*argv, "--if-possible"], capture_output=True, text=True)
    assert told.returncode == 0
    assert "`sudo hushwire lab classroom` works." in told.stdout
