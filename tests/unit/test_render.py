"""Renderings are pure, and no text of a stranger gets through them raw."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudsync.model.plan import Change, Plan
from cloudsync.model.ports import (
    Complete,
    Failed,
    Malformed,
    Origin,
)
from cloudsync.planning.policy import unassigned
from cloudsync.provider.contract import Pending
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options, Outcome, Report
from cloudsync.render import markdown, result, text, words
from cloudsync.render.escape import markdown as escaped
from cloudsync.render.escape import plain
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.networks import ANY, NetworkSet
from tests.effort import examples
from tests.world import World, both, rules


def shown(plan: Plan) -> str:
    return text.joined(text.plan(plan, verbose=True), colour=False, width=400)


def planned(world: World) -> Plan:
    return reconcile.plan(world.configuration, Options()).plan


@given(name=st.text(min_size=1))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=examples(60),
    deadline=None,
)
def test_no_control_character_of_a_name_reaches_the_terminal(world: World, name: str) -> None:
    world.has("tcp/22", "tcp/8080")
    ports = both("443", container=name, project=name, service=name, description=name)
    bad = Malformed(Origin("web-1", container=name), name, both("8080"))
    world.discoveries["web-1"] = Complete(ports, malformed=(bad,), remarks=(name,))
    for output in (shown(planned(world)), markdown.plan(planned(world))):
        assert all(
            unicodedata.category(character)[0] != "C" or character == "\n" for character in output
        )


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x>",
        "[x](http://evil)",
        "@everyone",
        "| a | b |",
        "`code`",
        "**bold**",
        "http://evil.example",
    ],
)
def test_markdown_of_a_hostile_name_has_no_markup(name: str) -> None:
    out = escaped(name)
    assert "<" not in out.replace("<!-- -->", "")
    for mark in "[]()|`*":
        assert out.count(mark) == out.count("\\" + mark)


@pytest.mark.parametrize(
    "name",
    [
        "@everyone",
        "a@example.com",
        "#12",
        "owner/repo#12",
        "GH-12",
        "https://evil.example",
        "WWW.evil.example",
    ],
)
def test_github_finds_no_mention_issue_or_address_in_a_hostile_name(name: str) -> None:
    shown = escaped(name).replace("\\", "")
    assert "<!-- -->" in shown
    assert not re.search(r"(?i)@\w|#\d|gh-\d|://|www\.", shown)


def test_terminal_escapes_are_shown_not_sent() -> None:
    assert plain("a\x1b[31mb\u202ec\nd") == "a\\x1b[31mb\\u202ec\\x0ad"


def test_a_plan_says_in_words_what_opens_to_whom(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.needs("443", project="shop", service="web")
    out = shown(planned(world))
    assert "+ 443/tcp   everyone  shop/web" in out
    assert "- 8080/tcp  everyone  no container and no configuration asks for it" in out
    assert out.endswith("Plan: open 1 port, close 1 port.")


@pytest.mark.parametrize(
    ("target", "plan", "done"),
    [
        (
            "the denial of everything else",
            "Plan: lift 1 denial.",
            "web: lifted the denial of everything else",
        ),
        (
            "machine web-1",
            "Plan: put into effect on 1 machine.",
            "web: put into effect on machine web-1",
        ),
    ],
)
def test_a_denial_is_lifted_and_anything_else_is_put_into_effect(
    world: World, target: str, plan: str, done: str
) -> None:
    world.has("tcp/22")
    world.cloud.pending["web"] = (Pending(target, "nothing is dropped", lifts=True),)
    report = Report(planned(world), (Outcome("web", "done"),))
    assert shown(report.plan).endswith(plan)
    assert " ".join(result.changes(report)) == done


def test_a_reason_that_several_attachments_share_is_told_once(world: World) -> None:
    world.has("tcp/22")
    plan = planned(world)
    reasons = ("a", "a", "b", "c", "d", "e")
    changes = tuple(
        Change("attach", f"{reason} is under no firewall", target=f"server {n}", opens_now=True)
        for n, reason in enumerate(reasons)
    )
    (firewall,) = plan.firewalls
    out = shown(replace(plan, firewalls=(replace(firewall, changes=changes),)))
    told = ("a", "b", "c")
    sentence = "; ".join(f"{reason} is under no firewall" for reason in told)
    assert f"{sentence} and 2 more reasons. What is not listed here closes" in out


def test_an_empty_plan_says_so(world: World) -> None:
    world.has("tcp/22")
    assert shown(planned(world)).endswith("Nothing to do.")


def test_a_host_that_is_unknown_stands_first_and_its_ports_are_shown_as_held(world: World) -> None:
    world.has("tcp/22", "tcp/443")
    world.discoveries["web-1"] = Failed("connection refused")
    out = shown(planned(world))
    assert out.splitlines()[0] == (
        "! web-1 could not be read (connection refused). What is open for it stays open; nothing "
        "closes."
    )
    assert "= 443/tcp  everyone  stays open because web-1 could not be read" in out


def test_nothing_to_do_is_not_said_of_what_could_not_be_read(world: World) -> None:
    world.has("tcp/22")
    world.discoveries["web-1"] = Failed("down")
    assert shown(planned(world)).endswith(
        "Nothing to do for what could be read.\n"
        "Incomplete: 1 of 1 host could not be read completely. Try again (exit 75)."
    )


def test_markdown_shows_guards_notes_and_what_feeds_no_firewall(world: World) -> None:
    world.has("tcp/22", mine=False)
    world.needs("9000")
    world.discoveries["stray"] = Complete(both("4443", host="stray"))
    plan = replace(planned(world), unassigned=unassigned(world.configuration, world.discoveries))
    out = markdown.plan(plan)
    assert "**ownership**" in out
    assert out.index("**ownership**") < out.index("####"), "what needs a person is on top"
    assert "9000/tcp" in out
    assert "4443/tcp" in out


def test_a_guard_says_what_it_saw_and_how_to_go_on(world: World) -> None:
    world.has("tcp/22", mine=False)
    out = shown(planned(world))
    assert "! ownership: nothing of it is applied. The firewall exists" in out
    assert "--adopt web" in out


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ("any", "everyone"),
        ("any4", "everyone (IPv4)"),
        ("any6", "everyone (IPv6)"),
        (",".join((ANY - PRIVATE).cidrs()), "the Internet except private networks"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("0.0.0.0/1,128.0.0.0/2", "the Internet (IPv4) except 192.0.0.0/2"),
        ("10.0.0.0/24,10.0.2.0/24,10.0.4.0/24,10.0.6.0/24,10.0.8.0/24,10.0.10.0/24",
         "10.0.0.0/24, 10.0.2.0/24, 10.0.4.0/24, 10.0.6.0/24 and 2 more networks"),
    ],
)  # fmt: skip
def test_sources_in_words(sources: str, said: str) -> None:
    (rule,) = rules(f"tcp/443 from {sources}")
    assert words.sources(rule.sources) == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("now also opens tcp/25", "now also opens 25/tcp"),
        ("tcp/80 from 0.0.0.0/0, ::/0 is not open", "80/tcp from everyone is not open"),
        ("udp/8000-8010 of ftp", "8000-8010/udp of ftp"),
        ("https://example.com/tcp/443/x", "https://example.com/tcp/443/x"),
        ("443/tcp stays", "443/tcp stays"),
        ("from 0.0.0.0/0 alone", "from 0.0.0.0/0 alone"),
    ],
)
def test_messages_of_others_are_shown_in_one_notation(text: str, shown: str) -> None:
    assert words.message(text) == shown


def test_names_of_networks_and_what_is_left_out(world: World) -> None:
    edge = NetworkSet.of(f"198.51.{n}.0/24" for n in range(0, 44, 2))
    vocabulary = words.Vocabulary({"cloudflare": edge, "office": NetworkSet.of(["203.0.113.0/24"])})
    assert vocabulary.sources(edge) == "@cloudflare (22 networks)"
    assert vocabulary.sources(NetworkSet.of(["203.0.113.0/24"])) == "@office"
    more = edge | NetworkSet.of(["192.0.2.1/32"])
    assert vocabulary.sources(more) == "@cloudflare (22 networks), 192.0.2.1/32"
    assert vocabulary.sources(ANY - NetworkSet.of(["10.0.0.0/8"])) == (
        "the Internet except 10.0.0.0/8"
    )
    assert words.sources(ANY - edge).startswith("the Internet except 198.51.0.0/24, ")


def test_whole_protocols_are_named_by_what_is_missing() -> None:
    everything = RuleSet.of((Rule.of("all", "", ANY),))
    rest = everything - RuleSet.of(
        Rule.of(protocol, "", ANY) for protocol in ("tcp", "udp", "icmp")
    )
    assert words.port_list(rest) == "everything but tcp, udp, icmp"
    assert words.port_list(everything) == "everything"
    assert (
        words.port_list(rules("tcp/22", "tcp/80", "udp/443", "icmp")) == "icmp, 22, 80/tcp, 443/udp"
    )


def test_a_report_says_what_was_really_done(world: World) -> None:
    report = Report(planned(world), (Outcome("web", "unknown", 1, 0, "the connection\nfailed"),))
    (line,) = text.report(report)
    assert line.text == "web: unknown (opened 1 port as far as known): the connection\\x0afailed"


def test_quiet_has_one_line_only_where_something_changed(world: World) -> None:
    world.has("tcp/22")
    report = Report(planned(world), (Outcome("web", "done", 2, 1),))
    assert text.brief(report) == ("web: opened 2 ports; closed 1 port",)
    assert text.brief(replace(report, outcomes=(Outcome("web", "unchanged"),))) == ()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "(0 s left)"),
        (-5, "(0 s left)"),
        (100, "(100 s left)"),
        (600, "(10 min left)"),
        (7300, "(2 h left)"),
        (3 * 86400, "(3 days left)"),
    ],
)
def test_what_waits_says_how_long(seconds: int, shown: str) -> None:
    now = datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert words.until(now + timedelta(seconds=seconds), now).endswith(shown)
    assert words.until(None, now) == ""
