"""Rules and rule sets: exact algebra over protocols, ports and networks. Imports nothing else of
the project.

`ruleset.py` is the place to start; `networks.py`, `protocols.py`, `canonical.py` and `minimize.py`
are its parts. `frozen.py`, the decorator of all frozen values, is here since everybody may import
this room.
"""

from __future__ import annotations

from cloudsync.rules.networks import ANY, NetworkSet
from cloudsync.rules.ruleset import NOTHING, Rule, RuleSet

__all__ = ["ANY", "NOTHING", "NetworkSet", "Rule", "RuleSet"]
