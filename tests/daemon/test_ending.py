from __future__ import annotations

import asyncio

from hushwire.daemon.ending import Ending
from hushwire.explain.outcome import NoConnection
from hushwire.system.errors import SystemFailureError

FAILURE = NoConnection("bob", "192.0.2.2", 4500, "connection refused")
BROKEN = SystemFailureError("the packet engine", "it stopped", "Please report this.")


def test_an_end_that_was_begun_stays_begun_and_a_second_wish_hurries_it() -> None:
    async def life() -> None:
        ending = Ending()
        assert not ending.begun
        ending.stop()
        await ending.wait()
        assert (ending.begun, ending.at_once, ending.wished) == (True, False, True)
        ending.stop()
        await ending.wait_at_once()
        assert (ending.begun, ending.at_once, ending.wished) == (True, True, True)

    asyncio.run(life())


def test_what_breaks_while_it_ends_hurries_it_too() -> None:
    ending = Ending()
    ending.fail(FAILURE)
    assert (ending.begun, ending.at_once, ending.wished) == (True, False, False)
    ending.break_off(BROKEN)
    assert ending.at_once
    assert (ending.ended_by, ending.broken) == (FAILURE, BROKEN)
