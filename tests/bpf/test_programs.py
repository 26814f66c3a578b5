"""Loading: what the kernel or this host can refuse, and how it is said."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import hushwire.system.core
from hushwire.classroom.programs import Programs
from hushwire.system.core import core, kernel, why_missing
from hushwire.system.errors import NotPermittedError, SystemFailureError
from tests.bpf.hosts import Host

Hosts = Callable[[], Host]

_UNSAFE = """
#define SEC(name) __attribute__((section(name), used))
SEC("tc") int classroom_egress(void *context) { return *(volatile int *)4096; }
SEC("tc") int classroom_ingress(void *context) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""


def test_what_the_verifier_refuses_is_said_with_its_last_lines(host: Hosts, tmp_path: Path) -> None:
    source, compiled = tmp_path / "unsafe.c", tmp_path / "unsafe.o"
    source.write_text(_UNSAFE)
    subprocess.run(
        ["clang", "-target", "bpf", "-O1", "-g", "-w", "-c", source, "-o", compiled], check=True
    )
    with pytest.raises(SystemFailureError) as caught:
        Programs("x", 12345, compiled=compiled.read_bytes())
    text = str(caught.value)
    assert f"the verifier of kernel {kernel()} refuses the programs; its last lines:" in text
    assert "invalid mem access" in text
    assert "a newer kernel may take them" in text


def test_what_is_no_program_is_refused(host: Hosts) -> None:
    with pytest.raises(SystemFailureError, match=r"does not take the programs .*Linux 5\.17"):
        Programs("x", 12345, compiled=b"this is no ELF file")


def test_a_label_that_has_no_room_is_refused(host: Hosts) -> None:
    with pytest.raises(ValueError, match="15 octets"):
        Programs("sixteen letters!", 12345)


def test_without_the_extension_one_sentence_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys

    reason = tmp_path / "reason.txt"
    reason.write_text("it was installed where there was no cargo\n")
    monkeypatch.setattr(hushwire.system.core, "_REASON", reason)
    monkeypatch.setitem(sys.modules, "hushwire._core", None)
    with pytest.raises(SystemFailureError) as caught:
        core()
    assert str(caught.value) == (
        "eBPF: hushwire._core is not here: it was installed where there was no cargo. Rust comes "
        "from https://rustup.rs and clang with `sudo apt install clang`; then `make install`."
    )


def test_an_extension_without_ebpf_says_why_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys
    from types import ModuleType

    reason = tmp_path / "reason.txt"
    reason.write_text("it was installed where there was no clang\n")
    monkeypatch.setattr(hushwire.system.core, "_REASON", reason)
    engine_alone = ModuleType("hushwire._core")
    monkeypatch.setitem(sys.modules, "hushwire._core", engine_alone)
    monkeypatch.setattr(hushwire, "_core", engine_alone, raising=False)
    assert why_missing() == ""
    with pytest.raises(SystemFailureError, match=r"has no eBPF: .* no clang"):
        core()


def test_without_capabilities_nothing_is_tried(
    monkeypatch: pytest.MonkeyPatch, host: Hosts
) -> None:
    monkeypatch.setattr(hushwire.system.core, "_effective_capabilities", lambda: 0)
    with pytest.raises(NotPermittedError) as caught:
        Programs("x", 12345)
    names = [line.split()[0] for line in caught.value.missing]
    assert names == ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_PERFMON", "CAP_BPF"]


def test_versions_agree() -> None:
    import tomllib

    from hushwire import __version__

    root = Path(__file__).parent.parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())
    cargo = tomllib.loads((root / "rust" / "Cargo.toml").read_text())
    assert project["project"]["version"] == __version__
    assert cargo["workspace"]["package"]["version"] == __version__
