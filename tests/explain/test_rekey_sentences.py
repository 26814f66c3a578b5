"""What is said about new keys, and about none."""

from __future__ import annotations

from hushwire.explain.outcome import NoProposal, Rekeyed, RekeyFailed
from hushwire.explain.sentences import tell


def test_new_keys_tell_what_they_are_for_and_who_wished_it() -> None:
    ours = tell(Rekeyed("bob", "CHILD_SA", "aes256gcm16-esn", initiator=True))
    assert ours == "bob: new keys for the CHILD_SA, aes256gcm16-esn."
    theirs = tell(Rekeyed("bob", "IKE SA", "aes256gcm16-prfsha384-x25519", initiator=False))
    assert "new keys for the IKE SA, as the peer wished, aes256gcm16-prfsha384-x25519" in theirs


def test_a_refusal_tells_who_refused_why_and_what_comes_next() -> None:
    told = tell(RekeyFailed("bob", "CHILD_SA", "NO_ADDITIONAL_SAS", 60.0))
    assert "no new keys for the CHILD_SA (NO_ADDITIONAL_SAS)" in told
    assert "a new tunnel in place of this one, or trying again in 60 seconds" in told
    none = NoProposal("bob", "ESP", ("aes256gcm16",), ("aes128gcm16",), refused_by_us=True)
    told = tell(RekeyFailed("bob", "CHILD_SA", "NO_PROPOSAL_CHOSEN", 0.0, none))
    assert "the peer wanted new keys for the CHILD_SA, and was refused" in told
    assert tell(none) in told
