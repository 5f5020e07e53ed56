"""The faults that were once put into a stranger's provider one by one, put into the example: each
makes the scenario that is named beside it red.

A fault is an edit of the example's sources, or, where the kit does it for a provider, what a
provider without the kit would do instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from cloudsync.config.problems import ConfigError
from cloudsync.provider import flat_list, http, marker, simple_fleet, transport
from cloudsync.provider.contract import Machine
from cloudsync.provider.marker import MarkerWords, host_digest
from cloudsync.provider.pace import hurried
from cloudsync.rules.networks import NetworkSet
from cloudsync.testing import SCENARIOS
from cloudsync.testing.run import Run
from cloudsync.testing.suite import Conformance
from tests.third_party.brook import Edit, installed

Patch = tuple[object, str, Callable[[Any], Any]]
"""An object of the kit, its attribute, and what makes the faulty one of the right one."""


@dataclass(frozen=True)
class Fault:
    name: str
    scenario: str
    edits: tuple[Edit, ...] = ()
    patches: tuple[Patch, ...] = ()


def edit(name: str, scenario: str, *edits: Edit) -> Fault:
    return Fault(name, scenario, edits)


def patch(name: str, scenario: str, *patches: Patch) -> Fault:
    return Fault(name, scenario, patches=patches)


OPENS, DENIED = (
    "a port opens",
    "what is denied before it is allowed is not open, and the denial stays",
)
CREATED, ADOPTED = "a firewall is created", "an unmarked one is adopted"
WORD, DESCRIBED = "attaching needs the word", "what is written says who needs it"
NOT_OVERWRITTEN = "what somebody changed since the read is not overwritten"
UNDER_ANOTHER = "a machine that is under another firewall as well stays under it"
RELEASED = "a released one is nobody's, and adopted again"
ACCEPTS = "a firewall that accepts by default is closed by the user's word only"

NARROWED = """            write = _replacing(there, rules)
            steps.append(Step("narrow", StepKind.NARROW, target.ssh, native=write))
"""
NOT_COVERED = """from dataclasses import replace

            fresh = attachments_of(wanted, None)
            return Absent(tuple(replace(a, newly_covered=()) for a in fresh), private)"""
KNOWN_FATE = """    from cloudsync.provider.errors import Unsupported

    if failure.status >= 500 and failure.write:
        return Unsupported(failure.text)
    if failure.status == 401:"""
NO_MARKS = """    def read_marked(self, owner, specs, *, ask):
        return ()

    def list_account(self)"""
EMPTIED = """        if write.path.endswith("/rules"):
            nothing = {**write.body, "inbound": []}
            emptied = self.api.write("PUT", write.path, nothing, FirewallAnswer).firewall
            body = {**write.body, "fingerprint": emptied.fingerprint}
            write = Write(write.method, write.path, body, write.id)
        body = dict(write.body)"""
OVERWRITTEN = """        from cloudsync.provider.errors import Conflict

        try:
            answer = self.api.write(write.method, write.path, body, FirewallAnswer)
        except Conflict:
            now = self.api.get(f"/firewalls/{write.id}", FirewallAnswer).firewall
            body["fingerprint"] = now.fingerprint
            answer = self.api.write(write.method, write.path, body, FirewallAnswer)
"""
CALL = "        answer = self.api.write(write.method, write.path, body, FirewallAnswer)\n"
REPEATED = '            body["fingerprint"] = self.left.get(write.id, body["fingerprint"])\n'
READ_JUST_BEFORE = """\
            now = self.api.get(f"/firewalls/{write.id}", FirewallAnswer).firewall
            body["fingerprint"] = now.fingerprint
"""


def repeating_everything(real: Callable[..., Any]) -> Callable[..., Any]:
    def repeated(call: Callable[[], Any], *, deadline: float, write: object) -> Any:
        return real(call, deadline=deadline, write=False)

    return repeated


def telling_the_token(real: Callable[..., Any]) -> Callable[..., Any]:
    def failed(self: Any, *args: Any, **options: Any) -> Any:
        error = real(self, *args, **options)
        error.message += f" (token {self._session.auth._token})"
        return error

    return failed


def of_any_hosts(real: Callable[..., Any]) -> Callable[..., Any]:
    def read(self: MarkerWords, tags: Any) -> Any:
        found = real(self, tags)
        return None if found is None else replace(found, hosts=host_digest(["web-1"]))

    return read


FAULTS = (
    # What the suite always saw
    edit(
        "a default policy that accepts is written",
        OPENS,
        ("plugin.py", '"inbound_policy": "DROP"', '"inbound_policy": "ACCEPT"'),
    ),
    edit(
        "the limit counts inbound rules only",
        "one rule too many opens nothing, and what closes closes",
        ("plugin.py", "keys)), len(outbound))", "keys)), 0)"),
    ),
    edit(
        "no machine is said to come under it",
        WORD,
        ("reader.py", "return Absent(attachments_of(wanted, None), private)", NOT_COVERED),
    ),
    patch(
        "every machine is said to be protected",
        WORD,
        (
            simple_fleet.ListedMachine,
            "machine",
            lambda _: property(
                lambda self: Machine(self.id, self.name, protected=True, kind=self.kind)
            ),
        ),
    ),
    patch(
        "a write of unknown fate is sent again",
        "a write whose answer is lost is not sent again",
        (http, "repeated", repeating_everything),
    ),
    edit(
        "the count of a list is ignored",
        "a list shorter than its own count",
        ("client.py", 'total="results", ', ""),
    ),
    edit(
        "only the first page is read",
        "a list one longer than a page",
        ("client.py", 'last="pages", total="results", ', 'last="page", '),
    ),
    edit(
        "the identity is a constant",
        "a list that fills its page",
        (
            "plugin.py",
            "    def dialect(self)",
            (
                '    def identity(self, spec: FirewallSpec) -> str:\n        return "web"\n\n   '
                " def dialect(self)"
            ),
        ),
    ),
    patch(
        "the hosts of a marker are ignored",
        "one of other hosts is refused",
        (MarkerWords, "read", of_any_hosts),
    ),
    edit(
        "rules are emptied first and then written",
        OPENS,
        ("writer.py", "        body = dict(write.body)", EMPTIED),
    ),
    edit(
        "a marking step says that rules change",
        ADOPTED,
        ("plugin.py", "write_marker(name, observed.rules", "write_marker(name, target.rules"),
    ),
    edit(
        "it narrows first without need",
        "one opens and one closes",
        (
            "plugin.py",
            "            write = _replacing(there, rules)\n",
            NARROWED,
        ),
    ),
    # What is not cloudsync's
    edit(
        "outbound rules are lost on every write",
        OPENS,
        ("plugin.py", '"outbound": body(there.rules.outbound)', '"outbound": []'),
    ),
    edit(
        "the outbound policy is turned to DROP",
        OPENS,
        (
            "plugin.py",
            '"outbound_policy": there.rules.outbound_policy',
            '"outbound_policy": "DROP"',
        ),
    ),
    edit(
        "a new firewall lets nothing out",
        CREATED,
        ("rules.py", 'OUTBOUND_POLICY = "ACCEPT"', 'OUTBOUND_POLICY = "DROP"'),
    ),
    edit(
        "the tags of others are lost when marking",
        ADOPTED,
        ("plugin.py", "MARKER.write(target.marker, there.tags)", "MARKER.write(target.marker)"),
    ),
    edit(
        "all tags are taken off on release",
        RELEASED,
        ("plugin.py", "list(MARKER.remove(there.tags))", "[]"),
    ),
    # Denials, default policies, firewalls that are switched off
    edit(
        "denials are read as allowances",
        DENIED,
        (
            "rules.py",
            'Ordered(matches(rule), rule.action == "ACCEPT")',
            "Ordered(matches(rule), True)",
        ),
        ("answers.py", 'return self.action == "ACCEPT" and not', "return not"),
    ),
    edit(
        "a default policy that accepts is read as nothing",
        ACCEPTS,
        ("reader.py", 'if firewall.rules.inbound_policy == "DROP":', "if True:"),
    ),
    edit(
        "a firewall that is switched off is taken for one in effect",
        "a firewall that is switched off is not taken for done",
        ("reader.py", 'if firewall.status != "enabled":', "if False:"),
    ),
    # Private networks, attaching
    edit(
        "private networks are never mentioned",
        "a new firewall lets private networks in",
        (
            "reader.py",
            "private = private_rules(settings.private, GRAMMAR.protocols)",
            'private = private_rules("cut", ())',
        ),
    ),
    edit(
        "machines are attached before the rules",
        "a machine is attached only once all its rules are in effect",
        (
            "plugin.py",
            "        return tuple(steps)\n",
            "        return tuple(sorted(steps, key=lambda step: step.kind != StepKind.ATTACH))\n",
        ),
    ),
    edit(
        "a configured machine that does not exist is passed over",
        "a machine that does not exist is not passed over",
        (
            "reader.py",
            "for machine in settings.machines]",
            (
                "for machine in settings.machines if any(m.is_called(machine) for m in"
                " listing.machines)]"
            ),
        ),
    ),
    # Errors
    patch(
        "the token is in every error message",
        "reading is forbidden",
        (http.Rest, "_failed", telling_the_token),
    ),
    edit(
        "the fate of a write that met a 500 is said to be known",
        "writing fails after it took effect",
        ("client.py", "    if failure.status == 401:", KNOWN_FATE),
    ),
    patch(
        "Retry-After is ignored",
        "writing is throttled with a hint",
        (http, "seconds_of", lambda _: lambda _hint: None),
    ),
    patch(
        "redirects are followed with the token",
        "reading is redirected",
        (transport._Session, "request", lambda _: requests.Session.request),
    ),
    edit(
        "a conflict is written over instead of planned again",
        "a conflict is planned again, and not written over",
        ("writer.py", CALL, OVERWRITTEN),
    ),
    # Versions, and machines of others
    edit(
        "a write sends no version",
        NOT_OVERWRITTEN,
        ("plugin.py", '        "fingerprint": there.fingerprint,\n', ""),
    ),
    edit(
        "a write sends a version that was read just before it",
        NOT_OVERWRITTEN,
        ("writer.py", REPEATED, READ_JUST_BEFORE),
    ),
    edit(
        "the version that the last write left is forgotten",
        ADOPTED,
        ("writer.py", REPEATED, "            pass\n"),
    ),
    edit(
        "other firewalls of a machine are not seen",
        UNDER_ANOTHER,
        (
            "reader.py",
            'if on.id == machine.id and firewall.status == "enabled"',
            "if on.id == machine.id and MARKER.read(firewall.tags)",
        ),
    ),
    edit(
        "a machine is taken from its other firewall",
        UNDER_ANOTHER,
        (
            "plugin.py",
            '{"machine": int(str(attachment.native))}',
            '{"machine": int(str(attachment.native)), "move": True}',
        ),
    ),
    # Limits of one rule
    edit(
        "15 pieces of ports a rule are not respected",
        "forty ports of their own",
        ("rules.py", "pieces=15", "pieces=100"),
    ),
    edit(
        "255 networks a rule are not respected",
        "six hundred networks",
        ("rules.py", "networks=255", "networks=10_000"),
    ),
    # What a plan shows
    patch(
        "a marker that stands there twice is taken",
        "two markers on one firewall are nobody's",
        (marker, "_only", lambda _: lambda values: max(values, default="?")),
    ),
    edit(
        "descriptions are not written",
        DESCRIBED,
        ("rules.py", "label = printable(entry.description)[:MAX_LABEL]", 'label = ""'),
    ),
    edit(
        "descriptions are not read",
        DESCRIBED,
        ("reader.py", "            described=listed.described,\n", ""),
    ),
    edit(
        "what is kept is not listed",
        "sources that are not networks are listed",
        (
            "reader.py",
            "kept=tuple(Kept(rule.title) for rule in inbound if not rule.is_ours_to_change)",
            "kept=()",
        ),
    ),
    edit(
        "rules are not listed one by one",
        "what people wrote stays",
        ("reader.py", "            listed=listed.listed,\n", ""),
        ("reader.py", "            objects=listed.objects,\n", ""),
    ),
    edit(
        "no firewall of ours is found by its marker",
        "a firewall of ours that the configuration does not name is reported",
        ("reader.py", "    def list_account(self)", NO_MARKS),
    ),
    edit(
        "what is not in effect is left so",
        "what is not in effect is put into effect",
        ("plugin.py", "elif target.reapply:", "elif False:"),
    ),
    patch(
        "host bits of a network fail the read",
        "host bits of a network mean the network",
        (flat_list, "networks_of", lambda _: NetworkSet.of),
    ),
)


def play(scenario: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scenario on the example's stage. Raises what the suite would show as red."""
    brook_double, brook_stage = _stage_modules()
    (chosen,) = [candidate for candidate in SCENARIOS if candidate.name == scenario]
    with brook_double.BrookDouble() as double, hurried():
        stage = brook_stage.BrookStage(double)
        for name, value in stage.environment.items():
            monkeypatch.setenv(name, value)
        Run(chosen, stage, folder).play()


def _stage_modules() -> tuple[Any, Any]:
    import importlib

    return importlib.import_module("brook_double"), importlib.import_module("brook_stage")


def test_there_are_all_43() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 43


@pytest.mark.parametrize("scenario", sorted({fault.scenario for fault in FAULTS}))
def test_without_a_fault_the_scenario_is_green(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with installed(tmp_path / "site"):
        play(scenario, tmp_path / "run", monkeypatch)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_seeded_fault_is_red(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner, attribute, faulty in fault.patches:
        monkeypatch.setattr(owner, attribute, faulty(getattr(owner, attribute)))
    with installed(tmp_path / "site", fault.edits), pytest.raises((AssertionError, ConfigError)):
        play(fault.scenario, tmp_path / "run", monkeypatch)


@pytest.mark.parametrize(
    "flag", ["attaches", "limited", "paged", "counted", "denies", "pends", "filters_private"]
)
def test_a_capability_that_is_kept_quiet_is_red(flag: str, tmp_path: Path) -> None:
    quiet = ("plugin.py", f"        {flag}=True,\n", f"        {flag}=False,\n")
    with installed(tmp_path / "site", (quiet,)):
        brook_double, brook_stage = _stage_modules()
        with brook_double.BrookDouble() as double, pytest.raises(AssertionError, match=flag):
            Conformance().test_nothing_the_vendor_has_is_undeclared(brook_stage.BrookStage(double))


@pytest.mark.parametrize("blind", ["history", "writes"])
def test_a_stage_that_sees_nothing_is_red(
    blind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with installed(tmp_path / "site"):
        _, brook_stage = _stage_modules()
        nothing: Any = (lambda _self, _name: []) if blind == "history" else (lambda _self: 0)
        monkeypatch.setattr(brook_stage.BrookStage, blind, nothing)
        with pytest.raises(AssertionError, match=f"{blind}|did not count"):
            play(OPENS, tmp_path / "run", monkeypatch)


def test_nothing_of_the_example_stays_behind() -> None:
    assert not [name for name in sys.modules if name.startswith("cloudsync_brook")]
