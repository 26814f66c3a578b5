"""Certificates and revocation lists of ours whose time is over, or will soon be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hushwire.config.model import Config
from hushwire.explain.certificates import day

if TYPE_CHECKING:
    from hushwire.crypto.x509 import Certificate

_SOON_SECONDS = 14 * 86400.0


def warnings(config: Config, now: float) -> list[str]:
    """Sentences for the start; `now` is seconds since 1970."""
    return list(dict.fromkeys(_warnings(config, now)))


def _warnings(config: Config, now: float) -> Iterator[str]:
    for peer in config.peers:
        own = peer.certificates
        if own is None:
            continue
        for certificate in own.chain:
            yield from _about(certificate, "our certificate", now, "no peer will believe it")
        for certificate in own.trust.anchors:
            yield from _about(certificate, "the authority", now, "nobody of its is believed")
        for crl in own.trust.crls.lists:
            what = f"Warning: the revocation list of {crl.issuer} in {own.crl_file}"
            if now < crl.since:
                yield f"{what} is of {day(crl.since)}: is this host's clock right?"
            elif crl.until is not None and not crl.current(now):
                yield f"{what} was good until {day(crl.until)}. Get its newest one."


def _about(certificate: Certificate, what: str, now: float, then: str) -> Iterator[str]:
    who = f"Warning: {what} {certificate.subject}"
    if now > certificate.not_after:
        yield f"{who} expired on {day(certificate.not_after)}: {then}. Have it issued anew."
    elif now < certificate.not_before:
        since = day(certificate.not_before)
        yield f"{who} is not valid before {since}: is this host's clock right?"
    elif now > certificate.not_after - _SOON_SECONDS:
        yield f"{who} expires on {day(certificate.not_after)}. Have it issued anew in time."
