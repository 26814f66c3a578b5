"""The build: with the extension where it can be, and without it where it cannot."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

_ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """tools/build_backend.py, which writes into tmp_path and not into this checkout."""
    spec = importlib.util.spec_from_file_location(
        "build_backend", _ROOT / "tools" / "build_backend.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "WHY_NOT", tmp_path / "_core_missing.txt")
    monkeypatch.chdir(_ROOT)
    monkeypatch.delenv("HUSHWIRE_BUILD", raising=False)
    monkeypatch.setenv("MATURIN_PEP517_ARGS", "")  # put back when the test is over
    monkeypatch.delenv("MATURIN_PEP517_ARGS")
    return module


def hide(backend: ModuleType, monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    which = backend.shutil.which
    monkeypatch.setattr(
        backend.shutil, "which", lambda name: None if name in programs else which(name)
    )


def test_without_cargo_it_is_installed_all_the_same(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stale = tmp_path / "_core.abi3.so"
    stale.touch()
    hide(backend, monkeypatch, "cargo", "clang")
    name = backend.build_editable(str(tmp_path))
    assert (tmp_path / name).stat().st_size
    reason = "it was installed where there was no cargo\n"
    assert backend.WHY_NOT.read_text() == reason
    assert not stale.exists()


def test_without_clang_the_native_engine_is_built_all_the_same(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built: list[str] = []

    def builds(*_: object) -> str:
        built.append(os.environ.get("MATURIN_PEP517_ARGS", ""))
        return "hushwire.whl"

    monkeypatch.setattr(backend.maturin, "build_wheel", builds)
    monkeypatch.setattr(backend.shutil, "which", lambda name: f"/usr/bin/{name}")
    hide(backend, monkeypatch, "clang")
    assert backend.build_wheel(str(tmp_path)) == "hushwire.whl"
    assert built == ["--no-default-features"]
    assert backend.WHY_NOT.read_text() == "it was installed where there was no clang\n"


def test_where_only_the_ebpf_part_cannot_be_built_the_rest_is(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def builds(*_: object) -> str:
        if "MATURIN_PEP517_ARGS" not in os.environ:
            raise SystemExit(101)
        return "hushwire.whl"

    monkeypatch.setattr(backend.maturin, "build_wheel", builds)
    monkeypatch.setattr(backend.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert backend.build_wheel(str(tmp_path)) == "hushwire.whl"
    assert backend.WHY_NOT.read_text().startswith("the build failed (101)")


def test_where_the_build_fails_it_is_installed_all_the_same(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: object) -> str:
        raise SystemExit(101)

    monkeypatch.setattr(backend.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(backend.maturin, "build_wheel", fails)
    name = backend.build_wheel(str(tmp_path))
    assert (tmp_path / name).stat().st_size
    assert backend.WHY_NOT.read_text().startswith("the build failed (101)")


def test_strictly_a_failure_is_one(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide(backend, monkeypatch, "clang")
    monkeypatch.setenv("HUSHWIRE_BUILD", "strict")
    with pytest.raises(SystemExit, match=r"not built: .* no clang"):
        backend.build_wheel(str(tmp_path))


def test_a_build_that_succeeds_leaves_no_reason(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend.WHY_NOT.write_text("from last time\n")
    monkeypatch.setattr(backend.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(backend.maturin, "build_wheel", lambda *_: "hushwire.whl")
    assert backend.build_wheel(str(tmp_path)) == "hushwire.whl"
    assert not backend.WHY_NOT.exists()
