"""`hushwire lab demo`: the same message twice past eve, in clear and through a tunnel."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from hushwire.lab import reader, tunnel
from hushwire.lab.eve import Recorder
from hushwire.lab.network import LabError, Network, Program
from hushwire.lab.reader import Frame, Kind
from hushwire.lab.screen import Screen, clear_parts, sealed_parts
from hushwire.lab.topology import ALICE, BOB, EVE
from hushwire.lab.world import need

MESSAGE = "Meet me at noon, the key is under the mat."
TRANSFER_OCTETS = 10_000_000
PINGS = 10

_SHOWN_IN_CLEAR = 3
_MESSAGE_PORT = 7000
_TRANSFER_PORT = 7001
_TALK = [sys.executable, "-m", "hushwire.lab.talk"]

_MARK_CLEAR = "act 1: a message in clear"
_MARK_TUNNEL = "act 2: hushwire run on both hosts"
_MARK_SEALED = "the same message through the tunnel"
_MARK_MORE = "ping and transfer through the tunnel"
_MARK_DONE = "all has been said"

_KIND_NAMES = {
    Kind.ESP: "ESP, sealed",
    Kind.IKE: "IKE, the key exchange",
    Kind.KEEPALIVE: "NAT keepalives",
    Kind.TCP: "IKE and ESP inside TCP",
    Kind.ARP: "ARP",
    Kind.NEIGHBOUR: "IPv6 neighbour discovery",
    Kind.ICMP_ERROR: "ICMP errors about these",
    Kind.CLEAR: "in clear",
}

_CARRIERS = {"esp": "as IP protocol 50", "udp": "in UDP port 4500", "tcp": "inside TCP port 4500"}


class Story:
    """Told once. `facts` grows as it goes, for --json."""

    def __init__(self, network: Network, screen: Screen, encap: str, mode: str) -> None:
        self._network = network
        self._screen = screen
        self._encap = encap
        self._mode = mode
        self._daemons: list[tuple[str, Program]] = []
        self.facts: dict[str, Any] = {"message": MESSAGE, "encap": encap, "mode": mode}

    def tell(self, pcap: Path | None) -> bool:
        """All of it; returns whether every promise was kept.

        Raises `LabError`, `SystemFailureError` if a program is missing.
        """
        need("ping", "iputils-ping")
        recorder = Recorder(self._network)
        try:
            self._in_clear(recorder)
            self._tunnel()
            self._through(recorder)
            self._ping()
            self._transfer()
            self._suites()
            recorder.bookmark(_MARK_DONE)
            self.facts["frames_missed_by_eve"] = recorder.stop()
        finally:
            if pcap is not None:
                shutil.copyfile(recorder.file, pcap)
                self.facts["pcap"] = str(pcap)
        return self._count(recorder.file)

    def show_daemons(self) -> None:
        """What both sides have said, when the story ends badly."""
        for host, daemon in self._daemons:
            self._screen.command(host, "hushwire run")
            self._screen.output(host, daemon.output)
            self.facts[f"{host}_said"] = daemon.lines

    def _in_clear(self, recorder: Recorder) -> None:
        self._screen.title("Act 1: in clear")
        self._screen.say("alice and bob are two hosts; every frame between them passes eve.\n")
        recorder.bookmark(_MARK_CLEAR)
        self._send_message(str(BOB.underlay))
        recorder.bookmark(_MARK_TUNNEL)
        frames = reader.since(reader.read(recorder.file), _MARK_CLEAR)
        seen = reader.holding(frames, MESSAGE.encode())
        if not seen:
            raise LabError("eve did not see the message in clear: her recording is not to be used")
        self.facts["in_clear"] = {"eve_reads_it": True, "frame": seen[0].octets.hex()}
        self._screen.say("\nWhat eve sees:")
        self._screen.frame(seen[0].octets, clear_parts(seen[0].octets, MESSAGE.encode()))

    def _tunnel(self) -> None:
        self._screen.title("Act 2: two key pairs, two short files")
        ends = tunnel.configure(self._network, self._encap, self._mode)
        for end in ends:
            host = end.resident.name
            self._screen.command(host, f"hushwire genkey -o {host}.key")
            self._screen.file(host, end.file.name, end.text)
        begun = time.monotonic()
        for end in ends:
            host = end.resident.name
            self._screen.command(host, f"hushwire run {end.file.name}")
            self._daemons.append((host, tunnel.run(self._network, end)))
        for _, daemon in self._daemons:
            daemon.wait_for_line(tunnel.UP)
        self.facts["tunnel_up_seconds"] = round(time.monotonic() - begun, 3)
        for host, daemon in self._daemons:
            self._screen.output(host, daemon.output)

    def _through(self, recorder: Recorder) -> None:
        self._screen.title("The same message, through the tunnel")
        recorder.bookmark(_MARK_SEALED)
        self._send_message(str(BOB.tunnel.ip))
        recorder.bookmark(_MARK_MORE)
        frames = reader.since(reader.read(recorder.file), _MARK_SEALED)
        sealed = [
            frame
            for frame in frames
            if frame.kind in (Kind.ESP, Kind.TCP)
            and frame.source in {str(ALICE.underlay), str(ALICE.tunnel.ip)}
        ]
        if not sealed:
            raise LabError("the message arrived, but eve saw no ESP packet from alice")
        readable = bool(reader.holding(frames, MESSAGE.encode()))
        packet = max(sealed, key=lambda frame: len(frame.octets))
        self.facts["through_tunnel"] = {"eve_reads_it": readable, "frame": packet.octets.hex()}
        self._screen.say("\nWhat eve sees:")
        self._screen.frame(packet.octets, sealed_parts(packet.octets, self._mode))
        self._tell_the_header(packet)

    def _tell_the_header(self, packet: Frame) -> None:
        """Whose addresses eve reads in the header of a sealed packet."""
        addresses = {"source": packet.source, "destination": packet.destination}
        self.facts["through_tunnel"] |= addresses
        if packet.source == str(ALICE.tunnel.ip):
            self._screen.say(
                f"\nTransport mode: the packet has kept its own IP header, from {packet.source} to "
                f"{packet.destination}. Nothing behind it can be read."
            )
        elif self._mode == "transport":
            self._screen.say(
                "\nTransport mode in UDP: the header is the two hosts'. No other is inside: bob "
                f"knows that the packet was {ALICE.tunnel.ip}'s from what they have agreed on."
            )

    def _send_message(self, address: str) -> None:
        bob, alice = BOB.name, ALICE.name
        where = [address, _MESSAGE_PORT]
        ear = self._network.start(bob, [*_TALK, "hear", *map(str, where)])
        ear.wait_for_line("ready")
        self._screen.command(alice, f"say {address} “{MESSAGE}”")
        self._network.run(alice, [*_TALK, "say", *map(str, where), MESSAGE])
        heard = json.loads(ear.finish().splitlines()[-1])
        if heard["message"] != MESSAGE:
            raise LabError(f"bob heard something else: {heard}")
        self._screen.output(bob, f"{heard['sender']} says: {heard['message']}")

    def _ping(self) -> None:
        self._screen.title("Ping and a large file")
        address = str(BOB.tunnel.ip)
        self._screen.command(ALICE.name, f"ping -c {PINGS} {address}")
        argv = ["ping", "-n", "-c", str(PINGS), "-i", "0.1", "-W", "5", address]
        said = self._network.run(ALICE.name, argv, check=False).stdout
        received = re.search(r"(\d+) received", said)
        times = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)", said)
        if received is None or times is None:
            raise LabError(f"no answer to ping through the tunnel. It said:\n{said}")
        lowest, average, highest = (float(value) for value in times.groups())
        self.facts["ping"] = {
            "sent": PINGS,
            "received": int(received[1]),
            "rtt_ms": {"min": lowest, "avg": average, "max": highest},
        }
        self._screen.output(
            ALICE.name,
            f"{received[1]} of {PINGS} came back, in {lowest} to {highest} ms (mean {average})",
        )

    def _transfer(self) -> None:
        where = [str(BOB.tunnel.ip), str(_TRANSFER_PORT)]
        taker = self._network.start(BOB.name, [*_TALK, "take", *where])
        taker.wait_for_line("ready")
        self._screen.command(ALICE.name, f"send {TRANSFER_OCTETS // 10**6} MB to {where[0]}")
        giver = self._network.run(ALICE.name, [*_TALK, "give", *where, str(TRANSFER_OCTETS)])
        gave = json.loads(giver.stdout)
        took = json.loads(taker.finish().splitlines()[-1])
        speed = gave["octets"] * 8 / gave["seconds"] / 1e6
        self.facts["transfer"] = {
            "octets_sent": gave["octets"],
            "octets_received": took["octets"],
            "sha256_sent": gave["sha256"],
            "sha256_received": took["sha256"],
            "seconds": gave["seconds"],
            "megabits_per_second": round(speed, 1),
        }
        self._screen.output(ALICE.name, f"sent      SHA-256 {gave['sha256']}")
        self._screen.output(BOB.name, f"received  SHA-256 {took['sha256']}")
        self._screen.output(ALICE.name, f"{gave['seconds']:.2f} s, {speed:.0f} Mbit/s")

    def _suites(self) -> None:
        argv = ["hushwire", "status", "--json"]
        self._screen.command(ALICE.name, "hushwire status")
        status = json.loads(self._network.run(ALICE.name, argv).stdout)
        (peer,) = status[0]["peers"]
        self.facts["suite"] = {"ike": peer["ike_suite"], "esp": peer["esp_suite"]}
        self.facts["carried_by"] = peer["encapsulation"]
        self.facts["agreed_mode"] = peer["mode"]
        self.facts["status"] = status
        self._screen.output(
            ALICE.name,
            f"IKE {peer['ike_suite']}, ESP {peer['esp_suite']} by {peer['encapsulation']}, "
            f"{peer['mode']} mode",
        )

    def _count(self, capture: Path) -> bool:
        frames = reader.since(reader.read(capture), _MARK_TUNNEL)
        counts = reader.tally(frames)
        readable = len(reader.holding(frames, MESSAGE.encode()))
        self.facts["frames"] = {str(kind): count for kind, count in counts.items()}
        self.facts["frames_with_message"] = readable
        self._screen.title("What eve has, from the moment of `hushwire run`")
        for kind, count in counts.items():
            if count or kind is Kind.CLEAR:
                self._screen.output(EVE, f"{count:>7}  {_KIND_NAMES[kind]}")
        for frame in [frame for frame in frames if frame.kind is Kind.CLEAR][:_SHOWN_IN_CLEAR]:
            self._screen.frame(frame.octets, [])
        return self._verdict(counts, readable)

    def _verdict(self, counts: dict[Kind, int], readable: int) -> bool:
        ping, transfer = self.facts["ping"], self.facts["transfer"]
        promises = [
            (counts[Kind.CLEAR] == 0, f"{counts[Kind.CLEAR]} packets in clear"),
            (readable == 0, f"{readable} packets in which eve can read the message"),
            (ping["received"] == ping["sent"], f"{ping['received']} of {ping['sent']} pings back"),
            (
                transfer["sha256_sent"] == transfer["sha256_received"],
                "the file has the same hash on both sides",
            ),
        ]
        self._screen.say("")
        for kept, sentence in promises:
            (self._screen.good if kept else self._screen.bad)(sentence)
        return all(kept for kept, _ in promises)
