"""`python -m hushwire`."""

from __future__ import annotations

import sys

from hushwire.cli.main import main

sys.exit(main())
