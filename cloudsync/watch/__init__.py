"""`cloudsync watch`: the service that applies when containers change, and at an interval.

`rhythm.py` decides when (pure), `events.py` listens to engines, `service.py` is the loop,
`listen.py` answers `/metrics` and `/healthz`, `notify.py` speaks to systemd, `bell.py` wakes the
loop.
"""
