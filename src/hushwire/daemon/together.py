"""What the parts of one running interface have in common."""

from __future__ import annotations

from hushwire.config.model import Config
from hushwire.daemon.ending import Ending
from hushwire.daemon.journal import Journal
from hushwire.daemon.startup import Startup
from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class Together:
    """One run of one configuration. With `once`, each peer is tried once."""

    config: Config
    journal: Journal
    startup: Startup
    ending: Ending
    once: bool
