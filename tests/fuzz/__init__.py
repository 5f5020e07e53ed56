"""Input nobody meant: no traceback, no hang, nothing written. Bounded and repeatable here; longer
and random with `make fuzz`."""
