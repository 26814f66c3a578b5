from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sa.pairs import pair


def test_keys_never_appear_in_a_printed_association() -> None:
    child, _ = pair()
    text = repr(child)
    assert "outbound_spi" in text
    assert "key=" not in text
    assert repr(child.inbound_key) not in text
    assert repr(child.outbound_key) not in text


@pytest.mark.parametrize("spi", [0, 1, 255, 1 << 32, -1])
def test_reserved_and_impossible_spis_are_refused(spi: int) -> None:
    child, _ = pair()
    with pytest.raises(ValueError, match="SPI"):
        replace(child, inbound_spi=spi)
    with pytest.raises(ValueError, match="SPI"):
        replace(child, outbound_spi=spi)


def test_one_key_for_both_directions_is_refused() -> None:
    child, _ = pair()
    with pytest.raises(ValueError, match="same key"):
        replace(child, inbound_key=child.outbound_key)


def test_a_window_below_the_rfc_minimum_is_refused() -> None:
    child, _ = pair()
    assert replace(child, replay_window=32).replay_window == 32
    with pytest.raises(ValueError, match="replay window"):
        replace(child, replay_window=31)
