"""NAME, as every verb takes it: an interface's name, or the file that configures it."""

from __future__ import annotations


def interface_name(name_or_file: str) -> str:
    """NAME itself, or the name of the interface that a file configures. Raises `ConfigError`."""
    if "/" not in name_or_file and not name_or_file.endswith(".toml"):
        return name_or_file
    from hushwire.config.load import find, load

    return load(find(name_or_file)).interface.name
