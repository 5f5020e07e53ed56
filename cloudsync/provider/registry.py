"""Plugins points by entry point. Listing names imports nothing; one broken plugin never stops the
others."""

from __future__ import annotations

import logging
import re
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from cloudsync.provider.contract import API_VERSION, Provider
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.guarded import guarded
from cloudsync.provider.installation import install_command, packages_of

GROUP = "cloudsync_firewall.providers"
log = logging.getLogger("cloudsync.provider")
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
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
    points = [point for point in _points() if point.name == name]
    if not points:
        near = get_close_matches(name, names(), 1)
        hint = (
            f', did you mean "{near[0]}"?'
            if near
            else f"; installed are {', '.join(names()) or 'none'}"
        )
        raise PluginError(f'no provider of type "{name}" is installed{hint}')
    if len({point.dist.name if point.dist else None for point in points}) > 1:
        owners = ", ".join(sorted(str(point.dist.name) if point.dist else "?" for point in points))
        raise PluginError(
            f'several distributions offer the provider type "{name}": {owners}; remove all but one'
        )
    plugin = _imported(points[0], name)
    if (problem := _incompatible(plugin.api_version)) is not None:
        raise PluginError(f'the provider "{name}" {problem}')
    if plugin.type != name:
        raise PluginBroken(
            f'the provider "{name}" ({points[0].value}) calls itself "{plugin.type}": its `type`'
            " and the name of its entry point must be the same"
        )
    return plugin


def _incompatible(declared: str) -> str | None:
    """Why a plugin that was written for this version of the contract cannot be used (decision
    0024); None if it can."""
    match = _VERSION.fullmatch(declared)
    if match is None:
        return (
            f'declares the contract version "{declared[:20]}"; it must be MAJOR.MINOR, like'
            f' "{API_VERSION}"'
        )
    major, minor = int(match[1]), int(match[2])
    ours, newest = (int(number) for number in API_VERSION.split("."))
    if major < ours:
        return (
            f"was written for contract {declared}, this cloudsync has {API_VERSION}: update the"
            " plugin"
        )
    if major > ours or minor > newest:
        return f"needs contract {declared}, this cloudsync has {API_VERSION}: update cloudsync"
    return None


def _imported(point: EntryPoint, name: str) -> Provider:
    """The plugin behind the wrapper, with every attribute of the contract. Raises `PluginError`."""
    where = f'the provider "{name}" ({point.value})'
    try:
        plugin = point.load()
    except ModuleNotFoundError as error:
        package = (error.name or "?").partition(".")[0]
        raise PluginError(
            f"{name} needs {package}, which is not installed: {install_command(name, package)}"
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
    """What to type if the provider's SDK is not installed; None if it is."""
    sdk, extra = provider.sdk, provider.extra
    if sdk is None:
        return None
    try:
        if find_spec(sdk) is not None:
            return None
    except ModuleNotFoundError:
        pass  # a dotted name whose parent is missing
    package = (packages_of(extra) if extra else ()) or (sdk,)
    command = install_command(extra, sdk)
    return f"{provider.type} needs {package[0]}, which is not installed: {command}"


def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))
