"""The static list of a host: `ports = ["443/tcp"]` in the configuration. Always complete."""

from __future__ import annotations

from cloudsync.config.configuration import Host
from cloudsync.model.ports import Complete, Origin, RequiredPort
from cloudsync.rules.networks import ANY
from cloudsync.runtime.last_answers import LastAnswers


def read_static(host: Host) -> Complete:
    """One required port an entry, from everywhere, on every address; the user's own word."""
    return LISTED.of(host.name, host, _required)


LISTED: LastAnswers[Host, Complete] = LastAnswers(
    4096, lambda before, now: before.ports is now.ports
)
"""By host."""


def _required(host: Host) -> Complete:
    return Complete(
        tuple(
            RequiredPort(
                protocol=listed.protocol,
                first=listed.first,
                last=listed.last,
                sources=ANY,
                origin=Origin(host.name, file=listed.place.file, line=listed.place.line),
                declared=True,
                from_file=True,
            )
            for listed in host.ports
        )
    )
