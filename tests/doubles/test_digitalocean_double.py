"""The double itself, over plain HTTP: as strict as the vendor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.doubles.digitalocean import DigitalOceanDouble, fault_body
from tests.doubles.http import SPECS, Fault

pytestmark = pytest.mark.emulator
ROOT = Path(__file__).parents[2]
ANYWHERE = ["0.0.0.0/0", "::/0"]
RULE: dict[str, Any] = {"protocol": "tcp", "ports": "80", "sources": {"addresses": ANYWHERE}}
ALL: dict[str, Any] = {
    "protocol": "udp",
    "ports": "1-65535",
    "destinations": {"addresses": ANYWHERE},
}


@pytest.fixture
def cloud() -> Iterator[DigitalOceanDouble]:
    with DigitalOceanDouble() as double:
        yield double


def ask(
    cloud: DigitalOceanDouble, method: str, path: str, body: Any = None, token: str | None = ""
) -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token or cloud.token}"}
    answer = requests.request(method, cloud.endpoint + path, json=body, headers=headers, timeout=30)
    return answer.status_code, answer.json() if answer.content else None


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["id"]


def told(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["message"]


def make(cloud: DigitalOceanDouble, **more: Any) -> tuple[int, Any]:
    return ask(cloud, "POST", "/firewalls", {"name": "fw", "inbound_rules": [RULE], **more})


def ports(cloud: DigitalOceanDouble) -> set[str]:
    firewall = cloud.firewall("fw")
    assert firewall is not None
    return {rule["ports"] for rule in firewall["inbound_rules"]}


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "esp"},
        {"protocol": "icmp"},
        {"ports": None},
        {"ports": 80},
        {"ports": ""},
        {"ports": "70000"},
        {"ports": "20-10"},
        {"ports": "0-80"},
        {"sources": None},
        {"sources": {}},
        {"sources": {"addresses": [], "tags": []}},
        {"sources": {"addresses": "0.0.0.0/0"}},
        {"sources": {"addresses": ["10.0.0.1/8"]}},
        {"sources": {"addresses": ["2001:db8::1/32"]}},
        {"sources": {"addresses": ["10.0.0.0/255.0.0.0"]}},
        {"sources": {"addresses": [f"10.0.{n // 250}.{n % 250}" for n in range(1001)]}},
        {"sources": {"tags": ["nobody"]}},
        {"sources": {"droplet_ids": [5]}},
    ],
)
def test_a_rule_the_vendor_refuses_is_refused_everywhere(
    cloud: DigitalOceanDouble, change: dict[str, Any]
) -> None:
    id_ = cloud.add_firewall("old")
    body = {"name": "fw", "inbound_rules": [RULE, RULE | {"ports": "81"} | change]}
    for method, path in (
        ("POST", "/firewalls"),
        ("PUT", f"/firewalls/{id_}"),
        ("POST", f"/firewalls/{id_}/rules"),
    ):
        assert code(ask(cloud, method, path, body)) == (422, "unprocessable_entity")
    assert cloud.firewall("fw") is None
    assert cloud.firewall("old")["inbound_rules"] == []  # type: ignore[index]
    assert cloud.history == []


@pytest.mark.parametrize(
    ("era", "accepted"),
    [("spec", {"0": "0", "all": "0", "1-65535": "0"}), ("strict", {"1-65535": "1-65535"})],
)
def test_all_ports_by_era(cloud: DigitalOceanDouble, era: Any, accepted: dict[str, str]) -> None:
    cloud.ports_era = era
    for written in ("0", "all", "1-65535"):
        status, answer = make(
            cloud, name=f"fw-{written}", inbound_rules=[RULE | {"ports": written}]
        )
        assert status == (202 if written in accepted else 422)
        if status == 202:
            assert answer["firewall"]["inbound_rules"][0]["ports"] == accepted[written]


@pytest.mark.parametrize(("era", "status"), [("spec", 202), ("strict", 422)])
def test_icmp_goes_without_ports_and_comes_back_as_0(
    cloud: DigitalOceanDouble, era: Any, status: int
) -> None:
    cloud.ports_era = era
    icmp = {
        "protocol": "icmp",
        "sources": {"addresses": ["192.0.2.1"], "tags": [], "droplet_ids": None},
    }
    _, answer = make(cloud, inbound_rules=[icmp])
    assert answer["firewall"]["inbound_rules"] == [
        {"protocol": "icmp", "ports": "0", "sources": {"addresses": ["192.0.2.1"]}}
    ]
    assert make(cloud, name="with-ports", inbound_rules=[icmp | {"ports": "0"}])[0] == status


def test_limits(cloud: DigitalOceanDouble) -> None:
    many = [RULE | {"ports": str(1000 + number)} for number in range(50)]
    droplets = [cloud.add_droplet(f"d-{n}", [f"t-{n}"]) for n in range(11)]
    assert make(cloud, inbound_rules=many, droplet_ids=droplets[:10], tags=cloud.tags[:5])[0] == 202
    assert told(make(cloud, name="fw-2", inbound_rules=many, outbound_rules=[ALL])) == (
        422, "firewall must not have more than 50 rules",
    )  # fmt: skip
    assert told(make(cloud, name="fw-2", droplet_ids=droplets)) == (
        422,
        "must have no more than 10 droplets",
    )
    assert make(cloud, name="fw-2", tags=cloud.tags[:6])[0] == 422
    path = f"/firewalls/{cloud.firewall('fw')['id']}"  # type: ignore[index]
    assert ask(cloud, "POST", f"{path}/rules", {"inbound_rules": [RULE]})[0] == 422
    assert ask(cloud, "POST", f"{path}/rules", {"inbound_rules": many})[0] == 204
    assert ask(cloud, "POST", f"{path}/droplets", {"droplet_ids": droplets[10:]})[0] == 422
    assert ask(cloud, "POST", f"{path}/tags", {"tags": ["t-9"]})[0] == 422
    assert cloud.violations == []


@pytest.mark.parametrize("name", ["a", "-ab", "a_b", "a b", "", None, 5, "ab\n"])
def test_names_have_a_pattern(cloud: DigitalOceanDouble, name: Any) -> None:
    assert make(cloud, name=name)[0] == 422


def test_names_are_unique(cloud: DigitalOceanDouble) -> None:
    cloud.add_firewall("fw")
    other = cloud.add_firewall("other")
    assert make(cloud) == (409, fault_body("conflict", "duplicate name"))
    assert (
        ask(cloud, "PUT", f"/firewalls/{other}", {"name": "fw", "inbound_rules": [RULE]})[0] == 409
    )
    assert (
        ask(cloud, "PUT", f"/firewalls/{other}", {"name": "other", "inbound_rules": [RULE]})[0]
        == 200
    )


@pytest.mark.parametrize(
    "more", [{"droplet_ids": [7]}, {"droplet_ids": ["1001"]}, {"tags": ["nobody"]}, {"tags": "web"}]
)
def test_what_is_attached_must_exist(cloud: DigitalOceanDouble, more: dict[str, Any]) -> None:
    cloud.add_droplet("web", ["web"])
    assert make(cloud, **more)[0] == 422


def test_a_write_is_waiting_until_it_was_read_once_by_its_id(cloud: DigitalOceanDouble) -> None:
    direct, tagged = cloud.add_droplet("a"), cloud.add_droplet("b", ["web"])
    status, answer = make(cloud, droplet_ids=[direct], tags=["web"])
    firewall = answer["firewall"]
    assert (status, firewall["status"], firewall["droplet_ids"]) == (202, "waiting", [direct])
    assert firewall["pending_changes"] == [
        {"droplet_id": id_, "removing": False, "status": "waiting"} for id_ in (direct, tagged)
    ]  # fmt: skip
    assert cloud.covered(firewall["id"]) == {direct, tagged}
    for _ in range(2):
        assert ask(cloud, "GET", "/firewalls")[1]["firewalls"][0]["status"] == "waiting"
    seen = [ask(cloud, "GET", f"/firewalls/{firewall['id']}/")[1]["firewall"] for _ in range(2)]
    assert [(one["status"], len(one["pending_changes"])) for one in seen] == [
        ("waiting", 2),
        ("succeeded", 0),
    ]
    assert cloud.count("GET", "/firewalls/[^/]+") == 2
    assert cloud.violations == []


def test_a_droplet_that_fails_and_one_that_leaves(cloud: DigitalOceanDouble) -> None:
    cloud.polls = 0
    good, bad = cloud.add_droplet("a"), cloud.add_droplet("b")
    cloud.failing_droplets = {bad}
    id_ = cloud.add_firewall("fw", [RULE], droplets=[good, bad])
    assert ask(cloud, "DELETE", f"/firewalls/{id_}/droplets", {"droplet_ids": [bad]})[0] == 204
    firewall = ask(cloud, "GET", f"/firewalls/{id_}")[1]["firewall"]
    assert (firewall["status"], firewall["droplet_ids"]) == ("failed", [good])
    assert firewall["pending_changes"] == [
        {"droplet_id": bad, "removing": True, "status": "waiting"}
    ]


def test_put_resets_what_it_is_not_given(cloud: DigitalOceanDouble) -> None:
    id_ = cloud.add_firewall("fw", [RULE], droplets=[cloud.add_droplet("a")], tags=["web"])
    assert ask(cloud, "PUT", f"/firewalls/{id_}", {"inbound_rules": [RULE]})[0] == 422
    assert told(ask(cloud, "PUT", f"/firewalls/{id_}", {"name": "fw", "inbound_rules": []})) == (
        422,
        "must contain at least one rule",
    )
    status, answer = ask(
        cloud, "PUT", f"/firewalls/{id_}", {"name": "new", "inbound_rules": [RULE]}
    )
    firewall = answer["firewall"]
    assert (status, firewall["name"], firewall["droplet_ids"], firewall["tags"]) == (
        200,
        "new",
        [],
        [],
    )
    assert firewall["outbound_rules"] == []
    assert [change["removing"] for change in firewall["pending_changes"]] == [True]


def test_rules_are_added_once_and_removed_by_meaning(cloud: DigitalOceanDouble) -> None:
    path = f"/firewalls/{cloud.add_firewall('fw', [RULE, RULE | {'ports': '1-65535'}])}/rules"
    assert ask(
        cloud,
        "POST",
        path,
        {"inbound_rules": [RULE, RULE | {"ports": "90"}, RULE | {"ports": "all"}]},
    ) == (204, None)
    assert len(cloud.firewall("fw")["inbound_rules"]) == 3  # type: ignore[index]
    turned = {"ports": "0", "sources": {"addresses": ANYWHERE[::-1]}}
    assert (
        ask(
            cloud,
            "DELETE",
            path,
            {"inbound_rules": [RULE | turned, RULE | {"ports": "1"}], "outbound_rules": [ALL]},
        )[0]
        == 204
    )
    assert ports(cloud) == {"80", "90"}
    assert len(cloud.firewall("fw")["outbound_rules"]) == 2  # type: ignore[index]
    narrower = RULE | {"sources": {"addresses": ANYWHERE[:1]}}
    assert ask(cloud, "DELETE", path, {"inbound_rules": [narrower]})[0] == 204
    assert ports(cloud) == {"80", "90"}
    assert [len(rules) for _, rules in cloud.history] == [3, 2, 2]
    assert cloud.violations == []


def test_a_strict_delete_takes_all_or_nothing(cloud: DigitalOceanDouble) -> None:
    cloud.strict_delete = True
    path = f"/firewalls/{cloud.add_firewall('fw', [RULE])}/rules"
    assert code(ask(cloud, "DELETE", path, {"inbound_rules": [RULE, RULE | {"ports": "1"}]})) == (
        404,
        "not_found",
    )
    assert ports(cloud) == {"80"}
    assert ask(cloud, "DELETE", path, {"inbound_rules": [RULE]})[0] == 204
    assert ports(cloud) == set()


def test_tags_and_droplets_come_and_go(cloud: DigitalOceanDouble) -> None:
    direct, tagged = cloud.add_droplet("a"), cloud.add_droplet("b", ["web"])
    id_ = cloud.add_firewall("fw", [RULE])
    assert ask(cloud, "POST", f"/firewalls/{id_}/droplets", {"droplet_ids": [direct]}) == (
        204,
        None,
    )
    assert ask(cloud, "POST", f"/firewalls/{id_}/tags", {"tags": ["web"]}) == (204, None)
    found = ask(cloud, "GET", f"/droplets/{tagged}/firewalls")[1]["firewalls"]
    assert [(one["droplet_ids"], one["tags"]) for one in found] == [([direct], ["web"])]
    assert ask(cloud, "DELETE", f"/firewalls/{id_}/tags", {"tags": ["web"]}) == (204, None)
    assert cloud.covered(id_) == {direct}
    assert ask(cloud, "POST", f"/firewalls/{id_}/tags", {})[0] == 422
    assert ask(cloud, "DELETE", f"/firewalls/{id_}") == (204, None)
    assert code(ask(cloud, "DELETE", f"/firewalls/{id_}")) == (404, "not_found")
    assert cloud.history == []
    assert cloud.violations == []


def test_pages(cloud: DigitalOceanDouble) -> None:
    for number in range(45):
        cloud.add_firewall(f"fw-{number}")
    first = ask(cloud, "GET", "/firewalls")[1]
    assert (len(first["firewalls"]), first["meta"], set(first["links"]["pages"])) == (
        20,
        {"total": 45},
        {"next", "last"},
    )
    assert first["links"]["pages"]["next"].startswith(cloud.endpoint + "/firewalls?")
    second = ask(cloud, "GET", first["links"]["pages"]["next"].removeprefix(cloud.endpoint))[1]
    assert set(second["links"]["pages"]) == {"first", "prev", "next", "last"}
    third = ask(cloud, "GET", second["links"]["pages"]["next"].removeprefix(cloud.endpoint))[1]
    assert (len(third["firewalls"]), set(third["links"]["pages"])) == (5, {"first", "prev"})
    assert ask(cloud, "GET", "/firewalls?per_page=200")[1]["links"] == {}
    for query in ("per_page=201", "per_page=0", "per_page=x", "page=0"):
        assert ask(cloud, "GET", f"/firewalls?{query}")[0] == 422
    assert cloud.violations == []


def test_droplets(cloud: DigitalOceanDouble) -> None:
    plain, gpu = cloud.add_droplet("Web", ["env:prod"]), cloud.add_droplet("gpu", gpu=True)
    asked = {
        query: [one["id"] for one in ask(cloud, "GET", f"/droplets{query}")[1]["droplets"]]
        for query in ("", "?type=gpus", "?name=web", "?tag_name=env:prod", "?name=nobody")
    }
    assert list(asked.values()) == [[plain], [gpu], [plain], [plain], []]
    assert ask(cloud, "GET", "/droplets?type=gpus&tag_name=env:prod")[0] == 422
    assert ask(cloud, "GET", f"/droplets/{gpu}")[1]["droplet"]["name"] == "gpu"
    assert code(ask(cloud, "GET", "/droplets/5")) == (404, "not_found")
    assert cloud.violations == []


def test_tags(cloud: DigitalOceanDouble) -> None:
    cloud.add_droplet("a", ["env:prod"])
    assert ask(cloud, "POST", "/tags", {"name": "new"})[0] == 201
    assert [tag["name"] for tag in ask(cloud, "GET", "/tags")[1]["tags"]] == ["env:prod", "new"]
    assert ask(cloud, "GET", "/tags/env%3Aprod")[1]["tag"]["resources"]["droplets"]["count"] == 1
    assert ask(cloud, "GET", "/tags/nobody")[0] == 404
    assert ask(cloud, "POST", "/tags", {"name": "a b"})[0] == 422
    assert cloud.violations == []


def test_tokens(cloud: DigitalOceanDouble) -> None:
    cloud.scopes["reader"] = {"firewall:read"}
    for token in (None, "wrong"):
        assert ask(cloud, "GET", "/firewalls", token=token) == (
            401, {"id": "Unauthorized", "message": "Unable to authenticate you"},
        )  # fmt: skip
    assert ask(cloud, "GET", "/firewalls", token="reader")[0] == 200
    for method, path, body in (
        ("GET", "/droplets", None),
        ("GET", "/tags", None),
        ("POST", "/firewalls", {}),
    ):
        assert ask(cloud, method, path, body, "reader") == (
            403, {"id": "forbidden", "message": "You are not authorized to perform this operation"},
        )  # fmt: skip


def test_a_token_sees_only_what_it_may_read(cloud: DigitalOceanDouble) -> None:
    cloud.scopes = {
        "some": {"firewall:read", "firewall:update"},
        "tags": {"firewall:update", "droplet:read", "tag:read"},
    }
    droplet = cloud.add_droplet("a", ["web"])
    id_ = cloud.add_firewall("fw", [RULE], droplets=[droplet], tags=["web"])
    body = {"name": "fw", "inbound_rules": [RULE]}
    firewall = ask(cloud, "GET", f"/firewalls/{id_}", token="some")[1]["firewall"]
    assert (firewall["droplet_ids"], firewall["tags"]) == ([], [])
    assert code(ask(cloud, "PUT", f"/firewalls/{id_}", body, "some")) == (403, "forbidden")
    assert code(ask(cloud, "PUT", f"/firewalls/{id_}", body | {"tags": ["web"]}, "tags")) == (
        403,
        "forbidden",
    )
    assert cloud.covered(id_) == {droplet}
    cloud.scopes["tags"].add("tag:create")
    assert ask(cloud, "PUT", f"/firewalls/{id_}", body | {"tags": ["web"]}, "tags")[0] == 200


def test_rules_come_back_in_any_order_and_their_addresses_as_sent(
    cloud: DigitalOceanDouble,
) -> None:
    sources = ["2001:DB8:0::/48", "192.0.2.9", "10.0.0.0/8"]
    rules = [
        RULE | {"ports": str(port), "sources": {"addresses": sources}} for port in range(1000, 1030)
    ]
    echoed = make(cloud, inbound_rules=rules)[1]["firewall"]["inbound_rules"]
    assert echoed != rules
    assert sorted(echoed, key=lambda rule: str(rule["ports"])) == rules
    assert cloud.firewall("fw")["inbound_rules"] == rules  # type: ignore[index]
    cloud.shuffle = False
    assert ask(cloud, "GET", "/firewalls")[1]["firewalls"][0]["inbound_rules"] == rules


def test_rules_changed_by_hand_are_no_history(cloud: DigitalOceanDouble) -> None:
    id_ = cloud.add_firewall("fw", [RULE])
    cloud.set_rules_by_hand(id_, [RULE | {"ports": "8000-9000"}])
    assert ports(cloud) == {"8000-9000"}
    assert cloud.history == []


def test_rate_limits_faults_and_unknown_routes(cloud: DigitalOceanDouble) -> None:
    cloud.fail(Fault("GET", "/firewalls", status=503, body=fault_body("service_unavailable")))
    assert code(ask(cloud, "GET", "/firewalls/")) == (503, "service_unavailable")
    assert code(ask(cloud, "GET", "/nothing")) == (404, "not_found")
    assert code(ask(cloud, "PUT", "/droplets", {})) == (405, "method_not_allowed")
    assert code(ask(cloud, "POST", "/firewalls", [1])) == (400, "bad_request")
    cloud.remaining = 0
    answer = requests.get(
        f"{cloud.endpoint}/firewalls",
        headers={"Authorization": f"Bearer {cloud.token}"},
        timeout=30,
    )
    assert (answer.status_code, answer.json()["id"], answer.headers["ratelimit-remaining"]) == (
        429,
        "too_many_requests",
        "0",
    )
    assert {"ratelimit-limit", "ratelimit-reset"} <= {name.lower() for name in answer.headers}


@pytest.mark.skipif(not SPECS.is_dir(), reason="the vendor's description is not at hand")
def test_what_the_vendor_does_not_describe_is_a_violation(cloud: DigitalOceanDouble) -> None:
    _, answer = make(cloud)
    assert cloud.violations == []
    ask(cloud, "PUT", f"/firewalls/{answer['firewall']['id']}", answer["firewall"])
    assert {text.rpartition(" ")[2] for text in cloud.violations} == {
        "id",
        "status",
        "created_at",
        "pending_changes",
    }
    cloud.violations.clear()
    ask(cloud, "GET", "/firewalls?name=fw")
    assert [text.rpartition(" ")[2] for text in cloud.violations] == ["name"]
    cloud.violations.clear()
    cloud.firewalls[answer["firewall"]["id"]].status = "done"
    ask(cloud, "GET", "/firewalls")
    assert len(cloud.violations) == 1


def test_it_can_be_run_from_a_shell() -> None:
    words = [sys.executable, "-m", "tests.doubles.digitalocean", "--port", "0", "--droplets", "a,b"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        endpoint = process.stdout.readline().removeprefix("endpoint = ").strip()
        token = process.stdout.readline().removeprefix("token = ").strip()
        answer = requests.get(
            f"{endpoint}/droplets", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        assert [droplet["name"] for droplet in answer.json()["droplets"]] == ["a", "b"]
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
