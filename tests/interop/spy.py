"""hushwire, with every IKE SA's keys written into a file as they are derived: for tests alone.

    python -m tests.interop.spy FILE run hw0.toml

Nothing of Hushwire tells SK_d or SK_p*; here its own derivation is looked at while it runs.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from hushwire.cli.main import main
from hushwire.ike import keys

_FILE = Path(sys.argv[1])
_expand = keys._expand


def _told(*arguments: object, **more: object) -> keys.IkeKeys:
    found = _expand(*arguments, **more)  # type: ignore[arg-type]
    with _FILE.open("a") as file:
        told = {f"SK_{name}": key.hex() for name, key in asdict(found).items()}
        file.write(json.dumps(told) + "\n")
    return found


keys._expand = _told

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
