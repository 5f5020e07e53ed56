"""The provider `gcp` on the stage: its double, whose rules are read here again. One firewall is the
VPC rules whose names share its prefix.

Twice: with rules as cloudsync would have made them, a source set and family each, and with one VPC
rule for every rule a scenario names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import ANY4, ANY6
from cloudsync.testing import Spelled
from cloudsync.testing.run import OWNER
from tests.conformance.http_stage import HttpStage, networks, rule_set, without_host_bits
from tests.doubles.compute import ComputeDouble, fault_body

RULES = "/projects/p/global/firewalls"
PRIORITY, TARGET, PAGE = 1000, ["web"], 500
_NUMBERS = {"icmpv6": "58", "gre": "47"}
_NAMES = {number: name for name, number in _NUMBERS.items()}


class GcpStage(HttpStage):
    type = "gcp"
    environment: Mapping[str, str] = {}
    recognises_repeats = True
    reading = ("GET", RULES)
    writing = ("POST|PUT|PATCH|DELETE", f"{RULES}(/.*)?")
    errors = {
        "unauthorized": (401, fault_body(401, "authError")),
        "forbidden": (403, fault_body(403, "forbidden")),
        "not-found": (404, fault_body(404, "notFound")),
        "conflict": (409, fault_body(409, "alreadyExists")),
        "throttled": (403, fault_body(403, "rateLimitExceeded")),
        "unavailable": (503, fault_body(503, "backendError")),
        "failed-after": (500, fault_body(500, "backendError")),
    }

    def __init__(self, double: ComputeDouble) -> None:
        super().__init__(double)
        self.cloud = double
        self.account = {"project": double.project, "endpoint": double.endpoint, "anonymous": True}

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name, "target_tags": TARGET, "enforce": "allow"}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        mark = (
            "by hand"
            if marker is None
            else f"cloudsync owner={marker.owner} firewall={marker.firewall} hosts={marker.hosts}"
        )
        # What a scenario says is there was made by people: it has names that people give.
        hand = "" if marker is not None and marker.owner != OWNER else "-by-hand"
        for made, body in self._named(name, rules, mark):
            self.cloud.add_firewall(f"{made}{hand}", **body)

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        """What is there already keeps its name; a person names the rest as a person does."""
        mine = self._of(name)
        for one in mine:
            self.cloud.remove_by_hand(one["name"])
        mark = mine[0]["description"].partition(": ")[0]
        for made, body in self._named(name, rules, mark):
            same = [one["name"] for one in mine if _essence(one) == _essence(body)]
            self.cloud.add_firewall(same[0] if same else f"{made}-by-hand", **body)

    def lets_in(self, name: str) -> RuleSet | None:
        mine = self._of(name)
        return _let_in(mine) if mine else None

    def rules(self, name: str) -> Sequence[Spelled]:
        return [
            Spelled(
                _NAMES.get(entry["IPProtocol"], entry["IPProtocol"]),
                ports,
                tuple(rule["sourceRanges"]),
                rule.get("description", "").partition(": ")[2] or rule.get("description", ""),
            )
            for rule in self._of(name)
            if rule.get("sourceRanges")
            for entry in rule["allowed"]
            for ports in entry.get("ports") or [""]
        ]

    def add_neighbour(self, name: str) -> str:
        for number, machine in enumerate(("web-1", "db-1"), 1):
            nic = ("default", f"198.51.100.{number}", None)
            self.cloud.add_instance(machine, nic, tags=TARGET)
        return "db-1"

    def version(self, name: str) -> object:
        # A VPC rule has no version, but a write is about a single one: all others stay as somebody
        # wrote them meanwhile.
        return self.rules(name)

    def history(self, name: str) -> Sequence[RuleSet]:
        return [_let_in(_with_prefix(state, name)) for state in list(self.cloud.history)]

    def answer_only(self, name: str) -> None:
        """Logging that was on once: Google answers its metadata on, and refuses them."""
        for rule in self._of(name):
            self.cloud.set_by_hand(rule["name"], logConfig={"enable": True})
            self.cloud.set_by_hand(rule["name"], logConfig={"enable": False})

    def put_other(self, name: str) -> None:
        mark = self._of(name)[0]["description"].partition(": ")[0]
        allowed = [{"IPProtocol": "tcp", "ports": ["5432"]}]
        self.cloud.add_firewall(
            f"{name}-db",
            allowed=allowed,
            sourceTags=["db"],
            targetTags=TARGET,
            priority=PRIORITY,
            description=mark,
        )

    def others(self, name: str) -> int:
        return sum(len(one.get("sourceTags") or ()) for one in self._of(name))

    def boundary(self, beyond: int) -> None:
        self.cloud.quota = 2 * PAGE
        allowed = [{"IPProtocol": "tcp", "ports": ["1"]}]
        for number in range(PAGE + beyond - len(self.cloud.firewalls())):
            self.cloud.add_firewall(f"other-{number}", allowed=allowed, targetTags=["other"])

    def sound(self) -> Sequence[str]:
        """Besides: at no moment was one of the firewall's rules for anybody but its targets, nor of
        another priority."""
        astray = {
            f"{one['name']}: {one['network']}, {one.get('targetTags')}, {one['priority']}"
            for state in self.cloud.history
            for prefix in ("web", "beside")
            for one in _with_prefix(state, prefix)
            if not _acts(one)
        }
        return [*self.double.violations, *sorted(astray)]

    def _named(
        self, name: str, rules: Sequence[Spelled], mark: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """As cloudsync makes them: the ports of one source set and family in one rule, whose name
        ends by what the sources are."""
        for suffix, group in _by_sources(rules).items():
            for number, text in enumerate(dict.fromkeys(rule.description for rule in group)):
                described = [rule for rule in group if rule.description == text]
                more = f"-{number}" if number else ""
                yield f"{name}-{suffix}{more}", _body(described, mark)

    def _of(self, name: str) -> list[dict[str, Any]]:
        return _with_prefix(self.cloud.firewalls(), name)


class OneRuleEachStage(GcpStage):
    """One VPC rule for every rule and family, under names that cloudsync would not choose for these
    sources."""

    def _named(
        self, name: str, rules: Sequence[Spelled], mark: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        number = 0
        for rule in rules:
            for family in (4, 6):
                if (part := _of_family(rule, family)) is not None:
                    yield f"{name}-v{family}-{number:08x}", _body([part], mark)
                    number += 1


def _essence(rule: Mapping[str, Any]) -> tuple[object, object]:
    return rule.get("allowed"), rule.get("sourceRanges")


def _with_prefix(state: Mapping[str, Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    return [
        dict(one)
        for key, one in sorted(state.items())
        if key.startswith(f"{name}-") and one["direction"] == "INGRESS"
    ]


def _acts(rule: Mapping[str, Any]) -> bool:
    return (
        rule["network"].endswith("/global/networks/default")
        and rule["priority"] == PRIORITY
        and rule.get("targetTags") == TARGET
        and "targetServiceAccounts" not in rule
        and "destinationRanges" not in rule
    )


def _let_in(rules: Sequence[Mapping[str, Any]]) -> RuleSet:
    """By what the vendor's documents say a rule does; one that is disabled, denies, or is for
    others lets nothing in here."""
    found: list[tuple[str, str, Sequence[str]]] = []
    for rule in rules:
        if rule["disabled"] or not _acts(rule):
            continue
        for entry in rule.get("allowed", ()):
            protocol, sources = (
                _NAMES.get(entry["IPProtocol"], entry["IPProtocol"]),
                rule.get("sourceRanges", ()),
            )
            for ports in entry.get("ports") or [""]:
                found.append((protocol, ports, sources))
    return rule_set(found)


def _of_family(rule: Spelled, family: int) -> Spelled | None:
    sources = tuple(one for one in rule.sources if (":" in one) == (family == 6))
    return Spelled(rule.protocol, rule.ports, sources, rule.description) if sources else None


def _by_sources(rules: Sequence[Spelled]) -> dict[str, list[Spelled]]:
    groups: dict[str, list[Spelled]] = {}
    for rule in rules:
        for family in (4, 6):
            if (part := _of_family(rule, family)) is not None:
                groups.setdefault(_suffix(part, family), []).append(part)
    return groups


def _suffix(rule: Spelled, family: int) -> str:
    """Rules of earlier versions are found by it: a change of it would be one for every user."""
    meant = networks(rule.sources)
    if meant in (ANY4, ANY6):
        return f"any{family}"
    return f"v{family}-{hashlib.sha256(chr(10).join(meant.cidrs()).encode()).hexdigest()[:8]}"


def _body(group: Sequence[Spelled], mark: str) -> dict[str, Any]:
    words = ", ".join(one.description for one in group if one.description)
    return {
        "allowed": [_entry(one) for one in group],
        "sourceRanges": without_host_bits(
            list(dict.fromkeys(source for one in group for source in one.sources))
        ),
        "targetTags": TARGET,
        "priority": PRIORITY,
        "description": f"{mark}: {words}" if words else mark,
    }


def _entry(one: Spelled) -> dict[str, Any]:
    """As a person gives it to the command line."""
    ports = {"ports": [one.ports]} if one.protocol in ("tcp", "udp") and one.ports else {}
    return {"IPProtocol": _NUMBERS.get(one.protocol, one.protocol), **ports}
