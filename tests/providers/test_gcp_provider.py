"""The provider `gcp` over HTTP, against the double: what it reads, how it writes, every failure
told."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from cloudsync.provider.contract import (
    Absent,
    Account,
    Description,
    Present,
    Refusal,
    Step,
    StepKind,
    Target,
    Unreadable,
)
from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    NotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_gcp import provider
from cloudsync_gcp.native import Writes
from cloudsync_gcp.settings import GcpAccount, GcpFirewall
from tests.doubles.compute import ComputeDouble, fault_body
from tests.doubles.gcp_shop import RULES, WAITS
from tests.doubles.http import Fault
from tests.providers.harness import Harness
from tests.world import rules

pytestmark = pytest.mark.emulator
MARK = Marker("shop", "web", "0123abcd")
WORDS = "cloudsync owner=shop firewall=web hosts=0123abcd"
ANY4, ANY6 = "cloudsync-web-any4", "cloudsync-web-any6"
SSH4 = {
    "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    "sourceRanges": ["0.0.0.0/0"],
    "targetTags": ["web"],
    "priority": 900,
    "description": WORDS,
}
SSH6 = SSH4 | {"sourceRanges": ["::/0"]}


@pytest.fixture
def cloud() -> Iterator[ComputeDouble]:
    with ComputeDouble() as double:
        yield double
        assert double.violations == []


class Project(Harness[ComputeDouble]):
    """One project."""

    provider = provider
    firewall_keys = {"target_tags": ["web"], "enforce": "allow"}

    def account(self, seconds: float = 20.0, **settings: Any) -> Account:
        own = {"project": self.cloud.project, "anonymous": True}
        return super().account(seconds, **(own | settings))

    def there(self) -> None:
        """SSH is open to everybody, by two rules of ours."""
        self.cloud.add_firewall(ANY4, **SSH4)
        self.cloud.add_firewall(ANY6, **SSH6)

    def requests(self) -> list[str]:
        """The request ids of all writes, as they were sent."""
        found = [
            call.query["requestId"][0]
            for call in self.cloud.writes()
            if not call.path.endswith("/wait")
        ]
        assert all(found)
        return found


@pytest.fixture
def project(cloud: ComputeDouble, monkeypatch: pytest.MonkeyPatch, quick_retries: None) -> Project:
    monkeypatch.setattr("cloudsync.provider.waiting.FIRST_SECONDS", 0.01)
    return Project(cloud)


# Meaning


def test_shuffled_rules_odd_spellings_and_numbers_are_the_same_meaning(
    project: Project, cloud: ComputeDouble
) -> None:
    hand = {"targetTags": ["web"], "priority": 900, "description": WORDS}
    entries = [
        {"IPProtocol": "UDP", "ports": ["1006-1010", "1000-1005"]},
        {"IPProtocol": "6", "ports": ["0-65535"]},
    ]
    cloud.add_firewall(
        "cloudsync-web-x", allowed=entries, sourceRanges=["10.128.0.0/9", "10.0.0.0/9"], **hand
    )
    cloud.add_firewall(
        "cloudsync-web-y", allowed=[{"IPProtocol": "58"}], sourceRanges=["2001:DB8::/32"], **hand
    )
    cloud.add_firewall(
        "cloudsync-web-z", allowed=[{"IPProtocol": "all"}], sourceRanges=["192.0.2.0/24"], **hand
    )
    assert project.present().rules == rules(
        "udp/1000-1010 from 10.0.0.0/8",
        "tcp/1-65535 from 10.0.0.0/8",
        "icmpv6 from 2001:db8::/32",
        "all from 192.0.2.0/24",
    )


def test_ipv6_that_comes_back_in_another_spelling_is_no_change(
    project: Project, cloud: ComputeDouble
) -> None:
    texts = ("tcp/22", "tcp/443 from 2001:db8:0:1::/64,2001:db8:1::/48")
    project.makes(*texts)
    cloud.odd_spelling = True
    assert project.present().rules == rules(*texts)
    assert project.present().pending == ()
    assert project.steps(*texts) == ()


def test_what_was_written_is_what_is_read_back(project: Project) -> None:
    texts = (
        "tcp/22",
        "tcp/443 from any6",
        "udp/1-65535 from 10.0.0.0/8",
        "icmp from any4",
        "icmpv6 from any6",
        "gre from 192.0.2.1",
        "esp from 192.0.2.1",
        "ah from 192.0.2.1",
        "ipip from 192.0.2.1",
        "143 from 192.0.2.1",
        "all from 198.51.100.0/24",
    )
    project.makes(*texts)
    assert project.present().rules == rules(*texts)
    assert project.steps(*texts) == ()


def test_everything_but_one_protocol_is_written_by_number(project: Project) -> None:
    wanted = rules("all from 192.0.2.1") - rules("tcp/1-65535 from 192.0.2.1") | rules("tcp/22")
    observed = project.read()
    assert isinstance(observed, Absent)
    steps = provider.plan_steps(observed, Target(project.spec, wanted, marker=MARK))
    assert isinstance(steps, tuple)
    for step in steps:
        provider.open_writer(project.account()).run(step)
    assert project.present().rules == wanted


@pytest.mark.parametrize(
    "text", ["sctp/3868", "icmp/8 from any4", "icmpv6/128 from any6", "udplite/53"]
)
def test_what_vpc_rules_cannot_say_is_refused_by_name(project: Project, text: str) -> None:
    refusal = provider.plan_steps(
        Absent(), Target(project.spec, rules("tcp/22", text), marker=MARK)
    )
    assert isinstance(refusal, Refusal)
    assert text.partition(" ")[0] in refusal.reason


def test_257_sources_are_two_rules_and_256_are_one(project: Project, cloud: ComputeDouble) -> None:
    def many(count: int) -> str:
        return "tcp/443 from " + ",".join(
            f"10.{n // 128}.{2 * (n % 128)}.0/24" for n in range(count)
        )

    project.there()
    project.makes("tcp/22", many(256))
    assert sorted(len(one["sourceRanges"]) for one in cloud.firewalls().values()) == [1, 1, 256]
    project.makes("tcp/22", many(257))
    assert sorted(len(one["sourceRanges"]) for one in cloud.firewalls().values()) == [1, 1, 1, 256]
    assert project.present().rules == rules("tcp/22", many(257))


def test_one_rule_a_source_set_and_family_with_all_its_ports(
    project: Project, cloud: ComputeDouble
) -> None:
    project.makes("tcp/22", "tcp/443", "udp/443", "tcp/8000-8010", "tcp/9100 from 203.0.113.0/24")
    ports = {
        name: [(one["IPProtocol"], one["ports"]) for one in rule["allowed"]]
        for name, rule in cloud.firewalls().items()
    }
    world = [("tcp", ["22", "443", "8000-8010"]), ("udp", ["443"])]
    (narrow,) = ports.keys() - {ANY4, ANY6}
    assert ports == {ANY4: world, ANY6: world, narrow: [("tcp", ["9100"])]}


def test_lists_really_clear(project: Project, cloud: ComputeDouble) -> None:
    """A rule that loses its networks keeps its tags; fields that are not known here stay too."""
    cloud.add_firewall(
        "cloudsync-web-x",
        **SSH4 | {"sourceRanges": ["203.0.113.0/24"], "sourceTags": ["db"], "priority": 7},
    )
    cloud.add_firewall(ANY4, **SSH4 | {"allowed": [{"IPProtocol": "tcp", "ports": ["22", "80"]}]})
    cloud.add_firewall(ANY6, **SSH6)
    project.makes("tcp/22 from 198.51.100.0/24", "tcp/22 from any6")
    rule = cloud.firewalls()["cloudsync-web-x"]
    assert "sourceRanges" not in rule
    assert (rule["sourceTags"], rule["priority"]) == (["db"], 7)
    assert ANY4 not in cloud.firewalls()


def test_descriptions_say_who_and_hold_no_control_characters(
    project: Project, cloud: ComputeDouble
) -> None:
    hostile = Description(rules("tcp/443"), "shop/web\x1b[31m\u202e" + "x" * 3000)
    project.makes("tcp/22", "tcp/443", descriptions=(hostile,))
    text = cloud.firewalls()[ANY4]["description"]
    assert text.startswith(f"{WORDS}: shop/web[31mxxx")
    assert len(text) == 2048


def test_a_rule_that_cannot_be_understood_is_unreadable_and_not_left_out(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    rule = cloud.firewalls()[ANY4] | {"allowed": [{"IPProtocol": "quic"}]}
    cloud.fail(Fault("GET", RULES, status=200, body={"items": [rule]}))
    observed = project.read()
    assert isinstance(observed, Unreadable)
    assert f"a rule that cannot be understood ('{ANY4}')" in observed.error.message


# Names and owners


def test_the_longest_prefix_that_fits_says_whose_a_rule_is(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.add_firewall(
        "cloudsync-web-api-any4", **SSH4 | {"description": WORDS.replace("=web", "=web-api")}
    )
    assert isinstance(project.read(project.named("web-api"), project.named("web")), Present)
    assert isinstance(project.read(project.named("web"), project.named("web-api")), Absent)
    assert isinstance(project.read(project.named("web")), Absent), (
        "its mark and its name belong to a longer prefix"
    )


def test_the_longest_name_of_a_firewall_makes_names_google_takes(
    project: Project, cloud: ComputeDouble
) -> None:
    name = "w" * 40
    project.spec = project.named(name)
    cloud.add_network("other")
    project.makes("tcp/22", "tcp/443 from 2001:db8::/32")
    long = next(one for one in cloud.firewalls() if "-v6-" in one)
    rule = cloud.firewalls()[long]
    cloud.remove_by_hand(long)
    cloud.add_firewall(
        long,
        network="global/networks/other",
        **{key: rule[key] for key in ("allowed", "sourceRanges", "targetTags")},
    )
    project.makes("tcp/22", "tcp/443 from 2001:db8::/32")
    assert max(map(len, cloud.firewalls())) == 63
    GcpFirewall(name="w" * 50, target_tags=["web"], enforce="allow")
    with pytest.raises(ValidationError):
        GcpFirewall(name="w" * 51, target_tags=["web"], enforce="allow")


def test_a_name_that_somebody_has_on_another_network_is_theirs_and_ours_gets_another(
    project: Project, cloud: ComputeDouble
) -> None:
    """Names are one in the project: theirs is in the same list."""
    cloud.add_network("other")
    cloud.add_firewall(ANY4, **SSH4 | {"network": "global/networks/other", "description": "theirs"})
    theirs = cloud.firewalls()[ANY4]
    project.makes("tcp/22")
    assert sorted(cloud.firewalls()) == [ANY4, f"{ANY4}b", ANY6]
    assert cloud.firewalls()[ANY4] == theirs
    project.makes("tcp/22", "tcp/443")
    assert sorted(cloud.firewalls()) == [ANY4, f"{ANY4}b", ANY6]


def test_two_source_sets_that_share_a_chunk_share_its_rule(project: Project) -> None:
    first = ",".join(f"10.{n}.0.0/24" for n in range(256))
    wanted = ("tcp/22", f"tcp/80 from {first}", f"tcp/443 from {first},203.0.113.0/24")
    project.makes(*wanted)
    assert project.present().rules == rules(*wanted)
    assert project.steps(*wanted) == ()


def test_a_name_that_is_taken_meanwhile_is_a_conflict(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.add_network("other")
    theirs = SSH4 | {"network": "global/networks/other", "description": "theirs"}
    steps = project.steps("tcp/22")
    cloud.add_firewall(ANY4, **theirs)
    with pytest.raises(Conflict, match="alreadyExists"):
        provider.open_writer(project.account()).run(steps[0])
    assert cloud.firewalls()[ANY4]["network"].endswith("/other")


def test_adopting_writes_the_mark_and_leaves_the_words(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.add_firewall(
        "cloudsync-web-x", **SSH4 | {"description": "made on Monday", "logConfig": {"enable": True}}
    )
    cloud.add_firewall(
        ANY6, **SSH6 | {"description": WORDS.replace("0123abcd", "ffffffff") + ": shop/web"}
    )
    cloud.add_firewall(
        "cloudsync-web-db", **{**SSH4, "description": "", "sourceRanges": [], "sourceTags": ["db"]}
    )
    assert project.present().marker is None
    observed = project.present()
    steps = provider.plan_steps(
        observed, Target(project.spec, rules("tcp/22"), rules("tcp/22"), marker=MARK)
    )
    assert isinstance(steps, tuple)
    for step in steps:
        provider.open_writer(project.account()).run(step)
    after = cloud.firewalls()
    assert project.present().marker == MARK
    assert after["cloudsync-web-db"]["sourceTags"] == ["db"]
    assert {"cloudsync-web-x", ANY6, "cloudsync-web-db"} == after.keys()
    assert after["cloudsync-web-x"]["logConfig"]["enable"]
    assert project.present().kept[0].summary == 'cloudsync-web-db: from the tag "db"'


@pytest.mark.parametrize(
    ("descriptions", "marker"),
    [
        ((WORDS, WORDS), MARK),
        ((WORDS, "by hand"), None),
        ((WORDS, WORDS.replace("shop", "blog")), Marker("blog", "web", "0123abcd")),
        ((WORDS.replace("shop", "blog"), "by hand"), Marker("blog", "web", "0123abcd")),
        ((WORDS, WORDS.replace("0123", "ffff")), Marker("shop", "web", "ffffabcd")),
    ],
)
def test_the_mark_of_a_firewall_is_the_worst_of_its_rules(
    project: Project, cloud: ComputeDouble, descriptions: tuple[str, str], marker: Marker | None
) -> None:
    cloud.add_firewall(ANY4, **SSH4 | {"description": descriptions[0]})
    cloud.add_firewall(ANY6, **SSH6 | {"description": descriptions[1]})
    assert project.present().marker == marker


def test_an_empty_target_is_impossible(project: Project) -> None:
    for target in (
        {"target_tags": None},
        {"target_tags": []},
        {"target_tags": None, "target_service_accounts": []},
        {"target_tags": ["web"], "target_service_accounts": ["web@p.example"]},
    ):
        with pytest.raises(ValidationError):
            project.named("web", **target)


def test_no_credentials_at_all_only_on_loopback() -> None:
    GcpAccount(project="p", endpoint="http://127.0.0.1:1", anonymous=True)
    for endpoint in (None, "https://compute.googleapis.com", "https://127.0.0.1.example.com"):
        with pytest.raises(ValidationError, match="loopback"):
            GcpAccount(project="p", endpoint=endpoint, anonymous=True)


# What else is on the network


def test_foreign_rules_that_act_on_the_same_targets_are_named(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    cloud.add_network("other")
    rdp = {"allowed": [{"IPProtocol": "tcp", "ports": ["3389"]}], "sourceRanges": ["0.0.0.0/0"]}
    cloud.add_firewall("default-allow-rdp", priority=65534, **rdp)
    cloud.add_firewall("shared", targetTags=["db", "web"], **rdp)
    cloud.add_firewall("of-others", targetTags=["db"], **rdp)
    cloud.add_firewall("of-an-account", targetServiceAccounts=["db@p.example"], **rdp)
    cloud.add_firewall("disabled", disabled=True, **rdp)
    cloud.add_firewall("elsewhere", network="global/networks/other", **rdp)
    cloud.add_firewall("denying", denied=rdp["allowed"])
    cloud.add_firewall("outbound", direction="EGRESS", allowed=rdp["allowed"])
    cloud.add_firewall("by-tag", allowed=rdp["allowed"], sourceTags=["db"])
    assert [one.summary for one in project.present().foreign] == [
        (
            "default-allow-rdp (not of this firewall, priority 65534) also lets in tcp/3389 from"
            " 0.0.0.0/0 on these targets"
        ),
        (
            "of-an-account (not of this firewall, priority 1000) also lets in tcp/3389 from"
            " 0.0.0.0/0 on machines of these targets that are db@p.example's too"
        ),
        (
            "shared (not of this firewall, priority 1000) also lets in tcp/3389 from 0.0.0.0/0 on"
            " these targets"
        ),
    ]


# Order


def test_widening_is_started_together_and_waited_for_together_before_anything_narrows(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    cloud.set_by_hand(ANY6, allowed=[{"IPProtocol": "tcp", "ports": ["22", "80"]}])
    project.makes("tcp/22", "tcp/443 from any4", "tcp/9100 from 203.0.113.0/24")
    kinds = [("wait" if call.path.endswith("/wait") else call.method) for call in cloud.writes()]
    assert kinds == ["PUT", "POST", "wait", "wait", "PUT", "wait"]
    assert cloud.writes()[4].path.endswith(ANY6)


def test_what_gains_and_loses_is_replaced_in_one_write_each_started_together(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    for name in (ANY4, ANY6):
        cloud.set_by_hand(name, allowed=[{"IPProtocol": "tcp", "ports": ["22", "80"]}])
    (step,) = project.steps("tcp/22", "tcp/443")
    assert step.kind is StepKind.REPLACE
    project.makes("tcp/22", "tcp/443")
    assert ["wait" if call.path.endswith("/wait") else call.method for call in cloud.writes()] == [
        "PUT",
        "PUT",
        "wait",
        "wait",
    ]


SWAPS = [
    (("tcp/22", "tcp/80"), ("tcp/22", "tcp/443")),
    (("tcp/80",), ("tcp/22", "tcp/443")),
    (("tcp/22", "tcp/80 from 203.0.113.0/24"), ("tcp/22", "tcp/80 from 198.51.100.0/24")),
    (
        ("tcp/22", "tcp/80 from 203.0.113.0/24", "tcp/81 from 203.0.112.0/23"),
        ("tcp/22", "tcp/81 from 203.0.113.0/24", "tcp/80 from 203.0.112.0/23"),
    ),
    (("tcp/22 from 203.0.113.0/24", "tcp/443"), ("tcp/22", "tcp/80")),
    (("all from 203.0.113.0/24", "tcp/22"), ("tcp/22", "udp/53 from 203.0.113.0/24")),
]


@pytest.mark.parametrize(("before", "after"), SWAPS)
def test_law3_the_writes_of_a_step_may_end_in_any_order(
    project: Project, cloud: ComputeDouble, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    project.makes(*before)
    observed = project.present()
    steps = project.steps(*after)
    lowest, highest, ssh = (
        observed.rules & rules(*after),
        observed.rules | rules(*after),
        rules("tcp/22"),
    )
    for number in range(len(steps)):
        for order in itertools.permutations(changes_of(steps[number])):
            with ComputeDouble() as other:
                again = Project(other)
                for name, rule in cloud.firewalls().items():
                    kept = ("allowed", "sourceRanges", "targetTags", "priority", "description")
                    other.add_firewall(name, **{key: rule[key] for key in kept})
                for step in steps[:number]:
                    provider.open_writer(again.account()).run(step)
                open_before = again.present().rules
                for write in order:
                    one = replace(steps[number], native=Writes((write,)))
                    provider.open_writer(again.account()).run(one)
                    now = again.read()
                    state = now.rules if isinstance(now, Present) else NOTHING
                    assert state.covers(lowest), "closed for a moment"
                    assert highest.covers(state), "open for a moment"
                    assert state.covers(open_before) or state.covers(ssh), (
                        "something closed before SSH was open"
                    )
                assert other.violations == []


def changes_of(step: Step) -> tuple[Any, ...]:
    assert isinstance(step.native, Writes)
    return step.native.writes


# Writing goes wrong


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncate", "garbage"])
def test_a_write_whose_answer_is_lost_is_sent_again_with_the_same_id_and_done_once(
    project: Project, cloud: ComputeDouble, kind: Any
) -> None:
    project.there()
    cloud.fail(Fault("PUT", f"{RULES}/{ANY4}", kind))
    project.makes("tcp/22", "tcp/443 from any4")
    first, second = project.requests()
    assert first == second
    assert [one.type for one in cloud.operations] == ["update"]
    assert len(cloud.history) == 1
    assert project.present().rules == rules("tcp/22", "tcp/443 from any4")


def test_two_writes_never_share_an_id(project: Project) -> None:
    project.makes("tcp/22", "tcp/443 from 203.0.113.0/24")
    assert len(set(project.requests())) == 3


def test_a_write_whose_answer_is_lost_for_good_has_an_unknown_fate(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    cloud.fail(Fault("PUT", f"{RULES}/{ANY4}", "drop-after", times=1000))
    with pytest.raises(Transient) as raised:
        project.makes("tcp/22", "tcp/443 from any4")
    assert raised.value.fate_unknown
    assert len(cloud.operations) == 1


def limited_body() -> dict[str, Any]:
    """As Google's newer services say it: the reason is in an ErrorInfo."""
    details = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
    }
    return {
        "error": {
            "code": 403,
            "message": "Quota exceeded for quota metric 'Queries'",
            "details": [details],
        }
    }


@pytest.mark.parametrize("body", [fault_body(403, "rateLimitExceeded"), limited_body()])
def test_a_403_that_is_a_rate_limit_is_tried_again_reading_and_writing(
    project: Project, cloud: ComputeDouble, body: dict[str, Any]
) -> None:
    project.there()
    cloud.fail(Fault("GET", RULES, status=403, body=body))
    cloud.fail(Fault("PUT", f"{RULES}/.*", status=403, body=body))
    cloud.fail(Fault("POST", WAITS, status=403, body=body))
    project.makes("tcp/22", "tcp/443")
    assert project.present().rules == rules("tcp/22", "tcp/443")
    cloud.fail(Fault("GET", RULES, status=403, body=body, times=1000))
    observed = project.read(seconds=1.5)
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, RateLimited)


def test_a_403_that_is_a_permission_is_told_once_with_where_to_look(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    body = fault_body(
        403, "forbidden", "Required 'compute.firewalls.update' permission for 'projects/p'"
    )
    cloud.fail(Fault("PUT", f"{RULES}/.*", status=403, body=body, times=1000))
    with pytest.raises(AuthError, match=r"compute\.firewalls\.update") as raised:
        project.makes("tcp/22", "tcp/443")
    assert "docs/providers/gcp.md" in raised.value.message
    assert len(cloud.writes()) == 1
    cloud.fail(Fault("GET", RULES, status=403, body=body, times=1000))
    cloud.reset_calls()
    observed = project.read()
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, AuthError)
    assert len(cloud.calls) == 1


def test_a_rule_on_which_another_operation_runs_is_waited_for(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    steps = project.steps("tcp/22", "tcp/443")
    elsewhere = Project(cloud)
    cloud.settle_calls = 12
    body = {"allowed": SSH4["allowed"], "priority": 900}
    busy = requests.patch(f"{cloud.endpoint}/compute/v1{RULES}/{ANY4}", json=body, timeout=5)
    assert busy.status_code == 200
    provider.open_writer(project.account()).run(steps[0])
    assert sum(call.status == 400 for call in cloud.calls) > 6
    assert elsewhere.present().rules == rules("tcp/22", "tcp/443")


def test_a_rule_that_stays_busy_is_given_up_at_the_deadline(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    cloud.fail(
        Fault(
            "PUT", f"{RULES}/.*", status=400, body=fault_body(400, "resourceNotReady"), times=1000
        )
    )
    with pytest.raises(Conflict, match="resourceNotReady") as raised:
        project.makes("tcp/22", "tcp/443", seconds=1.3)
    assert not raised.value.fate_unknown


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (
            (403, "QUOTA_EXCEEDED", "Quota 'FIREWALLS' exceeded.  Limit: 500.0 globally."),
            QuotaExceeded,
        ),
        ((400, "INVALID_USAGE", "something of the request"), Unsupported),
        ((503, "RESOURCE_OPERATION_RATE_EXCEEDED", "later"), Conflict),
        ((409, "RESOURCE_ALREADY_EXISTS", "it is there"), Conflict),
        ((404, "RESOURCE_NOT_FOUND", "it is gone"), Conflict),
        ((403, "FORBIDDEN", "not allowed"), AuthError),
        ((500, "INTERNAL_ERROR", "something broke"), Transient),
    ],
)
def test_an_operation_that_fails_after_it_was_accepted_is_a_failure(
    project: Project,
    cloud: ComputeDouble,
    failure: tuple[int, str, str],
    error: type[ProviderError],
) -> None:
    cloud.fail_operations = [failure]
    with pytest.raises(error, match=failure[1]) as raised:
        project.makes("tcp/22")
    assert failure[2] in raised.value.message
    assert sorted(cloud.firewalls()) == [ANY6], "the other one, started beside it, was waited for"


def test_an_operation_that_failed_by_its_status_alone_is_a_failure(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.fail_operations = [(503, "", "")]
    with pytest.raises(Transient, match="SERVICE UNAVAILABLE"):
        project.makes("tcp/22")


def test_the_projects_quota_of_rules_is_said_in_googles_words(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.quota = 0
    with pytest.raises(QuotaExceeded, match=r"Quota 'FIREWALLS' exceeded\.  Limit: 0\.0 globally"):
        project.makes("tcp/22")


def test_an_operation_that_is_slow_is_waited_for_again(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.slow_waits = 3
    project.makes("tcp/22")
    assert cloud.count("POST", WAITS) == 2 + 3
    assert project.present().rules == rules("tcp/22")


@pytest.mark.parametrize("kind", ["drop-after", "truncate", "error"])
def test_a_wait_that_fails_is_asked_again(
    project: Project, cloud: ComputeDouble, kind: Any
) -> None:
    cloud.fail(Fault("POST", WAITS, kind, status=503, body=fault_body(503, "backendError")))
    project.makes("tcp/22")
    assert project.present().rules == rules("tcp/22")


def test_an_operation_that_never_ends_is_given_up_at_the_deadline(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.slow_waits, cloud.settle_calls = 100_000, 100_000
    with pytest.raises(
        Transient,
        match=r"accepted by Google, but not in effect when the run's deadline was reached: cloud",
    ):
        project.makes("tcp/22", seconds=0.6)


def test_a_wait_that_hangs_is_given_up_at_the_deadline(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.fail(Fault("POST", WAITS, "late", seconds=5, times=2))
    start = time.monotonic()
    with pytest.raises(Transient, match="not in effect when the run's deadline was reached"):
        project.makes("tcp/22", seconds=0.6)
    assert time.monotonic() - start < 4


def test_a_rule_that_is_gone_already_needs_no_deleting(
    project: Project, cloud: ComputeDouble
) -> None:
    project.there()
    extra = SSH4 | {
        "sourceRanges": ["203.0.113.0/24"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["80"]}],
    }
    cloud.add_firewall("cloudsync-web-x", **extra)
    steps = project.steps("tcp/22")
    cloud.remove_by_hand("cloudsync-web-x")
    provider.open_writer(project.account()).run(steps[0])
    cloud.add_firewall("cloudsync-web-x", **extra)
    cloud.fail_operations = [(404, "RESOURCE_NOT_FOUND", "it is gone")]
    provider.open_writer(project.account()).run(steps[0])


def test_a_rule_that_is_gone_cannot_be_updated(project: Project, cloud: ComputeDouble) -> None:
    project.there()
    steps = project.steps("tcp/22", "tcp/443")
    cloud.remove_by_hand(ANY4)
    with pytest.raises(Conflict, match="is not there any more"):
        provider.open_writer(project.account()).run(steps[0])


# Reading goes wrong

READ_FAILURES: list[tuple[int, str, type[ProviderError]]] = [
    (400, "invalid", Unsupported),
    (401, "authError", AuthError),
    (403, "forbidden", AuthError),
    (403, "accessNotConfigured", AuthError),
    (403, "userRateLimitExceeded", RateLimited),
    (404, "notFound", NotFound),
    (429, "rateLimitExceeded", RateLimited),
    (500, "backendError", Transient),
    (503, "backendError", Transient),
    (504, "backendError", Transient),
]


@pytest.mark.parametrize(("status", "code", "error"), READ_FAILURES)
def test_a_read_that_fails_for_good_is_unreadable(
    project: Project, cloud: ComputeDouble, status: int, code: str, error: type[ProviderError]
) -> None:
    cloud.fail(Fault("GET", RULES, status=status, body=fault_body(status, code), times=1000))
    observed = project.read(seconds=1.5)
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, error)
    assert code in observed.error.message


def test_a_rate_limit_with_a_hint_is_waited_out(project: Project, cloud: ComputeDouble) -> None:
    project.there()
    cloud.fail(
        Fault(
            "GET",
            RULES,
            status=429,
            body=fault_body(429, "rateLimitExceeded"),
            headers={"Retry-After": "1"},
        )
    )
    start = time.monotonic()
    assert project.present().rules == rules("tcp/22")
    assert time.monotonic() - start >= 1.0


@pytest.mark.parametrize(
    "body",
    [
        {"items": [], "warning": {"code": "UNREACHABLE", "message": "a part is missing"}},
        {"items": "none"},
        {"items": [None]},
        {"items": [{"network": "global/networks/default"}]},
    ],
)
def test_a_list_that_is_not_the_whole_list_is_unreadable(
    project: Project, cloud: ComputeDouble, body: dict[str, Any]
) -> None:
    cloud.fail(Fault("GET", RULES, status=200, body=body, times=1000))
    assert isinstance(project.read(seconds=1.5), Unreadable)


def test_a_warning_that_a_page_is_empty_is_an_empty_page(
    project: Project, cloud: ComputeDouble
) -> None:
    body = {
        "warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for this page."}
    }
    cloud.fail(Fault("GET", RULES, status=200, body=body))
    assert isinstance(project.read(), Absent)


def test_pages_that_do_not_end_are_unreadable(project: Project, cloud: ComputeDouble) -> None:
    cloud.fail(
        Fault("GET", RULES, status=200, body={"items": [], "nextPageToken": "again"}, times=1000)
    )
    observed = project.read(seconds=1.5)
    assert isinstance(observed, Unreadable)
    assert "named twice" in observed.error.message


def test_a_server_that_does_not_answer_is_given_up_in_time(
    project: Project, cloud: ComputeDouble
) -> None:
    cloud.fail(Fault("GET", RULES, "stall", times=99))
    start = time.monotonic()
    assert isinstance(project.read(seconds=0.4), Unreadable)
    assert time.monotonic() - start < 5


# Credentials


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable, no gcloud, and no metadata server is asked."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


@pytest.mark.usefixtures("no_credentials")
def test_without_credentials_it_says_the_three_ways_to_have_some(
    project: Project, cloud: ComputeDouble
) -> None:
    for opened in (provider.open_reader, provider.open_writer):
        with pytest.raises(
            AuthError,
            match=r"GOOGLE_APPLICATION_CREDENTIALS, log in with gcloud .*, or run where a service",
        ):
            opened(project.account(anonymous=False))
    assert cloud.calls == []


SECRET = "-----BEGIN PRIVATE KEY-----\nTOPSECRET\n-----END PRIVATE KEY-----\n"
FILES = {
    "missing": (None, "is not there"),
    "a folder": ("", "cannot be read"),
    "no JSON": (f"key: {SECRET}", "is not a credentials file"),
    "no credentials": (json.dumps({"private_key": SECRET}), "is not a credentials file"),
    "a broken key": (
        json.dumps(
            {
                "type": "service_account",
                "private_key": SECRET,
                "client_email": "a@p.example",
                "token_uri": "http://127.0.0.1:1/",
            }
        ),
        "is not a credentials file",
    ),
}


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize("kind", FILES)
def test_a_credentials_file_that_is_bad_is_named_and_nothing_of_it_is_shown(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    text, said = FILES[kind]
    path = tmp_path / "key.json"
    if kind == "a folder":
        path.mkdir()
    elif text is not None:
        path.write_text(text)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(AuthError) as raised:
        provider.open_reader(project.account(anonymous=False))
    assert said in raised.value.message
    assert str(path) in raised.value.message
    assert "TOPSECRET" not in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"error": "invalid_grant", "error_description": "Token has been revoked: 1//refresh"},
            "refuses to refresh",
        ),
        (None, "could not be refreshed"),
    ],
)
def test_credentials_that_do_not_refresh_are_told(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: dict[str, Any] | None,
    said: str,
) -> None:
    """A login by gcloud whose token server refuses, or is not there."""
    with ComputeDouble() as tokens:
        tokens.fail(Fault("POST", ".*", status=400, body=body or {}, times=1000))
        endpoint = f"{tokens.endpoint}/token" if body else "http://127.0.0.1:9/token"
        path = tmp_path / "key.json"
        login = {
            "type": "authorized_user",
            "client_id": "c",
            "client_secret": "SECRET-1",
            "refresh_token": "SECRET-2",
        }
        path.write_text(json.dumps(login))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", endpoint)
        observed = provider.open_reader(project.account(2.0, anonymous=False)).read([project.spec])[
            "web"
        ]
    assert isinstance(observed, Unreadable)
    assert said in observed.error.message
    assert "SECRET" not in observed.error.message


@pytest.mark.usefixtures("no_credentials")
def test_a_token_goes_with_every_call_and_into_no_message(
    project: Project, cloud: ComputeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ComputeDouble() as tokens:
        tokens.fail(
            Fault(
                "POST",
                ".*",
                status=200,
                body={"access_token": "TOKEN-1", "expires_in": 3600},
                times=1000,
            )
        )
        path = tmp_path / "key.json"
        login = {
            "type": "authorized_user",
            "client_id": "c",
            "client_secret": "SECRET-1",
            "refresh_token": "SECRET-2",
        }
        path.write_text(json.dumps(login))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        monkeypatch.setattr(
            "google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{tokens.endpoint}/token"
        )
        cloud.require_token = "TOKEN-1"
        account = project.account(anonymous=False)
        observed = provider.open_reader(account).read([project.spec])["web"]
        assert isinstance(observed, Absent)
        steps = provider.plan_steps(observed, Target(project.spec, rules("tcp/22"), marker=MARK))
        assert isinstance(steps, tuple)
        provider.open_writer(account).run(steps[0])
        assert sorted(cloud.firewalls()) == [ANY4, ANY6]
        cloud.require_token = "TOKEN-2"
        refused = provider.open_reader(account).read([project.spec])["web"]
        assert isinstance(refused, Unreadable)
        with pytest.raises(AuthError) as raised:
            provider.open_writer(account).run(steps[0])
        for error in (refused.error, raised.value):
            assert isinstance(error, AuthError)
            assert "does not accept the credentials" in error.message
            assert "TOKEN" not in error.message


def test_a_step_of_another_provider_is_not_run(project: Project) -> None:
    with pytest.raises(ProviderError, match="not made by the provider gcp"):
        provider.open_writer(project.account()).run(Step("x", StepKind.WIDEN, RuleSet()))
