"""Plugins found by entry point. Listing names imports nothing; one broken plugin never stops the
others."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from cloudsync.provider.contract import API_VERSION, Provider
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.guarded import guarded

GROUP = "cloudsync_firewall.providers"
log = logging.getLogger("cloudsync.provider")
_VALUES = (
    "api_version",
    "type",
    "sdk",
    "extra",
    "capabilities",
    "account_settings",
    "firewall_settings",
)
_ATTRIBUTES = (*_VALUES, "identity", "endpoint", "plan_steps", "open_reader", "open_writer")


class PluginError(Exception):
    """A plugin cannot be used; one line that says what to do."""


class PluginBroken(PluginError):
    """A plugin that is installed cannot be loaded: a defect of its own, which no configuration can
    avoid. The firewalls of other providers are managed all the same."""


def names() -> tuple[str, ...]:
    """The types that some installed distribution offers, sorted."""
    return tuple(sorted({point.name for point in _points()}))


@cache
def load(name: str) -> Provider:
    """The plugin of one type. Raises `PluginError`."""
    found = [point for point in _points() if point.name == name]
    if not found:
        near = get_close_matches(name, names(), 1)
        hint = (
            f', did you mean "{near[0]}"?'
            if near
            else f"; installed are {', '.join(names()) or 'none'}"
        )
        raise PluginError(f'no provider of type "{name}" is installed{hint}')
    if len({point.dist.name if point.dist else None for point in found}) > 1:
        owners = ", ".join(sorted(str(point.dist.name) if point.dist else "?" for point in found))
        raise PluginError(
            f'several distributions offer the provider type "{name}": {owners}; remove all but one'
        )
    plugin = _imported(found[0], name)
    if plugin.api_version != API_VERSION:
        raise PluginError(
            f'the provider "{name}" is made for plugin API {plugin.api_version}, this cloudsync has {API_VERSION}: update it'
        )
    return plugin


def _imported(point: EntryPoint, name: str) -> Provider:
    """The plugin behind the wrapper, with every attribute of the contract. Raises `PluginError`."""
    where = f'the provider "{name}" ({point.value})'
    try:
        plugin = point.load()
    except ModuleNotFoundError as error:
        hint = f'pip install "cloudsync-firewall[{name}]"'
        raise PluginError(
            f'the provider "{name}" needs the Python package {error.name!r}, which is not installed: {hint}'
        ) from None
    except (Exception, SystemExit) as error:
        log.debug("%s", where, exc_info=error, extra={"event": "plugin"})
        raise PluginBroken(f"{where} cannot be loaded: {type(error).__name__}") from error
    try:
        missing = [attribute for attribute in _ATTRIBUTES if not hasattr(plugin, attribute)]
    except (Exception, SystemExit) as error:
        log.debug("%s", where, exc_info=error, extra={"event": "plugin"})
        raise PluginBroken(f"{where} cannot be used: {type(error).__name__}") from error
    if missing:
        raise PluginBroken(f"{where} is incomplete: it lacks {', '.join(missing)}")
    wrapped = guarded(plugin, name)
    try:
        for attribute in _VALUES:
            getattr(wrapped, attribute)
    except ProviderError as error:
        raise PluginBroken(f"{where} cannot be used: {error.message}") from error
    return wrapped


def sdk_missing(provider: Provider) -> str | None:
    """What to install where the provider's SDK is not there; None where it is."""
    try:
        if provider.sdk is None or find_spec(provider.sdk) is not None:
            return None
    except ModuleNotFoundError:
        pass  # a dotted name whose parent is missing
    extra = f"cloudsync-firewall[{provider.extra}]" if provider.extra else provider.sdk
    return f'the provider "{provider.type}" needs {provider.sdk}: pip install "{extra}"'


def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))
