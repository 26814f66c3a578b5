"""Programs are loaded into the kernel for real, so these tests need root and the extension."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hushwire.system.core import may_not_load, why_no_ebpf
from tests.bpf.hosts import Host


@pytest.fixture(scope="session")
def host() -> Callable[..., Host]:
    """Makes hosts; the test is skipped, with the reason, where the kernel takes no programs."""
    if lacks := [why_no_ebpf()] if why_no_ebpf() else may_not_load():
        pytest.skip(lacks[0])
    return Host
