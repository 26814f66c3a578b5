"""Revocation lists from the web (RFC 5280 §3.3): one address, bounded in time and size."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from hushwire.crypto.crl import Crl
from hushwire.crypto.errors import CertificateFormatError

MOST_OCTETS = 4 << 20
"""What a stranger's server may make us keep."""
FETCH_SECONDS = 20.0


def fetched(url: str) -> tuple[Crl, ...] | str:
    """What is there, or why nothing is. Blocks as `fetch` does."""
    try:
        return fetch(url)
    except (OSError, ValueError, HTTPException, CertificateFormatError) as error:
        return _reason(error)


def fetch(
    url: str,
    *,
    seconds: float = FETCH_SECONDS,
    most: int = MOST_OCTETS,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Crl, ...]:
    """The lists at an http or https address. Blocks for `seconds`, and a little more, at most.

    Raises `OSError`, `HTTPException`, `ValueError` and `CertificateFormatError`.
    """
    until = clock() + seconds
    octets = bytearray()
    with _opener().open(url, timeout=seconds / 2) as answer:
        while part := answer.read1(65536):
            octets += part
            if len(octets) > most:
                raise ValueError(f"it is longer than {most >> 20} MiB")
            if clock() > until:
                raise TimeoutError(f"it is not complete after {seconds:.0f} seconds")
    return Crl.from_file(bytes(octets))


def _opener() -> urllib.request.OpenerDirector:
    """Neither files nor proxies, and no redirection to where nobody has configured us to go."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code} ({error.reason})."
    if isinstance(error, urllib.error.URLError):
        return f"{error.reason}."
    return f"{error}."
