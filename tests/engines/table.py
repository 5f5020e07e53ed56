"""Write what the tests on engines came to into docs/engines.md: `python -m tests.engines.table
REPORT.xml …`, where the reports are of a run with `CLOUDSYNC_ENGINES=all` (`make engines`).

A cell that has no test and no reason, and a test that failed, are errors: nothing is written then.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from tests.engines.kinds import KINDS, Kind
from tests.engines.reached import CASES, NEIGHBOUR

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
START, END = "<!-- tried: written by `make engines` -->", "<!-- /tried -->"
ROWS: dict[str, str] = {
    "states: running, paused, created, ended, stopped by hand": (
        r"test_states|test_ports_of_containers_that_do_not_run|test_a_container_that_was_stopped"
    ),
    "a crash loop": r"test_a_crash_loop",
    "networks: own, internal, host, none, another container's": (
        r"test_engine_source.*test_networks|test_networks_that_publish|test_a_network_of_the|"
        r"test_members_of"
    ),
    "addresses, families, daemon.json's `ip`": (
        r"test_addresses_and_families|test_published_ports_are|test_an_entry_without|"
        r"test_an_ipv6_address|test_an_address_that|test_the_daemons_own|test_a_loopback_publish"
    ),
    "ranges, protocols, ports the engine picks": (
        r"test_random_and_picked|test_ranges_and_protocols|test_a_port_that_podman_picked"
    ),
    "labels, and those of images": r"test_a_label|test_labels_of_an_image|test_law1_the_image",
    "version, identity, docker-py reads the same": (
        r"test_the_version_is|test_docker_py|test_podman_makes_its_id"
    ),
    "Swarm: manager, worker, ingress and host ports": r"\.test_swarm\.",
    "from containers to a vendor's firewall and back": r"\.test_end_to_end\.",
    "the Dockerfile builds and runs": r"\.test_image\.",
    "over ssh": r"test_ssh\.test_the_typed_command|test_it_is_read_over_ssh",
    "over TLS": r"\.test_tls\.|test_it_is_read_by_tls",
    "events": r"test_its_events_are_heard",
    "`watch`": r"test_watch_opens_what_starts|engine\.test_watch\.",
}
"""What was tried, and the tests that tried it."""
NOT_TRIED: dict[tuple[str, str], str] = {
    ("Swarm: manager, worker, ingress and host ports", "podman"): "Podman has no Swarm",
    (
        "the Dockerfile builds and runs",
        "podman",
    ): "the image is built by Docker's builder here; any builder of Dockerfiles makes the same",
    (
        "from containers to a vendor's firewall and back",
        "podman",
    ): "`watch` below is the whole way with Podman: from its containers to a firewall and back",
}
"""Why a cell is empty, by row and family."""


_TRIED = (
    "On {today}: how many tests passed on each engine. A raised number says what is different"
    " there; a test asserts each."
)
_REACHED = (
    "What could be reached from outside, port by port (`4`, `6`: by that family). "
    "cloudsync opens exactly this, except as noted."
)


@dataclass(frozen=True, slots=True)
class Result:
    """One test on one kind of engine."""

    test: str
    kind: str
    skipped: str | None
    properties: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.properties if key == name]


class Footnotes:
    """Reasons, numbered in the order they are met."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, words: str) -> str:
        number = self._numbers.setdefault(words, len(self._numbers) + 1)
        return f"<sup>{number}</sup>"

    def lines(self) -> list[str]:
        return [f"{number}. {words}" for words, number in self._numbers.items()]


def results_of(report: Path) -> list[Result]:
    """Every test of one report that tried an engine. Raises `SystemExit` if one failed."""
    results = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}"
        if case.find("failure") is not None or case.find("error") is not None:
            sys.exit(f"{name} failed: nothing is written")
        kind = next(
            (
                kind.name
                for kind in sorted(KINDS, key=lambda kind: -len(kind.name))
                if re.search(rf"[\[-]{kind.name}(?=[\]-])", name)
            ),
            None,
        )
        if kind is None:
            continue
        skip = case.find("skipped")
        properties = tuple(
            (entry.get("name", ""), entry.get("value", "")) for entry in case.iter("property")
        )
        skipped = None if skip is None else (skip.get("message") or "")
        results.append(Result(name, kind, skipped, properties))
    return results


def title(kind: Kind, results: Iterable[Result]) -> str:
    """What a column is called: `Podman 5.4.2 rootless`."""
    versions = {
        value
        for result in results
        if result.kind == kind.name
        for value in result.values("version")
    }
    if len(versions) != 1:
        sys.exit(f"{kind.name}: the report does not say which version it is, but {versions}")
    version = versions.pop()
    more = " rootless" if kind.rootless else " iptables-legacy" if kind.legacy else ""
    return f"{kind.family.capitalize()} {version}{more}"


def cell(row: str, pattern: str, kind: Kind, results: Sequence[Result], notes: Footnotes) -> str:
    """How many tests passed, and what was different."""
    tried = [r for r in results if r.kind == kind.name and re.search(pattern, r.test)]
    passed = [result for result in tried if result.skipped is None]
    differences = [words for result in passed for words in result.values("differs")]
    if passed:
        unsupported = [words for words in differences if "has no TLS" in words]
        shown = "no" if unsupported else f"✓ {len(passed)}"
        return shown + "".join(dict.fromkeys(notes.mark(words) for words in differences))
    reason = NOT_TRIED.get((row, kind.family)) or next(
        (r.skipped for r in tried if r.skipped and r.skipped.startswith("cannot be: ")), None
    )
    if reason is None:
        sys.exit(f"{row}: no test and no reason for {kind.name}")
    return "–" + notes.mark(reason.removeprefix("cannot be: "))


def reached_cell(
    test: str, name: str, kind: Kind, results: Sequence[Result], notes: Footnotes
) -> str:
    """What answered: the families, or how a neighbour fared."""
    for result in results:
        if result.kind != kind.name or f".{test}[" not in result.test:
            continue
        if not result.test.endswith(f"-{name}]"):
            continue
        if result.skipped is not None:
            return "–" + notes.mark(result.skipped.removeprefix("cannot be: "))
        (measured,) = result.values("measured")
        shown = {"": "closed", "46": "4 6", "o": "open", "d": "dropped"}.get(measured, measured)
        return shown + "".join(notes.mark(words) for words in result.values("differs"))
    sys.exit(f"{test} of {name}: nothing in the report about {kind.name}")


def table(head: str, titles: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"| {head} | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    return lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]


def section(results: Sequence[Result], today: str) -> str:
    """Everything between the two marks of the page."""
    titles = [title(kind, results) for kind in KINDS]
    notes, reached = Footnotes(), Footnotes()
    tried = {
        row: [cell(row, pattern, kind, results, notes) for kind in KINDS]
        for row, pattern in ROWS.items()
    }
    measured = {
        (
            f"`{case.shown}`"
            if case.shown.startswith("-p") and " on " not in case.shown
            else case.shown
        ): [
            reached_cell("test_what_is_opened_is_what_can_be_reached", name, kind, results, reached)
            for kind in KINDS
        ]
        for name, case in CASES.items()
    }
    neighbour = "test_what_a_machine_on_the_same_network_reaches_at_a_containers_own_address"
    beside = {
        f"{shown}: at the container's own address, from the same network": [
            reached_cell(neighbour, name, kind, results, reached) for kind in KINDS
        ]
        for name, shown in zip(
            NEIGHBOUR, ("published", "published on loopback", "not published"), strict=True
        )
    }
    return "\n".join(
        [
            START,
            _TRIED.format(today=today),
            "",
            *table("tried", titles, tried),
            "",
            *notes.lines(),
            "",
            _REACHED,
            "",
            *table("the container's port", titles, measured | beside),
            "",
            *reached.lines(),
            END,
        ]
    )  # fmt: skip


def main(reports: Sequence[Path]) -> None:
    """Rewrite the page from the reports of a run."""
    content = PAGE.read_text()
    before, _, rest = content.partition(START)
    _, _, after = rest.partition(END)
    results = [result for report in reports for result in results_of(report)]
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    PAGE.write_text(before + section(results, today) + after)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
