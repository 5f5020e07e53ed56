"""The story of one port: told from what planning left, and nothing decided twice."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace

import pytest

from cloudsync.config.configuration import Place, PortRange
from cloudsync.model.plan import Granted
from cloudsync.model.ports import (
    Complete,
    Failed,
    Origin,
    UnopenedPort,
)
from cloudsync.planning.explain import (
    Asked,
    Story,
    explain,
    since,
)
from cloudsync.provider.errors import Transient
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from cloudsync.render import explain as render
from cloudsync.render.text import joined
from cloudsync.state.history import entries
from tests.world import World, ports, required, rules


def told(
    world: World,
    protocol: str = "tcp",
    first: int = 8080,
    last: int | None = None,
    **granted: object,
) -> Story:
    planned = reconcile.plan(world.configuration, Options(granted=Granted(**granted)))  # type: ignore[arg-type]
    explanation = explain(
        world.configuration, planned.plan, planned.considered, Asked(protocol, first, last or first)
    )
    assert joined(render.text(explanation), colour=False, width=400) != ""
    assert render.document([explanation])["format_version"] == "1.0"
    return explanation.stories[0]


def test_a_port_that_is_wanted_and_open(world: World) -> None:
    world.has("tcp/22", "tcp/8000-8100")
    world.needs("8000-8100", project="shop", service="web", label="cloudsync.ports")
    story = told(world)
    assert story.verdict == "open, and stays open"
    assert story.open == story.after == tuple(rules("tcp/8080"))
    assert story.vendor == tuple(rules("tcp/8000-8100"))
    reason, *_ = story.reasons
    assert reason.text == "shop/web on web-1 (label cloudsync.ports)"
    assert reason.origins[0].label == "cloudsync.ports"
    (advice,) = story.advice
    assert advice.startswith(
        "to close it: label shop/web with cloudsync.expose=false, or with a cloudsync.ports that"
        " leaves it out; stop publishing it;"
    )
    assert advice.endswith('or set policy.deny = ["8080/tcp"]')


def test_a_port_that_would_open(world: World) -> None:
    world.has("tcp/22")
    world.needs("8080")
    story = told(world)
    assert (story.verdict, story.open, story.after) == (
        "an apply would open it",
        (),
        tuple(rules("tcp/8080")),
    )


def test_a_part_of_a_range(world: World) -> None:
    world.has("tcp/22", "tcp/8080", "tcp/8090")
    world.needs("8080", "8081")
    story = told(world, first=8000, last=8100)
    assert story.verdict == "an apply would open a part of it and close another"
    assert story.after == tuple(rules("tcp/8080-8081"))


def test_a_port_nobody_wants(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    assert told(world).verdict == "open; an apply would close it"
    world.has("tcp/22")
    story = told(world)
    assert story.verdict == "closed, and stays closed"
    assert story.advice == (
        (
            "to open it: publish it from a container on a host of this firewall, or write"
            ' [[firewalls.web.allow]] with ports = ["8080/tcp"]'
        ),
    )


def test_a_denied_port_names_the_line_of_the_policy(world: World) -> None:
    world.has("tcp/22")
    world.needs("8080")
    world.policy(deny=(PortRange("tcp", 8000, 8100, Place("c.toml", 12, 9)),))
    story = told(world)
    assert story.verdict == "closed, and stays closed"
    assert [one.code for one in story.refused] == ["denied"]
    assert story.policy == ("c.toml:12:9: policy.deny names 8000-8100/tcp",)
    assert story.advice == ("to open it: remove it from policy.deny",)


@pytest.mark.parametrize(
    ("port", "policy", "code", "advice"),
    [
        ("5432", {}, "sensitive", "cloudsync.sources"),
        (
            "8080",
            {"expose": "labelled"},
            "not-labelled",
            "cloudsync.expose=true, or cloudsync.ports, on app",
        ),
    ],
)
def test_a_refused_port_says_what_would_open_it(
    world: World, port: str, policy: dict[str, str], code: str, advice: str
) -> None:
    world.has("tcp/22")
    world.needs(port)
    world.policy(**policy)
    story = told(world, first=int(port))
    assert [one.code for one in story.refused] == [code]
    assert advice in story.advice[0]


def test_the_line_of_expose_and_of_mode(world: World) -> None:
    places = {
        ("policy", "expose"): Place("c.toml", 8, 1),
        ("policy", "mode"): Place("c.toml", 9, 1),
    }
    world.configuration = replace(world.configuration, places=places)
    world.has("tcp/22", "tcp/9999")
    world.needs("8080")
    world.policy(expose="labelled", mode="additive")
    assert told(world).policy == ('c.toml:8:1: policy.expose = "labelled"',)
    story = told(world, first=9999)
    assert story.verdict == "open, and stays open although nothing requires it"
    assert story.policy == ('c.toml:9:1: policy.mode = "additive"',)


def test_a_port_that_a_source_could_not_open(world: World) -> None:
    world.has("tcp/22")
    unopened = UnopenedPort(
        "tcp",
        "8080",
        Origin("web-1", container="app"),
        "loopback",
        "it is published on a loopback address only",
    )
    world.discoveries["web-1"] = Complete(unopened=(unopened,))
    assert told(world).advice == ("to open it: publish it on another address than loopback on app",)


def test_a_port_that_is_held_while_a_host_is_unknown(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.discoveries["web-1"] = Failed("the engine refuses connections")
    story = told(world)
    assert story.verdict == "open, and stays open although nothing requires it"
    assert [held.reason for held in story.held] == ["unknown-host"]
    assert "retired = true" in story.advice[0]


def test_a_firewall_that_cannot_be_read(world: World) -> None:
    world.cloud.unreadable = Transient("down")
    world.needs("8080")
    story = told(world)
    assert (story.open, story.after) == (None, ())
    assert story.verdict.startswith("not known")
    assert story.reasons != ()


def test_what_a_guard_withholds_is_not_told_as_done(world: World) -> None:
    world.has("tcp/22", mine=False)
    world.needs("8080")
    story = told(world)
    assert (story.verdict, story.after) == ("closed, and stays closed", ())
    assert [guard.id for guard in story.guards] == ["ownership"]
    assert told(world, adopt=("web",)).verdict == "an apply would open it"


def test_ssh_and_the_users_own_word(world: World) -> None:
    world.has("tcp/22")
    assert told(world, first=22).advice == ("SSH stays open while [ssh] declares it",)
    world.allow("tcp/8080 from 192.0.2.0/24")
    story = told(world)
    assert story.after == tuple(rules("tcp/8080 from 192.0.2.0/24"))
    assert story.advice == ("to close it: remove it from config.toml:1",)


def test_a_sensitive_port_that_is_allowed_names_the_line(world: World) -> None:
    world.has("tcp/22")
    world.needs("5432")
    world.policy(allow_sensitive=ports("5432"))
    assert told(world, first=5432).policy == (
        "config.toml:1:1: policy.allow_sensitive names 5432/tcp",
    )


def test_no_control_character_of_a_name_reaches_the_terminal(world: World) -> None:
    world.has("tcp/22")
    world.needs("8080", container="\x1b[31mevil\u202e", label="\x1b]0;x")
    planned = reconcile.plan(world.configuration, Options())
    explanation = explain(
        world.configuration, planned.plan, planned.considered, Asked("tcp", 8080, 8080)
    )
    assert "\x1b" not in joined(render.text(explanation), colour=False, width=400)


def entry(number: int, firewall: str, **lists: object) -> dict[str, object]:
    name = f"2026112{number}T030405-abc123"
    return {
        "id": name,
        "started": f"2026-11-2{number}T03:04:05.000+00:00",
        "who": {"user": "root"},
        "firewalls": [{"name": firewall, **lists}],
    }


def test_since_when_it_is_open_or_closed() -> None:
    wide, other = {"protocol": "tcp", "ports": "8000-8100"}, {"protocol": "tcp", "ports": "443"}
    history = [
        entry(1, "web", opened=[wide], closed=[]),
        entry(2, "web", opened=[], closed=[wide]),
        entry(3, "web", opened=[other, wide]),
        entry(4, "api", opened=[wide]),
        entry(5, "web", opened=[other], closed=None),
        {"id": "odd", "firewalls": "nothing"},
        entry(6, "web", opened=[{"protocol": "nonsense"}, 7]),
    ]
    asked = Asked("tcp", 8080, 8080)
    assert [(one.verb, one.when[:10], one.who) for one in since(history, "web", asked)] == [
        ("opened", "2026-11-23", "root"),
        ("closed", "2026-11-22", "root"),
    ]
    assert since(history, "db", asked) == ()


def test_since_when_is_told_after_an_apply(world: World) -> None:
    world.has("tcp/22")
    world.needs("8080")
    reconcile.apply(world.configuration, Options())
    planned = reconcile.plan(world.configuration, Options())
    history = entries(world.configuration.state, world.configuration.owner)
    explanation = explain(
        world.configuration,
        planned.plan,
        planned.considered,
        Asked("tcp", 8080, 8080),
        history=history,
    )
    (event,) = explanation.stories[0].since
    assert event.verb == "opened"
    assert event.who == pwd.getpwuid(os.getuid()).pw_name
    assert f"by {event.who}" in joined(render.text(explanation), colour=False, width=400)


def test_a_port_that_is_published_on_loopback_only(world: World) -> None:
    world.has("tcp/22")
    world.discoveries["web-1"] = Complete(
        local=(required("5432", address="127.0.0.1", container="db"),)
    )
    planned = reconcile.plan(world.configuration, Options())
    for asked, count in (
        (Asked("tcp", 5432, 5432), 1),
        (Asked("udp", 5432, 5432), 0),
        (Asked("tcp", 5433, 5433), 0),
    ):
        told = explain(
            world.configuration,
            planned.plan,
            planned.considered,
            asked,
            discoveries=planned.discoveries,
        )
        assert len(told.local) == count
        assert (
            "db on web-1 publishes it on 127.0.0.1 only"
            in joined(render.text(told), colour=False, width=400)
        ) is bool(count)
