"""The one wrapper around every plugin: whatever it does wrong is named as the plugin's, and harms
nothing but the firewalls of its own accounts.

| what a plugin does at any call                        | what the core sees                      |
|-------------------------------------------------------|-----------------------------------------|
| raises a `ProviderError`                              | that error                              |
| raises anything else, `SystemExit` too                | a `PluginDefect`, its traceback at `-v` |
| returns something of another type than the contract's | a `PluginDefect`                        |
| leaves a firewall out of what it read                 | that firewall is `Unreadable`           |
| returns nonsense for one firewall                     | that firewall is `Unreadable`           |

A `PluginDefect` is never temporary: trying again does not repair a bug (exit 1, not 75).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from cloudsync.provider.contract import (
    Absent,
    Account,
    AccountModel,
    Capabilities,
    FirewallModel,
    FirewallSpec,
    Keeper,
    Observation,
    OnMachine,
    Present,
    Progress,
    Provider,
    Reader,
    Refusal,
    Step,
    Target,
    Unreadable,
    Writer,
)
from cloudsync.provider.errors import PluginDefect, ProviderError, Unsupported
from cloudsync.provider.installation import install_command
from cloudsync.provider.plugin_values import (
    Check,
    anything,
    are_capabilities,
    are_steps,
    each,
    each_value,
    either,
    has_method,
    is_a,
    is_model,
    is_observation,
)
from cloudsync.provider.settings import AccountSettings, FirewallSettings

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter, VisibleMachine
    from cloudsync.provider.machines import Fleet, Marked
    from cloudsync.provider.trace import Trace

log = logging.getLogger("cloudsync.provider")
Value = TypeVar("Value")
OnWrite = Callable[[Step, ProviderError | None], None]
"""Called after a step with how it ended."""


def _sdk_of(plugin: Provider) -> tuple[str, str | None] | None:
    try:
        sdk, extra = plugin.sdk, plugin.extra
    except (Exception, SystemExit):  # noqa: BLE001 - named when the attribute is asked for
        return None
    if not isinstance(sdk, str):
        return None
    return sdk.partition(".")[0], extra if isinstance(extra, str) else None


def guarded(plugin: Provider, name: str) -> Provider:
    """The plugin behind the wrapper. `name`: its type, as the configuration calls it."""
    kind = _PROVIDERS[hasattr(plugin, "check_access"), isinstance(plugin, OnMachine)]
    return cast("Provider", kind(plugin, name))


class GuardedProvider:
    """A plugin behind the wrapper: a `Provider` whose calls raise nothing but `ProviderError`.

    One of `_PROVIDERS` is used for a plugin that is more, so that `isinstance(..., AccessChecker)`
    and `isinstance(..., OnMachine)` tell what they told before.
    """

    def __init__(
        self,
        plugin: Provider,
        name: str,
        on_write: OnWrite | None = None,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._plugin, self._guard = plugin, _Guard(name, _sdk_of(plugin))
        self._on_write, self._before_write = on_write, before_write

    @property
    def own(self) -> object:
        """The plugin itself, for checks of its shape; nothing is called on it."""
        return self._plugin

    def watched(self, on_write: OnWrite, before_write: Callable[[], None]) -> Provider:
        """The same plugin, whose writers call `before_write` before each step, and `on_write` after
        it with how it ended: for the conformance suite."""
        return cast("Provider", type(self)(self._plugin, self.type, on_write, before_write))

    @property
    def api_version(self) -> str:
        version = self._attribute("api_version", is_a(str, int))
        # Plugins that were written before the contract had minor versions say 1.
        return f"{version}.0" if isinstance(version, int) else str(version)

    @property
    def type(self) -> str:
        return self._attribute("type", is_a(str))  # type: ignore[no-any-return]

    @property
    def sdk(self) -> str | None:
        return self._attribute("sdk", is_a(str, type(None)))  # type: ignore[no-any-return]

    @property
    def extra(self) -> str | None:
        return self._attribute("extra", is_a(str, type(None)))  # type: ignore[no-any-return]

    @property
    def capabilities(self) -> Capabilities:
        return self._attribute("capabilities", are_capabilities)  # type: ignore[no-any-return]

    @property
    def account_settings(self) -> AccountModel:
        return self._attribute("account_settings", is_model(AccountSettings))  # type: ignore[no-any-return]

    @property
    def firewall_settings(self) -> FirewallModel:
        return self._attribute("firewall_settings", is_model(FirewallSettings))  # type: ignore[no-any-return]

    @property
    def starter(self) -> Starter | None:
        """What `cloudsync init` may ask for; None if the plugin has none, or a broken one."""
        from cloudsync.provider.init import Starter

        try:
            starter = self._guard.call(
                "starter",
                lambda: getattr(self._plugin, "starter", None),
                is_a(Starter, type(None)),
            )
        except ProviderError as error:
            log.warning("%s", error.message)
            return None
        return None if starter is None else self._guard.starter(starter)

    def identity(self, spec: FirewallSpec) -> str:
        return self._guard.call("identity", lambda: self._plugin.identity(spec), is_a(str))

    def endpoint(self, account: Account) -> str:
        return self._guard.call("endpoint", lambda: self._plugin.endpoint(account), is_a(str))

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        steps = self._guard.call(
            "plan_steps", lambda: self._plugin.plan_steps(observed, target), are_steps
        )
        return steps if isinstance(steps, Refusal) else tuple(steps)

    def open_reader(self, account: Account) -> Reader:
        reader = self._guard.call(
            "open_reader", lambda: self._plugin.open_reader(account), has_method("read")
        )
        kind = _READERS[hasattr(reader, "read_machines"), hasattr(reader, "read_marked")]
        return kind(reader, self._guard)

    def open_writer(self, account: Account) -> Writer:
        writer = self._guard.call(
            "open_writer", lambda: self._plugin.open_writer(account), has_method("run")
        )
        return _GuardedWriter(writer, self._guard, self._on_write, self._before_write)

    def _attribute(self, name: str, check: Check) -> Any:
        return self._guard.call(name, lambda: getattr(self._plugin, name), check)


class _GuardedChecker(GuardedProvider):
    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        from cloudsync.provider.access import Access

        check = cast("Any", self._plugin).check_access
        return self._guard.call("check_access", lambda: check(account, specs), each(Access))


class _GuardedOnMachine(GuardedProvider):
    @property
    def _own(self) -> OnMachine:
        return cast("OnMachine", self._plugin)

    def is_here(self, spec: FirewallSpec) -> bool:
        return self._guard.call("is_here", lambda: self._own.is_here(spec), is_a(bool))

    def confirm_trial(
        self, account: Account, spec: FirewallSpec, environ: Mapping[str, str]
    ) -> str | None:
        return self._guard.call(
            "confirm_trial",
            lambda: self._own.confirm_trial(account, spec, environ),
            is_a(str, type(None)),
            fate_unknown=True,
        )

    def read_trace(self, account: Account, specs: Sequence[FirewallSpec]) -> Mapping[str, Trace]:
        from cloudsync.provider.trace import Trace

        return self._guard.call(
            "read_trace", lambda: self._own.read_trace(account, specs), each_value(Trace)
        )

    def keep(self, spec: FirewallSpec, notice: Progress) -> Keeper | None:
        return self._guard.call("keep", lambda: self._own.keep(spec, notice), anything)


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
            answer = self._guard.call("read", lambda: self._reader.read(specs), is_a(Mapping))
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in specs}
        return {spec.name: self._observation(spec.name, answer) for spec in specs}

    def _observation(self, name: str, answer: Mapping[str, Observation]) -> Observation:
        try:
            observation = self._guard.call("read", lambda: answer.get(name), is_observation)
            return cast("Observation", observation)
        except ProviderError as error:
            return Unreadable(error)


class _Machines(_GuardedReader):
    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        from cloudsync.provider.machines import Fleet

        read = cast("Any", self._reader).read_machines
        return self._guard.tried("read_machines", lambda: read(specs), is_a(Fleet, Unreadable))


class _Marks(_GuardedReader):
    def read_marked(
        self, owner: str, specs: Sequence[FirewallSpec], *, ask: bool
    ) -> Sequence[Marked] | Unreadable | None:
        from cloudsync.provider.machines import Marked

        read = cast("Any", self._reader).read_marked
        return self._guard.tried(
            "read_marked",
            lambda: read(owner, specs, ask=ask),
            either(is_a(Unreadable, type(None)), each(Marked)),
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
    def __init__(
        self,
        writer: Writer,
        guard: _Guard,
        on_write: OnWrite | None,
        before_write: Callable[[], None],
    ) -> None:
        self._writer, self._guard = writer, guard
        self._on_write, self._before_write = on_write, before_write

    def run(self, step: Step) -> None:
        """A bug in the middle of a write: whether it took effect is not known."""
        self._before_write()
        try:
            self._guard.call("run", lambda: self._writer.run(step), anything, fate_unknown=True)
        except ProviderError as error:
            if self._on_write is not None:
                self._on_write(step, error)
            raise
        if self._on_write is not None:
            self._on_write(step, None)


class Unusable:
    """Stands in for a plugin that cannot be loaded, so that the firewalls of all others are managed
    all the same. Takes any settings; every call raises the `PluginDefect`."""

    def __init__(self, type_: str, problem: str) -> None:
        self.type, self.problem = type_, problem
        self.api_version, self.sdk, self.extra = "0.0", None, None
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


def problem_of(provider: Provider) -> str | None:
    """Why a provider of the configuration cannot be used at all; None if it can."""
    stand_in = cast("object", provider)
    return stand_in.problem if isinstance(stand_in, Unusable) else None


class _AnyAccount(AccountSettings, extra="allow"):
    """The settings of an account whose plugin cannot be loaded: nobody can check them."""


class _AnyFirewall(FirewallSettings, extra="allow"):
    """As `_AnyAccount`."""


class _Guard:
    """Calls a plugin. `name`: its type."""

    def __init__(self, name: str, sdk: tuple[str, str | None] | None = None) -> None:
        """`sdk`: the import package it needs, and the extra of ours that brings it."""
        self._name, self._sdk = name, sdk

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
        except ModuleNotFoundError as error:
            if self._sdk is None or (error.name or "").partition(".")[0] != self._sdk[0]:
                self._refuse(what, type(error).__name__, error, fate_unknown)
            sdk, extra = self._sdk
            raise Unsupported(
                f"{self._name} needs {sdk}, which is not installed: {install_command(extra, sdk)}"
            ) from error
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

    def starter(self, starter: Starter) -> Starter:
        """The same, with everything that it calls of the plugin's behind the wrapper."""

        def lines(name: str, make: Callable[..., list[str]]) -> Callable[..., list[str]]:
            return lambda *answers: self.call(f"init ({name})", lambda: make(*answers), each(str))

        def first_apply(answers: Mapping[str, str]) -> str | None:
            return self.call(
                "init (first_apply)",
                lambda: starter.first_apply(answers),
                is_a(str, type(None)),
            )

        def works_here(environ: Mapping[str, str]) -> bool:
            return self.call("init (works_here)", lambda: starter.works_here(environ), is_a(bool))

        return replace(
            starter,
            works_here=works_here,
            account=lines("account", starter.account),
            firewall=lines("firewall", starter.firewall),
            first_apply=first_apply,
            machines=None if starter.machines is None else self._lister(starter.machines),
        )

    def _lister(
        self, lister: Callable[[Account], Sequence[VisibleMachine]]
    ) -> Callable[[Account], Sequence[VisibleMachine]]:
        from cloudsync.provider.init import VisibleMachine

        return lambda account: self.call(
            "init (machines)", lambda: lister(account), each(VisibleMachine)
        )

    def _refuse(
        self, what: str, why: str, cause: BaseException | None, fate_unknown: bool
    ) -> NoReturn:
        message = f"the provider plugin {self._name!r} failed in {what}: {why}"
        log.debug("%s", message, exc_info=cause, extra={"event": "plugin"})
        raise PluginDefect(
            f"{message}; this is a defect of the plugin (-v shows more)", fate_unknown=fate_unknown
        ) from cause
