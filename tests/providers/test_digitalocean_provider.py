"""The provider `digitalocean` over HTTP, against the double: calls counted, meaning compared, every
failure reported."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from urllib3.util import connection

from cloudsync.provider.contract import (
    Absent,
    Account,
    Present,
    StepKind,
    Unreadable,
)
from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    NotFound,
    ProviderError,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import SecretRef
from cloudsync.rules import RuleSet
from cloudsync_digitalocean import provider
from tests.doubles.digitalocean import ALLOW_ALL, DigitalOceanDouble, fault_body
from tests.doubles.http import Fault
from tests.providers.harness import Harness
from tests.world import rules

pytestmark = pytest.mark.emulator
ANYWHERE = ["0.0.0.0/0", "::/0"]
MARK = Marker("shop", "web", "0123abcd")
NAME = "cloudsync-web.shop.0123abcd"


def tcp(ports: int | str, *addresses: str, **sources: Any) -> dict[str, Any]:
    return {
        "protocol": "tcp",
        "ports": str(ports),
        "sources": sources or {"addresses": list(addresses or ANYWHERE)},
    }


SSH = tcp(22)


@pytest.fixture
def cloud() -> Iterator[DigitalOceanDouble]:
    with DigitalOceanDouble() as double:
        yield double
        assert double.violations == []


class Team(Harness[DigitalOceanDouble]):
    """One team, its firewalls without private networks unless a test wants them."""

    provider = provider
    attaching = True
    firewall_keys = {"private": "cut"}

    def __init__(self, cloud: DigitalOceanDouble, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        super().__init__(cloud)

    def account(self, seconds: float = 20.0, token: str | None = None) -> Account:
        self.monkeypatch.setenv("CLOUDSYNC_DOUBLE_TOKEN", token or self.cloud.token)
        return super().account(seconds, token=SecretRef(env="CLOUDSYNC_DOUBLE_TOKEN"))

    def makes(self, *wanted: str | RuleSet, token: str | None = None, **more: Any) -> None:
        super().makes(*wanted, account={"token": token}, **more)

    def written(self) -> list[str]:
        return [
            f"{call.method}"
            f" {call.path.split('/')[-1] if call.path.count('/') > 2 else '/firewalls'}"
            for call in self.cloud.writes()
        ]

    def firewall(self, name: str = NAME) -> dict[str, Any]:
        firewall = self.cloud.firewall(name)
        assert firewall is not None
        return firewall


@pytest.fixture
def team(cloud: DigitalOceanDouble, monkeypatch: pytest.MonkeyPatch, quick_retries: None) -> Team:
    return Team(cloud, monkeypatch)


# Calls


@pytest.mark.parametrize(("firewalls", "calls"), [(1, 1), (20, 1), (200, 1), (201, 2)])
def test_reading_is_one_call_per_200_firewalls(
    team: Team, cloud: DigitalOceanDouble, firewalls: int, calls: int
) -> None:
    droplet = cloud.add_droplet("web-1")
    for n in range(firewalls):
        cloud.add_firewall(
            f"cloudsync-fw-{n}.shop.0123abcd", [SSH], droplets=[droplet], tags=["web"]
        )
    specs = [team.named(f"fw-{n}", droplets=[droplet], tags=["web"]) for n in range(firewalls)]
    found = provider.open_reader(team.account()).read(specs)
    assert [type(one) for one in found.values()] == [Present] * firewalls
    assert all(
        attachment.attached
        for one in found.values()
        if isinstance(one, Present)
        for attachment in one.attachments
    )
    assert [(call.method, call.path) for call in cloud.calls] == [("GET", "/firewalls")] * calls


@pytest.mark.parametrize(("droplets", "calls"), [(1, 1), (200, 1), (201, 2)])
def test_a_droplet_that_goes_by_name_costs_one_call_per_200_droplets(
    team: Team, cloud: DigitalOceanDouble, droplets: int, calls: int
) -> None:
    ids = [cloud.add_droplet(f"web-{n}") for n in range(droplets)]
    cloud.add_firewall(NAME, [SSH], droplets=[ids[0]])
    team.spec = team.named("web", droplets=["web-0"])
    assert [one.attached for one in team.present().attachments] == [True]
    assert [call.path for call in cloud.calls] == ["/firewalls"] + ["/droplets"] * calls


@pytest.mark.parametrize("count", [1, 10, 20])
def test_any_change_is_one_post_and_one_delete_in_this_order(
    team: Team, cloud: DigitalOceanDouble, count: int
) -> None:
    cloud.add_firewall(
        NAME,
        [SSH, *(tcp(9000 + 2 * n) for n in range(count))],
        droplets=[cloud.add_droplet("web-1")],
        tags=["web"],
    )
    wanted = ("tcp/22", *(f"tcp/{8000 + 2 * n}" for n in range(count)))
    team.makes(*wanted)
    assert team.written() == ["POST rules", "DELETE rules"]
    assert len(cloud.calls) == 2 + 4  # a write is read as waiting once, then as done
    assert team.present().rules == rules(*wanted)
    assert (team.firewall()["droplet_ids"], team.firewall()["tags"]) == ([1001], ["web"])


def test_only_rules_that_are_not_there_are_added(team: Team, cloud: DigitalOceanDouble) -> None:
    cloud.add_firewall(NAME, [SSH, tcp(80)], droplets=[cloud.add_droplet("web-1")])
    (step,) = team.steps(rules("tcp/22", "tcp/80", "tcp/443"))
    assert step.summary == f'add 1 rule to "{NAME}"'


@pytest.mark.parametrize(("there", "kind"), [(45, StepKind.WIDEN), (46, StepKind.REPLACE)])
def test_what_does_not_fit_beside_the_old_rules_and_the_outbound_ones_is_one_replace(
    team: Team, cloud: DigitalOceanDouble, there: int, kind: StepKind
) -> None:
    old = [f"tcp/{9000 + 2 * number}" for number in range(there)]
    cloud.add_firewall(NAME, [SSH, *(tcp(9000 + 2 * number) for number in range(there))])
    assert 1 + 45 + 1 + 3 == 50, "SSH, the others, the new one, and three outbound rules"
    steps = team.steps(rules("tcp/22", *old[:-1], "tcp/443"))
    assert isinstance(steps, tuple)
    assert steps[0].kind is kind


@pytest.mark.parametrize(
    ("droplets", "tags", "refused"), [(10, 5, ""), (11, 1, "11 droplets"), (1, 6, "6 tags")]
)
def test_a_firewall_takes_ten_droplets_by_id_and_five_tags(
    team: Team, cloud: DigitalOceanDouble, droplets: int, tags: int, refused: str
) -> None:
    ids = [cloud.add_droplet(f"web-{number}") for number in range(droplets)]
    names = [f"tag-{number}" for number in range(tags)]
    for name in names:
        cloud.add_tag(name)
    team.spec = team.named("web", droplets=ids, tags=names)
    if refused:
        assert team.refusal("tcp/22").startswith(refused)
    else:
        steps = team.steps("tcp/22")
        targets = ", ".join(
            [*(f"droplet {id_}" for id_ in ids), *(f"tag {name}" for name in names)]
        )
        assert steps[0].summary.endswith(f" with 1 rule, attached to {targets}")


def test_a_replace_says_where_it_renames(team: Team, cloud: DigitalOceanDouble) -> None:
    cloud.add_firewall("cloudsync-web", [SSH])
    (step,) = team.steps(rules("tcp/22"), adopt=True)
    assert step.summary == f'replace "{NAME}" with 1 rule, renamed from "cloudsync-web"'
    cloud.firewalls.clear()
    cloud.add_firewall(
        NAME,
        [SSH, tcp(80) | {"sources": {"addresses": ["0.0.0.0/0"], "tags": ["web"]}}],
        tags=["web"],
    )
    (step,) = team.steps(rules("tcp/22"))
    assert step.summary == f'replace "{NAME}" with 2 rules'


def test_creating_is_one_call_with_rules_and_attachments(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    cloud.add_droplet("web-1", tags=["web"])
    team.spec = team.named("web", droplets=["web-1"], tags=["web"])
    team.makes("tcp/22", "tcp/443")
    assert team.written() == ["POST /firewalls"]
    observed = team.present()
    assert observed.marker == MARK
    assert [one.attached for one in observed.attachments] == [True, True]
    assert observed.pending == ()


# Meaning


def test_all_ports_in_every_era_are_equal(team: Team, cloud: DigitalOceanDouble) -> None:
    id_ = cloud.add_firewall(NAME, [tcp("all", "10.0.0.0/8")])
    assert team.present().rules == rules("tcp/1-65535 from 10.0.0.0/8")
    for ports in ("0", "all", "1-65535", "", 0, None):
        cloud.firewalls[id_].rules["inbound_rules"][0]["ports"] = ports
        body = {"firewalls": [team.firewall()], "links": {}, "meta": {"total": 1}}
        body["firewalls"][0]["inbound_rules"][0]["ports"] = ports
        cloud.fail(Fault("GET", "/firewalls", status=200, body=body))
        assert team.present().rules == rules("tcp/1-65535 from 10.0.0.0/8")


@pytest.mark.parametrize("era", ["spec", "strict"])
def test_what_was_written_is_what_is_read_back(
    team: Team, cloud: DigitalOceanDouble, era: Any
) -> None:
    cloud.ports_era = era
    wanted = (
        "tcp/22",
        "tcp/443 from any6",
        "udp/1-65535 from 10.0.0.0/8",
        "icmp from any4",
        "icmpv6 from any6",
        "tcp/8000-8010",
    )
    team.makes(*wanted)
    assert team.present().rules == rules(*wanted)
    assert team.steps(rules(*wanted)) == ()
    # once more over a full replace, which writes outbound rules as they were read
    team.makes(*wanted, "udp/53 from 10.0.0.0/9", adopt=True)
    assert team.present().rules == rules(*wanted, "udp/53 from 10.0.0.0/9")


def test_a_new_firewall_lets_everything_out_and_an_old_one_keeps_what_it_has(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    team.makes("tcp/22")
    assert len(team.firewall()["outbound_rules"]) == len(ALLOW_ALL)
    only_dns = {"protocol": "udp", "ports": "53", "destinations": {"addresses": ["10.0.0.2"]}}
    cloud.add_firewall("cloudsync-api", [SSH], outbound=[only_dns])
    team.spec = team.named("api")
    team.makes("tcp/22", "tcp/443", adopt=True)
    assert team.firewall("cloudsync-api.shop.0123abcd")["outbound_rules"] == [only_dns]


def test_sources_that_are_no_networks_survive_a_full_replace(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    cloud.add_tag("db")
    droplet = cloud.add_droplet("web-1")
    mixed = {
        "protocol": "tcp",
        "ports": "5432",
        "sources": {"addresses": ["192.0.2.1"], "tags": ["db"], "droplet_ids": [droplet]},
    }
    cloud.add_firewall("cloudsync-web", [SSH, mixed], droplets=[droplet])
    assert {one.summary for one in team.present().kept} == {
        "tcp/5432 from the tag db",
        f"tcp/5432 from the droplet {droplet}",
    }
    team.makes("tcp/22", adopt=True)
    assert team.written() == ["PUT /firewalls"]
    rest = [rule["sources"] for rule in team.firewall()["inbound_rules"] if rule["ports"] == "5432"]
    assert [(one.get("addresses"), one["tags"], one["droplet_ids"]) for one in rest] in (
        [(None, ["db"], [droplet])],
        [([], ["db"], [droplet])],
    )
    assert team.present().rules == rules("tcp/22")


def test_a_rule_whose_removal_by_value_could_take_a_part_of_another_is_not_deleted(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    narrow, wide = tcp(80, "192.0.2.1"), tcp(80, "192.0.2.1", "192.0.2.2")
    cloud.add_firewall(NAME, [SSH, narrow, wide])
    (step,) = team.steps("tcp/22", "tcp/80 from 192.0.2.1")
    assert step.kind is StepKind.REPLACE


def test_a_rule_that_loses_a_part_of_its_sources_is_replaced_and_not_deleted(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    """How the vendor matches the rules of a DELETE is not written down; it may go by port and
    address."""
    cloud.add_firewall(NAME, [SSH, tcp(443, "192.0.2.0/24", "198.51.100.0/24")], tags=["web"])
    team.makes("tcp/22", "tcp/443 from 192.0.2.0/24")
    assert team.written() == ["PUT /firewalls"]
    assert team.present().rules == rules("tcp/22", "tcp/443 from 192.0.2.0/24")
    assert team.firewall()["tags"] == ["web"]


# The marker in the name


def test_to_adopt_is_to_rename_in_one_call_that_keeps_the_attachments(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    droplet = cloud.add_droplet("web-1")
    cloud.add_firewall("cloudsync-web", [SSH, tcp(3389)], droplets=[droplet], tags=["web"])
    assert team.present().marker is None
    team.makes("tcp/22", "tcp/443", adopt=True)
    assert team.written() == ["PUT /firewalls"]
    assert (team.firewall()["droplet_ids"], team.firewall()["tags"]) == ([droplet], ["web"])
    assert team.present().marker == MARK


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("cloudsync-web.shop.0badcafe", Marker("shop", "web", "0badcafe")),
        ("cloudsync-web.blog.0123abcd", Marker("blog", "web", "0123abcd")),
        ("cloudsync-web", None),
    ],
)
def test_whose_firewall_it_is(
    team: Team, cloud: DigitalOceanDouble, name: str, marker: Marker | None
) -> None:
    cloud.add_firewall(name, [SSH])
    cloud.add_firewall("cloudsync-web.shop.0123ABCD", [SSH])
    cloud.add_firewall("cloudsync-web-2.shop.0123abcd", [SSH])
    assert team.present().marker == marker


def test_two_that_could_be_the_one_are_told_and_not_guessed(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    for digits in ("0badcafe", "0badbeef"):
        cloud.add_firewall(f"cloudsync-web.shop.{digits}", [SSH])
    observed = team.read()
    assert isinstance(observed, Unreadable)
    assert "several firewalls could be" in observed.error.message


# Private networks


def test_private_sources_are_let_in_on_create_and_not_forced_later(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    team.spec = team.named("web", private="allow")
    observed = team.read()
    assert isinstance(observed, Absent)
    assert observed.private == rules(
        *(f"{what} from 10.0.0.0/8,172.16.0.0/12,192.168.0.0/16" for what in ("tcp", "udp", "icmp"))
    )
    team.spec = team.named("web", private=["10.20.0.0/16"])
    observed = team.read()
    assert isinstance(observed, Absent)
    assert observed.private.covers(rules("tcp/5432 from 10.20.0.0/16"))


def test_a_plan_that_cuts_private_traffic_says_so(team: Team, cloud: DigitalOceanDouble) -> None:
    cloud.add_droplet("web-1")
    team.spec = team.named("web", droplets=["web-1"])
    (step,) = team.steps(rules("tcp/22"))
    assert "traffic between the machines is cut" in str(step.warning)
    (step,) = team.steps(rules("tcp/22", "tcp from 10.0.0.0/8"))
    assert step.warning is None


# Limits


def test_50_rules_in_and_out_together(team: Team, cloud: DigitalOceanDouble) -> None:
    fitting = ["tcp/22", *(f"tcp/{10000 + 2 * n}" for n in range(46))]
    assert (
        "48 inbound rules are needed besides 3 outbound ones, DigitalOcean allows 50"
        in team.refusal(*fitting, "tcp/9")
    )
    team.makes(*fitting)
    assert team.present().rules == rules(*fitting)


def test_at_the_limit_everything_is_replaced_in_one_call_and_nothing_closes_first(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    cloud.add_firewall(NAME, [SSH, *(tcp(9000 + 2 * n) for n in range(46))], tags=["web"])
    wanted = ("tcp/22", *(f"tcp/{8000 + 2 * n}" for n in range(30)))
    team.makes(*wanted)
    assert team.written() == ["PUT /firewalls"]
    assert team.present().rules == rules(*wanted)
    assert team.firewall()["tags"] == ["web"]


def test_a_replace_stops_where_the_rules_changed_meanwhile(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    id_ = cloud.add_firewall(NAME, [SSH, tcp(443, "192.0.2.0/24", "198.51.100.0/24")])
    add = lambda: cloud.set_rules_by_hand(id_, [SSH, tcp(8443)])  # noqa: E731 - one line is all it is
    cloud.fail(Fault("GET", f"/firewalls/{id_}", "meanwhile", action=add))
    with pytest.raises(Conflict, match="changed since the plan was made"):
        team.makes("tcp/22", "tcp/443 from 192.0.2.0/24")
    assert team.written() == []


def test_a_replace_attaches_again_what_was_attached_meanwhile(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    id_ = cloud.add_firewall(NAME, [SSH, tcp(443, "192.0.2.0/24", "198.51.100.0/24")])
    droplet = cloud.add_droplet("late")
    cloud.fail(
        Fault(
            "GET",
            f"/firewalls/{id_}",
            "meanwhile",
            action=lambda: cloud.firewalls[id_].droplets.append(droplet),
        )
    )
    team.makes("tcp/22", "tcp/443 from 192.0.2.0/24")
    assert team.firewall()["droplet_ids"] == [droplet]


@pytest.mark.parametrize(
    ("settings", "words"), [({"droplets": 11}, "11 droplets"), ({"tags": 6}, "6 tags")]
)
def test_too_much_attached_is_refused_in_the_plan(
    team: Team, cloud: DigitalOceanDouble, settings: dict[str, int], words: str
) -> None:
    for n in range(11):
        cloud.add_droplet(f"web-{n}", tags=[f"tag-{n}"])
    names = {"droplets": "web", "tags": "tag"}
    team.spec = team.named(
        "web", **{key: [f"{names[key]}-{n}" for n in range(many)] for key, many in settings.items()}
    )
    assert words in team.refusal("tcp/22")


@pytest.mark.parametrize("wanted", ["sctp/3868", "esp from 192.0.2.1", "icmp/8 from any4"])
def test_what_cannot_be_said_is_refused(team: Team, wanted: str) -> None:
    assert wanted.split("/", maxsplit=1)[0].split(maxsplit=1)[0] in team.refusal("tcp/22", wanted)


# Attachments and what is in effect


def test_a_tag_lists_every_machine_that_newly_comes_under_the_firewall(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    plain, gpu = (
        cloud.add_droplet("a", tags=["web"]),
        cloud.add_droplet("gpu", tags=["web"], gpu=True),
    )
    cloud.add_droplet("b", tags=["db"])
    covered = cloud.add_droplet("c", tags=["web"])
    cloud.add_firewall("other", [SSH], droplets=[plain])
    cloud.add_firewall(NAME, [SSH], droplets=[covered])
    team.spec = team.named("web", tags=["web"])
    (attachment,) = team.present().attachments
    assert (attachment.target, attachment.attached) == ("tag web", False)
    assert [(one.name, one.protected) for one in attachment.newly_covered] == [
        ("a", True),
        ("gpu", False),
    ]
    team.makes("tcp/22")
    assert team.written() == ["POST tags"]
    assert cloud.covered(team.firewall()["id"]) == {plain, gpu, covered}


def test_droplets_are_attached_by_name_or_id_and_only_the_missing_ones(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    a, b, gpu = cloud.add_droplet("a"), cloud.add_droplet("b"), cloud.add_droplet("gpu", gpu=True)
    cloud.add_firewall(NAME, [SSH], droplets=[a])
    team.spec = team.named("web", droplets=["a", b, "gpu"])
    team.makes("tcp/22")
    (write,) = cloud.writes()
    assert write.body["droplet_ids"] == [b, gpu]
    assert team.firewall()["droplet_ids"] == sorted([a, b, gpu])


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"droplets": ["missing"]}, NotFound, "no droplet 'missing'"),
        ({"droplets": [4711]}, NotFound, "4711"),
        ({"droplets": ["twin"]}, Unsupported, "several droplets are named 'twin'"),
        ({"tags": ["missing"]}, NotFound, "a tag must exist"),
    ],
)
def test_what_cannot_be_attached_makes_its_firewall_unreadable(
    team: Team,
    cloud: DigitalOceanDouble,
    settings: dict[str, Any],
    error: type[ProviderError],
    words: str,
) -> None:
    cloud.add_droplet("twin")
    cloud.add_droplet("twin")
    found = provider.open_reader(team.account()).read(
        [team.named("web", **settings), team.named("api")]
    )
    observed = found["web"]
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, error)
    assert words in observed.error.message
    assert isinstance(found["api"], Absent)


def test_what_failed_to_be_put_in_force_is_told_seen_and_finished(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    droplet = cloud.add_droplet("web-1")
    cloud.add_firewall(NAME, [SSH], droplets=[droplet])
    cloud.failing_droplets.add(droplet)
    with pytest.raises(Transient, match=f"droplet {droplet}"):
        team.makes("tcp/22", "tcp/443")
    assert [one.target for one in team.present().pending] == [f"droplet {droplet}"]
    cloud.failing_droplets.clear()
    team.makes("tcp/22", "tcp/443", reapply=True)
    assert team.written() == ["PUT /firewalls"]
    assert team.present().pending == ()


def test_what_still_waits_is_waited_for_without_a_write(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    id_ = cloud.add_firewall(NAME, [SSH], droplets=[cloud.add_droplet("web-1")])
    cloud.firewalls[id_].status, cloud.firewalls[id_].polls = "waiting", 3
    assert [one.target for one in team.present().pending] != []
    team.makes("tcp/22", reapply=True)
    assert team.written() == []
    assert team.present().pending == ()


def test_a_change_that_succeeded_but_waits_on_a_droplet_is_not_in_effect(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    droplet = cloud.add_droplet("web-1")
    firewall = cloud.firewalls[cloud.add_firewall(NAME, [SSH], droplets=[droplet])]
    firewall.status = "succeeded"
    firewall.pending = [{"droplet_id": droplet, "removing": False, "status": "waiting"}]
    with pytest.raises(Transient, match=f"droplet {droplet}"):
        team.makes("tcp/22", reapply=True, seconds=0.6)


def test_a_change_that_never_ends_is_given_up_at_the_deadline(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    cloud.add_firewall(NAME, [SSH], droplets=[cloud.add_droplet("web-1")])
    cloud.polls = 10_000
    with pytest.raises(Transient, match="not in effect when the run's deadline was reached"):
        team.makes("tcp/22", "tcp/443", seconds=0.6)


# Tokens


def test_a_token_that_hides_what_is_attached_is_refused_where_a_replace_would_detach_it(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    droplet = cloud.add_droplet("web-1")
    cloud.add_firewall("cloudsync-web", [SSH], droplets=[droplet], tags=["web"])
    cloud.scopes["narrow"] = {"firewall:read", "firewall:update", "firewall:create"}
    observed = team.read(token="narrow")
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, AuthError)
    assert "the token lacks droplet:read" in observed.error.message
    assert "narrow" not in observed.error.message


def test_a_replace_looks_whether_the_token_shows_everything_before_it_writes(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    cloud.add_firewall(NAME, [SSH, tcp(443, "192.0.2.0/24", "198.51.100.0/24")], tags=["web"])
    cloud.scopes["narrow"] = {"firewall:read", "firewall:update", "droplet:read"}
    with pytest.raises(AuthError, match="the token lacks tag:read"):
        team.makes("tcp/22", "tcp/443 from 192.0.2.0/24", token="narrow")
    assert team.written() == []
    assert team.firewall()["tags"] == ["web"]


def test_a_token_that_may_only_read_can_plan_but_not_apply(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    cloud.scopes["reader"] = {"firewall:read", "droplet:read", "tag:read"}
    assert isinstance(team.read(token="reader"), Absent)
    with pytest.raises(AuthError, match="the token lacks a scope"):
        team.makes("tcp/22", token="reader")


def test_a_missing_token_is_said_without_a_call(team: Team, cloud: DigitalOceanDouble) -> None:
    account = team.account()
    team.monkeypatch.delenv("CLOUDSYNC_DOUBLE_TOKEN")
    with pytest.raises(AuthError, match="CLOUDSYNC_DOUBLE_TOKEN is not set"):
        provider.open_reader(account)
    assert cloud.calls == []


# Failures


def test_a_page_that_fails_is_not_the_last_one(team: Team, cloud: DigitalOceanDouble) -> None:
    """The library itself takes 200 of 201 for everything."""
    for n in range(200):
        cloud.add_firewall(f"other-{n}", [SSH])
    cloud.add_firewall(NAME, [SSH])
    cloud.fail(
        Fault(
            "GET", "/firewalls", status=500, body=fault_body("server_error"), skip=1, times=10_000
        )
    )
    assert isinstance(team.read(seconds=0.4), Unreadable)


def test_a_list_shorter_than_its_own_count_is_unreadable(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    body = {"firewalls": [], "links": {}, "meta": {"total": 3}}
    cloud.fail(Fault("GET", "/firewalls", status=200, body=body, times=10_000))
    observed = team.read(seconds=0.4)
    assert isinstance(observed, Unreadable)
    assert "0 of 3 firewalls arrived" in observed.error.message


READ_FAILURES = [
    (401, "Unauthorized", AuthError),
    (403, "forbidden", AuthError),
    (404, "not_found", NotFound),
    (429, "too_many_requests", RateLimited),
    (500, "server_error", Transient),
    (502, "bad_gateway", Transient),
    (503, "service_unavailable", Transient),
]


@pytest.mark.parametrize(("status", "code", "error"), READ_FAILURES)
def test_a_read_that_fails_for_good_is_unreadable(
    team: Team, cloud: DigitalOceanDouble, status: int, code: str, error: type[ProviderError]
) -> None:
    cloud.fail(Fault("GET", "/firewalls", status=status, body=fault_body(code), times=10_000))
    observed = team.read(seconds=8.0)
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, error)
    assert code in observed.error.message
    assert cloud.token not in observed.error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "GET /firewalls: 503: Service Unavailable"),
        ({"message": 5}, "GET /firewalls: 503: 5"),
        ({"id": None}, "GET /firewalls: 503: Service Unavailable"),
    ],
)
def test_an_error_without_its_parts_is_still_judged_by_its_status(
    team: Team, cloud: DigitalOceanDouble, body: Any, message: str
) -> None:
    cloud.fail(Fault("GET", "/firewalls", status=503, body=body, times=10_000))
    observed = team.read(seconds=1.5)
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, Transient)
    assert observed.error.message == message


@pytest.mark.parametrize("kind", ["drop-before", "truncate", "garbage"])
def test_a_read_that_fails_once_is_repeated(
    team: Team, cloud: DigitalOceanDouble, kind: Any
) -> None:
    cloud.add_firewall(NAME, [SSH])
    cloud.fail(Fault("GET", "/firewalls", kind))
    assert team.present().rules == rules("tcp/22")


def test_a_rate_limit_with_a_hint_is_waited_out(team: Team, cloud: DigitalOceanDouble) -> None:
    cloud.add_firewall(NAME, [SSH])
    cloud.fail(
        Fault(
            "GET",
            "/firewalls",
            status=429,
            body=fault_body("too_many_requests"),
            headers={"Retry-After": "1"},
        )
    )
    start = time.monotonic()
    assert team.present().rules == rules("tcp/22")
    assert time.monotonic() - start >= 1.0


@pytest.mark.parametrize(("kind", "took_effect"), [("drop-before", False), ("drop-after", True)])
def test_a_write_whose_answer_is_lost_has_an_unknown_fate_and_is_not_repeated(
    team: Team, cloud: DigitalOceanDouble, kind: Any, took_effect: bool
) -> None:
    cloud.add_firewall(NAME, [SSH])
    cloud.fail(Fault("POST", "/firewalls/.*/rules", kind))
    with pytest.raises(Transient) as raised:
        team.makes("tcp/22", "tcp/443")
    assert raised.value.fate_unknown
    assert team.written() == ["POST rules"]
    assert (team.present().rules == rules("tcp/22", "tcp/443")) is took_effect


@pytest.mark.parametrize("strict", [False, True])
def test_a_rule_that_is_gone_already(team: Team, cloud: DigitalOceanDouble, strict: bool) -> None:
    """Whether the vendor minds is not written down: either way the run ends well or says what
    happened, and the next one is right."""
    cloud.strict_delete = strict
    id_ = cloud.add_firewall(NAME, [SSH, tcp(80)])
    take = lambda: cloud.set_rules_by_hand(id_, [SSH])  # noqa: E731 - one line is all it is
    cloud.fail(Fault("DELETE", "/firewalls/.*/rules", "meanwhile", action=take))
    if strict:
        with pytest.raises(ProviderError):
            team.makes("tcp/22")
    else:
        team.makes("tcp/22")
    assert team.steps(rules("tcp/22")) == ()


def test_a_name_that_is_taken_by_now_is_told_and_planned_again(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    cloud.fail(
        Fault("POST", "/firewalls", "meanwhile", action=lambda: cloud.add_firewall(NAME, [SSH]))
    )
    with pytest.raises(Conflict, match="a firewall of this name exists by now"):
        team.makes("tcp/22")


def test_a_rule_that_cannot_be_understood_is_unreadable_and_not_left_out(
    team: Team, cloud: DigitalOceanDouble
) -> None:
    id_ = cloud.add_firewall(NAME, [SSH])
    cloud.firewalls[id_].rules["inbound_rules"].append(SSH | {"protocol": "quic"})
    observed = team.read()
    cloud.violations.clear()  # the double was made to answer what the vendor does not describe
    assert isinstance(observed, Unreadable)
    assert "quic" in observed.error.message


def test_the_real_address_is_never_asked(
    team: Team, cloud: DigitalOceanDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's objects forget the endpoint they came from; nothing of it is used that
    would."""
    asked: list[str] = []
    real = connection.create_connection

    def watched(address: tuple[str, int], *rest: Any, **more: Any) -> Any:
        asked.append(address[0])
        return real(address, *rest, **more)

    monkeypatch.setattr("urllib3.util.connection.create_connection", watched)
    team.makes("tcp/22", "tcp/443")
    team.makes("tcp/22")
    assert set(asked) == {"127.0.0.1"}
