"""Plugins: listing imports nothing, and a broken one is one clear line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from cloudsync.provider import registry
from cloudsync.provider.contract import API_VERSION
from cloudsync.provider.registry import PluginError


def test_the_built_in_providers_are_found() -> None:
    assert {"hetzner", "local"} <= set(registry.names())
    assert registry.load("local").type == "local"


def test_listing_names_imports_no_plugin() -> None:
    script = (
        "import sys; from cloudsync.provider import registry; registry.names(); print([m for m in"
        " sys.modules if 'cloudsync_' in m])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def install(*points: tuple[str, object]) -> None:
        found = []
        for number, (name, plugin) in enumerate(points):
            point = EntryPoint(name, "nowhere:plugin", registry.GROUP)
            if callable(plugin):
                fake = SimpleNamespace(
                    name=name,
                    value=f"m{number}:p",
                    dist=SimpleNamespace(name=f"dist{number}"),
                    load=plugin,
                )
                found.append(fake)
            else:
                found.append(point)
        monkeypatch.setattr(registry, "_points", lambda: tuple(found))
        registry.load.cache_clear()

    yield install
    registry.load.cache_clear()


def test_an_unknown_type_names_the_nearest(installed) -> None:  # type: ignore[no-untyped-def]
    installed(("hetzner", lambda: None))
    with pytest.raises(PluginError, match='did you mean "hetzner"'):
        registry.load("hetzne")


def raising(error: Exception):  # type: ignore[no-untyped-def]
    def load() -> object:
        raise error

    return load


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (raising(ModuleNotFoundError("no", name="hcloud")), "cloudsync-firewall\\[x\\]"),
        (raising(RuntimeError("secret text")), "cannot be loaded: RuntimeError"),
        (lambda: SimpleNamespace(api_version=1), "is incomplete: it lacks type"),
    ],
)
def test_a_broken_plugin_is_one_line(installed, load, said: str) -> None:  # type: ignore[no-untyped-def]
    installed(("x", load))
    with pytest.raises(PluginError, match=said) as error:
        registry.load("x")
    assert "secret text" not in str(error.value)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("2.0", "needs contract 2.0.*update cloudsync"),
        ("1.99", "needs contract 1.99.*update cloudsync"),
        ("0.9", "was written for contract 0.9.*update the plugin"),
        ("new", "must be MAJOR.MINOR"),
        (99, "needs contract 99.0"),
    ],
)
def test_a_plugin_for_another_version_of_the_contract_is_refused(
    installed, declared: object, said: str
) -> None:  # type: ignore[no-untyped-def]
    other = plugin_like_local(api_version=declared)
    installed(("local", lambda: other))
    with pytest.raises(PluginError, match=said):
        registry.load("local")


@pytest.mark.parametrize("declared", ["1.0", API_VERSION, 1])
def test_a_plugin_for_an_earlier_minor_version_works(installed, declared: object) -> None:  # type: ignore[no-untyped-def]
    other = plugin_like_local(api_version=declared)
    installed(("local", lambda: other))
    assert registry.load("local").type == "local"


def test_a_plugin_has_the_name_of_its_entry_point(installed) -> None:  # type: ignore[no-untyped-def]
    other = plugin_like_local()
    installed(("lokal", lambda: other))
    with pytest.raises(PluginError, match='calls itself "local"'):
        registry.load("lokal")


@pytest.mark.parametrize("name", ["ipencapsulation", 6, "tcp-udp"])
def test_a_protocol_that_rules_do_not_know_is_named_when_the_plugin_is_loaded(
    installed,  # type: ignore[no-untyped-def]
    name: object,
) -> None:
    local = registry.load("local")
    bad = replace(local.capabilities, protocols=frozenset({name}))  # type: ignore[arg-type]
    other = plugin_like_local(capabilities=bad)
    installed(("local", lambda: other))
    with pytest.raises(PluginError, match="protocols names"):
        registry.load("local")


def plugin_like_local(**changes: object) -> SimpleNamespace:
    local = registry.load("local")
    return SimpleNamespace(
        **{name: getattr(local, name) for name in registry._ATTRIBUTES} | changes
    )


def test_two_distributions_with_one_type_are_refused_by_name(installed) -> None:  # type: ignore[no-untyped-def]
    installed(("x", lambda: None), ("x", lambda: None))
    with pytest.raises(PluginError, match="dist0, dist1"):
        registry.load("x")


def test_a_broken_plugin_does_not_stop_the_others(installed) -> None:  # type: ignore[no-untyped-def]
    local = registry.load("local")
    installed(("bad", raising(RuntimeError())), ("local", lambda: local))
    with pytest.raises(PluginError):
        registry.load("bad")
    assert registry.load("local").type == "local"
