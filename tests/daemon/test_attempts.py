"""What follows when a peer cannot be reached at all: no route, or no address."""

from __future__ import annotations

import asyncio
import io
import os
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import pytest

from hushwire.daemon.attempts import Attempts
from hushwire.daemon.ending import Ending
from hushwire.daemon.journal import Journal
from hushwire.daemon.peers import ike_peer
from hushwire.daemon.startup import Startup
from hushwire.daemon.streams import Streams
from hushwire.daemon.together import Together
from hushwire.ike.endpoint import Endpoint
from tests.config.files import RIGHT, load_text, write_keys


@pytest.mark.parametrize(("start", "again"), [("up", True), ("traffic", False)])
def test_only_who_begins_by_itself_tries_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str, again: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    write_keys(tmp_path)
    text = RIGHT.replace('name = "hw0"', 'name = "hw0"\nunderlay = "nowhere0"')
    config = load_text(f'{text}start = "{start}"\n')
    said = io.StringIO()
    ending = Ending()

    async def life() -> None:
        loop = asyncio.get_running_loop()
        endpoint = Endpoint([ike_peer(peer, None) for peer in config.peers], os.urandom, 0.0)
        run = Together(config, Journal(said), Startup(()), ending, once=False)
        nothing_in_tcp = cast("Streams", None)
        attempts = Attempts(run, endpoint, nothing_in_tcp, lambda _: None, lambda _: None)
        try:
            if start == "up":
                attempts.begin("bob")
            else:
                attempts.wanted(ip_address("10.0.1.2"))
            deadline = loop.time() + 30
            while "cannot be reached now" not in said.getvalue():
                assert loop.time() < deadline
                await asyncio.sleep(0.001)
            for _ in range(10):
                await asyncio.sleep(0)  # what follows has followed
            assert ("trying again in 1 s" in said.getvalue()) is again
            # Traffic does not wake it at once either: its pause has begun.
            before = said.getvalue()
            attempts.wanted(ip_address("10.0.1.2"))
            for _ in range(10):
                await asyncio.sleep(0)
            assert said.getvalue() == before
        finally:
            attempts.close()

    asyncio.run(life())
    assert not ending.begun
