"""Whether a plugin is whole: what can be said of it without a vendor (`cloudsync providers
--check`)."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from cloudsync.provider import registry
from cloudsync.provider.contract import API_VERSION, Provider
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.guarded import GuardedProvider
from cloudsync.provider.settings import SecretRef, Settings

_PARAMETERS = {
    "identity": 1,
    "endpoint": 1,
    "plan_steps": 2,
    "open_reader": 1,
    "open_writer": 1,
    "check_access": 2,
}
"""By method, how many arguments the core gives it."""


def problems_of(type_: str) -> tuple[str, ...]:
    """What is wrong with the plugin of one type, a sentence each; empty if nothing is."""
    try:
        plugin = registry.load(type_)
    except registry.PluginError as error:
        return (f"{error}{_where(error.__cause__)}",)
    own = plugin.own if isinstance(plugin, GuardedProvider) else plugin
    return tuple(_problems(plugin, own))


def _problems(plugin: Provider, own: Any) -> Iterator[str]:
    if plugin.api_version != API_VERSION:
        yield (
            f"it is written for contract {plugin.api_version}, this cloudsync has {API_VERSION}: "
            f"see what is new, then declare {API_VERSION}"
        )
    for name, count in _PARAMETERS.items():
        if (method := getattr(own, name, None)) is not None:
            yield from _signature(name, method, count)
    for table, model in (
        ("account_settings", plugin.account_settings),
        ("firewall_settings", plugin.firewall_settings),
    ):
        yield from _model(table, model)
    if not plugin.capabilities.notes:
        yield "capabilities.notes is empty: say what the vendor cannot do, with a link"
    yield from _starter(plugin)


def _signature(name: str, method: Callable[..., object], count: int) -> Iterator[str]:
    try:
        inspect.signature(method).bind(*range(count))
    except TypeError as error:
        yield f"{name} cannot be called with {count} arguments: {error}"
    except ValueError:
        return


def _model(table: str, model: type[BaseModel]) -> Iterator[str]:
    """Settings are strict, frozen, and hold no secret."""
    config = model.model_config
    wanted = Settings.model_config
    for key in ("extra", "frozen", "strict", "hide_input_in_errors"):
        if config.get(key) != wanted.get(key):
            yield f"{table} ({model.__name__}) sets {key} = {config.get(key)!r}"
    for name, field in model.model_fields.items():
        secret = any(word in name for word in ("token", "secret", "password", "api_key"))
        if secret and field.annotation not in (SecretRef, SecretRef | None):
            yield f"{table}.{name} looks like a secret: its type must be SecretRef"


def _starter(plugin: Provider) -> Iterator[str]:
    starter = getattr(plugin, "starter", None)
    if starter is None:
        return
    answers = {question.key: question.default or "x" for question in starter.questions}
    try:
        lines = [*starter.account(answers, None), *starter.firewall(answers)]
    except ProviderError as error:
        yield f"starter: {error.message}"
        return
    if any("\n" in line for line in lines):
        yield "starter: a line with a line break in it"


def _where(cause: BaseException | None) -> str:
    """The line of the plugin that failed, and its message; the whole traceback is in the log."""
    if cause is None:
        return ""
    log = logging.getLogger("cloudsync.provider")
    log.debug("%s", cause, exc_info=cause, extra={"event": "plugin"})
    frames = traceback.extract_tb(cause.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename]
    place = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    if isinstance(cause, SyntaxError):
        place = f" at {cause.filename}:{cause.lineno}"
    return f"{place}: {cause}"
