"""Which engine moves the packets: `engine` in [interface]."""

from __future__ import annotations

from hushwire.config.model import EngineChoice
from hushwire.engines.base import Engine
from hushwire.system.core import why_missing
from hushwire.system.errors import SystemFailureError


def make_engine(choice: EngineChoice) -> tuple[Engine, str]:
    """A new engine; and, where `auto` had to do with the second best, why, in a sentence.

    Raises `SystemFailureError` when the one that was asked for is not here.
    """
    if choice is EngineChoice.PYTHON:
        return _python(), ""
    if why := why_missing():
        if choice is EngineChoice.AUTO:
            return _python(), f"The native engine is not here, so Python moves packets: {why}."
        raise SystemFailureError(
            "the native engine",
            f"it is not here: {why}",
            'Run `make install` where cargo is, or set engine = "python".',
        )
    # Only now: the extension may be missing.
    from hushwire.engines.native.engine import NativeEngine

    return NativeEngine(), ""


def _python() -> Engine:
    from hushwire.engines.python.engine import PythonEngine  # slow to load, and seldom needed

    return PythonEngine()
