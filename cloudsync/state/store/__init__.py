"""A store of small objects: a folder, or a bucket of an object store, behind one small interface.

Start with `contract.py`. `folder.py` and `bucket.py` keep it, `opened.py` says which of them a
configuration means.
"""

from __future__ import annotations
