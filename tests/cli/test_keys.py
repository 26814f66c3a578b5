"""genkey, pubkey and genpsk, as people and scripts use them."""

from __future__ import annotations

import base64
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import hushwire, shell

_TYPES = ["ed25519", "ecdsa-p256", "ecdsa-p384"]


def _openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Its output; raises `CalledProcessError` when it refuses."""
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True)
    return done.stdout


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("kind", _TYPES)
def test_openssl_reads_a_key_and_finds_the_same_public_one(kind: str) -> None:
    pem = hushwire("genkey", "--type", kind).stdout.encode()
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    public = _openssl("pkey", "-pubout", "-outform", "DER", stdin=pem)
    done = hushwire("pubkey", stdin=pem)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{kind}:{base64.b64encode(public).decode()}\n"


@pytest.mark.parametrize("options", [["ed25519"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]])
def test_a_key_from_openssl_has_a_public_one_too(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "bob.key").write_bytes(_openssl("genpkey", "-algorithm", *options))
    done = hushwire("pubkey", tmp_path / "bob.key")
    assert done.returncode == 0
    assert done.stdout.startswith(("ed25519:", "ecdsa-p256:"))


def test_keys_flow_through_pipes_as_with_wg(tmp_path: Path) -> None:
    done = shell("hushwire genkey | hushwire pubkey", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ed25519:")


def test_no_two_keys_are_the_same() -> None:
    assert hushwire("genkey").stdout != hushwire("genkey").stdout
    assert hushwire("genpsk").stdout != hushwire("genpsk").stdout


@pytest.mark.parametrize("umask", ["000", "022", "777"])
@pytest.mark.parametrize("verb", ["genkey", "genpsk"])
def test_a_new_file_is_its_owners_alone_whatever_the_umask(
    tmp_path: Path, verb: str, umask: str
) -> None:
    done = shell(f"umask {umask}; hushwire {verb} -o secret", tmp_path)
    assert done.returncode == 0, done.stderr
    assert _mode(tmp_path / "secret") == 0o600


def test_with_a_file_the_public_key_is_printed_and_nothing_else(tmp_path: Path) -> None:
    done = hushwire("genkey", "-o", "alice.key", cwd=tmp_path)
    assert done.stdout == hushwire("pubkey", "alice.key", cwd=tmp_path).stdout
    assert done.stderr == "alice.key is the private key; this is the public one:\n"
    assert "PRIVATE" not in done.stdout
    assert hushwire("genpsk", "-o", "bob.psk", cwd=tmp_path).stdout == ""


@pytest.mark.parametrize("verb", ["genkey", "genpsk"])
def test_nothing_is_ever_written_over(tmp_path: Path, verb: str) -> None:
    (tmp_path / "old").write_text("precious")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("old", "link"):
        done = hushwire(verb, "-o", name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"hushwire: {name} is there already, and a secret is never written over. "
            "Choose another name, or remove it first.\n"
        )
    assert (tmp_path / "old").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = hushwire("genkey", "-o", "none/alice.key", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "hushwire: none/alice.key: No such file or directory\n"


@pytest.mark.parametrize("verb", ["genkey", "genpsk"])
def test_a_secret_that_others_could_read_is_warned_of(tmp_path: Path, verb: str) -> None:
    done = shell(f"umask 022; hushwire {verb} > open", tmp_path)
    assert done.returncode == 0
    assert done.stderr == (
        "hushwire: warning: this secret goes into a file that others can use (mode 0644). "
        "Run chmod 600 on it; -o FILE does that by itself.\n"
    )
    assert shell(f"umask 077; hushwire {verb} > closed", tmp_path).stderr == ""


def test_a_pre_shared_key_is_32_octets_in_base64() -> None:
    text = hushwire("genpsk").stdout
    assert text.endswith("\n")
    assert len(base64.b64decode(text.removesuffix("\n"), validate=True)) == 32


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "this is not a private key in PEM"),
        (bytes(range(256)), "this is not a private key in PEM"),
        (b"\xff\xfe-----BEGIN PRIVATE KEY-----", "this is not a private key in PEM"),
        (b"ed25519:MCowBQYDK2Vw\n", "this is a public key where a private key belongs. "),
        (b"-----BEGIN PUBLIC KEY-----\n", "this is a public key where a private key belongs. "),
    ],
    ids=["nothing", "octets", "not ascii", "public text", "public pem"],
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, octets: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(octets)
    for done, where in [
        (hushwire("pubkey", stdin=octets), "standard input"),
        (hushwire("pubkey", tmp_path / "x"), str(tmp_path / "x")),
    ]:
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"hushwire: {where}: {said}")
        assert done.stderr.count("\n") == 1


def test_a_locked_key_names_the_command_that_unlocks_it() -> None:
    pem = hushwire("genkey").stdout.encode()
    locked = _openssl("pkey", "-aes256", "-passout", "pass:secret", stdin=pem)
    done = hushwire("pubkey", stdin=locked)
    assert done.returncode == 2
    assert "openssl pkey -in FILE -out UNLOCKED" in done.stderr


def test_a_closed_input_is_told(tmp_path: Path) -> None:
    done = shell("hushwire pubkey <&-", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "hushwire: standard input is closed; name a FILE\n"
