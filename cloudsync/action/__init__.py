"""The GitHub Action's logic: `action.yml` at the root runs `install.py`, then `python -m
cloudsync.action`.

The action runs the very command a user types, and adds what GitHub has: outputs, the job summary,
one comment a pull request, and the approval that a merged pull request is.
"""
