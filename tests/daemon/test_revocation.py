"""Newer revocation lists while we run, from files and from a server that may be hostile."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

import pytest
from cryptography.x509 import DeltaCRLIndicator

from hushwire.daemon import revocation
from hushwire.daemon.fetching import fetch, fetched
from hushwire.daemon.journal import Journal
from hushwire.daemon.revocation import Revocations
from tests.config.files import load_text
from tests.crypto.pki import DAY, NOW, authority, issue, new_key, revoked

CA = authority()
ALICE = issue("CN=alice", by=CA)
FORGED = (
    (b"<html>", "not a revocation list"),
    (revoked(CA, key=new_key("ed25519")), "has signed O=Example, CN=Example CA's"),
    (revoked(authority("CN=Else")), "has signed CN=Else's"),
    (revoked(CA, since=-2 * DAY), "is older than the one that was there before"),
    (revoked(CA, extensions=[(DeltaCRLIndicator(1), True)]), "the critical extension 2.5.29.27"),
)
FILE = """\
[interface]
name = "hw0"
address = ["10.0.1.1/24"]
private_key_file = "alice.key"
cert_file = "alice.pem"
ca_file = "ca.pem"

[peer.one]
endpoint = "one.example.org"
networks = ["10.9.0.0/16"]
"""


@contextmanager
def server(answers: dict[str, bytes]) -> Iterator[str]:
    """On loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            if self.path == "/elsewhere":
                self.send_response(302)
                self.send_header("Location", "/ca.crl")
            else:
                self.send_response(200 if body is not None else 404)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


@contextmanager
def one_visitor(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that speaks no HTTP but what `serve` says; its port."""

    def work() -> None:
        peer, _ = listening.accept()
        with peer:
            serve(peer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=work, daemon=True).start()
        yield listening.getsockname()[1]


def test_what_is_there_is_fetched() -> None:
    with server({"/ca.crl": b"a list", "/?of=1": b"another one"}) as url:
        assert fetch(f"{url}/ca.crl") == b"a list"
        assert fetch(f"{url}?of=1") == b"another one"


def test_what_a_server_can_do_wrong_is_an_error() -> None:
    with server({"/endless": bytes(3 << 20)}) as url:
        with pytest.raises(OSError, match="404"):
            fetch(f"{url}/missing")
        with pytest.raises(OSError, match="302"):
            fetch(f"{url}/elsewhere")
        with pytest.raises(ValueError, match="longer than 1 MiB"):
            fetch(f"{url}/endless", most=1 << 20)
        with pytest.raises(OSError, match=r"(?i)ssl"):
            fetch(f"{url.replace('http', 'https')}/ca.crl")
    with pytest.raises(OSError, match="refused"):
        fetch(f"{url}/ca.crl")
    for other in ("file:///etc/hostname", "ftp://127.0.0.1/", "http:///ca.crl"):
        with pytest.raises(ValueError, match="no http or https address"):
            fetch(other)


@pytest.mark.parametrize(
    ("scheme", "head"),
    [
        ("http", b""),
        ("http", b"HTTP/1.1 200 OK\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("https", b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"),  # a TLS record of 16384 octets
    ],
    ids=["status", "headers", "list", "TLS"],
)
def test_a_server_that_trickles_is_left(scheme: str, head: bytes) -> None:
    left = Event()

    def trickle(peer: socket.socket) -> None:
        with suppress(OSError):
            peer.sendall(head)
            while True:
                peer.sendall(b"x")
                sleep(0.001)
        left.set()

    with one_visitor(trickle) as port:
        with pytest.raises(TimeoutError, match=r"after 0\.2 seconds"):
            fetch(f"{scheme}://127.0.0.1:{port}/", seconds=0.2)
        assert left.wait(30)


def test_what_a_server_says_reaches_no_terminal_as_it_is() -> None:
    def say(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(b"\x1b[2Jnothing wrong\r\n\r\n")

    with one_visitor(say) as port:
        why = fetched(f"http://127.0.0.1:{port}/")
    assert why == "?[2Jnothing wrong."


def test_newer_lists_count_as_soon_as_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(revocation, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(revocation, "_FETCH_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(revocation, "_FETCH_EVERY_SECONDS", 0.05)
    Path("ca.pem").write_text(CA.pem)
    Path("alice.pem").write_text(ALICE.pem)
    Path("alice.key").write_text(ALICE.key_pem)
    Path("alice.key").chmod(0o600)
    Path("ca.crl").write_bytes(revoked(CA, 1))
    answers: dict[str, bytes] = {}
    said = io.StringIO()
    with server(answers) as url:
        keys = f'crl_file = "ca.crl"\ncrl_url = "{url}/ca.crl"\nca_file'
        config = load_text(FILE.replace("ca_file", keys))
        own = config.peers[0].certificates
        assert own is not None
        crls = own.trust.crls

        async def until(serials: list[set[int]], *words: str) -> None:
            deadline = monotonic() + 30
            while [read.serials for read in crls.lists] != serials or not all(
                word in said.getvalue() for word in words
            ):
                assert monotonic() < deadline, (crls.lists, said.getvalue())
                await asyncio.sleep(0.005)

        async def life() -> None:
            watching = Revocations(config.peers, Journal(said))
            try:
                await until([{1}], "says 404")
                answers["/ca.crl"] = revoked(CA, 5)
                await until([{1}, {5}])
                for forged, words in FORGED:
                    answers["/ca.crl"] = forged
                    await until([{1}, {5}], words)
                answers["/ca.crl"] = revoked(CA, 5)
                Path("ca.crl").write_bytes(revoked(CA, 1, 2, now=NOW))
                await until([{1, 2}, {5}], "the newer revocation list counts from now on")
                Path("ca.crl").write_text("not one")
                await until([{1, 2}, {5}], "What is known already goes on counting")
                Path("ca.crl").unlink()
                await until([{1, 2}, {5}], "there is no file")
            finally:
                watching.close()

        asyncio.run(life())
    assert said.getvalue().count("says 404") == 1
