"""What is wrong with a machine's exposure: facts in, findings out. Nothing here reads anything.

`catalogue.py` the 46 kinds of findings, one module a family
finds them, `report.py` puts them together.
"""

from __future__ import annotations
