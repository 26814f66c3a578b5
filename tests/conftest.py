"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.interop import matrix
from tests.netns import fixtures
from tests.netns.fixtures import topology, world

__all__ = ["topology", "world"]

_NO_SKIP = "HUSHWIRE_NO_SKIP"


def pytest_addoption(parser: pytest.Parser) -> None:
    matrix.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    fixtures.pytest_configure(config)
    matrix.register(config)
    # How long an example takes says how busy the machine is, and no more.
    settings.register_profile("untimed", settings.default, deadline=None)
    settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # An expected failure is reported as skipped too, and is none.
    if report.skipped and not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where nothing may be missing (CI), a test that does not run has failed."""
    if not os.environ.get(_NO_SKIP):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{reason}. With {_NO_SKIP} set, a test that is skipped counts as failed."
