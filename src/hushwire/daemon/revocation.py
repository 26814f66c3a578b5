"""Revocation lists while we run: files that change, and addresses on the web.

Only what the configuration names is ever read or fetched. A list that cannot be had leaves the one
before in its place; whether that still counts is `crypto/chain.py`'s to say. So does one from the
web that is forged or older: whoever stands between us and the server cannot take back what has been
revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from hushwire.config.errors import BadValueError
from hushwire.config.model import CertificateConfig, PeerConfig
from hushwire.crypto.errors import CertificateFormatError
from hushwire.daemon.journal import Journal

if TYPE_CHECKING:
    from hushwire.crypto.crl import Crl
    from hushwire.crypto.x509 import Certificate

_LOOK_SECONDS = 30.0
_FETCH_EVERY_SECONDS = 3600.0
_FETCH_AGAIN_SECONDS = 300.0


class Revocations:
    """Keeps the lists of all peers up to date, from its making until `close`."""

    def __init__(self, peers: Iterable[PeerConfig], journal: Journal) -> None:
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._users = [peer.certificates for peer in peers if peer.certificates is not None]
        self._files = {
            path: _stamp(path) for user in self._users if (path := user.crl_file) is not None
        }
        self._due = {user.crl_url: 0.0 for user in self._users if user.crl_url is not None}
        self._from_file = {user.crl_file: user.trust.crls.lists for user in self._users}
        self._authorities: dict[str | None, tuple[Certificate, ...]] = {
            url: tuple(
                certificate
                for user in self._users
                if user.crl_url == url
                for certificate in (*user.trust.anchors, *user.chain)
            )
            for url in self._due
        }
        self._from_web: dict[str | None, tuple[Crl, ...]] = {}
        self._troubles: dict[object, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        if self._files or self._due:
            self._look()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
        for path, stamp in self._files.items():
            now = _stamp(path)
            if now != stamp:
                self._files[path] = now
                self._reread(path)
        for url, due in self._due.items():
            if self._loop.time() >= due:
                self._due[url] = self._loop.time() + _FETCH_EVERY_SECONDS
                self._begin(url)

    def _reread(self, path: Path) -> None:
        from hushwire.config.certificates import read_crls

        try:
            self._from_file[path] = read_crls(path)
        except BadValueError as error:
            self._trouble(path, str(error))
        else:
            self._troubles.pop(path, None)
            self._journal.say(f"{path}: the newer revocation list counts from now on.")
            self._publish()

    def _begin(self, url: str) -> None:
        """In a thread of its own, that nobody waits for at the end.

        What it brings is not read there: `warnings.catch_warnings` is not for threads.
        """

        def work() -> None:
            # What speaks HTTP takes long to load, and most tunnels never ask for it.
            from hushwire.daemon.fetching import fetched

            found = fetched(url)
            try:
                self._loop.call_soon_threadsafe(self._fetched, url, found)
            except RuntimeError:
                return  # the loop has ended meanwhile

        Thread(target=work, name="crl", daemon=True).start()

    def _fetched(self, url: str, found: bytes | str) -> None:
        from hushwire.crypto.crl import Crl

        try:
            newer = found if isinstance(found, str) else self._newer(url, Crl.from_file(found))
        except CertificateFormatError as error:
            newer = f"{error}."
        if isinstance(newer, str):
            self._due[url] = self._loop.time() + _FETCH_AGAIN_SECONDS
            self._trouble(url, f"{url}: no revocation list from there: {newer}")
            return
        self._troubles.pop(url, None)
        self._from_web[url] = newer
        self._publish()

    def _newer(self, url: str, found: tuple[Crl, ...]) -> tuple[Crl, ...] | str:
        """What counts of that address from now on, or why nothing of `found` does."""
        before = {crl.series: crl for crl in self._from_web.get(url, ())}
        for crl in found:
            if not any(crl.is_by(one) for one in self._authorities[url]):
                why = crl.flaw or f"no authority in ca_file or cert_file has signed {crl.issuer}'s"
                return f"{why}."
            if (last := before.pop(crl.series, None)) is not None and crl.since < last.since:
                return f"{crl.issuer}'s is older than the one that was there before."
        return (*found, *before.values())

    def _publish(self) -> None:
        for user in self._users:
            user.trust.crls.lists = self._lists(user)

    def _lists(self, user: CertificateConfig) -> tuple[Crl, ...]:
        from_file = self._from_file.get(user.crl_file, ()) if user.crl_file else ()
        return (*from_file, *self._from_web.get(user.crl_url, ()))

    def _trouble(self, source: object, sentence: str) -> None:
        if self._troubles.get(source) != sentence:
            self._troubles[source] = sentence
            self._journal.say(f"{sentence} What is known already goes on counting.")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
