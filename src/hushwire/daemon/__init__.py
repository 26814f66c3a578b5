"""The asyncio shell: carries the protocol's effects out into the world."""
