"""The one wrapper around every plugin: whatever it does wrong is named as the plugin's, and harms
nothing but the firewalls of its own accounts.

| what a plugin does at any call                         | what the core sees                         |
|--------------------------------------------------------|--------------------------------------------|
| raises a `ProviderError`                                | that error                                 |
| raises anything else, `SystemExit` too                  | a `PluginDefect`, its traceback at `-v`    |
| returns something of another type than the contract's   | a `PluginDefect`                           |
| leaves a firewall out of what it read                   | that firewall is `Unreadable`              |
| returns nonsense for one firewall                       | that firewall is `Unreadable`              |

A `PluginDefect` is never temporary: trying again does not repair a bug (exit 1, not 75).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from cloudsync.provider.contract import (
    Absent,
    Account,
    AccountModel,
    Attachment,
    Capabilities,
    Description,
    FirewallModel,
    FirewallSpec,
    Keeper,
    Kept,
    Observation,
    OnMachine,
    Pending,
    Present,
    Progress,
    Provider,
    Reader,
    Refusal,
    Step,
    StepKind,
    Target,
    Unreadable,
    VendorRule,
    Writer,
)
from cloudsync.provider.errors import PluginDefect, ProviderError
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules import Rule, RuleSet

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.machines import Fleet, Marked
    from cloudsync.provider.trace import Trace

log = logging.getLogger("cloudsync.provider")
Value = TypeVar("Value")
Check = Callable[[object], str | None]
"""What is wrong with a value that a plugin returned; None if nothing is."""


def guarded(plugin: Provider, name: str) -> Provider:
    """The plugin behind the wrapper. `name`: its type, as the configuration calls it."""
    kind = _PROVIDERS[hasattr(plugin, "check_access"), isinstance(plugin, OnMachine)]
    return cast("Provider", kind(plugin, name))


class GuardedProvider:
    """A plugin behind the wrapper: a `Provider` whose calls raise nothing but `ProviderError`.

    One of `_PROVIDERS` is used for a plugin that is more, so that `isinstance(..., AccessChecker)`
    and `isinstance(..., OnMachine)` tell what they told before.
    """

    def __init__(self, plugin: Provider, name: str) -> None:
        self._plugin, self._guard = plugin, _Guard(name)

    @property
    def api_version(self) -> int:
        return self._attribute("api_version", _is(int))  # type: ignore[no-any-return]

    @property
    def type(self) -> str:
        return self._attribute("type", _is(str))  # type: ignore[no-any-return]

    @property
    def sdk(self) -> str | None:
        return self._attribute("sdk", _is(str, type(None)))  # type: ignore[no-any-return]

    @property
    def extra(self) -> str | None:
        return self._attribute("extra", _is(str, type(None)))  # type: ignore[no-any-return]

    @property
    def capabilities(self) -> Capabilities:
        return self._attribute("capabilities", _capabilities)  # type: ignore[no-any-return]

    @property
    def account_settings(self) -> AccountModel:
        return self._attribute("account_settings", _model(AccountSettings))  # type: ignore[no-any-return]

    @property
    def firewall_settings(self) -> FirewallModel:
        return self._attribute("firewall_settings", _model(FirewallSettings))  # type: ignore[no-any-return]

    @property
    def starter(self) -> Any:
        """What `cloudsync init` may ask for; None if the plugin has none."""
        return self._guard.call("starter", lambda: getattr(self._plugin, "starter", None), _any)

    def identity(self, spec: FirewallSpec) -> str:
        return self._guard.call("identity", lambda: self._plugin.identity(spec), _is(str))

    def endpoint(self, account: Account) -> str:
        return self._guard.call("endpoint", lambda: self._plugin.endpoint(account), _is(str))

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        steps = self._guard.call(
            "plan_steps", lambda: self._plugin.plan_steps(observed, target), _steps
        )
        return steps if isinstance(steps, Refusal) else tuple(steps)

    def open_reader(self, account: Account) -> Reader:
        reader = self._guard.call(
            "open_reader", lambda: self._plugin.open_reader(account), _has("read")
        )
        kind = _READERS[hasattr(reader, "read_machines"), hasattr(reader, "read_marked")]
        return kind(reader, self._guard)

    def open_writer(self, account: Account) -> Writer:
        writer = self._guard.call(
            "open_writer", lambda: self._plugin.open_writer(account), _has("run")
        )
        return _GuardedWriter(writer, self._guard)

    def _attribute(self, name: str, check: Check) -> Any:
        return self._guard.call(name, lambda: getattr(self._plugin, name), check)


class _GuardedChecker(GuardedProvider):
    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        from cloudsync.provider.access import Access

        check = cast("Any", self._plugin).check_access
        return self._guard.call("check_access", lambda: check(account, specs), _each(Access))


class _GuardedOnMachine(GuardedProvider):
    @property
    def _own(self) -> OnMachine:
        return cast("OnMachine", self._plugin)

    def is_here(self, spec: FirewallSpec) -> bool:
        return self._guard.call("is_here", lambda: self._own.is_here(spec), _is(bool))

    def confirm_trial(
        self, account: Account, spec: FirewallSpec, environ: Mapping[str, str]
    ) -> str | None:
        return self._guard.call(
            "confirm_trial",
            lambda: self._own.confirm_trial(account, spec, environ),
            _is(str, type(None)),
            fate_unknown=True,
        )

    def read_trace(self, account: Account, specs: Sequence[FirewallSpec]) -> Mapping[str, Trace]:
        return self._guard.call(
            "read_trace", lambda: self._own.read_trace(account, specs), _is(Mapping)
        )

    def keep(self, spec: FirewallSpec, notice: Progress) -> Keeper | None:
        return self._guard.call("keep", lambda: self._own.keep(spec, notice), _any)


class _GuardedCheckerOnMachine(_GuardedChecker, _GuardedOnMachine):
    pass


_PROVIDERS: Mapping[tuple[bool, bool], type[GuardedProvider]] = {
    (False, False): GuardedProvider,
    (True, False): _GuardedChecker,
    (False, True): _GuardedOnMachine,
    (True, True): _GuardedCheckerOnMachine,
}
"""By whether the plugin checks access, and acts on the machine itself."""


class _GuardedReader:
    """A plugin's reader: `read` tells of every firewall it was asked for, and raises nothing."""

    def __init__(self, reader: Reader, guard: _Guard) -> None:
        self._reader, self._guard = reader, guard

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        try:
            answer = self._guard.call("read", lambda: self._reader.read(specs), _is(Mapping))
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in specs}
        return {spec.name: self._observation(spec.name, answer) for spec in specs}

    def _observation(self, name: str, answer: Mapping[str, Observation]) -> Observation:
        try:
            found = self._guard.call("read", lambda: answer.get(name), _observed)
            return cast("Observation", found)
        except ProviderError as error:
            return Unreadable(error)


class _Machines(_GuardedReader):
    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        from cloudsync.provider.machines import Fleet

        read = cast("Any", self._reader).read_machines
        return self._guard.tried("read_machines", lambda: read(specs), _is(Fleet, Unreadable))


class _Marks(_GuardedReader):
    def read_marked(
        self, owner: str, specs: Sequence[FirewallSpec], *, ask: bool
    ) -> Sequence[Marked] | Unreadable | None:
        from cloudsync.provider.machines import Marked

        read = cast("Any", self._reader).read_marked
        return self._guard.tried(
            "read_marked",
            lambda: read(owner, specs, ask=ask),
            _either(_is(Unreadable, type(None)), _each(Marked)),
        )


class _MachinesAndMarks(_Machines, _Marks):
    pass


_READERS: Mapping[tuple[bool, bool], type[_GuardedReader]] = {
    (False, False): _GuardedReader,
    (True, False): _Machines,
    (False, True): _Marks,
    (True, True): _MachinesAndMarks,
}
"""By whether the plugin's reader reads machines, and marks."""


class _GuardedWriter:
    def __init__(self, writer: Writer, guard: _Guard) -> None:
        self._writer, self._guard = writer, guard

    def run(self, step: Step) -> None:
        """A bug in the middle of a write: whether it took effect is not known."""
        self._guard.call("run", lambda: self._writer.run(step), _any, fate_unknown=True)


class Unusable:
    """Stands in for a plugin that cannot be loaded, so that the firewalls of all others are managed
    all the same. Takes any settings; every call raises the `PluginDefect`."""

    def __init__(self, type_: str, problem: str) -> None:
        self.type, self.problem = type_, problem
        self.api_version, self.sdk, self.extra = 0, None, None
        self.capabilities = Capabilities(
            frozenset(),
            icmp_types=False,
            private_is_public=False,
            attaches=False,
            descriptions=False,
        )
        self.account_settings: AccountModel = _AnyAccount
        self.firewall_settings: FirewallModel = _AnyFirewall

    def _refuse(self, *_: object) -> NoReturn:
        raise PluginDefect(self.problem)

    identity = endpoint = plan_steps = open_reader = open_writer = check_access = _refuse


class _AnyAccount(AccountSettings, extra="allow"):
    """The settings of an account whose plugin cannot be loaded: nobody can check them."""


class _AnyFirewall(FirewallSettings, extra="allow"):
    """As `_AnyAccount`."""


class _Guard:
    """Calls a plugin. `name`: its type."""

    def __init__(self, name: str) -> None:
        self._name = name

    def call(
        self, what: str, action: Callable[[], Value], check: Check, *, fate_unknown: bool = False
    ) -> Value:
        """What `action` returns, once `check` has nothing against it. Raises `ProviderError`."""
        try:
            value = action()
            problem = check(value)
        except ProviderError as error:
            if isinstance(error.message, str):
                raise
            self._refuse(what, "raises an error without a message", error, fate_unknown)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin's bug raises
            self._refuse(what, type(error).__name__, error, fate_unknown)
        if problem is not None:
            self._refuse(what, problem, None, fate_unknown)
        return value

    def tried(self, what: str, action: Callable[[], Value], check: Check) -> Value | Unreadable:
        """The same, with the error as a value."""
        try:
            return self.call(what, action, check)
        except ProviderError as error:
            return Unreadable(error)

    def _refuse(
        self, what: str, why: str, cause: BaseException | None, fate_unknown: bool
    ) -> NoReturn:
        message = f"the provider plugin {self._name!r} failed in {what}: {why}"
        log.debug("%s", message, exc_info=cause, extra={"event": "plugin"})
        raise PluginDefect(
            f"{message}; this is a defect of the plugin (-v shows more)", fate_unknown=fate_unknown
        ) from cause


def _any(_: object) -> None:
    return None


def _is(*types: type) -> Check:
    def check(value: object) -> str | None:
        if isinstance(value, types) and not (isinstance(value, bool) and bool not in types):
            return None
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        return f"it gives {type(value).__name__} instead of {wanted}"

    return check


def _has(method: str) -> Check:
    def check(value: object) -> str | None:
        if callable(getattr(value, method, None)):
            return None
        return f"it gives {type(value).__name__}, which has no {method}()"

    return check


def _model(base: type) -> Check:
    def check(value: object) -> str | None:
        if isinstance(value, type) and issubclass(value, base):
            return None
        return f"it is not a subclass of {base.__name__}"

    return check


def _each(kind: type) -> Check:
    """A sequence whose items are all of that type."""
    item = _is(kind)

    def check(value: object) -> str | None:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return f"it gives {type(value).__name__} instead of a sequence of {kind.__name__}"
        return next((problem for one in value if (problem := item(one)) is not None), None)

    return check


def _either(first: Check, second: Check) -> Check:
    return lambda value: None if first(value) is None else second(value)


def _fields(value: object, checks: Iterable[tuple[str, Check]]) -> str | None:
    for name, check in checks:
        if (problem := check(getattr(value, name))) is not None:
            return f"{type(value).__name__}.{name}: {problem}"
    return None


_ABSENT: tuple[tuple[str, Check], ...] = (
    ("attachments", _each(Attachment)),
    ("private", _is(RuleSet)),
    ("foreign", _each(Kept)),
)
_PRESENT: tuple[tuple[str, Check], ...] = (
    *_ABSENT,
    ("id", _is(str)),
    ("rules", _is(RuleSet)),
    ("marker", _is(Marker, type(None))),
    ("listed", _each(Rule)),
    ("objects", _each(VendorRule)),
    ("kept", _each(Kept)),
    ("pending", _each(Pending)),
    ("described", _each(Description)),
)
_STEP: tuple[tuple[str, Check], ...] = (
    ("summary", _is(str)),
    ("kind", _is(StepKind)),
    ("after", _is(RuleSet)),
    ("attaches", _each(str)),
    ("warning", _is(str, type(None))),
)


def _observed(value: object) -> str | None:
    if isinstance(value, Present):
        return _fields(value, _PRESENT)
    if isinstance(value, Absent):
        return _fields(value, _ABSENT)
    if isinstance(value, Unreadable):
        return _fields(value, [("error", _is(ProviderError))])
    if value is None:
        return "it reports nothing of this firewall"
    return f"it gives {type(value).__name__} instead of Present, Absent or Unreadable"


def _steps(value: object) -> str | None:
    if isinstance(value, Refusal):
        return _fields(value, [("reason", _is(str))])
    if (problem := _each(Step)(value)) is not None:
        return problem
    problems = (_fields(step, _STEP) for step in cast("Sequence[Step]", value))
    return next((problem for problem in problems if problem is not None), None)


def _capabilities(value: object) -> str | None:
    if (problem := _is(Capabilities)(value)) is not None:
        return problem
    at_once = cast("Capabilities", value).at_once
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        return "Capabilities.at_once must be 1 or more"
    return None
