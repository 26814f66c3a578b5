"""What rust/python offers. It may be missing: `hushwire.system.core` knows why."""

from typing import Any, final

from hushwire.engines.native.plain import PlainInterface, PlainSa

class LoadError(Exception):
    """The kernel did not take the programs. `args`: errno or 0, and what libbpf said."""

@final
class ClassroomEvent:
    """A record of the ring buffer: `struct event` of bpf/classroom/shared.h."""

    kind: int
    local: bytes
    remote: bytes
    frame: bytes
    gso_size: int
    vlan_tci: int
    vlan_proto: int
    public_value: int
    their_public: int
    secret: int
    flag: bool
    network: int
    transport: int
    source_port: int
    destination_port: int
    part: int

@final
class Classroom:
    """The classroom's two programs, loaded; they stay in the kernel as long as this object.

    Addresses are 16 octets, IPv4 mapped. Everything is for the thread that made it. The methods
    raise `OSError`.
    """

    def __init__(self, label: str, port: int, compiled: bytes | None = None) -> None:
        """Raises `LoadError`, and `ValueError` for a label of more than 15 octets."""
    def attach_tcx(self, interface: int) -> None: ...
    def detach(self) -> None: ...
    def program_fd(self, direction: str) -> int: ...
    def fileno(self) -> int: ...
    def events(self) -> list[ClassroomEvent]: ...
    def counts(self) -> list[tuple[str, str, int, int]]:
        """(direction, outcome, messages, payload octets)."""
    def peers(self) -> list[tuple[bytes, bytes, int, int, int, int, int]]:
        """(local, remote, our epoch, our public value, theirs, their public value, secret)."""
    def done(self, local: bytes, remote: bytes, frames: int) -> None: ...
    def test_run(
        self, direction: str, frame: bytes, mark: int = 0, gso_size: int = 0
    ) -> tuple[int, bytes, int]:
        """(returned code, frame afterwards, mark afterwards)."""

_Endpoint = tuple[bytes, int, int]
_Path = tuple[_Endpoint, _Endpoint, bool]
_Counts = tuple[int, int, int, int, float | None]

@final
class Engine:
    """The native engine; `hushwire.engines.native` makes the contract's types around it.

    Any thread may call it. Every method but `events` and `close` raises `RuntimeError` while the
    engine is not open; `KeyError` stands for an SPI that is not here.
    """

    def open(self, interface: PlainInterface) -> None:
        """Raises `RuntimeError` the second time, and `OSError`."""
    def install(self, sa: PlainSa) -> None:
        """Raises `ValueError`."""
    def update(self, spi: int, way: tuple[_Path, str, bool, bool]) -> None:
        """`way`: path, encapsulation, keepalive, follow. Raises `KeyError`."""
    def set_path_mtu(self, spi: int, mtu: int, whole: int) -> None: ...
    def confirm(self, spi: int) -> None: ...
    def retire(self, spi: int) -> None: ...
    def remove(self, spi: int) -> None: ...
    def add_stream(self, socket: int, path: _Path, originated: bool) -> None:
        """Takes over the descriptor, and closes it also where it raises."""
    def send_ike(self, data: bytes, path: _Path) -> None: ...
    def close_stream(self, path: _Path) -> None: ...
    def counters(self) -> tuple[dict[str, int], list[tuple[int, _Counts]], dict[str, bool]]:
        """Drops by name; by inbound SPI what it carried, and the last time; features."""
    def events(self) -> list[tuple[Any, ...]]:
        """Each begins with the name of its kind."""
    @property
    def event_fd(self) -> int: ...
    def close(self) -> None: ...
