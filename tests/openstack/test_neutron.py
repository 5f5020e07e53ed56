"""The provider against a real Neutron: what is asked, what is written, what is left alone."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudsync.provider.contract import (
    Absent,
    Account,
    Asked,
    FirewallSpec,
    Observation,
    Present,
    Refusal,
    Step,
    StepKind,
    Target,
    Unreadable,
)
from cloudsync.provider.errors import AuthError, Conflict, NotFound, Transient, Unsupported
from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule, RuleSet
from cloudsync.testing.language import meant, spelled
from cloudsync_openstack import provider
from cloudsync_openstack.reader import OpenStackReader
from cloudsync_openstack.settings import OpenStackAccount, OpenStackFirewall
from tests.doubles.http import Fault
from tests.openstack.cloud import Json, by_hand, lets_in, tag_of
from tests.openstack.proxy import NeutronProxy

pytestmark = pytest.mark.emulator
MARKER = Marker("shop", "web", "c4719afa")
SSH = "tcp/22"


def account_of(proxy: NeutronProxy, seconds: float = 30.0) -> Account:
    settings = OpenStackAccount(
        endpoint=proxy.endpoint, anonymous=True, project_id=proxy.project.id
    )
    return Account("vendor", settings, Path(), time.monotonic() + seconds)


def spec_of(name: str = "web", **settings: Any) -> FirewallSpec:
    if "id" not in settings:
        settings.setdefault("name", name)
    marker = Marker(MARKER.owner, name, MARKER.hosts)
    return FirewallSpec(name, OpenStackFirewall(**settings), marker, ("web-1",))


def read(proxy: NeutronProxy, spec: FirewallSpec | None = None) -> Observation:
    spec = spec or spec_of()
    return provider.open_reader(account_of(proxy)).read([spec])[spec.name]


def there_is(proxy: NeutronProxy, *rules: str, tags: Sequence[str] = (), name: str = "web") -> Json:
    """A group made by hand."""
    group = proxy.project.add_group(name)
    if tags:
        proxy.project.tag(group["id"], *tags)
    proxy.project.add_rules(group["id"], [one for r in rules for one in by_hand(spelled(r))])
    return group


def target(spec: FirewallSpec, *rules: str, **more: Any) -> Target:
    """Those rules, asked for as they stand."""
    asked = [Rule.of(one.protocol, one.ports, one.sources) for one in map(spelled, rules)]
    return Target(
        spec,
        RuleSet.of(asked),
        asked=tuple(Asked(rule, "made by a test") for rule in asked),
        **more,
    )


def steps_to(proxy: NeutronProxy, spec: FirewallSpec, *rules: str, **more: Any) -> tuple[Step, ...]:
    observed = read(proxy, spec)
    assert isinstance(observed, Present | Absent), observed
    steps = provider.plan_steps(observed, target(spec, *rules, **more))
    assert not isinstance(steps, Refusal), steps
    return steps


def apply(proxy: NeutronProxy, spec: FirewallSpec, *rules: str, **more: Any) -> None:
    steps = steps_to(proxy, spec, *rules, **more)
    writer = provider.open_writer(account_of(proxy))
    for step in steps:
        writer.run(step)


def inbound(proxy: NeutronProxy, name: str = "web") -> list[Json]:
    group = proxy.project.group(name)
    assert group is not None
    return [rule for rule in group["security_group_rules"] if rule["direction"] == "ingress"]


# Reading


def test_twenty_groups_are_read_in_two_calls(proxy: NeutronProxy) -> None:
    proxy.project.quota(security_group=-1)
    specs = []
    for number in range(20):
        there_is(proxy, SSH, name=f"web-{number}")
        specs.append(spec_of(f"web-{number}"))
    found = provider.open_reader(account_of(proxy)).read(specs)
    assert all(isinstance(one, Present) and one.rules == meant(SSH) for one in found.values())
    assert sorted(call.path for call in proxy.calls) == [
        f"/v2.0/quotas/{proxy.project.id}/details.json",
        "/v2.0/security-groups",
    ]


def test_law1_an_empty_list_is_a_login_that_may_not_read_and_no_empty_project(
    proxy: NeutronProxy,
) -> None:
    there_is(proxy, SSH)
    proxy.roles = ""
    found = read(proxy)
    assert isinstance(found, Unreadable)
    assert isinstance(found.error, AuthError)
    assert "may not read its groups" in found.error.message


def test_a_group_of_another_project_is_never_ours(proxy: NeutronProxy, neutron: int) -> None:
    with NeutronProxy(neutron) as other:
        there_is(other, SSH)
        assert isinstance(read(proxy), Absent)


def test_a_name_that_two_groups_have_is_not_guessed(proxy: NeutronProxy) -> None:
    first, second = there_is(proxy, SSH), there_is(proxy, "tcp/80")
    found = read(proxy)
    assert isinstance(found, Unreadable)
    assert isinstance(found.error, Conflict)
    assert first["id"] in found.error.message
    assert second["id"] in found.error.message
    by_id = read(proxy, spec_of(id=second["id"]))
    assert isinstance(by_id, Present)
    assert by_id.rules == meant("tcp/80")


def test_an_id_that_is_not_there_is_an_error_and_creates_nothing(proxy: NeutronProxy) -> None:
    found = read(proxy, spec_of(id="0badcafe-0000-4000-8000-000000000000"))
    assert isinstance(found, Unreadable)
    assert isinstance(found.error, NotFound)


def test_pages_that_begin_again_are_no_answer(proxy: NeutronProxy) -> None:
    """Neutron answers a marker that is gone with the first page again."""
    there_is(proxy, SSH)
    proxy.page = 1
    asked = proxy.handle

    def deleted_meanwhile(request: Any) -> Any:
        request.query.pop("marker", None)
        return asked(request)

    proxy.handle = deleted_meanwhile  # type: ignore[method-assign]
    found = provider.open_reader(account_of(proxy, 3)).read([spec_of()])["web"]
    assert isinstance(found, Unreadable)
    assert isinstance(found.error, Transient)


@pytest.mark.parametrize("prefix", [None, "0.0.0.0/0"])
def test_both_spellings_of_any_address_are_one_meaning(
    prefix: str | None, proxy: NeutronProxy
) -> None:
    group = there_is(proxy)
    rule = {"ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
    proxy.project.add_rules(group["id"], [{**rule, "remote_ip_prefix": prefix}])
    found = read(proxy)
    assert isinstance(found, Present)
    assert found.rules == meant("tcp/22 from 0.0.0.0/0")


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        ({"protocol": "6", "port_range_min": 22, "port_range_max": 22}, "tcp/22"),
        ({"protocol": "TCP"}, "tcp/1-65535"),
        ({"protocol": "any"}, "all"),
        ({"protocol": "50"}, "esp"),
        ({"protocol": "icmp", "port_range_min": 3, "port_range_max": 4}, "icmp/3/4"),
        ({"protocol": "icmp", "port_range_min": 8}, "icmp/8"),
        ({"protocol": "sctp", "port_range_min": 9, "port_range_max": 10}, "sctp/9-10"),
        ({"protocol": "pgm"}, "113"),
        ({"protocol": "vrrp"}, "vrrp"),
        ({"protocol": "0"}, "all"),
        ({"protocol": "hopopt"}, "all"),
    ],
)
def test_a_protocol_is_understood_however_it_is_spelled(
    written: Json, meaning: str, proxy: NeutronProxy
) -> None:
    group = there_is(proxy)
    rule = {"ethertype": "IPv4", "remote_ip_prefix": "198.51.100.7/24", **written}
    proxy.project.add_rules(group["id"], [rule])
    found = read(proxy)
    assert isinstance(found, Present)
    assert found.rules == meant(f"{meaning} from 198.51.100.0/24")


@pytest.mark.parametrize("protocol", ["icmp", "icmpv6", "ipv6-icmp", "58", "1"])
def test_every_icmp_of_an_ipv6_rule_is_icmpv6(protocol: str, proxy: NeutronProxy) -> None:
    group = there_is(proxy)
    proxy.project.add_rules(group["id"], [{"ethertype": "IPv6", "protocol": protocol}])
    found = read(proxy)
    assert isinstance(found, Present)
    assert found.rules == meant("icmpv6 from ::/0")


# Writing


def test_any_number_of_rules_is_one_call_and_every_rule_that_goes_another(
    proxy: NeutronProxy,
) -> None:
    there_is(proxy, SSH, "tcp/8080", "udp/53 from 203.0.113.0/24", tags=[tag_of(MARKER)])
    wanted = [SSH, *(f"tcp/{9000 + 2 * n}" for n in range(10))]
    apply(proxy, spec_of(), *wanted)
    writes = [f"{call.method} {call.path.split('/')[2]}" for call in proxy.writes()]
    assert sorted(writes) == ["DELETE security-group-rules"] * 3 + ["POST security-group-rules"]
    assert read(proxy).rules == meant(*wanted)  # type: ignore[union-attr]


def test_law4_a_rule_that_fits_keeps_its_id_and_its_words(proxy: NeutronProxy) -> None:
    there_is(proxy, "tcp/80-90 # by hand", "tcp/443", tags=[tag_of(MARKER)])
    before = {rule["id"] for rule in inbound(proxy)}
    apply(proxy, spec_of(), "tcp/80-90", "tcp/443", "tcp/8443 from 203.0.113.0/24")
    after = {rule["id"]: rule for rule in inbound(proxy)}
    assert before < after.keys()
    assert len(after) == len(before) + 1
    assert sum(rule["description"] == "by hand" for rule in after.values()) == 2


def test_law4_what_is_written_is_what_was_asked_for(proxy: NeutronProxy) -> None:
    apply(proxy, spec_of(), SSH, "tcp/8000-8010 from 203.0.113.0/24", "icmp/8 from 0.0.0.0/0")
    shown = {
        (
            r["ethertype"],
            r["protocol"],
            r["port_range_min"],
            r["port_range_max"],
            r["remote_ip_prefix"],
        )
        for r in inbound(proxy)
    }
    assert shown == {
        ("IPv4", "tcp", 22, 22, "0.0.0.0/0"),
        ("IPv6", "tcp", 22, 22, "::/0"),
        ("IPv4", "tcp", 8000, 8010, "203.0.113.0/24"),
        ("IPv4", "icmp", 8, None, "0.0.0.0/0"),
    }
    assert {rule["description"] for rule in inbound(proxy)} == {"made by a test"}


def test_what_goes_out_and_what_is_no_network_stays_as_it_is(proxy: NeutronProxy) -> None:
    group = there_is(proxy, SSH, "tcp/80", tags=[tag_of(MARKER)])
    others = [
        {"ethertype": "IPv4", "protocol": "tcp", "remote_group_id": group["id"]},
        {"direction": "egress", "ethertype": "IPv4", "protocol": "udp"},
    ]
    proxy.project.add_rules(group["id"], others)
    found = read(proxy)
    assert isinstance(found, Present)
    assert [kept.summary for kept in found.kept] == [f"tcp/1-65535 from the group {group['id']}"]
    before = proxy.project.group("web")
    assert before is not None
    spared = [
        rule
        for rule in before["security_group_rules"]
        if rule["direction"] == "egress" or rule["remote_group_id"]
    ]
    apply(proxy, spec_of(), SSH)
    after = proxy.project.group("web")
    assert after is not None
    assert all(rule in after["security_group_rules"] for rule in spared)
    assert lets_in(after) == meant(SSH)


def test_law3_one_rule_that_is_there_already_and_none_is_added(proxy: NeutronProxy) -> None:
    group = there_is(proxy, SSH, tags=[tag_of(MARKER)])
    steps = steps_to(proxy, spec_of(), SSH, "tcp/80", "tcp/443")
    proxy.project.add_rules(group["id"], by_hand(spelled("tcp/443 from 0.0.0.0/0")))
    with pytest.raises(Conflict, match="SecurityGroupRuleExists") as error:
        provider.open_writer(account_of(proxy)).run(steps[0])
    assert not error.value.fate_unknown
    assert read(proxy).rules == meant(SSH, "tcp/443 from 0.0.0.0/0")  # type: ignore[union-attr]


def test_a_rule_that_is_gone_already_is_as_it_should_be(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, "tcp/80", tags=[tag_of(MARKER)])
    steps = steps_to(proxy, spec_of(), SSH)
    gone = next(rule for rule in inbound(proxy) if rule["port_range_min"] == 80)
    proxy.project.delete_rule(gone["id"])
    provider.open_writer(account_of(proxy)).run(steps[0])
    assert read(proxy).rules == meant(SSH)  # type: ignore[union-attr]


def test_a_group_that_is_deleted_meanwhile_is_a_conflict(proxy: NeutronProxy) -> None:
    group = there_is(proxy, SSH, tags=[tag_of(MARKER)])
    steps = steps_to(proxy, spec_of(), SSH, "tcp/80")
    proxy.project.ask("DELETE", f"security-groups/{group['id']}")
    with pytest.raises(Conflict, match="SecurityGroupNotFound"):
        provider.open_writer(account_of(proxy)).run(steps[0])


def test_inbound_rules_that_the_cloud_gives_a_new_group_are_not_left_open(
    proxy: NeutronProxy,
) -> None:
    operator = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    proxy.given = ({**operator, "port_range_min": 3389, "port_range_max": 3389},)
    apply(proxy, spec_of(), SSH)
    assert read(proxy).rules == meant(SSH)  # type: ignore[union-attr]
    assert any(lets_in.covers(meant("tcp/3389 from 0.0.0.0/0")) for _, lets_in in proxy.history)


# What cannot be said


@pytest.mark.parametrize(
    "rule", ["hopopt from 203.0.113.0/24", "icmp from 2001:db8::/32", "ipv6-frag from 0.0.0.0/0"]
)
def test_law7_what_neutron_would_let_in_wider_is_refused(rule: str, proxy: NeutronProxy) -> None:
    observed = read(proxy)
    assert isinstance(observed, Absent)
    refused = provider.plan_steps(observed, target(spec_of(), SSH, rule))
    assert isinstance(refused, Refusal)
    assert rule.split()[0] in refused.reason


@pytest.mark.parametrize("protocol", ["esp", "ah", "gre", "vrrp", "143", "255", "udplite/9-10"])
def test_every_other_protocol_can_be_said(protocol: str, proxy: NeutronProxy) -> None:
    apply(proxy, spec_of(), SSH, f"{protocol} from 203.0.113.0/24")
    assert read(proxy).rules == meant(SSH, f"{protocol} from 203.0.113.0/24")  # type: ignore[union-attr]


def test_the_quota_is_told_with_its_numbers_before_anything_is_written(
    proxy: NeutronProxy,
) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    used = proxy.project.details()["security_group_rule"]["used"]
    proxy.project.quota(security_group_rule=used + 3)
    refused = provider.plan_steps(
        read(proxy),  # type: ignore[arg-type]
        target(spec_of(), SSH, "tcp/80", "tcp/443"),
    )
    assert isinstance(refused, Refusal)
    numbers = f"{used} of {used + 3} rules are used and 4 are to be added"
    assert f"{numbers}: 1 too many, even after all closings" in refused.reason


def test_at_quota_what_nothing_needs_goes_first(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, "tcp/80", tags=[tag_of(MARKER)])
    used = proxy.project.details()["security_group_rule"]["used"]
    proxy.project.quota(security_group_rule=used)
    steps = steps_to(proxy, spec_of(), SSH, "tcp/443", ssh=meant(SSH))
    assert [step.kind for step in steps] == [StepKind.NARROW, StepKind.WIDEN]
    writer = provider.open_writer(account_of(proxy))
    for step in steps:
        writer.run(step)
        assert lets_in(proxy.project.group("web")) == step.after
    assert read(proxy).rules == meant(SSH, "tcp/443")  # type: ignore[union-attr]


def test_at_quota_fewer_rules_that_say_the_same_are_written(proxy: NeutronProxy) -> None:
    quarter, half = "udp/53 from 203.0.113.0/26", "udp/53 from 203.0.113.128/25"
    there_is(proxy, SSH, quarter, tags=[tag_of(MARKER)])
    used = proxy.project.details()["security_group_rule"]["used"]
    proxy.project.quota(security_group_rule=used + 1)
    wanted = (SSH, quarter, "udp/53 from 203.0.113.64/26", half)
    steps = steps_to(proxy, spec_of(), *wanted, ssh=meant(SSH))
    assert [step.kind for step in steps] == [StepKind.WIDEN, StepKind.NARROW]
    assert [touched.target for touched in steps[1].touches] == [quarter]
    writer = provider.open_writer(account_of(proxy))
    for step in steps:
        writer.run(step)
        assert lets_in(proxy.project.group("web")) == meant(*wanted)
    sources = [rule["remote_ip_prefix"] for rule in inbound(proxy) if rule["protocol"] == "udp"]
    assert sources == ["203.0.113.0/24"]


# The marker


def test_the_marker_is_one_tag_and_the_tags_of_others_stay(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=["team-a", "cloudsync:shop:web:0badcafe"])
    found = read(proxy)
    assert isinstance(found, Present)
    assert found.marker == Marker("shop", "web", "0badcafe")
    apply(proxy, spec_of(), SSH, marker=MARKER)
    group = proxy.project.group("web")
    assert group is not None
    assert sorted(group["tags"]) == ["cloudsync:shop:web:c4719afa", "team-a"]


def test_a_created_group_is_marked_by_the_call_that_creates_it(proxy: NeutronProxy) -> None:
    """A run that dies after this call has left nothing that the next run takes for a stranger's."""
    steps = steps_to(proxy, spec_of(), SSH)
    proxy.fail(Fault("POST", "/v2.0/security-group-rules", "drop-before", times=99))
    with pytest.raises(Transient):
        provider.open_writer(account_of(proxy, 3)).run(steps[0])
    found = read(proxy)
    assert isinstance(found, Present)
    assert found.marker == MARKER


def test_on_a_cloud_without_tags_the_marker_is_in_the_description(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH)
    proxy.without = frozenset({"tags"})
    apply(proxy, spec_of(), SSH, marker=MARKER)
    group = proxy.project.group("web")
    assert group is not None
    assert group["description"] == "by hand [cloudsync:shop:web:c4719afa]"
    found = read(proxy)
    assert isinstance(found, Present)
    assert found.marker == MARKER
    apply(proxy, spec_of(), SSH, release=True)
    group = proxy.project.group("web")
    assert group is not None
    assert group["description"] == "by hand"


@pytest.mark.parametrize("moment", ["before", "while"])
def test_words_that_somebody_writes_meanwhile_are_not_written_over(
    moment: str, proxy: NeutronProxy
) -> None:
    path = f"security-groups/{there_is(proxy, SSH)['id']}"
    proxy.without = frozenset({"tags"})
    steps = steps_to(proxy, spec_of(), SSH, marker=MARKER)

    def somebody_writes() -> None:
        proxy.project.ask("PUT", path, {"security_group": {"description": "mine"}})

    if moment == "before":
        somebody_writes()
    else:
        proxy.fail(Fault("PUT", f"/v2.0/{path}", "meanwhile", action=somebody_writes))
    with pytest.raises(Conflict, match="412" if moment == "while" else "changed meanwhile"):
        provider.open_writer(account_of(proxy)).run(steps[0])
    group = proxy.project.group("web")
    assert group is not None
    assert group["description"] == "mine"


def test_of_two_markers_the_other_one_counts(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER), "cloudsync:blog:web:0badcafe"])
    found = read(proxy)
    assert isinstance(found, Present)
    assert found.marker == Marker("blog", "web", "0badcafe")


def test_a_released_group_has_no_marker_anywhere(proxy: NeutronProxy) -> None:
    apply(proxy, spec_of(), SSH)
    apply(proxy, spec_of(), SSH, release=True)
    group = proxy.project.group("web")
    assert group is not None
    assert group["tags"] == []
    assert group["description"] == "managed by cloudsync"
    found = read(proxy)
    assert isinstance(found, Present)
    assert found.marker is None


# Attaching


def attach(proxy: NeutronProxy, spec: FirewallSpec, *rules: str) -> tuple[Any, ...]:
    """Attach what is missing; the attachments there were to make."""
    observed = read(proxy, spec)
    assert isinstance(observed, Present | Absent), observed
    missing = tuple(one for one in observed.attachments if not one.attached)
    apply(proxy, spec, *rules, attach=missing)
    return missing


def test_a_port_keeps_its_other_groups(proxy: NeutronProxy) -> None:
    port = proxy.project.add_port(proxy.project.add_network(), name="web-1")
    (attachment,) = attach(proxy, spec_of(ports=["web-1"]), SSH)
    assert attachment.target == f"port {port['id']}"
    assert attachment.reason is None
    group = proxy.project.group("web")
    assert group is not None
    now = proxy.project.get_port(port["id"])["security_groups"]
    assert set(now) == {*port["security_groups"], group["id"]}
    found = read(proxy, spec_of(ports=["web-1"]))
    assert isinstance(found, Present)
    assert [one.attached for one in found.attachments] == [True]


def test_a_server_is_attached_with_all_its_ports(proxy: NeutronProxy) -> None:
    network, server = proxy.project.add_network(), "5f6c6f2e-0000-4000-8000-000000000001"
    owner = {"device_id": server, "device_owner": "compute:nova"}
    ports = [proxy.project.add_port(network, **owner) for _ in range(2)]
    proxy.project.add_port(network, device_id=server, device_owner="network:dhcp")
    (attachment,) = attach(proxy, spec_of(servers=[server]), SSH)
    assert attachment.target == f"server {server}"
    group = proxy.project.group("web")
    assert group is not None
    attached = proxy.project.ports_of(group["id"])
    assert {port["id"] for port in attached} == {port["id"] for port in ports}


def test_law1_turning_port_security_on_needs_the_users_word(proxy: NeutronProxy) -> None:
    network = proxy.project.add_network()
    port = proxy.project.add_port(
        network, name="web-1", port_security_enabled=False, security_groups=[]
    )
    (attachment,) = attach(proxy, spec_of(ports=["web-1"]), SSH)
    assert "port security is off on web-1 and is turned on" in attachment.reason
    assert [machine.protected for machine in attachment.newly_covered] == [False]
    now = proxy.project.get_port(port["id"])
    group = proxy.project.group("web")
    assert group is not None
    assert (now["port_security_enabled"], now["security_groups"]) == (True, [group["id"]])


def test_a_port_that_changed_meanwhile_is_a_conflict_and_keeps_its_list(
    proxy: NeutronProxy,
) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    port = proxy.project.add_port(proxy.project.add_network(), name="web-1")
    spec = spec_of(ports=["web-1"])
    observed = read(proxy, spec)
    assert isinstance(observed, Present)
    steps = provider.plan_steps(observed, target(spec, SSH, attach=observed.attachments))
    assert not isinstance(steps, Refusal)
    proxy.project.ask("PUT", f"ports/{port['id']}", {"port": {"security_groups": []}})
    with pytest.raises(Conflict, match="412"):
        provider.open_writer(account_of(proxy)).run(steps[-1])
    assert proxy.project.get_port(port["id"])["security_groups"] == []


def test_on_a_cloud_without_revisions_a_changed_list_is_seen_all_the_same(
    proxy: NeutronProxy,
) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    port = proxy.project.add_port(proxy.project.add_network(), name="web-1")
    proxy.without = frozenset({"revision_number"})
    spec = spec_of(ports=["web-1"])
    observed = read(proxy, spec)
    assert isinstance(observed, Present)
    steps = provider.plan_steps(observed, target(spec, SSH, attach=observed.attachments))
    assert not isinstance(steps, Refusal)
    proxy.project.ask("PUT", f"ports/{port['id']}", {"port": {"security_groups": []}})
    with pytest.raises(Conflict, match="changed meanwhile"):
        provider.open_writer(account_of(proxy)).run(steps[-1])
    attach(proxy, spec, SSH)
    assert len(proxy.project.get_port(port["id"])["security_groups"]) == 1


@pytest.mark.parametrize("key", ["ports", "servers"])
def test_what_cannot_be_attached_to_is_named(key: str, proxy: NeutronProxy) -> None:
    found = read(proxy, spec_of(**{key: ["nowhere"]}))
    assert isinstance(found, Unreadable)
    assert isinstance(found.error, NotFound)


# The group `default`


def test_the_default_group_is_adopted_with_a_warning(proxy: NeutronProxy) -> None:
    spec = spec_of("default")
    steps = steps_to(proxy, spec, SSH, marker=MARKER)
    assert "every port that is created without a list of groups gets it" in str(steps[0].warning)
    apply(proxy, spec, SSH, marker=MARKER)
    found = read(proxy, spec)
    assert isinstance(found, Present)
    assert found.rules == meant(SSH)
    assert len(found.kept) == 2, "it lets in what has it too, in both families"


def test_a_rule_of_a_family_that_nobody_knows_is_not_guessed(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH)
    asked = proxy.handle

    def tomorrow(request: Any) -> Any:
        status, answer = asked(request)
        for group in answer.get("security_groups", ()):
            for rule in group["security_group_rules"]:
                rule["ethertype"] = rule["ethertype"].replace("IPv6", "IPv7")
        return status, answer

    proxy.handle = tomorrow  # type: ignore[method-assign]
    found = read(proxy)
    assert isinstance(found, Unreadable)
    assert isinstance(found.error, Unsupported)


def test_no_connection_waits_for_garbage_to_be_looked_for(proxy: NeutronProxy) -> None:
    """`watch` runs for months: what a run opened is closed when it is over."""
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    gc.disable()
    try:
        reader = provider.open_reader(account_of(proxy))
        assert isinstance(reader, OpenStackReader)
        reader.read([spec_of()])
        reader.read_machines([spec_of()])
        login = weakref.ref(reader.api)
        del reader
        assert login() is None
    finally:
        gc.enable()
