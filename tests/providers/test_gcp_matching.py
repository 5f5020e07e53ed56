"""Which VPC rule comes to let in what is asked for. No call is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cloudsync.provider.contract import (
    Asked,
    FirewallSpec,
    Present,
    Refusal,
    Step,
    Target,
    VendorRule,
)
from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing.language import meant
from cloudsync_gcp import provider
from cloudsync_gcp.denials import DENIED
from cloudsync_gcp.native import Writes
from cloudsync_gcp.ownership import firewall_of, owners
from cloudsync_gcp.settings import GcpFirewall
from cloudsync_gcp.vpc_rules import MARKER, VpcRule, parse
from cloudsync_gcp.wishes import inexpressible

MARK = Marker("shop", "web", "0123abcd")
SPEC = FirewallSpec("web", GcpFirewall(target_tags=["web"], enforce="allow", name="web"), MARK)
EVERYTHING = [{"IPProtocol": "all"}]
OFFICE, HOME = "203.0.113.0/24", "198.51.100.0/24"


def vpc_rule(name: str, ports: str, *sources: str, **fields: Any) -> VpcRule:
    """A rule of ours for TCP."""
    entry = {"IPProtocol": "tcp", "ports": ports.split(",")}
    base = {"targetTags": ["web"], "description": MARKER.write(MARK), "sourceRanges": list(sources)}
    return parse({"name": name, "allowed": [entry], **base, **fields})


def asked_for(*texts: str) -> tuple[Asked, ...]:
    return tuple(Asked(rule) for text in texts for rule in meant(text))


def writes(there: list[VpcRule], *asked: str, objects: Sequence[VendorRule] = ()) -> dict[str, str]:
    """By the rule's name, what is sent about it and what it lets in then."""
    firewall = firewall_of(SPEC, there, owners(there, [SPEC]))
    before = RuleSet.union(owned.effect for owned in firewall.owned)
    present = Present("web", before, MARK, native=firewall, objects=tuple(objects))
    target = Target(SPEC, meant(*asked), asked=asked_for(*asked))
    return dict(sent_by(provider.plan_steps(present, target)))


def sent_by(steps: Sequence[Step] | Refusal) -> list[tuple[str, str]]:
    """In order, the rule's name, and what is sent about it and what it lets in then."""
    assert not isinstance(steps, Refusal)
    return [
        (write.name, f"{write.method} {'; '.join(map(str, write.after))}".strip())
        for step in steps
        if isinstance(step.native, Writes)
        for write in step.native.writes
    ]


def listed(*sources: str) -> str:
    return f"tcp/443 from {','.join(sources)}"


def test_a_list_that_grows_is_one_update_of_its_rule() -> None:
    there = [vpc_rule("web-v4-00000000", "443", OFFICE)]
    assert writes(there, listed(OFFICE, HOME)) == {
        "web-v4-00000000": f"update tcp/443 from {HOME}, {OFFICE}"
    }


def test_a_list_that_grows_by_another_family_gets_a_second_rule() -> None:
    there = [vpc_rule("web-v4-00000000", "443", OFFICE)]
    (write,) = writes(there, listed(OFFICE, "2001:db8::/32")).values()
    assert write == "insert tcp/443 from 2001:db8::/32"


def test_what_is_asked_for_apart_stays_apart_though_it_is_for_the_same_port() -> None:
    there = [vpc_rule("web-v4-00000000", "443", OFFICE)]
    (write,) = writes(there, listed(OFFICE), listed(HOME)).values()
    assert write == f"insert tcp/443 from {HOME}"
    assert sorted(writes([], listed(OFFICE), listed(HOME), f"tcp/80 from {HOME}").values()) == [
        f"insert tcp/443 from {OFFICE}",
        f"insert tcp/80 from {HOME}; tcp/443 from {HOME}",
    ]


def test_a_name_for_everybody_is_given_to_no_list() -> None:
    there = [vpc_rule("web-any4", "443", OFFICE)]
    written = writes(there, listed(OFFICE, HOME))
    assert written.pop("web-any4") == "delete"
    assert list(written.values()) == [f"insert tcp/443 from {HOME}, {OFFICE}"]


def test_of_what_is_left_of_a_rule_the_part_with_its_own_sources_stays_in_it() -> None:
    there = [vpc_rule("web-by-hand", "22,80", "0.0.0.0/0")]
    for ports in (("22", "80"), ("80", "22")):
        closed, stays = ports
        assert (
            writes(there, f"tcp/{closed} from {OFFICE}", f"tcp/{stays} from any4")["web-by-hand"]
            == f"update tcp/{stays} from 0.0.0.0/0"
        )


def test_a_list_that_moves_by_one_network_is_one_update_of_a_rule_that_people_named() -> None:
    there = [vpc_rule("web-by-hand", "443", OFFICE, "192.0.2.0/24")]
    assert writes(there, listed(OFFICE, HOME)) == {
        "web-by-hand": f"update tcp/443 from {HOME}, {OFFICE}"
    }
    stays = [vpc_rule("web-by-hand", "443", OFFICE)]
    assert "web-by-hand" not in writes(stays, listed(OFFICE, HOME))


def test_what_is_left_of_a_rule_and_open_by_another_is_not_kept_twice() -> None:
    there = [vpc_rule("web-by-hand", "443,8000", OFFICE), vpc_rule("web-any4", "443", "0.0.0.0/0")]
    assert writes(there, "tcp/443 from any4") == {"web-by-hand": "delete"}


def test_a_rule_for_everybody_is_not_kept_for_a_few() -> None:
    there = [vpc_rule("web-any4", "22,80", "0.0.0.0/0")]
    written = writes(there, f"tcp/22 from {OFFICE}")
    assert written.pop("web-any4") == "delete"
    assert list(written.values()) == [f"insert tcp/22 from {OFFICE}"]


def test_a_rule_of_ours_for_more_ports_than_the_list_that_grows_is_not_widened() -> None:
    there = [vpc_rule("web-v4-00000000", "443,22", OFFICE)]
    asked = (listed(OFFICE, HOME), f"tcp/22 from {OFFICE}")
    assert list(writes(there, *asked).values()) == [f"insert tcp/443 from {HOME}, {OFFICE}"]


def test_a_rule_that_people_named_gets_no_port_when_it_loses_one() -> None:
    there = [vpc_rule("web-by-hand", "22,80", OFFICE)]
    asked = (f"tcp/22 from {OFFICE}", f"tcp/9100 from {OFFICE}")
    assert sorted(writes(there, *asked).values()) == [
        f"insert tcp/9100 from {OFFICE}",
        f"update tcp/22 from {OFFICE}",
    ]


@pytest.mark.parametrize("name", ["web-by-hand", "web-v4-00000000"])
def test_a_rule_does_not_become_one_that_has_nothing_of_it(name: str) -> None:
    there = [vpc_rule(name, "443", OFFICE)]
    assert sorted(writes(there, listed(HOME)).values()) == [
        "delete",
        f"insert tcp/443 from {HOME}",
    ]


def denial(priority: int, *sources: str) -> VpcRule:
    """A rule of somebody else's."""
    entry = {"denied": EVERYTHING, "sourceRanges": list(sources)}
    return parse({"name": "block", "priority": priority, **entry})


def test_a_rule_gets_no_source_whose_denial_it_would_pass() -> None:
    there = [vpc_rule("web-v4-00000000", "443", OFFICE, "192.0.2.0/24", priority=900)]
    asked = listed(OFFICE, HOME)
    assert writes(there, asked) == {"web-v4-00000000": f"update tcp/443 from {HOME}, {OFFICE}"}
    assert sorted(writes([*there, denial(950, HOME)], asked).values()) == [
        "delete",
        f"insert tcp/443 from {HOME}, {OFFICE}",
    ]


def test_a_rule_gets_nothing_that_a_denial_before_it_stops() -> None:
    """A new rule would stand before the denial."""
    there = [vpc_rule("web-any4", "80", "0.0.0.0/0", priority=1100)]
    asked = ("tcp/80 from any4", "tcp/443 from any4")
    assert writes(there, *asked) == {
        "web-any4": "update tcp/80 from 0.0.0.0/0; tcp/443 from 0.0.0.0/0"
    }
    assert writes([*there, denial(1050, "0.0.0.0/0")], *asked) == {
        "web-any4b": "insert tcp/443 from 0.0.0.0/0"
    }


@pytest.mark.parametrize("before", [980, 1000])
def test_law2_a_rule_before_a_denial_stays_although_one_behind_it_says_the_same(
    before: int,
) -> None:
    there = [
        vpc_rule("web-v4-00000001", "22", OFFICE, priority=900),
        vpc_rule("web-any4", "22", "0.0.0.0/0"),
        vpc_rule("web-any6", "22", "::/0"),
    ]
    asked = ("tcp/22", "tcp/80 from 192.0.2.0/24")
    assert writes(there, *asked)["web-v4-00000001"] == "delete"
    assert "web-v4-00000001" not in writes([*there, denial(before, OFFICE)], *asked)
    assert writes([*there, denial(1001, OFFICE)], *asked)["web-v4-00000001"] == "delete"
    assert writes([*there, denial(980, HOME)], *asked)["web-v4-00000001"] == "delete"


def test_law2_so_does_what_stays_of_a_rule_that_loses_a_port() -> None:
    there = [
        vpc_rule("web-by-hand", "22,8000", OFFICE, priority=900),
        vpc_rule("web-any4", "22", "0.0.0.0/0"),
    ]
    assert writes(there, "tcp/22 from any4") == {"web-by-hand": "delete"}
    assert writes([*there, denial(980, OFFICE)], "tcp/22 from any4") == {
        "web-by-hand": f"update tcp/22 from {OFFICE}"
    }


def test_law3_what_moves_out_of_a_rule_before_a_denial_stays_before_it() -> None:
    """A new rule stands behind the denial, and so does the one that lets it in already."""
    there = [
        vpc_rule("web-v4-00000001", "80,8000", OFFICE, HOME, priority=900),
        vpc_rule("web-any4", "80", "0.0.0.0/0"),
    ]
    asked = ("tcp/80 from any4", f"tcp/8000 from {OFFICE}")
    assert writes(there, *asked) == {"web-v4-00000001": f"update tcp/8000 from {OFFICE}"}
    written = dict(writes([*there, denial(980, HOME)], *asked))
    assert written.pop("web-v4-00000001") == f"update tcp/8000 from {OFFICE}"
    ((name, moved),) = written.items()
    assert moved == f"insert tcp/80 from {HOME}"
    there = [
        vpc_rule("web-v4-00000001", "8000", OFFICE, priority=900),
        vpc_rule(name, "80", HOME, priority=900),
        vpc_rule("web-any4", "80", "0.0.0.0/0"),
        denial(980, HOME),
    ]
    assert writes(there, *asked) == {}, "law 4: and there it stays"


def test_a_rule_that_the_core_may_not_count_as_ours_stays_although_others_let_in_the_same() -> None:
    """In additive mode, say, or while a host is not known."""
    there = [
        vpc_rule("web-v4-00000001", "443", OFFICE),
        vpc_rule("web-any4", "443", "0.0.0.0/0"),
    ]
    kept = [VendorRule(rule.name, rule.matches, ours=False) for rule in there]
    assert writes(there, "tcp/443 from any4") == {"web-v4-00000001": "delete"}
    assert writes(there, "tcp/443 from any4", objects=kept) == {}


def test_law3_what_closes_of_a_rule_passes_no_denial_meanwhile() -> None:
    """It comes before our own denials, and would come before that of others with all its ports."""
    settings = GcpFirewall(target_tags=["web"], enforce="deny-others", name="web")
    spec = replace(SPEC, settings=settings)
    there = [vpc_rule("web-v4-00000001", "443,8000-8010", OFFICE, priority=1000)]
    own = vpc_rule(
        "web-deny4", "", *DENIED["4"].cidrs(), priority=990, allowed=[], denied=EVERYTHING
    )
    moved = ["update tcp/443 from 203.0.113.0/24; tcp/8000-8010 from 203.0.113.0/24"]
    for others, sent in (
        ([], [*moved, f"update tcp/443 from {OFFICE}"]),
        ([denial(960, OFFICE)], [f"insert tcp/443 from {OFFICE}", "delete"]),
        ([own], [f"insert tcp/443 from {OFFICE}", "delete"]),
    ):
        rules = [*there, *others]
        firewall = firewall_of(spec, rules, owners(rules, [spec]))
        before = RuleSet.union(owned.effect for owned in firewall.owned)
        target = Target(spec, meant(listed(OFFICE)), reapply=True, asked=asked_for(listed(OFFICE)))
        steps = provider.plan_steps(Present("web", before, MARK, native=firewall), target)
        assert [text for name, text in sent_by(steps) if "deny" not in name] == sent


def test_all_of_a_protocol_can_be_said_and_a_part_of_it_for_tcp_and_udp_only() -> None:
    assert not inexpressible(meant("sctp/1-65535", "udp/53", "icmp from any4", "143"))
    world = meant("all from 192.0.2.1", "icmp/8 from any4", "sctp/3868", "tcp/22")
    partly = meant("icmp/8 from any4", "sctp/3868") - meant("all from 192.0.2.1")
    assert inexpressible(world) == partly
