"""The configuration: `find` it, `load` it (or say what is wrong with it, line by line); `show.py`
has it back as text."""

from __future__ import annotations

from cloudsync.config.configuration import Configuration
from cloudsync.config.find import find
from cloudsync.config.load import load
from cloudsync.config.problems import ConfigError, NoConfiguration, Problem

__all__ = ["ConfigError", "Configuration", "NoConfiguration", "Problem", "find", "load"]
