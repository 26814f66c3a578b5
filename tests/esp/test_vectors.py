"""The vectors that the Rust core is held against are what the reference does."""

from __future__ import annotations

from tests.vectors.esp import FILE, lines


def test_the_vectors_are_what_this_code_seals_and_refuses() -> None:
    assert FILE.read_text().splitlines() == list(lines())
    assert "opened" not in FILE.read_text(), "a packet with a bit changed was authentic"
