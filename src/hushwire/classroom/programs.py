"""The two programs in the kernel: loaded, attached, and their records as typed events."""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import TYPE_CHECKING

from hushwire.classroom.frames import Frame, Part
from hushwire.classroom.held import Pair
from hushwire.records import dataclass
from hushwire.system import clsact
from hushwire.system.core import core, kernel, need_permission
from hushwire.system.errors import NotPermittedError, SystemFailureError

if TYPE_CHECKING:
    from hushwire._core import Classroom, ClassroomEvent

# bpf/classroom/shared.h
MARK_KNOCK = 0x68770001
MARK_RESEND = 0x68770002

_LOG_LINES = 12
_LOG_BEGINS = "-- BEGIN PROG LOAD LOG --"
_LOG_ENDS = "-- END PROG LOAD LOG --"


class _Kind(IntEnum):
    HELD = 1
    AGREED = 2
    UNREADABLE = 3


@dataclass(frozen=True, slots=True)
class HeldFrame:
    """A message that waits for a key; `offered` when an OFFER went out in its place."""

    pair: Pair
    frame: Frame
    offered: bool


@dataclass(frozen=True, slots=True)
class Agreed:
    """There is a key; `again` when there was another one before."""

    pair: Pair
    our_public: int
    their_public: int
    secret: int
    again: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message came and was dropped, because there is no key for its sender."""

    pair: Pair
    frame: Frame


@dataclass(frozen=True, slots=True)
class Peer:
    """What the programs know of one peer. `secret` is None before the exchange is complete."""

    pair: Pair
    our_public: int
    their_public: int | None
    secret: int | None


class Programs:
    """Loaded by the constructor; in the kernel until `close`, or until this process ends."""

    def __init__(self, label: str, port: int, *, compiled: bytes | None = None) -> None:
        """`compiled`: another object than the one that was built in.

        Raises `NotPermittedError`, and `SystemFailureError` when there is no extension or the
        kernel refuses the programs.
        """
        module = core()
        need_permission()
        try:
            self._core: Classroom = module.Classroom(label, port, compiled)
        except module.LoadError as error:
            raise _refused(*error.args) from error
        self._attached = ""
        self._interface = ("", 0)

    @property
    def attached(self) -> str:
        """ "tcx", "clsact", or nothing."""
        return self._attached

    def attach(self, interface: str, index: int, *, hook: str = "") -> None:
        """At ingress and egress, after what is there; by `hook`, "tcx" or "clsact".

        By default by tcx, and where the kernel has none (before 6.6) by clsact. What a process
        that was killed has left in clsact is removed. Raises `SystemFailureError` and
        `NotPermittedError`.
        """
        clsact.remove(interface, index)
        self._interface = (interface, index)
        if hook != "clsact":
            try:
                self._core.attach_tcx(index)
                self._attached = "tcx"
                return
            except OSError as error:
                if hook == "tcx" or error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise _not_attached(interface, error) from error
        programs = {each: self._core.program_fd(each) for each in ("ingress", "egress")}
        clsact.attach(interface, index, programs)
        self._attached = "clsact"

    def close(self) -> None:
        """Take them off the interface. Raises as `attach` when clsact cannot be cleared."""
        self._core.detach()
        if self._attached == "clsact":
            self._attached = ""
            clsact.remove(*self._interface)

    def fileno(self) -> int:
        """Readable when there are events."""
        return self._core.fileno()

    def events(self) -> list[HeldFrame | Agreed | Unreadable]:
        """What has happened since the last call, in order, without waiting."""
        return [_event(record) for record in self._core.events()]

    def counts(self) -> dict[str, dict[str, tuple[int, int]]]:
        """direction -> outcome -> (messages, payload octets)."""
        table: dict[str, dict[str, tuple[int, int]]] = {}
        for direction, outcome, messages, octets in self._core.counts():
            table.setdefault(direction, {})[outcome] = (messages, octets)
        return table

    def peers(self) -> list[Peer]:
        """Everybody with whom an exchange has begun."""
        return [
            Peer(Pair(local, remote), ours, theirs or None, secret or None)
            for local, remote, _, ours, _, theirs, secret in self._core.peers()
        ]

    def done(self, pair: Pair, frames: int) -> None:
        """So many of all frames that were held for the peer are sent or given up.

        When that is all of them, later messages go by themselves.
        """
        self._core.done(*pair, frames & 0xFFFFFFFF)

    def test_run(
        self, direction: str, frame: bytes, mark: int = 0, gso_size: int = 0
    ) -> tuple[int, bytes, int]:
        """One program on one frame, without any interface: (code, frame, mark)."""
        return self._core.test_run(direction, frame, mark, gso_size)


def _event(record: ClassroomEvent) -> HeldFrame | Agreed | Unreadable:
    pair = Pair(record.local, record.remote)
    if record.kind == _Kind.AGREED:
        values = (record.public_value, record.their_public, record.secret)
        return Agreed(pair, *values, again=record.flag)
    frame = Frame(
        record.frame,
        record.network,
        record.transport,
        record.source_port,
        record.destination_port,
        Part(record.part),
        record.gso_size,
        (record.vlan_proto, record.vlan_tci) if record.vlan_proto else None,
    )
    if record.kind == _Kind.HELD:
        return HeldFrame(pair, frame, offered=record.flag)
    return Unreadable(pair, frame)


def _refused(code: int, said: str) -> SystemFailureError | NotPermittedError:
    """What the kernel's verifier has against them, as a sentence with its last lines."""
    _, begins, log = said.partition(_LOG_BEGINS)
    if not begins:
        why = said.strip().splitlines()[-1] if said.strip() else "no reason given"
        if code in (errno.EPERM, errno.EACCES):
            return NotPermittedError(
                [f"eBPF: the kernel lets this process load no programs ({why}). Run it with sudo."]
            )
        return SystemFailureError(
            "eBPF",
            f"kernel {kernel()} does not take the programs ({why})",
            "They need Linux 5.17 or newer with CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF.",
        )
    lines = [line for line in log.partition(_LOG_ENDS)[0].splitlines() if line.strip()]
    last = "\n".join(f"    {line}" for line in lines[-_LOG_LINES:])
    return SystemFailureError(
        "eBPF",
        f"the verifier of kernel {kernel()} refuses the programs; its last lines:\n{last}\n",
        "They are known to load on Linux 5.17 and newer. If yours is, please report these lines "
        "with the kernel's version; a newer kernel may take them.",
    )


def _not_attached(interface: str, error: OSError) -> SystemFailureError:
    return SystemFailureError(
        f"interface {interface}",
        f"the programs cannot be attached ({(error.strerror or str(error)).lower()})",
        f"`ip link show {interface}` tells whether it is still there, `bpftool net` what else is "
        "attached to it.",
    )
