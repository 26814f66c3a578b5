"""Whatever stands in the file: a configuration, or a complaint about it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hushwire.config.errors import ConfigError
from hushwire.config.limits import KEYS as LIMITS_KEYS
from hushwire.config.load import INTERFACE_KEYS, PEER_KEYS, load
from tests.config.files import RIGHT, write_keys

_WORDS = [
    *("[interface]\n", "[peer.x]\n", "[[peer]]\n", "[peer.bob.deep]\n", "peer.y.id = 'y'\n"),
    *("endpoint", "networks", "psk_file", "ike", "id", "dpd", "mode", " = ", "\n", "#", ".", ","),
    *('"10.0.0.0/8"', '"fd00::/64"', '"bob.psk"', '"::1%lo"', '"20s"', "'key:00'", '"aes256gcm16"'),
    *("1", "1979-05-27", "inf", "true", "[", "]", "{", "}", '"', "'", '"""', "'''", "\\", "\0"),
]
_SCALARS = [
    *('""', '"x"', '"up"', '"10.0.1.2/32"', '"::/0"', '"/"', '"%"', '"bob.psk"', '"a@b"', "'-'"),
    *("0", "1.5", "true", "07:32:00", '"\\u0000"', '"\\u202e"', '"0s"', '"aes256gcm16-esn"'),
]
_VALUES = st.recursive(
    st.sampled_from(_SCALARS),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alice")
    write_keys(path)
    return path


def _never_worse_than_a_complaint(folder: Path, octets: bytes) -> None:
    file = folder / "alice.toml"
    file.write_bytes(octets)
    try:
        load(file)
    except ConfigError as error:
        lines = octets.count(b"\n") + 1
        assert error.line is None or 1 <= error.line <= lines
        assert str(error).startswith(str(file))


_CAREFUL = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@_CAREFUL
@given(st.lists(st.sampled_from(_WORDS), max_size=20).map("".join))
def test_random_words_of_toml(folder: Path, text: str) -> None:
    _never_worse_than_a_complaint(folder, text.encode())


@_CAREFUL
@given(st.integers(0, len(RIGHT)), st.integers(0, 8), st.sampled_from(_WORDS) | st.binary())
def test_a_right_file_with_something_cut_and_something_put_in(
    folder: Path, at: int, cut: int, put: str | bytes
) -> None:
    right = RIGHT.encode()
    octets = put if isinstance(put, bytes) else put.encode()
    _never_worse_than_a_complaint(folder, right[:at] + octets + right[at + cut :])


@_CAREFUL
@given(st.integers(0, 60), _VALUES)
def test_any_value_for_any_key(folder: Path, number: int, value: str) -> None:
    tables = {"[interface]": INTERFACE_KEYS, "[peer.bob]": PEER_KEYS, "[limits]": LIMITS_KEYS}
    places = [(table, key) for table, keys in tables.items() for key in keys]
    table, key = places[number % len(places)]
    lines = [line for line in RIGHT.splitlines() if not line.startswith(f"{key} =")]
    lines.append("[limits]")
    place = lines.index(table) + 1
    lines.insert(place, f"{key} = {value}")
    _never_worse_than_a_complaint(folder, "\n".join(lines).encode())


@_CAREFUL
@given(st.binary())
def test_random_octets(folder: Path, octets: bytes) -> None:
    _never_worse_than_a_complaint(folder, octets)
