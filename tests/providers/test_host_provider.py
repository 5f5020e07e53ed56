"""What the provider plans and how it spells it: pure, without a kernel."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.planning.exposure import Open, evaluate
from cloudsync.provider.contract import (
    Absent,
    Asked,
    Attachment,
    FirewallSpec,
    Present,
    Refusal,
    Step,
    StepKind,
    Target,
)
from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule, RuleSet
from cloudsync_host import provider
from cloudsync_host.elements import (
    WIDE,
    Element,
    comment_of,
    element_from,
    elements_of,
    rules_of,
    settled,
    vendor_rule,
)
from cloudsync_host.exposure import fleet
from cloudsync_host.listing import UnknownListing, table_from
from cloudsync_host.machine import Seen, uplinks_of
from cloudsync_host.native import Observed
from cloudsync_host.settings import HostFirewall, address_of
from tests.effort import examples
from tests.world import rules

MARK = Marker("shop", "web", "c4719afa")
WHAT = (
    "tcp/443",
    "tcp/1-1024",
    "tcp/80-90",
    "udp/53",
    "sctp/3868",
    "icmp/8",
    "icmp/3/4-5/0",
    "esp",
    "all",
)
FROM = ("0.0.0.0/0", "192.0.2.0/31", "192.0.2.1", "10.0.0.0/8", "203.0.113.0/24")
rule_sets = st.lists(
    st.builds("{} from {}".format, st.sampled_from(WHAT), st.sampled_from(FROM)), max_size=6
).map(lambda texts: rules(*texts))


def spec(enforce: str = "enforce", engines: tuple[str, ...] = (), **keys: object) -> FirewallSpec:
    keys = {"enforce": enforce, "interfaces": ["eth0"], "save": "off", **keys}
    return FirewallSpec("web", HostFirewall.model_validate(keys), MARK, ("web-1",), engines)


def written(wanted: RuleSet) -> tuple[Element, ...]:
    return tuple(element for rule in wanted for element in elements_of(rule))


def disjoint(elements: tuple[Element, ...]) -> bool:
    """As the kernel wants it, set by set."""
    return not any(
        a.set == b.set and a.rules & b.rules
        for n, a in enumerate(elements)
        for b in elements[n + 1 :]
    )


@settings(max_examples=examples(150))
@given(rule_sets)
def test_law7_elements_mean_exactly_their_rules_and_never_overlap(wanted: RuleSet) -> None:
    elements = written(wanted)
    assert rules_of(elements) == wanted
    assert disjoint(elements)


@settings(max_examples=examples(150))
@given(rule_sets, rule_sets, st.booleans())
def test_law4_what_fits_stays_and_the_rest_is_written_whole(
    before: RuleSet, wanted: RuleSet, made_by_us: bool
) -> None:
    present = written(before)
    ours = {vendor_rule(element).key for element in present} if made_by_us else set()
    after = settled(present, wanted, written(wanted), ours)
    assert rules_of(after) == wanted
    assert disjoint(after)
    if not made_by_us:
        staying = {element for element in present if wanted.covers(element.rules)}
        assert staying <= set(after)


def test_law4_a_rule_by_hand_is_still_there_under_a_wider_one_and_after_it() -> None:
    by_hand = written(rules("tcp/8080 from 10.0.0.0/8"))
    both = settled(by_hand, rules("tcp/8080"), written(rules("tcp/8080")))
    assert by_hand[0] in both
    assert {element.set for element in both} == {"open4", WIDE + "open4", "open6"}
    later = settled(
        both, rules("tcp/8080 from 10.0.0.0/8"), written(rules("tcp/8080 from 10.0.0.0/8"))
    )
    assert later == by_hand


def test_an_element_of_ours_gives_way_to_a_wider_one() -> None:
    narrow = written(rules("tcp/22 from 203.0.113.0/24"))
    after = settled(narrow, rules("tcp/22"), written(rules("tcp/22")), {vendor_rule(narrow[0]).key})
    assert sorted(element.text for element in after) == ["6 . 22 . 0.0.0.0/0", "6 . 22 . ::/0"]


@settings(max_examples=examples(100))
@given(rule_sets)
def test_what_nft_lists_is_read_as_what_was_written(wanted: RuleSet) -> None:
    for element in written(wanted):
        fields = [_json(field) for field in element.key]
        raw = {"elem": {"val": {"concat": fields}, "counter": {"packets": 7, "bytes": 1}}}
        read = element_from(element.set, json.loads(json.dumps(raw)))
        assert (read, read.rules, read.packets) == (element, element.rules, 7)


def _json(field: str) -> object:
    if "/" in field:
        address, _, length = field.partition("/")
        return {"prefix": {"addr": address, "len": int(length)}}
    if "." in field or ":" in field:
        return field
    first, _, last = field.partition("-")
    return {"range": [int(first), int(last)]} if last else int(first)


def test_comments_are_what_nft_reads_back() -> None:
    assert comment_of('web "x" \\ ü') == "web ?x? ? ?"
    assert len(comment_of("x" * 500)) <= 128


def steps(observed: Present | Absent, target: Target) -> tuple[Step, ...]:
    planned = provider.plan_steps(observed, target)
    assert not isinstance(planned, Refusal), planned
    return planned


def absent(of: FirewallSpec) -> Absent:
    settings_ = of.settings
    assert isinstance(settings_, HostFirewall)
    return Absent(native=Observed(Seen(None, ("eth0",)), settings_))


def test_law2_a_new_table_lets_ssh_in_before_it_drops_anything() -> None:
    firewall, wanted = spec(), rules("tcp/22", "tcp/443")
    attach = (Attachment("machine web-1", attached=False),)
    target = Target(firewall, wanted, ssh=rules("tcp/22"), attach=attach, marker=MARK)
    create, enforce = steps(absent(firewall), target)
    assert (create.kind, create.after, create.attaches) == (StepKind.REPLACE, wanted, ())
    assert (enforce.kind, enforce.attaches) == (StepKind.ATTACH, ("machine web-1",))
    assert "on trial for 60 s" in enforce.summary


def test_a_table_that_observes_is_created_in_one_step() -> None:
    firewall = spec("observe")
    target = Target(
        firewall, rules("tcp/22"), marker=MARK, asked=(Asked(next(iter(rules("tcp/22")))),)
    )
    (create,) = steps(absent(firewall), target)
    assert "drops nothing yet" in create.summary


def test_law7_an_icmp_type_of_the_other_family_is_refused() -> None:
    firewall = spec()
    wrong = RuleSet.of([Rule.of("icmpv6", "128", ["0.0.0.0/0"])])
    refusal = provider.plan_steps(absent(firewall), Target(firewall, wrong, marker=MARK))
    assert isinstance(refusal, Refusal)
    assert "does not exist in IPv4" in refusal.reason


def test_the_machine_is_the_one_of_the_engine_unless_it_is_said() -> None:
    assert address_of(spec()) == "local"
    assert address_of(spec(engines=("unix:///var/run/docker.sock",))) == "local"
    assert address_of(spec(engines=("ssh://deploy@web-1",))) == "ssh://deploy@web-1"
    assert address_of(spec(engines=("tcp://10.0.0.1:2376",))) == ""
    assert address_of(spec(engines=("shop",))) == ""
    assert address_of(spec(engines=("shop",), address="ssh://web-1")) == "ssh://web-1"


def test_uplinks_are_the_interfaces_of_a_default_route() -> None:
    v4 = "eth0 00000000 0102A8C0 0003 0 0 100 00000000 0 0 0"
    other = "eth1 0002A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0"
    zero = "0" * 32
    v6 = f"{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 00000003     wan6"
    unreachable = f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo"
    assert uplinks_of([v4, other, v6, unreachable]) == ("eth0", "wan6")


@pytest.mark.parametrize(
    "listing",
    [
        "",
        "{}",
        '{"nftables": []}',
        '{"nftables": [{"table": {"family": "ip", "name": "nat"}}]}',
        (
            '{"nftables": [{"table": {"family": "inet", "name": "cloudsync"}}, {"set": {"name":'
            ' "open4", "elem": [{"elem": {"val": {"concat": ["x", 1, "y"]}}}]}}]}'
        ),
    ],
)
def test_law1_a_listing_that_cannot_be_understood_is_not_an_empty_table(listing: str) -> None:
    with pytest.raises(UnknownListing):
        table_from(listing)


@pytest.mark.parametrize(
    ("keys", "unfiltered"),
    [
        ({"interfaces": "uplinks"}, ()),
        ({"interfaces": "all"}, ()),
        ({"interfaces": ["eth0", "eth1"]}, ()),
        ({"interfaces": ["eht0"]}, ("eth0", "eth1")),
        ({"interfaces": ["eth0"]}, ("eth1",)),
        ({"interfaces": "all", "trusted": ["eth1"]}, ("eth1",)),
    ],
)
def test_an_uplink_that_is_not_filtered_is_said_to_be_open(
    keys: dict[str, object], unfiltered: tuple[str, ...]
) -> None:
    """A misspelt interface must not look like a wall."""
    table = table_from(
        json.dumps({"nftables": [{"table": {"family": "inet", "name": "cloudsync"}}]})
    )
    seen = Seen(table, ("eth0", "eth1"))
    (machine,) = fleet([spec(**keys)], {"web": seen}).machines
    apart = [link for link in machine.interfaces if link.name != "uplinks"]
    assert tuple(link.name for link in apart) == unfiltered
    assert all(isinstance(evaluate(link.stages), Open) for link in apart)
