"""Revocation lists from the web (RFC 5280 §3.3): one address, bounded in time and size."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from threading import Event, Timer
from urllib.parse import SplitResult, urlsplit

from hushwire.crypto.dn import printable

MOST_OCTETS = 4 << 20
"""What a stranger's server may make us keep."""
FETCH_SECONDS = 10.0
_PORTS = {"http": 80, "https": 443}


def fetched(url: str) -> bytes | str:
    """What is there, or in a sentence why nothing is. Blocks as `fetch` does."""
    try:
        return fetch(url)
    except (OSError, ValueError, HTTPException) as error:
        return f"{printable(str(error).strip())}."  # the server's own words may be in it


def fetch(url: str, *, seconds: float = FETCH_SECONDS, most: int = MOST_OCTETS) -> bytes:
    """What is at an http or https address: there alone, without proxies and redirections.

    Blocks for `seconds` to connect, and for as long again to read, at most. Raises `OSError`,
    `HTTPException` and `ValueError`.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("it is no http or https address of a host")
    address = parts.hostname, parts.port or _PORTS[parts.scheme]
    with socket.create_connection(address, seconds) as sock, _ended_after(seconds, sock):
        octets = _get(sock, parts, most + 1)
    if len(octets) > most:
        raise ValueError(f"it is longer than {most >> 20} MiB")
    return octets


def _get(sock: socket.socket, parts: SplitResult, most: int) -> bytes:
    if parts.scheme == "https":
        from ssl import create_default_context

        sock = create_default_context().wrap_socket(sock, server_hostname=parts.hostname)
    connection = HTTPConnection(parts.hostname or "", parts.port)
    connection.sock = sock
    query = f"?{parts.query}" if parts.query else ""
    with sock:
        connection.request("GET", (parts.path or "/") + query, headers={"Connection": "close"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise OSError(f"the server says {answer.status}")
        return answer.read(most)


@contextmanager
def _ended_after(seconds: float, sock: socket.socket) -> Iterator[None]:
    """The time-out of a socket is for each octet; this one is for all of them together.

    Raises `TimeoutError`.
    """
    over = Event()

    def end() -> None:
        over.set()
        with suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)  # whoever waits for octets waits no longer

    with sock.dup() as same:
        timer = Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, HTTPException):
            if not over.is_set():
                raise
        finally:
            timer.cancel()
            timer.join()
    if over.is_set():
        raise TimeoutError(f"it is not complete after {seconds:g} seconds")
