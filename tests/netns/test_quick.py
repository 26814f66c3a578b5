"""`hushwire quick`: the same line on both hosts."""

from __future__ import annotations

import json
import re

import pytest

from hushwire.lab.eve import Recorder
from hushwire.lab.network import Program
from hushwire.lab.reader import Kind, read, tally
from hushwire.lab.topology import ALICE, BOB, WIRE, Resident, Topology
from tests.netns.tunnels import devices, ends, interrupt, ping

GOOD = "r7BzpoXqCkq0mS3b9aQ0u1m5wFJ2kZxN8y4T6hVdLgE="


def quick(topology: Topology, me: Resident, *options: str, key: str = GOOD) -> Program:
    other = BOB if me is ALICE else ALICE
    line = ["hushwire", "quick", WIRE, "-dst", str(other.underlay), "-key", key, "-tun", "asa0"]
    return topology.start(me.name, [*line, *options])


def both(topology: Topology, *options: str, key: str = GOOD) -> tuple[Program, Program]:
    programs = quick(topology, ALICE, *options, key=key), quick(topology, BOB, *options, key=key)
    for program in programs:
        program.wait_for_line("tunnel up")
    return programs


def test_by_hand_as_in_the_seed_the_device_is_used_and_left_as_found(topology: Topology) -> None:
    for me in (ALICE, BOB):
        topology.ip(
            "tuntap add dev asa0 mode tun",
            f"address add {me.tunnel} dev asa0",
            "link set asa0 mtu 1500 up",
            host=me.name,
        )

    def found() -> object:
        show = ["ip", "-json", "address", "show", "asa0"]
        (link,) = json.loads(topology.run("alice", show).stdout)
        flags = set(link["flags"]) - {"LOWER_UP", "NO-CARRIER"}
        return flags, link["mtu"], [a["local"] for a in link["addr_info"] if a["family"] == "inet"]

    before = found()
    recorder = Recorder(topology)
    programs = both(topology, key="256")
    assert "Warning: This key is weak (about 4 bits of guessing" in programs[0].output
    assert "pose as either host" in programs[0].output
    assert "hushwire genpsk -o FILE" in programs[0].output
    ping(topology, "alice", BOB.tunnel.ip)
    for program in programs:
        interrupt(program)
    assert found() == before
    recorder.stop()
    counts = tally(read(recorder.file))
    assert counts[Kind.CLEAR] == 0
    assert counts[Kind.ESP] == 6


def test_without_a_device_both_hosts_derive_the_addresses(topology: Topology) -> None:
    programs = both(topology)
    address = re.search(r"asa0 will be (10\.\S+)/30, (fd\S+)/64 here", programs[1].output)
    assert address is not None
    assert "weak" not in programs[0].output
    for target in address.groups():
        ping(topology, "alice", target)
    for program in programs:
        interrupt(program)
    assert devices(topology, "alice") == {"lo", WIRE}


def test_in_transport_mode_packets_keep_their_own_header(topology: Topology) -> None:
    recorder = Recorder(topology)
    first, second = both(topology, "--mode", "transport")
    address = re.search(r"asa0 will be (10\.\S+)/30", second.output)
    assert address is not None
    ping(topology, "alice", address[1])
    interrupt(first)
    recorder.stop()
    sealed = [frame for frame in read(recorder.file) if frame.kind is Kind.ESP]
    assert len(sealed) == 6
    assert all(address[1] in (frame.source, frame.destination) for frame in sealed)


def test_addresses_may_be_given(topology: Topology) -> None:
    first = quick(topology, ALICE, "--address", "10.8.0.1/24")
    second = quick(topology, BOB, "--address", "10.8.0.2/24")
    for program in (first, second):
        program.wait_for_line("tunnel up")
    ping(topology, "bob", "10.8.0.1")


def test_the_key_may_be_in_a_file_or_be_asked_for(topology: Topology) -> None:
    made = topology.run("alice", ["hushwire", "genpsk", "-o", "/run/lab/psk"])
    assert made.returncode == 0
    first = quick(topology, ALICE, key="@/run/lab/psk")
    line = f"hushwire quick {WIRE} -dst {ALICE.underlay} -key - -tun asa0 </run/lab/psk"
    second = topology.start("bob", ["sh", "-c", line])
    for program in (first, second):
        program.wait_for_line("tunnel up")


@pytest.mark.parametrize(
    ("prepare", "options", "code", "said"),
    [
        ("tuntap add dev asa0 mode tun", [], 2, "asa0 exists but has no address. Give it one"),
        (
            "tuntap add dev asa0 mode tap\naddress add 10.0.1.1/24 dev asa0",
            [],
            1,
            "it is a TAP device: that carries Ethernet frames",
        ),
        (
            "link add asa0 type veth peer name other\naddress add 10.0.1.1/24 dev asa0",
            [],
            1,
            "it is no TUN device but a veth",
        ),
        ("", ["-dst", "192.168.77.1"], 2, "192.168.77.1 is this host's own address"),
        ("", ["-dst", "example.org"], 2, "-dst takes the address of the other host"),
        ("", ["-dst", "203.0.113.7"], 1, "way to 203.0.113.7: network is unreachable"),
        ("address flush dev eth0", [], 1, "it has no IPv4 address, and 192.168.77.2 is IPv4"),
        ("", ["-key", ""], 2, "the key is empty"),
        ("", ["-key", "@/nowhere"], 2, "there is no file /nowhere"),
        (
            "",
            ["--mode", "transport", "--address", "10.0.1.1/24"],
            2,
            "transport mode is between two addresses, and the other one is not known",
        ),
        ("", ["--address", "10.0.1.0/24"], 2, "is a network, and no host in it"),
    ],
)
def test_what_cannot_work_is_said(
    topology: Topology, prepare: str, options: list[str], code: int, said: str
) -> None:
    if prepare:
        topology.ip(*prepare.splitlines(), host="alice")
    assert said in ends(quick(topology, ALICE, *options), code)


def test_an_unknown_card_is_named(topology: Topology) -> None:
    line = ["hushwire", "quick", "ens38", "-dst", "192.168.77.2", "-key", GOOD]
    done = topology.run("alice", line, check=False)
    assert done.returncode == 1
    assert "device ens38: no device has this name" in done.stderr


def test_a_device_in_use_is_refused(topology: Topology) -> None:
    topology.ip("tuntap add dev asa0 mode tun", "address add 10.0.1.1/24 dev asa0", host="alice")
    holder = (
        "import fcntl, os, struct, time; fd = os.open('/dev/net/tun', os.O_RDWR);"
        "fcntl.ioctl(fd, 0x400454CA, struct.pack('16sH22x', b'asa0', 0x1001));"
        "print('ready', flush=True); time.sleep(60)"
    )
    topology.start("alice", ["python3", "-c", holder]).wait_for_line("ready")
    assert "another program is using it" in ends(quick(topology, ALICE), 1)
