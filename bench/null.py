"""`hushwire`, with the engine that does not encrypt: `python -m bench.null run FILE`.

The library is rust/null's, and tools/peers alone builds it. Hushwire itself cannot load it.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1] / "build" / "peers" / "null_core.so"


def main() -> int:
    loader = ExtensionFileLoader("null_core", str(LIBRARY))
    spec = importlib.util.spec_from_loader("null_core", loader)
    assert spec is not None
    library = importlib.util.module_from_spec(spec)
    loader.exec_module(library)
    sys.modules["hushwire._core"] = library
    print("NO ENCRYPTION: this is a measurement.", file=sys.stderr)
    from hushwire.cli.main import main as hushwire

    return hushwire()


if __name__ == "__main__":
    raise SystemExit(main())
