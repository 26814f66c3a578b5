"""The line of every key, against where its value really stands in the text."""

from __future__ import annotations

import itertools
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from hushwire.config.lines import KeyPath, Lines

# "@" becomes a number of its own in each place, by which the text is searched for it.
_STATEMENTS = [
    "{k} = @",
    '  {k}.deep . "er \\" =#" = @ # {{ a comment = [',
    "{k} = [@, @]",
    '{k} = [ # ]\n  @,\n\n  # two, "\n  [@,\n@], {{ x = @, y.z = [@] }},\n]',
    "{k} = {{ x = @, 'y #' = {{ z = @ }} }}",
    '{k}a = """\nnot = 1 # \\""" [\n""""" # five\n{k} = @',
    "{k}a = '''\n]'' = 1\n'''''\n{k} = @",
    '{k}a = "\\"#" # "\n{k} = @',
    "{k}a = '\\'\n{k}b = 1979-05-27 07:32:00\n{k} = @",
    "\n\t\n# only a comment",
    "[{k}]\nx = @",
    '[ {k} . "q.r" ]\n\nx = @',
    "[[{k}]]\nx = @",
]


@given(st.lists(st.sampled_from(_STATEMENTS), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_every_value_is_found_in_its_line(statements: list[str], newline: str) -> None:
    keys = (f"k{n}" for n in itertools.count())
    text = "\n".join(statement.format(k=next(keys)) for statement in statements)
    places = itertools.count(1000000)
    text = "".join(str(next(places)) if c == "@" else c for c in text).replace("\n", newline)
    lines = Lines(text)
    for path, value in _leaves(tomllib.loads(text), ()):
        at = text.index(str(value))
        assert lines.of(path) == text.count("\n", 0, at) + 1, (path, text)


def _leaves(value: object, path: KeyPath) -> list[tuple[KeyPath, int]]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in _leaves(v, (*path, k))]
    if isinstance(value, list):
        # [[k]] is one table as far as lines are told: there is no such table in a configuration.
        if isinstance(value[0], dict):
            return _leaves(value[0], path)
        return [leaf for i, v in enumerate(value) for leaf in _leaves(v, (*path, i))]
    return [(path, value)] if isinstance(value, int) else []


def test_tables_and_dotted_keys_have_the_line_that_first_names_them() -> None:
    lines = Lines('peer.bob.id = "b"\n\n[peer.carol]\nid = "c"\n[ peer . "d.e" ]\n')
    assert lines.of(("peer",)) == 1
    assert lines.of(("peer", "bob")) == 1
    assert lines.of(("peer", "carol")) == 3
    assert lines.of(("peer", "carol", "id")) == 4
    assert lines.of(("peer", "d.e")) == 5


def test_what_is_absent_has_the_line_of_what_is_around_it() -> None:
    lines = Lines("[peer.bob]\nids = [\n1]\n")
    assert lines.of(("peer", "bob", "endpoint")) == 1
    assert lines.of(("peer", "bob", "ids", 7)) == 2
    assert lines.of(("interface",)) is None
    assert Lines("").of(("x",)) is None


def test_the_keys_of_one_table_have_their_lines_and_so_has_the_table() -> None:
    text = '[interface]\nname = "hw0"\n\n[peer.bob]\n# a comment\nike = [\n  "x",\n]\nid.x = 1\n'
    lines = Lines(text + "[peer.carol]\nid = 1\npeer.bob.esp = 2\n")
    assert lines.within(("peer", "bob")) == {"": 4, "ike": 6, "id": 9}
    assert lines.within(("peer", "carol")) == {"": 10, "id": 11, "peer": 12}
    assert lines.within(("peer", "dave")) == {}
