"""The build backend (PEP 517): maturin, with the Rust and eBPF parts, or hatchling, without them.

Where something for the eBPF part is missing, such as clang, the extension has the native engine
alone. Where there is no cargo, or the extension cannot be built, the package is installed all the
same. What needs the missing part then says, with the reason that is written down here, why it does
not work. HUSHWIRE_BUILD=strict lets a failure be one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hatchling.build
import maturin

_ROOT = Path(__file__).resolve().parent.parent
_RUSTUP = Path.home() / ".cargo" / "bin"
_PROGRAMS = ("cargo", "cc")
_PROGRAMS_FOR_EBPF = ("clang", "pkg-config", "make")
_WITHOUT_EBPF = "--no-default-features"

WHY_NOT = _ROOT / "src" / "hushwire" / "_core_missing.txt"
"""Why there is no extension, or none for eBPF; `hushwire.system.core` reads it."""

_FAILURES = (SystemExit, subprocess.SubprocessError, OSError)

_Settings = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: _Settings = None) -> list[str]:
    return []


get_requires_for_build_editable = get_requires_for_build_wheel
get_requires_for_build_sdist = get_requires_for_build_wheel


def build_sdist(directory: str, config_settings: _Settings = None) -> str:
    _find_programs()
    return str(maturin.build_sdist(directory, config_settings))


def build_wheel(
    directory: str, config_settings: _Settings = None, metadata_directory: str | None = None
) -> str:
    return _build("build_wheel", directory, config_settings)


def build_editable(
    directory: str, config_settings: _Settings = None, metadata_directory: str | None = None
) -> str:
    return _build("build_editable", directory, config_settings)


def _build(which: str, directory: str, settings: _Settings) -> str:
    _find_programs()
    WHY_NOT.unlink(missing_ok=True)
    strict = os.environ.get("HUSHWIRE_BUILD") == "strict"
    why = _missing(*_PROGRAMS)
    without_ebpf = _missing(*_PROGRAMS_FOR_EBPF)
    if strict and (why or without_ebpf):
        raise SystemExit(f"The extension hushwire._core was not built: {why or without_ebpf}")
    if not why and not without_ebpf:
        try:
            return str(getattr(maturin, which)(directory, settings))
        except _FAILURES as error:
            without_ebpf = _failed(error)
            if strict:
                raise SystemExit(f"hushwire._core was not built: {without_ebpf}") from error
    if not why:
        WHY_NOT.write_text(without_ebpf + "\n")
        print(f"hushwire._core without eBPF: {without_ebpf}", file=sys.stderr)
        os.environ["MATURIN_PEP517_ARGS"] = _WITHOUT_EBPF
        try:
            return str(getattr(maturin, which)(directory, settings))
        except _FAILURES as error:
            why = _failed(error)
    for old in WHY_NOT.parent.glob("_core.*.so"):
        old.unlink()
    WHY_NOT.write_text(why + "\n")
    print(f"Without hushwire._core: {why}", file=sys.stderr)
    return str(getattr(hatchling.build, which)(directory, settings))


def _failed(error: BaseException) -> str:
    return f"the build failed ({error}); HUSHWIRE_BUILD=strict make install shows all of it"


def _find_programs() -> None:
    # maturin's program lies beside this Python; rustup's lie where a shell may not look yet.
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), str(_RUSTUP)]
    os.environ["PATH"] = os.pathsep.join(places)


def _missing(*programs: str) -> str:
    missing = [name for name in programs if shutil.which(name) is None]
    return f"it was installed where there was no {' and no '.join(missing)}" if missing else ""
