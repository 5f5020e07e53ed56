"""The configuration: `find` it, `load` it (or say what is wrong with it, line by line), `show` it."""

from __future__ import annotations

from cloudsync.config.configuration import Configuration
from cloudsync.config.load import find, load
from cloudsync.config.problems import ConfigError, Problem
from cloudsync.config.show import json_schema, show

__all__ = ["ConfigError", "Configuration", "Problem", "find", "json_schema", "load", "show"]
