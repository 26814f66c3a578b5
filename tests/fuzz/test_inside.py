"""A slice of what `python -m tests.fuzz.inside` runs, and that it would find what it looks for."""

from __future__ import annotations

import pytest

from hushwire.ike import closing, exchanges
from hushwire.ike.credentials import Psk
from hushwire.ike.inputs import Turn
from hushwire.ike.link import Request
from hushwire.ike.session import Session
from hushwire.wire.errors import WireError
from tests.fuzz.inside import SCENES, attempt, live

SEEDS = range(150)


def test_whoever_has_the_keys_can_do_no_more_than_end_it() -> None:
    assert {live(seed).said[0] for seed in SEEDS} == SCENES.keys()


def _found() -> str:
    """What the first seed says that fails."""
    return next((problem for seed in range(600) if (problem := attempt(seed)[1])), "")


def test_it_finds_an_authentication_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Psk, "check", lambda *_arguments: None)
    assert "_genuine_proof" in _found()


def test_it_finds_an_end_that_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(session: Session, _message: Request, _error: WireError, turn: Turn) -> None:
        closing.fail(session, None, turn)

    monkeypatch.setattr(exchanges, "_malformed", silent)
    assert "nobody was told why" in _found()
