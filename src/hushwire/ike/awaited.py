"""What the peer has begun by CREATE_CHILD_SA and has still to finish by IKE_FOLLOWUP_KE (RFC 9370).

One at a time is kept: with a window of 1 there is no other that goes on. Until it is finished,
or given up, we begin nothing that could cross it.
"""

from __future__ import annotations

from hushwire.ike.children import Child
from hushwire.ike.keys import Seed
from hushwire.ike.tasks.child import Terms
from hushwire.ike.tasks.followup import Agreed
from hushwire.ike.tasks.rekey import NewIke
from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class Awaited:
    """`link`: what the next request has to say; `until`: when it is given up.

    `old` is the CHILD_SA that is rekeyed, None for an additional one and for the IKE SA.
    """

    agreed: Agreed[Terms | NewIke]
    link: bytes
    until: float
    old: Child | None = None

    @property
    def seed(self) -> Seed:
        """By which it is compared with ours, if they crossed."""
        return self.agreed.seed

    @property
    def is_ike(self) -> bool:
        return isinstance(self.agreed.terms, NewIke)
