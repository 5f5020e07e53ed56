"""Descriptions that cloudsync writes into a vendor's rules. Pure."""

from __future__ import annotations

OUR_MARK = "(cloudsync)"
"""Ends the description of a rule that cloudsync writes for private networks or for a list of
addresses of the vendor, so that it is told from those people make even if the state is lost."""
_CUT = "..."


def fitting(description: str, most: int) -> str:
    """A description as the vendor takes it, `most` characters long: a longer one is cut, visibly,
    and never loses the mark at its end."""
    if len(description) <= most:
        return description
    end = f"{_CUT} {OUR_MARK}" if description.endswith(OUR_MARK) else _CUT
    return description[: most - len(end)].rstrip(" ,") + end
