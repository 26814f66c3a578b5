"""Newer revocation lists while we run, from files and from a server that may be hostile."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import pytest

from hushwire.crypto.errors import CertificateFormatError
from hushwire.daemon import revocation
from hushwire.daemon.fetching import fetch
from hushwire.daemon.journal import Journal
from hushwire.daemon.revocation import Revocations
from tests.config.files import load_text
from tests.crypto.pki import NOW, authority, issue, revoked

CA = authority()
ALICE = issue("CN=alice", by=CA)
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
def server(answers: dict[str, bytes], delay: float = 0.0) -> Iterator[str]:
    """On loopback; every answer in parts with `delay` seconds between."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(200 if body is not None else 404)
            if self.path == "/elsewhere":
                self.send_header("Location", "/ca.crl")
            self.end_headers()
            for at in range(0, len(body or b""), 65536):
                try:
                    self.wfile.write((body or b"")[at : at + 65536])
                    self.wfile.flush()
                except OSError:
                    return
                sleep(delay)

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


def test_a_list_is_fetched() -> None:
    with server({"/ca.crl": revoked(CA, 77)}) as url:
        (found,) = fetch(f"{url}/ca.crl")
    assert found.serials == {77}


def test_what_a_server_can_do_wrong_is_an_error() -> None:
    with server({"/page": b"<html>", "/endless": bytes(3 << 20)}) as url:
        with pytest.raises(CertificateFormatError):
            fetch(f"{url}/page")
        with pytest.raises(OSError, match="404"):
            fetch(f"{url}/missing")
        with pytest.raises(ValueError, match="longer than 1 MiB"):
            fetch(f"{url}/endless", most=1 << 20)
    with pytest.raises(OSError, match="refused"):
        fetch(f"{url}/ca.crl")
    for other in ("file:///etc/hostname", "ftp://127.0.0.1/"):
        with pytest.raises(OSError, match="unknown url type"):
            fetch(other)


def test_a_server_that_trickles_is_left() -> None:
    ticks = iter(range(1000))
    with (
        server({"/slow": bytes(1 << 20)}, delay=0.001) as url,
        pytest.raises(TimeoutError, match="5 seconds"),
    ):
        fetch(f"{url}/slow", seconds=5, clock=lambda: float(next(ticks)))


def test_newer_lists_count_as_soon_as_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(revocation, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(revocation, "_FETCH_AGAIN_SECONDS", 0.05)
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
                await until([{1}], "404")
                answers["/ca.crl"] = revoked(CA, 5)
                await until([{1}, {5}])
                Path("ca.crl").write_bytes(revoked(CA, 1, 2, now=NOW))
                await until([{1, 2}, {5}], "the newer revocation list counts from now on")
                Path("ca.crl").write_text("not one")
                await until([{1, 2}, {5}], "What is known already goes on counting")
                Path("ca.crl").unlink()
                await until([{1, 2}, {5}], "there is no file")
            finally:
                watching.close()

        asyncio.run(life())
    assert said.getvalue().count("404") == 1
