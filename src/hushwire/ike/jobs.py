"""Our own exchanges on an established IKE SA: one at a time, as the window is 1 (RFC 7296 §2.3)."""

from __future__ import annotations

from dataclasses import field

from hushwire.ike.children import Child
from hushwire.ike.keys import Seed
from hushwire.ike.proofs import VerifiedPeer
from hushwire.ike.tasks import create, rekey
from hushwire.ike.tasks.child import Terms
from hushwire.ike.tasks.followup import Asked
from hushwire.ike.tasks.rekey import NewIke
from hushwire.records import dataclass
from hushwire.sa.association import Path
from hushwire.wire.registry import ExchangeType


@dataclass(slots=True, eq=False)
class Liveness:
    """An empty INFORMATIONAL (§2.4)."""

    exchange = ExchangeType.INFORMATIONAL


@dataclass(slots=True, eq=False)
class Inform:
    """INFORMATIONAL of MOBIKE, first sent on `path`; without a cookie that is b"" (RFC 4555 §3).

    `update`: it has UPDATE_SA_ADDRESSES.
    """

    exchange = ExchangeType.INFORMATIONAL

    path: Path
    update: bool = False
    cookie: bytes = b""


@dataclass(slots=True, eq=False)
class DeleteChildren:
    """INFORMATIONAL with a Delete for these."""

    exchange = ExchangeType.INFORMATIONAL

    children: list[Child]


@dataclass(slots=True, eq=False)
class MakeChild:
    """CREATE_CHILD_SA for a CHILD_SA. `replaces` is None for one that is additional.

    `crossed` is what the peer has made of `replaces` meanwhile, and the nonces of that (§2.8.1).
    `more`: CREATE_CHILD_SA is done, and an additional key exchange under way.
    """

    replaces: Child | None
    kept: create.Wish
    crossed: tuple[Child, Seed] | None = None
    repeated: bool = field(default=False)
    more: Asked[Terms] | None = None

    @property
    def exchange(self) -> ExchangeType:
        return ExchangeType.IKE_FOLLOWUP_KE if self.more else ExchangeType.CREATE_CHILD_SA


@dataclass(slots=True, eq=False)
class RekeyIke:
    """CREATE_CHILD_SA for the IKE SA itself. Its peer is known to be who it is, and stays so.

    `more` as in `MakeChild`.
    """

    verified: VerifiedPeer
    kept: rekey.Wish
    repeated: bool = field(default=False)
    more: Asked[NewIke] | None = None

    @property
    def exchange(self) -> ExchangeType:
        return ExchangeType.IKE_FOLLOWUP_KE if self.more else ExchangeType.CREATE_CHILD_SA


Job = Liveness | Inform | DeleteChildren | MakeChild | RekeyIke
