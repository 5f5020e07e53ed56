"""The double itself, over plain HTTP: as strict as the vendor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cloudsync.testing.http import Fault
from tests.doubles.hetzner import HetznerDouble

pytestmark = pytest.mark.emulator
ROOT = Path(__file__).parents[2]
RULE: dict[str, Any] = {
    "direction": "in",
    "protocol": "tcp",
    "port": "80",
    "source_ips": ["0.0.0.0/0"],
}


@pytest.fixture
def cloud() -> Iterator[HetznerDouble]:
    with HetznerDouble() as double:
        yield double


def ask(
    cloud: HetznerDouble, method: str, path: str, body: Any = None, token: str | None = ""
) -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token or cloud.token}"}
    answer = requests.request(method, cloud.endpoint + path, json=body, headers=headers, timeout=30)
    return answer.status_code, answer.json() if answer.content else None


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


@pytest.mark.parametrize(
    "change",
    [
        {"source_ips": ["10.0.0.1/8"]},
        {"source_ips": ["10.0.0.1"]},
        {"source_ips": []},
        {"source_ips": [f"10.0.{n}.0/32" for n in range(101)]},
        {"port": None},
        {"port": "0"},
        {"port": "70000"},
        {"port": "20-10"},
        {"protocol": "icmp"},
        {"protocol": "sctp"},
        {"destination_ips": ["0.0.0.0/0"]},
        {"description": "x" * 256},
    ],
)
def test_a_rule_the_vendor_refuses_is_refused_in_create_and_set_rules(
    cloud: HetznerDouble, change: dict[str, Any]
) -> None:
    id_ = cloud.add_firewall("fw")
    assert code(
        ask(cloud, "POST", f"/firewalls/{id_}/actions/set_rules", {"rules": [RULE | change]})
    ) == (422, "invalid_input")
    assert code(ask(cloud, "POST", "/firewalls", {"name": "new", "rules": [RULE | change]})) == (
        422,
        "invalid_input",
    )
    assert cloud.firewall("new") is None


@pytest.mark.parametrize(("count", "status"), [(50, 201), (51, 422)])
def test_50_rules_and_not_one_more(cloud: HetznerDouble, count: int, status: int) -> None:
    rules = [RULE | {"port": str(1000 + number)} for number in range(count)]
    assert ask(cloud, "POST", "/firewalls", {"name": "fw", "rules": rules})[0] == status


def test_50_firewalls_and_not_one_more(cloud: HetznerDouble) -> None:
    for number in range(50):
        cloud.add_firewall(f"fw-{number}")
    assert code(ask(cloud, "POST", "/firewalls", {"name": "one-more"})) == (
        403,
        "resource_limit_exceeded",
    )


def test_names_are_unique(cloud: HetznerDouble) -> None:
    cloud.add_firewall("fw")
    assert code(ask(cloud, "POST", "/firewalls", {"name": "fw"})) == (409, "uniqueness_error")


def test_rules_are_in_force_only_when_the_actions_succeeded(cloud: HetznerDouble) -> None:
    server = cloud.add_server("a")
    status, answer = ask(
        cloud,
        "POST",
        "/firewalls",
        {"name": "fw", "rules": [RULE], "apply_to": [{"type": "server", "server": {"id": server}}]},
    )
    assert status == 201
    assert [action["command"] for action in answer["actions"]] == [
        "set_firewall_rules",
        "apply_firewall",
    ]
    assert cloud.server("a")["public_net"]["firewalls"][0]["status"] == "pending"
    query = "&".join(f"id={action['id']}" for action in answer["actions"])
    seen = [
        {a["status"] for a in ask(cloud, "GET", f"/actions?{query}")[1]["actions"]}
        for _ in range(2)
    ]
    assert seen == [{"running"}, {"success"}]
    assert cloud.server("a")["public_net"]["firewalls"][0]["status"] == "applied"
    assert cloud.violations == []


def test_what_took_effect_is_on_record_although_its_answer_is_late(cloud: HetznerDouble) -> None:
    """Or it would be counted for whoever calls next."""
    cloud.fail(Fault("POST", "/firewalls", "late", seconds=5))
    headers = {"Authorization": f"Bearer {cloud.token}"}
    with pytest.raises(requests.Timeout):
        requests.post(
            f"{cloud.endpoint}/firewalls", json={"name": "fw"}, headers=headers, timeout=(3, 0.5)
        )
    assert [(call.method, call.status) for call in cloud.calls] == [("POST", 201)]


def test_actions_need_ids(cloud: HetznerDouble) -> None:
    assert ask(cloud, "GET", "/actions")[0] == 400


def test_pages(cloud: HetznerDouble) -> None:
    for number in range(51):
        cloud.add_server(f"s-{number}")
    first, second = (ask(cloud, "GET", f"/servers?per_page=50&page={page}")[1] for page in (1, 2))
    assert (len(first["servers"]), first["meta"]["pagination"]["next_page"]) == (50, 2)
    assert (len(second["servers"]), second["meta"]["pagination"]["next_page"]) == (1, None)
    assert second["meta"]["pagination"]["total_entries"] == 51
    assert ask(cloud, "GET", "/servers?per_page=51")[0] == 400
    assert cloud.violations == []


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("env=prod", "ab"),
        ("env!=prod", "c"),
        ("tier", "a"),
        ("!tier", "bc"),
        ("env=prod,tier=x", "a"),
        ("env in (prod, test)", "abc"),
    ],
)
def test_label_selectors(cloud: HetznerDouble, selector: str, names: str) -> None:
    for name, labels in (
        ("a", {"env": "prod", "tier": "x"}),
        ("b", {"env": "prod"}),
        ("c", {"env": "test"}),
    ):
        cloud.add_server(name, labels=labels)
    found = ask(cloud, "GET", f"/servers?label_selector={requests.utils.quote(selector)}")[1][
        "servers"
    ]
    assert "".join(sorted(server["name"] for server in found)) == names


def test_tokens(cloud: HetznerDouble) -> None:
    assert code(ask(cloud, "GET", "/firewalls", token=None)) == (401, "unauthorized")
    assert code(ask(cloud, "GET", "/firewalls", token="wrong")) == (401, "unauthorized")
    assert ask(cloud, "GET", "/firewalls", token=cloud.read_only_token)[0] == 200
    assert code(ask(cloud, "POST", "/firewalls", {"name": "x"}, cloud.read_only_token)) == (
        403,
        "token_readonly",
    )


def test_ipv6_comes_back_canonical_and_lists_come_back_in_any_order(cloud: HetznerDouble) -> None:
    sources = [f"2001:0DB8:{n:04x}::/48" for n in range(1, 30)]
    ask(cloud, "POST", "/firewalls", {"name": "fw", "rules": [RULE | {"source_ips": sources}]})
    (rule,) = ask(cloud, "GET", "/firewalls")[1]["firewalls"][0]["rules"]
    assert set(rule["source_ips"]) == {f"2001:db8:{n:x}::/48" for n in range(1, 30)}
    assert rule["source_ips"] != [f"2001:db8:{n:x}::/48" for n in range(1, 30)]


def test_a_firewall_in_use_is_not_deleted(cloud: HetznerDouble) -> None:
    id_ = cloud.add_firewall("fw", servers=[cloud.add_server("a")])
    assert code(ask(cloud, "DELETE", f"/firewalls/{id_}")) == (422, "resource_in_use")


def test_unknown_routes_and_methods(cloud: HetznerDouble) -> None:
    assert code(ask(cloud, "GET", "/nothing")) == (404, "not_found")
    assert ask(cloud, "PUT", "/servers", {})[0] == 405


def test_a_request_the_vendor_does_not_describe_is_a_violation(cloud: HetznerDouble) -> None:
    if not (ROOT.parent / "shared" / "specs").is_dir():
        pytest.skip("the vendor's description is not at hand")
    ask(
        cloud,
        "POST",
        "/firewalls",
        {
            "name": "fw",
            "rules": [RULE | {"source_ips": ["10.0.0.0/8"], "description": None}],
            "labels": {"a": "b"},
        },
    )
    assert cloud.violations == []
    id_ = cloud.add_firewall("other")
    cloud.firewalls[id_].name = 5  # type: ignore[assignment]
    ask(cloud, "GET", f"/firewalls/{id_}")
    assert cloud.violations


def test_every_write_leaves_the_rule_set_behind(cloud: HetznerDouble) -> None:
    id_ = cloud.add_firewall("fw", [RULE])
    ask(cloud, "POST", f"/firewalls/{id_}/actions/set_rules", {"rules": []})
    ask(cloud, "POST", f"/firewalls/{id_}/actions/set_rules", {"rules": [RULE]})
    assert [(name, len(rules)) for name, rules in cloud.history] == [("fw", 0), ("fw", 1)]


def test_it_can_be_run_from_a_shell() -> None:
    words = [sys.executable, "-m", "tests.doubles.hetzner", "--port", "0", "--servers", "a,b"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        endpoint = process.stdout.readline().removeprefix("endpoint = ").strip()
        token = process.stdout.readline().removeprefix("token = ").strip()
        answer = requests.get(
            f"{endpoint}/servers", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        assert [server["name"] for server in answer.json()["servers"]] == ["a", "b"]
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
