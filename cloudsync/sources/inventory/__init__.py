"""Inventories: what the engines of a machine answered, written down by the machine itself.

`document.py` is the form, `signature.py` says who wrote it, `reading.py` whether it is believed.
Nothing is decided where it is written: labels, networks and policy are judged by who reads it, as
if it had asked the engine.
"""

from __future__ import annotations
