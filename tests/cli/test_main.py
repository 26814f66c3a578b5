"""The command itself: help, wrong usage, exit codes, broken outputs."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hushwire import __version__
from hushwire.cli.main import VERBS
from tests.cli.command import HUSHWIRE, hushwire, shell


def test_the_help_fits_one_screen_and_knows_every_verb() -> None:
    done = hushwire("--help")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    words = done.stdout.split()
    for verb in VERBS:
        assert verb in words


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    done = hushwire(verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\n  hushwire {verb}" in done.stdout or f"sudo hushwire {verb}" in done.stdout


def test_the_version_is_the_packages() -> None:
    assert hushwire("--version").stdout == f"hushwire {__version__}\n"


@pytest.mark.parametrize("module", ["hushwire", "hushwire.cli.main"])
def test_python_runs_it_as_a_module(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True)
    assert done.stdout.decode() == f"hushwire {__version__}\n"


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    script = (
        "import sys; from hushwire.cli.main import main; main(['genpsk', '--help']); "
        "print([m for m in ('cryptography', 'rich', 'pyroute2', 'scapy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.endswith("\n[]\n"), done.stderr


@pytest.mark.parametrize("proof", ['psk_file = "psk"', 'public_key = "{public}"'])
def test_run_loads_nothing_heavy_that_its_tunnel_has_no_use_for(tmp_path: Path, proof: str) -> None:
    """Each of these takes longer to load than a handshake takes."""
    hushwire("genkey", "-o", str(tmp_path / "own.key"))
    public = hushwire("genkey", "-o", str(tmp_path / "peer.key")).stdout.split()[-1]
    (tmp_path / "psk").touch(mode=0o600)
    (tmp_path / "psk").write_text("a shared secret between two hosts that nobody guesses\n")
    file = tmp_path / "hw0.toml"
    file.write_text(
        '[interface]\naddress = ["10.0.1.1/24"]\nprivate_key_file = "own.key"\n'
        '[peer.bob]\nendpoint = "192.0.2.2"\nnetworks = ["10.0.1.2/32"]\n'
        + proof.format(public=public)
    )
    script = (
        "import sys; from pathlib import Path; from hushwire.config.load import load\n"
        "from hushwire.daemon.service import Service; import hushwire.cli.run\n"
        "load(Path(sys.argv[1]))\n"
        "heavy = ('cryptography.x509', 'hushwire.crypto.x509', 'hushwire.engines.python.engine',\n"
        "    'hushwire.explain.causes', 'hushwire.lab', 'http', 'rich', 'scapy',\n"
        "    'urllib.request')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_a_verb_it_helps_and_fails() -> None:
    done = hushwire()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == hushwire("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["genkye"], 'hushwire: there is no verb "genkye". Did you mean "hushwire genkey"?\n'),
        (["dig"], 'hushwire: there is no verb "dig". There are genkey, '),
        (["--nois"], "hushwire: "),
        (["genkey", "--type", "rsa"], "hushwire: argument --type: invalid choice: 'rsa'"),
        (["genpsk", "-o"], "hushwire: argument -o/--output: expected one argument. "),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments: list[str], said: str) -> None:
    done = hushwire(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("ConfigError(Path('a.toml'), 7, 'wrong', 'Right.')", 2, "a.toml:7: wrong. Right."),
        ("UsageError('so not')", 2, "so not"),
        ("NotPermittedError(['CAP_NET_ADMIN is missing.'])", 3, "CAP_NET_ADMIN is missing."),
        ("SystemFailureError('no TUN', 'why', 'Load it.')", 1, "no TUN: why. Load it."),
        ("OSError(2, 'No such file', 'x')", 1, "x: No such file"),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: str, code: int, said: str) -> None:
    script = (
        "import sys; from pathlib import Path; from hushwire.cli import genpsk\n"
        "from hushwire.cli.main import *\n"
        f"def fail(arguments): raise {error}\n"
        "genpsk.run = fail; sys.exit(main(['genpsk']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, f"hushwire: {said}\n")


def test_an_interrupt_is_quiet_and_has_its_own_exit_code() -> None:
    terminal, keyboard = pty.openpty()
    with os.fdopen(terminal), os.fdopen(keyboard, "rb") as stdin:
        process = subprocess.Popen(
            [HUSHWIRE, "pubkey"], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stderr
        assert process.stderr.readline() == b"Paste a private key in PEM, then press Ctrl-D.\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, output, errors) == (130, b"", b"")


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def buffering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails does so at once, or when Python's buffer is flushed."""
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)


@pytest.mark.usefixtures("buffering")
@pytest.mark.parametrize("arguments", [["--help"], ["genpsk"], ["genkey", "--help"]])
def test_a_reader_that_went_away_is_no_reason_to_complain(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run([HUSHWIRE, *arguments], stdout=stdout, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.usefixtures("buffering")
@pytest.mark.parametrize("arguments", ["genpsk", "--help", "--version"])
def test_a_full_disk_is_told_and_not_passed_over(tmp_path: Path, arguments: str) -> None:
    done = shell(f"hushwire {arguments} > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, "hushwire: No space left on device\n")


def test_a_closed_output_is_told(tmp_path: Path) -> None:
    done = shell("hushwire genpsk >&-", tmp_path)
    assert (done.returncode, done.stderr) == (1, "hushwire: standard output is closed\n")
