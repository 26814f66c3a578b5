"""Tests that load eBPF programs into this kernel: for root, and where the extension was built."""

from __future__ import annotations

import pytest

from hushwire.system.core import may_not_load, why_missing

_LACKS = [why_missing()] if why_missing() else may_not_load()

loads_ebpf = pytest.mark.skipif(bool(_LACKS), reason="; ".join(_LACKS))
