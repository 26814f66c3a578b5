"""Tests that load eBPF programs into this kernel: for root, and where the extension was built."""

from __future__ import annotations

import pytest

from hushwire.system.core import may_not_load, why_no_ebpf

_LACKS = [why_no_ebpf()] if why_no_ebpf() else may_not_load()

loads_ebpf = pytest.mark.skipif(bool(_LACKS), reason="; ".join(_LACKS))
