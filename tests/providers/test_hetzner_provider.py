"""The provider `hetzner` over HTTP, against the double: calls counted, meaning compared, every
failure reported."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from cloudsync.provider.contract import (
    Absent,
    Account,
    Description,
    Present,
    Target,
    Unreadable,
)
from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    Forbidden,
    NotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import SecretRef
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_hetzner import provider
from cloudsync_hetzner.answers import Firewall, Server
from cloudsync_hetzner.reader import Project as Listed
from cloudsync_hetzner.settings import HetznerFirewall
from tests.doubles.hetzner import HetznerDouble, fault_body
from tests.doubles.http import Fault
from tests.growth import growth
from tests.providers.harness import Harness
from tests.world import rules

pytestmark = pytest.mark.emulator
ANYWHERE = ["0.0.0.0/0", "::/0"]
SSH = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ANYWHERE}
MARK = Marker("shop", "web", "0123abcd")
LABELS = {"cloudsync/owner": "shop", "cloudsync/firewall": "web", "cloudsync/hosts": "0123abcd"}


@pytest.fixture
def cloud() -> Iterator[HetznerDouble]:
    with HetznerDouble() as double:
        yield double
        assert double.violations == []


class Project(Harness[HetznerDouble]):
    """One project."""

    provider = provider
    attaching = True

    def __init__(self, cloud: HetznerDouble, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        super().__init__(cloud)

    def account(self, seconds: float = 20.0, token: str | None = None) -> Account:
        self.monkeypatch.setenv("CLOUDSYNC_DOUBLE_TOKEN", token or self.cloud.token)
        return super().account(seconds, token=SecretRef(env="CLOUDSYNC_DOUBLE_TOKEN"))

    def makes(self, *wanted: str | RuleSet, token: str | None = None, **more: Any) -> None:
        super().makes(*wanted, account={"token": token}, **more)


@pytest.fixture
def project(cloud: HetznerDouble, monkeypatch: pytest.MonkeyPatch, quick_retries: None) -> Project:
    return Project(cloud, monkeypatch)


# Calls


@pytest.mark.parametrize(
    ("firewalls", "servers", "calls"),
    [(1, 1, (1, 1)), (50, 50, (1, 1)), (1, 51, (1, 2)), (50, 101, (1, 3))],
)
def test_reading_is_one_call_per_50_of_each(
    project: Project, cloud: HetznerDouble, firewalls: int, servers: int, calls: tuple[int, int]
) -> None:
    for number in range(servers):
        cloud.add_server(f"server-{number}")
    for number in range(firewalls):
        cloud.add_firewall(f"cloudsync-fw-{number}", [SSH], labels=LABELS)
    specs = [
        project.named(f"fw-{number}", servers=[f"server-{number % servers}"])
        for number in range(firewalls)
    ]
    found = provider.open_reader(project.account()).read(specs)
    assert all(isinstance(one, Present) for one in found.values())
    assert len(found) == firewalls
    assert (cloud.count("GET", "/firewalls"), cloud.count("GET", "/servers")) == calls
    assert len(cloud.calls) == sum(calls)


@pytest.mark.parametrize(
    "ports", [("tcp/22", "tcp/443"), ("tcp/22", *(f"tcp/{n}" for n in range(8001, 8041, 2)))]
)
def test_any_change_is_one_write_and_batched_waiting(
    project: Project, cloud: HetznerDouble, ports: tuple[str, ...]
) -> None:
    servers = [cloud.add_server(f"web-{number}") for number in range(3)]
    cloud.add_firewall("cloudsync-web", [SSH], labels=LABELS, servers=servers)
    project.makes(*ports)
    assert [(call.method, call.path.rsplit("/", 1)[-1]) for call in cloud.writes()] == [
        ("POST", "set_rules")
    ]
    assert len(cloud.calls) == 1 + cloud.count("GET", "/actions") <= 4
    assert project.present().rules == rules(*ports)


def test_creating_is_one_call_with_rules_and_attachment(
    project: Project, cloud: HetznerDouble
) -> None:
    id_ = cloud.add_server("web-1")
    project.spec = project.named("web", servers=["web-1"])
    project.makes("tcp/22", "tcp/443")
    assert [call.path for call in cloud.writes()] == ["/firewalls"]
    assert cloud.server("web-1")["public_net"]["firewalls"][0]["status"] == "applied"
    observed = project.present()
    assert observed.marker == MARK
    assert [(one.target, one.attached) for one in observed.attachments] == [(f"server {id_}", True)]
    assert observed.pending == ()


def test_a_step_says_in_words_what_it_attaches_and_puts_in_force(
    project: Project, cloud: HetznerDouble
) -> None:
    def said(**more: Any) -> list[str]:
        observed = project.read(project.spec)
        assert not isinstance(observed, Unreadable)
        target = Target(
            project.spec, rules("tcp/22", "tcp/443"), attach=observed.attachments, **more
        )
        return [step.summary for step in provider.plan_steps(observed, target)]  # type: ignore[union-attr]

    assert said() == ['create "cloudsync-web" with 2 rules']
    id_ = cloud.add_server("web-1")
    project.spec = project.named("web", servers=["web-1"])
    assert said() == [f'create "cloudsync-web" with 2 rules, attached to server {id_}']
    cloud.add_firewall("cloudsync-web", [SSH], labels=LABELS)
    project.spec = project.named("web")
    assert said() == ['set the 2 rules of "cloudsync-web"']
    assert said(reapply=True) == ['set the 2 rules of "cloudsync-web" and put them into effect']


# Meaning


def test_shuffled_rules_odd_spellings_and_any_are_the_same_meaning(
    project: Project, cloud: HetznerDouble
) -> None:
    cloud.add_firewall(
        "cloudsync-web",
        [
            {
                "direction": "in",
                "protocol": "tcp",
                "port": "any",
                "source_ips": ["2001:0DB8:0::/48"],
            },
            {
                "direction": "in",
                "protocol": "udp",
                "port": "1000-1005",
                "source_ips": ["10.0.0.0/9", "10.128.0.0/9"],
            },
            {
                "direction": "in",
                "protocol": "udp",
                "port": "1006-1010",
                "source_ips": ["10.0.0.0/8"],
            },
            {"direction": "in", "protocol": "icmp", "source_ips": ANYWHERE},
            {"direction": "in", "protocol": "esp", "source_ips": ["0.0.0.0/0"]},
        ],
    )
    expected = (
        "tcp/1-65535 from 2001:db8::/48",
        "udp/1000-1010 from 10.0.0.0/8",
        "icmp from any4",
        "icmpv6 from any6",
        "esp from any4",
    )
    assert project.present().rules == rules(*expected)


def test_what_was_written_is_what_is_read_back(project: Project, cloud: HetznerDouble) -> None:
    texts = (
        "tcp/22",
        "tcp/443 from any6",
        "udp/1-65535 from 10.0.0.0/8",
        "icmp from any4",
        "icmpv6 from any6",
        "gre from 192.0.2.1",
    )
    project.makes(*texts)
    observed = project.present()
    assert observed.rules == rules(*texts)
    assert provider.plan_steps(observed, Target(project.spec, rules(*texts))) == ()


def test_more_than_100_networks_are_written_as_several_rules(
    project: Project, cloud: HetznerDouble
) -> None:
    many = ",".join(f"10.0.{n}.0/24" for n in range(0, 250, 2))
    project.makes("tcp/22", f"tcp/443 from {many}")
    firewall = cloud.firewall("cloudsync-web")
    assert firewall is not None
    assert sorted(len(rule["source_ips"]) for rule in firewall["rules"]) == [2, 25, 100]
    assert project.present().rules == rules("tcp/22", f"tcp/443 from {many}")


def test_descriptions_say_who_and_hold_no_control_characters(
    project: Project, cloud: HetznerDouble
) -> None:
    hostile = Description(rules("tcp/443"), "shop/web\x1b[31m\u202e" + "x" * 400)
    project.makes("tcp/22", "tcp/443", descriptions=(hostile,))
    firewall = cloud.firewall("cloudsync-web")
    assert firewall is not None
    (text,) = [rule["description"] for rule in firewall["rules"] if rule["port"] == "443"]
    assert text.startswith("shop/web[31mxxx")
    assert len(text) == 255


def test_outbound_rules_are_kept(project: Project, cloud: HetznerDouble) -> None:
    out = {
        "direction": "out",
        "protocol": "tcp",
        "port": "443",
        "destination_ips": ["0.0.0.0/0"],
        "description": "by hand",
    }
    cloud.add_firewall("cloudsync-web", [SSH, out], labels=LABELS)
    project.makes("tcp/22", "tcp/443")
    firewall = cloud.firewall("cloudsync-web")
    assert firewall is not None
    assert [rule["description"] for rule in firewall["rules"] if rule["direction"] == "out"] == [
        "by hand"
    ]


def test_adopting_keeps_the_users_labels(project: Project, cloud: HetznerDouble) -> None:
    cloud.add_firewall("cloudsync-web", [SSH], labels={"team": "infra"})
    observed = project.present()
    assert observed.marker is None
    (step,) = provider.plan_steps(observed, Target(project.spec, rules("tcp/22"), marker=MARK))  # type: ignore[misc]
    provider.open_writer(project.account()).run(step)
    firewall = cloud.firewall("cloudsync-web")
    assert firewall is not None
    assert firewall["labels"] == {"team": "infra", **LABELS}


def test_a_marker_with_a_part_missing_is_still_somebodys(
    project: Project, cloud: HetznerDouble
) -> None:
    cloud.add_firewall("cloudsync-web", [SSH], labels={"cloudsync/owner": "shop"})
    assert project.present().marker == Marker("shop", "?", "?")


# Attachment and what is in effect


def test_a_selector_lists_every_machine_that_newly_comes_under_the_firewall(
    project: Project, cloud: HetznerDouble
) -> None:
    ids = [cloud.add_server(name, labels={"env": "prod"}) for name in ("a", "b", "c")]
    cloud.add_server("d", labels={"env": "test"})
    cloud.add_firewall("other", [SSH], servers=[ids[1]])
    cloud.add_firewall("cloudsync-web", [SSH], labels=LABELS, servers=[ids[0]])
    project.spec = project.named("web", label_selector="env=prod")
    (attachment,) = project.present().attachments
    assert (attachment.target, attachment.attached) == ("label selector env=prod", False)
    assert [(machine.name, machine.protected) for machine in attachment.newly_covered] == [
        ("b", True),
        ("c", False),
    ]
    project.makes("tcp/22")
    (attachment,) = project.present().attachments
    assert attachment.attached


def test_servers_are_attached_by_name_or_id_and_only_the_missing_ones(
    project: Project, cloud: HetznerDouble
) -> None:
    ids = [cloud.add_server(name) for name in ("a", "b", "c")]
    cloud.add_firewall("cloudsync-web", [SSH], labels=LABELS, servers=[ids[0]])
    project.spec = project.named("web", servers=["a", ids[1], "c"])
    project.makes("tcp/22")
    (write,) = cloud.writes()
    assert [one["server"]["id"] for one in write.body["apply_to"]] == ids[1:]


@pytest.mark.parametrize(
    ("server", "error"), [("missing", NotFound), (4711, NotFound), ("private", Unsupported)]
)
def test_a_server_that_cannot_be_attached_makes_its_firewall_unreadable(
    project: Project, cloud: HetznerDouble, server: str | int, error: type[ProviderError]
) -> None:
    cloud.add_server("private", public=False)
    observed = project.read(project.named("web", servers=[server]))
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, error)
    assert str(server) in observed.error.message
    assert not observed.error.temporary


def test_a_sixth_firewall_on_a_server_is_refused_in_the_plan(
    project: Project, cloud: HetznerDouble
) -> None:
    id_ = cloud.add_server("full")
    for number in range(5):
        cloud.add_firewall(f"other-{number}", [SSH], servers=[id_])
    observed = project.read(project.named("web", servers=["full"]))
    assert isinstance(observed, Absent)
    refusal = provider.plan_steps(
        observed, Target(project.spec, rules("tcp/22"), attach=observed.attachments)
    )
    assert "full has 5 firewalls" in refusal.reason  # type: ignore[union-attr]


def test_what_failed_to_be_put_in_force_is_told_seen_and_finished(
    project: Project, cloud: HetznerDouble
) -> None:
    id_ = cloud.add_server("web-1")
    cloud.add_firewall("cloudsync-web", [SSH], labels=LABELS, servers=[id_])
    cloud.failing_servers.add(id_)
    with pytest.raises(Transient, match=f"server {id_}"):
        project.makes("tcp/22", "tcp/443")
    (pending,) = project.present().pending
    assert pending.target == f"server {id_}"
    cloud.failing_servers.clear()
    project.makes("tcp/22", "tcp/443", reapply=True)
    assert project.present().pending == ()


def test_an_action_that_never_ends_is_given_up_at_the_deadline(
    project: Project, cloud: HetznerDouble
) -> None:
    id_ = cloud.add_server("web-1")
    cloud.add_firewall("cloudsync-web", [SSH], labels=LABELS, servers=[id_])
    cloud.polls = 10_000
    with pytest.raises(Transient, match="not in effect when the run's deadline was reached"):
        project.makes("tcp/22", "tcp/443", seconds=1.5)


# Failures

READ_FAILURES = [
    (401, "unauthorized", AuthError),
    (403, "forbidden", Forbidden),
    (403, "maintenance", Transient),
    (404, "not_found", NotFound),
    (409, "conflict", Conflict),
    (423, "locked", Transient),
    (429, "rate_limit_exceeded", RateLimited),
    (500, "server_error", Transient),
    (502, "bad_gateway", Transient),
    (503, "unavailable", Transient),
    (504, "timeout", Transient),
]


@pytest.mark.parametrize(("status", "code", "error"), READ_FAILURES)
def test_a_read_that_fails_for_good_is_unreadable(
    project: Project, cloud: HetznerDouble, status: int, code: str, error: type[ProviderError]
) -> None:
    cloud.fail(Fault("GET", "/firewalls", status=status, body=fault_body(code), times=10_000))
    observed = project.read(seconds=0.3)
    assert isinstance(observed, Unreadable)
    assert type(observed.error) is error
    assert code in observed.error.message
    assert cloud.token not in observed.error.message


@pytest.mark.parametrize("kind", ["drop-before", "truncate", "garbage"])
def test_a_read_that_fails_once_is_repeated(
    project: Project, cloud: HetznerDouble, kind: Any
) -> None:
    cloud.add_firewall("cloudsync-web", [SSH])
    cloud.fail(Fault("GET", "/firewalls", kind))
    assert project.present().rules == rules("tcp/22")


def test_a_rate_limit_with_a_hint_is_waited_out(project: Project, cloud: HetznerDouble) -> None:
    cloud.add_firewall("cloudsync-web", [SSH])
    cloud.fail(
        Fault(
            "GET",
            "/firewalls",
            status=429,
            body=fault_body("rate_limit_exceeded"),
            headers={"Retry-After": "1"},
        )
    )
    start = time.monotonic()
    assert project.present().rules == rules("tcp/22")
    assert time.monotonic() - start >= 1.0


def test_a_page_that_is_missing_is_not_a_shorter_list(
    project: Project, cloud: HetznerDouble
) -> None:
    for number in range(51):
        cloud.add_server(f"server-{number}")
    cloud.fail(
        Fault("GET", "/servers", status=500, body=fault_body("server_error"), skip=1, times=10_000)
    )
    assert isinstance(project.read(seconds=0.3), Unreadable)


def test_a_list_shorter_than_its_own_count_is_unreadable(
    project: Project, cloud: HetznerDouble
) -> None:
    body = {
        "firewalls": [],
        "meta": {
            "pagination": {
                "page": 1,
                "per_page": 50,
                "previous_page": None,
                "next_page": None,
                "last_page": 1,
                "total_entries": 3,
            }
        },
    }
    cloud.fail(Fault("GET", "/firewalls", status=200, body=body, times=10_000))
    observed = project.read(seconds=0.3)
    assert isinstance(observed, Unreadable)
    assert "0 of 3" in observed.error.message


def test_a_rule_that_cannot_be_understood_is_unreadable_and_not_left_out(
    project: Project, cloud: HetznerDouble
) -> None:
    id_ = cloud.add_firewall("cloudsync-web", [SSH])
    cloud.firewalls[id_].rules.append(cloud.firewalls[id_].rules[0] | {"protocol": "quic"})
    observed = project.read()
    cloud.violations.clear()  # the double was made to answer what the vendor does not describe
    assert isinstance(observed, Unreadable)
    assert "quic" in observed.error.message


def test_a_read_only_token_can_plan_but_not_apply(project: Project, cloud: HetznerDouble) -> None:
    assert isinstance(project.read(token=cloud.read_only_token), Absent)
    with pytest.raises(AuthError, match="read and write"):
        project.makes("tcp/22", token=cloud.read_only_token)


def test_a_missing_token_is_said_without_a_call(project: Project, cloud: HetznerDouble) -> None:
    account = project.account()
    project.monkeypatch.delenv("CLOUDSYNC_DOUBLE_TOKEN")
    with pytest.raises(AuthError, match="CLOUDSYNC_DOUBLE_TOKEN is not set"):
        provider.open_reader(account)
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("status", "code", "error", "unknown"),
    [
        (403, "resource_limit_exceeded", QuotaExceeded, False),
        (409, "uniqueness_error", Conflict, False),
        (422, "invalid_input", Unsupported, False),
        (422, "unsupported_error", Unsupported, False),
        (500, "server_error", Transient, True),
        (502, "bad_gateway", Transient, True),
        (504, "timeout", Transient, True),
    ],
)
def test_a_write_that_fails_is_told_and_not_repeated(
    project: Project,
    cloud: HetznerDouble,
    status: int,
    code: str,
    error: type[ProviderError],
    unknown: bool,
) -> None:
    cloud.fail(Fault("POST", "/firewalls", status=status, body=fault_body(code), times=10_000))
    with pytest.raises(error) as raised:
        project.makes("tcp/22", seconds=0.5)
    assert raised.value.fate_unknown is unknown
    if not isinstance(raised.value, Conflict):
        assert len(cloud.writes()) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(423, "locked"), (429, "rate_limit_exceeded"), (503, "unavailable")],
)
def test_a_write_that_surely_did_nothing_is_repeated(
    project: Project, cloud: HetznerDouble, status: int, code: str
) -> None:
    cloud.add_firewall("cloudsync-web", [SSH], labels=LABELS)
    cloud.fail(
        Fault(
            "POST",
            r"/firewalls/\d+/actions/set_rules",
            status=status,
            body=fault_body(code),
            times=2,
        )
    )
    project.makes("tcp/22", "tcp/443")
    assert project.present().rules == rules("tcp/22", "tcp/443")


@pytest.mark.parametrize(
    ("kind", "took_effect"),
    [("drop-before", False), ("drop-after", True), ("truncate", True), ("garbage", True)],
)
def test_a_write_whose_answer_is_lost_has_an_unknown_fate_and_is_not_repeated(
    project: Project, cloud: HetznerDouble, kind: Any, took_effect: bool
) -> None:
    cloud.add_firewall("cloudsync-web", [SSH], labels=LABELS)
    cloud.fail(Fault("POST", r"/firewalls/\d+/actions/set_rules", kind))
    with pytest.raises(Transient) as raised:
        project.makes("tcp/22", "tcp/443")
    assert raised.value.fate_unknown
    assert len(cloud.writes()) == 1
    assert (project.present().rules - rules("tcp/22") != NOTHING) is took_effect


def test_a_server_that_does_not_answer_is_given_up_in_time(
    project: Project, cloud: HetznerDouble
) -> None:
    cloud.fail(Fault("GET", "/firewalls", "stall", times=99))
    start = time.monotonic()
    observed = project.read(seconds=0.4)
    assert isinstance(observed, Unreadable)
    assert time.monotonic() - start < 5


def test_reading_a_firewall_takes_work_that_grows_with_the_servers_it_covers(
    project: Project,
) -> None:
    def observed(count: int) -> None:
        net = {"firewalls": [{"id": 1, "status": "applied"}, {"id": 2, "status": "applied"}]}
        servers = [Server(id=n, name=f"s{n}", public_net=net) for n in range(count)]  # type: ignore[arg-type]  # pydantic reads it
        everywhere = [{"type": "server", "server": {"id": n}} for n in range(count)]
        firewalls = [
            Firewall.model_validate(
                {"id": n, "name": name, "labels": {}, "rules": [SSH], "applied_to": everywhere}
            )
            for n, name in ((1, "cloudsync-web"), (2, "other"))
        ]
        listed = Listed(provider.open_client(project.account()), firewalls, servers)
        assert isinstance(listed.observe("cloudsync-web", HetznerFirewall()), Present)

    assert growth(observed, small=50) < 6
