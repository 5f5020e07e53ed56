"""A plugin's defect harms its own firewalls only: at whatever call, by whatever it raises or
returns. It is named as the plugin's, never temporary, and its traceback is there to be asked
for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cloudsync import exit_codes
from cloudsync.config.configuration import AccountTable
from cloudsync.provider.access import Access
from cloudsync.provider.contract import (
    AccessChecker,
    Capabilities,
    OnMachine,
    Refusal,
    Unreadable,
)
from cloudsync.provider.errors import PluginDefect, ProviderError, Transient
from cloudsync.provider.guarded import Unusable, guarded
from cloudsync.provider.init import Starter
from cloudsync.provider.machines import Fleet
from cloudsync.provider.settings import AccountSettings
from cloudsync.reconcile import check_access
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.release import release
from cloudsync.reconcile.run import Options, Report
from tests.world import Cloud, MemoryProvider, MemoryReader, MemoryWriter, World, rules


class Strange(MemoryProvider):
    """A plugin with one defect. `broken`: what happens instead, by the name of the call."""

    def __init__(self, cloud: Cloud, **broken: Callable[..., object]) -> None:
        super().__init__(cloud)
        self.broken = broken

    def _or(self, name: str, normal: Callable[..., Any], *args: Any) -> Any:
        return self.broken.get(name, normal)(*args)

    def identity(self, spec: Any) -> str:
        return self._or("identity", super().identity, spec)  # type: ignore[no-any-return]

    def endpoint(self, account: Any) -> str:
        return self._or("endpoint", super().endpoint, account)  # type: ignore[no-any-return]

    def plan_steps(self, observed: Any, target: Any) -> Any:
        return self._or("plan_steps", super().plan_steps, observed, target)

    def open_reader(self, account: Any) -> Any:
        return self._or("open_reader", lambda _: StrangeReader(self.cloud, self), account)

    def open_writer(self, account: Any) -> Any:
        return self._or("open_writer", lambda _: StrangeWriter(self.cloud, self), account)


class StrangeReader(MemoryReader):
    def __init__(self, cloud: Cloud, plugin: Strange) -> None:
        super().__init__(cloud)
        self.plugin = plugin

    def read(self, specs: Any) -> Any:
        return self.plugin._or("read", super().read, specs)

    def read_machines(self, specs: Any) -> Any:
        return self.plugin._or("read_machines", lambda _: Fleet(()), specs)

    def read_marked(self, owner: str, specs: Any, *, ask: bool) -> Any:
        return self.plugin._or("read_marked", lambda *_: (), owner, specs)


class StrangeWriter(MemoryWriter):
    def __init__(self, cloud: Cloud, plugin: Strange) -> None:
        super().__init__(cloud)
        self.plugin = plugin

    def run(self, step: Any) -> None:
        self.plugin._or("run", super().run, step)


def raises(error: BaseException) -> Callable[..., object]:
    def call(*_: object) -> object:
        raise error

    return call


def gives(value: object) -> Callable[..., object]:
    return lambda *_: value


class Liar:
    """Looks like a sequence until somebody looks."""

    def __iter__(self) -> Any:
        raise RuntimeError("no")


ERRORS = [
    RuntimeError("x"),
    KeyError("token"),
    SystemExit(0),
    ProviderError(None),
    RecursionError(),
]  # type: ignore[arg-type]
NONSENSE = [None, 7, "text", object(), {}, Liar()]
CALLS = ["identity", "endpoint", "plan_steps", "open_reader", "read", "open_writer", "run"]


@pytest.fixture
def two(world: World) -> World:
    """Firewall `web` at an honest provider; `strange` at one with a defect."""
    world.add("strange")
    world.has("tcp/22", "tcp/8080")
    world.needs("443")
    return world


def with_defect(world: World, **broken: Callable[..., object]) -> Cloud:
    cloud = Cloud()
    cloud.firewalls["strange"] = rules("tcp/22")
    cloud.markers["strange"] = world.marker_of("strange")
    plugin = guarded(Strange(cloud, **broken), "strange")
    table = AccountTable("other", "strange", plugin, AccountSettings())
    firewalls = dict(world.configuration.firewalls)
    firewalls["strange"] = replace(firewalls["strange"], account="other")
    world.configuration = replace(
        world.configuration,
        accounts={**world.configuration.accounts, "other": table},
        firewalls=firewalls,
    )
    return cloud


def apply(world: World) -> Report:
    return reconcile.apply(world.configuration, Options())


def honest_one_is_done(world: World, report: Report) -> None:
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443")
    outcome = next(outcome for outcome in report.outcomes if outcome.firewall == "web")
    assert outcome.status == "done"


def named_as_the_plugins(report: Report) -> None:
    (strange,) = (outcome for outcome in report.outcomes if outcome.firewall == "strange")
    assert strange.status in ("not-begun", "failed", "unknown")
    assert "the provider plugin 'strange' failed in" in (strange.message or "")
    assert exit_codes.of_report(report) in (exit_codes.FAILED, exit_codes.PARTLY)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_a_plugin_raises_harms_its_own_firewall_only(
    two: World, call: str, error: BaseException
) -> None:
    with_defect(two, **{call: raises(error)})
    report = apply(two)
    honest_one_is_done(two, report)
    named_as_the_plugins(report)


@pytest.mark.parametrize("call", [call for call in CALLS if call != "run"])
@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: type(value).__name__)
def test_what_a_plugin_gives_of_the_wrong_type_harms_its_own_firewall_only(
    two: World, call: str, value: object
) -> None:
    if (call in ("identity", "endpoint")) and isinstance(value, str):
        pytest.skip("a text is what it is to give")
    with_defect(two, **{call: gives(value)})
    report = apply(two)
    honest_one_is_done(two, report)
    named_as_the_plugins(report)


FIELDS = {
    "rules": [rules("tcp/22").__iter__, None, ["tcp/22"]],
    "marker": ["cloudsync", {}],
    "attachments": [None, "server 7", [7]],
    "listed": ["tcp/22", [None]],
    "pending": ["pending", [("server 7", "pending")]],
    "id": [None, 7],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in FIELDS for value in FIELDS[field]]
)
def test_nonsense_in_what_was_read_of_one_firewall_makes_that_one_unreadable(
    two: World, field: str, value: object
) -> None:
    def read(specs: Any) -> Any:
        return {
            name: replace(found, **{field: value})
            for name, found in MemoryReader(cloud).read(specs).items()
        }

    cloud = with_defect(two, read=read)
    report = apply(two)
    honest_one_is_done(two, report)
    named_as_the_plugins(report)
    assert cloud.history == []


def test_one_firewall_left_out_by_a_reader_does_not_harm_its_neighbour_of_the_same_account(
    world: World,
) -> None:
    world.add("b")
    world.has("tcp/22")
    world.has("tcp/22", name="b")
    world.needs("443")
    provider = Strange(world.cloud)
    provider.broken["read"] = lambda specs: {
        name: found for name, found in MemoryReader(world.cloud).read(specs).items() if name != "b"
    }
    table = replace(world.configuration.accounts["memory"], provider=guarded(provider, "memory"))
    world.configuration = replace(world.configuration, accounts={"memory": table})
    report = apply(world)
    assert [outcome.status for outcome in report.outcomes] == ["done", "not-begun"]


@pytest.mark.parametrize("call", ["read_machines", "read_marked"])
@pytest.mark.parametrize("broken", [raises(KeyError("x")), gives(7), gives("text"), gives([7])])
def test_a_defect_while_machines_or_marks_are_read_stops_no_write(
    two: World, call: str, broken: Callable[..., object]
) -> None:
    cloud = with_defect(two, **{call: broken})
    report = apply(two)
    honest_one_is_done(two, report)
    assert cloud.firewalls["strange"] == rules("tcp/22", "tcp/443")
    words = str(report.plan)
    assert f"failed in {call}" in words


def test_a_write_that_ended_in_a_defect_has_an_unknown_fate_and_no_state_is_lost(
    two: World,
) -> None:
    with_defect(two, run=raises(ZeroDivisionError()))
    report = apply(two)
    assert exit_codes.of_report(report) == exit_codes.PARTLY
    (strange,) = (outcome for outcome in report.outcomes if outcome.firewall == "strange")
    assert strange.after == rules("tcp/22")


@pytest.mark.parametrize("broken", [raises(AttributeError("x")), gives(None), gives([7])])
def test_a_defect_in_check_access_is_missing_and_not_to_be_tried_again(
    two: World, broken: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Strange, "check_access", broken, raising=False)
    with_defect(two)
    (row,) = check_access.check(two.configuration)["other"]
    assert isinstance(row, Access)
    assert check_access.failing(row, "plan", exposure=False)
    assert not row.temporary
    assert "failed in check_access" in row.detail


def test_a_defect_while_a_firewall_is_released_is_one_outcome(two: World) -> None:
    with_defect(two, plan_steps=raises(IndexError()))
    released = release(two.configuration, "strange")
    assert released.outcome.status == "not-begun"
    assert "plan_steps" in (released.outcome.message or "")


def test_the_traceback_of_a_defect_is_logged_for_whoever_asks_for_it(
    two: World, caplog: pytest.LogCaptureFixture
) -> None:
    with_defect(two, read=raises(ZeroDivisionError()))
    with caplog.at_level(logging.DEBUG, "cloudsync"):
        apply(two)
    (record,) = (record for record in caplog.records if record.exc_info)
    assert record.levelno == logging.DEBUG
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_a_plugin_that_cannot_be_loaded_harms_its_own_firewall_only(two: World) -> None:
    with_defect(two)
    table = replace(
        two.configuration.accounts["other"], provider=Unusable("strange", "it is broken")
    )  # type: ignore[arg-type]
    two.configuration = replace(
        two.configuration, accounts={**two.configuration.accounts, "other": table}
    )
    report = apply(two)
    honest_one_is_done(two, report)
    assert exit_codes.of_report(report) == exit_codes.FAILED
    assert "it is broken" in str(report.outcomes)


def test_a_vendors_own_error_is_no_defect(two: World) -> None:
    with_defect(two, read=raises(Transient("503")))
    report = apply(two)
    assert exit_codes.of_report(report) == exit_codes.TRY_AGAIN
    assert "plugin" not in str(report.outcomes)


@pytest.mark.parametrize("at_once", [0, -1, None, "many", True])
def test_capabilities_that_make_no_sense_are_a_defect(at_once: object) -> None:
    provider = MemoryProvider(Cloud())
    provider.capabilities = replace(provider.capabilities, at_once=at_once)  # type: ignore[arg-type]
    with pytest.raises(PluginDefect, match="at_once"):
        _ = guarded(provider, "memory").capabilities


def test_a_refusal_goes_through_as_it_is(two: World) -> None:
    with_defect(two, plan_steps=gives(Refusal("no room")))
    report = apply(two)
    assert [guard.id for guard in report.plan.guards] == ["unsupported"]


def test_the_wrapper_says_what_the_plugin_can_do() -> None:
    cloud = Cloud()
    wrapped = guarded(Strange(cloud), "strange")
    assert isinstance(wrapped.capabilities, Capabilities)
    assert not hasattr(wrapped, "check_access")
    assert hasattr(wrapped.open_reader(None), "read_machines")  # type: ignore[arg-type]
    plain = guarded(MemoryProvider(cloud), "memory").open_reader(None)  # type: ignore[arg-type]
    assert not hasattr(plain, "read_machines")
    assert not isinstance(plain, Unreadable)


def test_a_firewall_on_the_machine_itself_is_one_behind_the_wrapper_too() -> None:
    from cloudsync.provider.registry import load

    assert isinstance(load("host"), OnMachine)
    assert isinstance(load("host"), AccessChecker)
    assert not isinstance(load("local"), OnMachine)


def test_what_init_is_given_by_a_broken_plugin_is_named() -> None:
    class Odd(MemoryProvider):
        starter = Starter("Odd", account=raises(KeyError("x")), firewall=gives([7]))  # type: ignore[arg-type]

    starter = guarded(Odd(Cloud()), "odd").starter  # type: ignore[attr-defined]
    with pytest.raises(PluginDefect, match=r"init \(account\): KeyError"):
        starter.account({}, None)
    with pytest.raises(PluginDefect, match=r"init \(firewall\)"):
        starter.firewall({})
    assert starter.first_apply({}) is None
