"""Firewalls as people really have them are taken over, changed, and a port is taken out again: what
stays is as it was, and no more rules are left than an expert would leave.

The numbers are written down by hand, rule by rule of what a person would do: keep every rule that
fits, write what is asked for as it is asked for, take away what must go. Rules of other people that
a wider one covers stay; they close with the port.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloudsync.model.plan import Plan
from cloudsync.rules import RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.families import meaningful
from tests.brownfield.shop import NAME, Shop, on_screen
from tests.brownfield.vendors import CASES, WHERE, Shown, Vendor, acts_on, vendor_of

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(not CASES.is_dir(), reason=WHERE),
]


@dataclass(frozen=True)
class Expected:
    """What an expert leaves. `rules`: of the whole account, after the first configuration and after
    the second."""

    rules: tuple[int, ...]
    words: str = "adopt"
    """What the user confirms with the first apply."""
    later: str = ""
    """What the user confirms with the second."""
    ends: tuple[int, ...] = (0, 0)
    guards: tuple[str, ...] = ()
    """Guards that refuse something at the first apply, all words given."""
    asks: tuple[str, ...] = ()
    """Guards that ask for the words."""


EXPECTED = {
    # AWS: a rule for each network. 22, 443, 80 from everywhere are two rules each.
    "aws-additive": Expected((6, 6)),
    "aws-all-tcp": Expected((6, 4)),
    "aws-all-tcp-want30": Expected((60,)),
    "aws-all-tcp-want4": Expected((8,)),
    "aws-all-tcp-want5": Expected((10,)),
    # 22, 80, 443, and pings of both families, which policy.icmp keeps.
    "aws-all-traffic": Expected((8, 6)),
    "aws-all-traffic-allowed": Expected((8,)),
    "aws-all-traffic-office": Expected((5,)),
    "aws-all-traffic-v4-icmpnone": Expected((6,)),
    "aws-behind-alb": Expected((5,)),
    "aws-cf-all-tcp": Expected((17,)),
    "aws-cfn-tags": Expected((4,)),
    "aws-default-sg": Expected((7, 7), ends=(3, 3), guards=("unlisted-machines",)),
    "aws-delete-all": Expected((8, 2), later="6"),
    "aws-icmp-mix": Expected((7, 4)),
    # The internal rule stays, beside 8080 for everybody and after it.
    "aws-internal-then-close": Expected((7, 5)),
    "aws-launch-wizard": Expected((6, 4)),
    # 57 customers' rules for 443 stay although 443 is open to everybody: they fit.
    "aws-nearly-full": Expected((63,)),
    "aws-office-slash32-new": Expected((6,), words=""),
    "aws-overlap-ranges": Expected((8, 5)),
    "aws-own-private-allow": Expected((5, 4), words=""),
    "aws-own-private-deny": Expected((5, 4), words=""),
    "aws-own-private-ssh": Expected((4, 3), words="", later="ssh-moved"),
    "aws-own-widen": Expected((3, 4), words=""),
    "aws-quota-all-or-nothing": Expected((2,), ends=(3,), guards=("unsupported",)),
    "aws-shared-who": Expected((7,), ends=(3,), guards=("unlisted-machines",)),
    "aws-ssh-2222": Expected((4,), words="adopt ssh-moved", asks=("ssh-moved",)),
    "aws-ssh-wide-to-office": Expected(
        (3, 3), words="adopt ssh-moved", later="ssh-moved", asks=("ssh-moved",)
    ),
    "aws-tfmodule-web": Expected((6, 4)),
    # Two prefix lists of others let Cloudflare in already.
    "big-aws-prefixlist": Expected((3,)),
    "big-odd4-aws": Expected((1,), ends=(3,), guards=("unsupported",)),
    "big-row60-aws": Expected((23,)),
    # DigitalOcean and Hetzner: a rule has many networks.
    "big-odd4-hetzner": Expected((5,)),
    "big-odd60-digitalocean": Expected((1,), ends=(3,), guards=("unsupported",)),
    "big-odd60-hetzner": Expected((1,), ends=(3,), guards=("unsupported",)),
    "big-row60-digitalocean": Expected((2,)),
    "digitalocean-own-private-allow": Expected((3, 2), words="attach"),
    "do-additive": Expected((4, 4)),
    "do-all-ports": Expected((4, 3)),
    "do-behind-lb": Expected((3,)),
    "do-cf-only": Expected((3, 2)),
    "do-console-default": Expected((3, 2)),
    "do-create-40": Expected((44,), words="attach"),
    "do-fragments-left-open": Expected((4, 3), words="attach"),
    "do-internal-own": Expected((4, 3), words="attach"),
    "do-k8s-tags": Expected((3,)),
    "do-lb-any-mixed": Expected((2, 2)),
    "do-mixed-25": Expected((26,)),
    "do-nearly-full": Expected((3,)),
    "do-office-slash32": Expected(
        (3, 2), words="adopt ssh-moved", later="ssh-moved", asks=("ssh-moved",)
    ),
    "do-own-created-force-replace": Expected((7, 6), words="attach"),
    "do-private-all": Expected((4, 3)),
    "do-rename-v": Expected((2,)),
    "do-shared-who": Expected((4,), ends=(3,), guards=("unlisted-machines",)),
    "hetzner-delete-all": Expected((4, 1), later="3"),
    "hetzner-own-private-allow": Expected((3, 2), words="attach"),
    "hz-additive": Expected((4, 4)),
    "hz-any-port": Expected((3, 2)),
    "hz-any-port-allowed": Expected((4,)),
    "hz-console-default": Expected((4, 3)),
    "hz-descriptions": Expected((8, 7)),
    "hz-descriptions-nochange": Expected((7,)),
    "hz-overlap": Expected((5, 3)),
    "hz-selector-shared": Expected((4, 4), ends=(3, 3), guards=("unlisted-machines",)),
    "hz-shared-who": Expected((4,), ends=(3,), guards=("unlisted-machines",)),
    "hz-ssh-wide-to-office": Expected(
        (2, 2), words="adopt ssh-moved", later="ssh-moved", asks=("ssh-moved",)
    ),
    "hz-two-firewalls": Expected((4, 3)),
    "hz-v4-only": Expected((3, 2)),
    # Google Cloud: a rule has all ports for its sources, which are of one family; a rule of others
    # for other machines is counted too, and never touched.
    # Four rules of the default network, SSH for the office, Cloudflare's IPv4 and IPv6.
    "big-odd4-gcp": Expected((7,), words=""),
    "big-row60-gcp": Expected((7,), words=""),
    # 443 for IPv6 is new; the rest is kept whatever is asked for.
    "gcp-additive": Expected((5, 5)),
    "gcp-adopt-2nd": Expected((3,), words=""),
    # Three rules of ours and one for IPv6, three of the neighbours.
    "gcp-adopt-neighbours": Expected((7,)),
    "gcp-adopt-own-rules": Expected((4, 3)),
    "gcp-all-instances-tagless": Expected((3,), words=""),
    "gcp-all-ports": Expected((2,)),
    "gcp-allow-all": Expected((2,)),
    "gcp-default-net": Expected((9, 7), words=""),
    # A denial for each family besides.
    "gcp-default-net-deny": Expected((11, 9), words="attach"),
    "gcp-deny-overridden": Expected((5,)),
    "gcp-deny-overridden-new": Expected((7,), words=""),
    "gcp-dest-ranges": Expected((5,)),
    "gcp-disabled": Expected((6, 5)),
    "gcp-egress-prefix": Expected((5,)),
    # The internal rule lets 80 in from inside: nothing of web-allow-http is left.
    "gcp-internal-all": Expected((5, 4)),
    "gcp-internal-port-then-close": Expected((5, 4)),
    "gcp-lb-iap-forgot": Expected((4,), words="adopt ssh-moved", asks=("ssh-moved",)),
    "gcp-log-sources-change": Expected((2, 2)),
    "gcp-mixed-sources": Expected((3,)),
    "gcp-pending-unknown": Expected((3,), words="", ends=(75,)),
    "gcp-prio-1000": Expected((4, 3)),
    "gcp-prio-1000-deny": Expected((5,)),
    # A denial under our prefix is somebody's decision: refused by name.
    "gcp-prio-deny": Expected((4,), ends=(3,), guards=("unsupported",)),
    "gcp-service-account": Expected((3,), words=""),
    "gcp-several-sources": Expected((4,)),
    "gcp-unknown-neighbours": Expected((7,), ends=(75,)),
}


def test_every_case_has_its_number() -> None:
    assert {path.name for path in CASES.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("case", sorted(EXPECTED))
def test_a_firewall_as_people_have_it(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = EXPECTED[case]
    with vendor_of(CASES / case) as vendor:
        for name, value in vendor.environment.items():
            monkeypatch.setenv(name, value)
        shop = Shop(CASES / case, vendor, tmp_path / "shop")
        if "adopt" in expected.words:
            _asks_first(shop, vendor, expected)
        _applied(shop, vendor, expected, 0)
        if shop.later:
            shop.now = "config-2.toml"
            _applied(shop, vendor, expected, 1)


def _asks_first(shop: Shop, vendor: Vendor, expected: Expected) -> None:
    """Without the words nothing is written, and the plan says which are missing."""
    before, written = vendor.shown(), vendor.written()
    code, report = shop.apply()
    assert code == 3
    ids = {guard.id for guard in report.plan.guards}
    assert {"ownership", *expected.asks} <= ids
    assert _same(vendor.shown(), before)
    assert vendor.written() == written


def _applied(shop: Shop, vendor: Vendor, expected: Expected, number: int) -> None:
    """One apply with the words given: what it leaves, and that nothing is left to do."""
    before = vendor.shown()
    words = (expected.words, expected.later)[number]
    plan = shop.plan(words)
    code, report = shop.apply(words)
    after = vendor.shown()
    assert code == expected.ends[number], [one.message for one in report.outcomes]
    if number == 0:
        assert tuple(guard.id for guard in plan.guards) == expected.guards
    assert len(after) <= expected.rules[number], _listed(after)
    if any(guard.withholds == "firewall" for guard in plan.guards):
        assert _same(after, before)
        return
    _what_stays_is_as_it_was(plan, before, after)
    _what_opens_and_closes_is_the_difference(plan, before, after)
    _private_is_as_it_was(plan, before, after)
    _one_line_a_rule(plan)
    written = vendor.written()
    again, _ = shop.apply()
    assert again in (0, 3, *expected.ends)
    assert vendor.written() == written, "a second apply wrote something"
    if not expected.guards:
        assert not shop.plan().has_changes


def _what_stays_is_as_it_was(plan: Plan, before: list[Shown], after: list[Shown]) -> None:
    """Every rule that lets in nothing that closed is still there, under its description, unless the
    plan named it as rewritten (a wider one of ours covers it)."""
    targets = " ".join(c.target or "" for f in plan.firewalls for c in f.changes)
    open_now: dict[str, RuleSet] = {}
    for rule in after:
        open_now[rule.firewall] = open_now.get(rule.firewall, RuleSet()) | rule.lets_in
    for rule in before:
        stays = open_now.get(rule.firewall, RuleSet()).covers(rule.lets_in)
        if stays and not all(str(part) in targets for part in rule.lets_in):
            found = [one for one in after if _is_it(rule, one)]
            assert found, f"{rule} is gone\n{_listed(after)}"


def _is_it(rule: Shown, later: Shown) -> bool:
    """The same rule later; it may let in more."""
    if rule.description.startswith("cloudsync owner="):  # ours, at Google: it gains ports
        same = (rule.firewall, rule.others) == (later.firewall, later.others)
        return same and later.lets_in.covers(rule.lets_in)
    return (
        (rule.firewall, rule.ports, rule.others) == (later.firewall, later.ports, later.others)
        # Google's descriptions begin with the owner mark.
        and later.description.endswith(rule.description)
        and later.lets_in.covers(rule.lets_in)
    )


def _what_opens_and_closes_is_the_difference(
    plan: Plan, before: list[Shown], after: list[Shown]
) -> None:
    """The sum of the changes is the exact difference of the sets."""
    (firewall,) = plan.firewalls
    known = {rule.firewall for rule in before}
    ids = {rule.firewall for rule in after} - known if firewall.id is None else {firewall.id}
    was = _union([rule for rule in before if _is_of(rule, ids, firewall.type)])
    now = _union([rule for rule in after if _is_of(rule, ids, firewall.type)])
    opens = RuleSet.of(c.rule for c in firewall.changes if c.action == "open" and c.rule)
    closes = RuleSet.of(c.rule for c in firewall.changes if c.action == "close" and c.rule)
    assert opens - was == now - was
    assert meaningful(closes) == meaningful(was - now)


def _is_of(rule: Shown, ids: set[str], vendor: str) -> bool:
    """Whether a rule is one of the firewall with this id; at Google Cloud by what it acts on."""
    return acts_on(rule, "web") if vendor == "gcp" else rule.firewall in ids


def _private_is_as_it_was(plan: Plan, before: list[Shown], after: list[Shown]) -> None:
    """Rules for private networks that are not ours stay; ours close by a change the plan shows."""
    shown = RuleSet.of(c.rule for f in plan.firewalls for c in f.changes if c.rule)
    was = RuleSet.of(p for r in before for p in r.lets_in if PRIVATE.covers(p.sources))
    now = _union(after)
    assert (now | shown).covers(was)


def _one_line_a_rule(plan: Plan) -> None:
    """No line lists what could be said shorter."""
    for line in on_screen(plan).splitlines():
        assert len(line) < 1400, line


def _union(rules: Iterable[Shown]) -> RuleSet:
    return RuleSet.of(part for rule in rules for part in rule.lets_in)


def _same(a: list[Shown], b: list[Shown]) -> bool:
    return sorted(map(repr, a)) == sorted(map(repr, b))


def _listed(rules: list[Shown]) -> str:
    return "\n".join(
        f"{' '.join(rule.ports)} {rule.description!r} {[str(one) for one in rule.lets_in]}"
        for rule in rules
    )


def test_the_name_of_every_firewall_is_the_one_the_helpers_grant() -> None:
    for path in CASES.glob("*/config.toml"):
        assert f"[firewalls.{NAME}]" in path.read_text()
