"""Plugins: listing imports nothing, and a broken one is one clear line."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from cloudsync.provider import registry
from cloudsync.provider.registry import PluginError


def test_the_built_in_providers_are_found() -> None:
    assert {"hetzner", "local"} <= set(registry.names())
    assert registry.load("local").type == "local"


def test_listing_names_imports_no_plugin() -> None:
    script = "import sys; from cloudsync.provider import registry; registry.names(); print([m for m in sys.modules if 'cloudsync_' in m])"
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


def test_a_plugin_of_another_api_is_refused(installed) -> None:  # type: ignore[no-untyped-def]
    local = registry.load("local")
    other = SimpleNamespace(
        **{name: getattr(local, name) for name in registry._ATTRIBUTES} | {"api_version": 99}
    )
    installed(("x", lambda: other))
    with pytest.raises(PluginError, match="plugin API 99"):
        registry.load("x")


def test_two_distributions_with_one_type_are_refused_by_name(installed) -> None:  # type: ignore[no-untyped-def]
    installed(("x", lambda: None), ("x", lambda: None))
    with pytest.raises(PluginError, match="dist0, dist1"):
        registry.load("x")


def test_a_broken_plugin_does_not_stop_the_others(installed) -> None:  # type: ignore[no-untyped-def]
    local = registry.load("local")
    installed(("bad", raising(RuntimeError())), ("good", lambda: local))
    with pytest.raises(PluginError):
        registry.load("bad")
    assert registry.load("good").type == "local"
