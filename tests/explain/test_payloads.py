"""What a payload is called."""

from __future__ import annotations

import pytest

from hushwire.explain.payloads import words_of
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import AuthMethod, NotifyType


@pytest.mark.parametrize("method", AuthMethod)
def test_every_way_to_prove_who_one_is_has_a_name(method: AuthMethod) -> None:
    (word,) = words_of([Authentication(method, bytes(8))])
    assert word.startswith("AUTH ")
    assert not word.endswith(f" {int(method)}")


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (NotifyType.MOBIKE_SUPPORTED, "N(MOBIKE_SUPPORTED)"),
        (16406, "N(REDIRECT_SUPPORTED)"),  # known by name alone
        (40000, "N(notify type 40000)"),
    ],
)
def test_a_notification_has_the_name_that_its_rfc_gives_it(number: int, word: str) -> None:
    assert words_of([Notify(number)]) == (word,)
