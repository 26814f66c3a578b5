"""`engine` in [interface], with the extension and without it."""

from __future__ import annotations

import pytest

from hushwire.config.model import EngineChoice
from hushwire.engines import choice
from hushwire.system.core import why_missing
from hushwire.system.errors import SystemFailureError


@pytest.mark.skipif(bool(why_missing()), reason="make install built no extension")
@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (EngineChoice.AUTO, "native"),
        (EngineChoice.NATIVE, "native"),
        (EngineChoice.PYTHON, "python"),
    ],
)
def test_the_native_engine_is_the_first_choice(asked: EngineChoice, name: str) -> None:
    engine, lacking = choice.make_engine(asked)
    engine.close()
    assert (engine.capabilities().name, lacking) == (name, "")


def test_without_the_extension_python_does_it_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "why_missing", lambda: "there was no cargo")
    engine, lacking = choice.make_engine(EngineChoice.AUTO)
    engine.close()
    assert engine.capabilities().name == "python"
    assert lacking.endswith("so Python moves packets: there was no cargo.")
    with pytest.raises(SystemFailureError, match="there was no cargo"):
        choice.make_engine(EngineChoice.NATIVE)
