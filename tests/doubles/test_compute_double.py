"""The double itself, by the real SDK: as strict as the vendor."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict, Forbidden, GoogleAPICallError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1 as gce

from tests.doubles import compute
from tests.doubles.compute import ComputeDouble, Fault, fault_body
from tests.doubles.http import openapi

pytestmark = pytest.mark.emulator
ROOT = Path(__file__).parents[2]
HAS_SPEC = openapi(compute.SPEC) is not None
TCP: dict[str, Any] = {"IPProtocol": "tcp", "ports": ["80", "443"]}
RULE: dict[str, Any] = {"name": "web", "allowed": [TCP], "sourceRanges": ["198.51.100.0/24"]}
LIST = "/projects/p/global/firewalls"


class Cloud:
    def __init__(self, double: ComputeDouble) -> None:
        options: dict[str, Any] = {
            "credentials": AnonymousCredentials(),
            "client_options": {"api_endpoint": double.endpoint},
        }
        self.double = double
        self.rules, self.operations = (
            gce.FirewallsClient(**options),
            gce.GlobalOperationsClient(**options),
        )
        self.networks = gce.NetworksClient(**options)

    def write(
        self, method: str, name: str = "web", request_id: str | None = None, **fields: Any
    ) -> gce.Operation:
        request: dict[str, Any] = {
            "project": "p",
            **({"request_id": request_id} if request_id else {}),
        }
        if method != "delete":
            resource = gce.Firewall.from_json(
                json.dumps(fields | ({"name": name} if method == "insert" else {}))
            )
            request["firewall_resource"] = resource
        if method != "insert":
            request["firewall"] = name
        return getattr(self.rules, f"{method}_unary")(request=request, retry=None)

    def done(self, operation: gce.Operation) -> gce.Operation:
        return self.operations.wait(project="p", operation=operation.name)

    def names(self) -> list[str]:
        return [one.name for one in self.rules.list(project="p")]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with ComputeDouble() as double:
        yield Cloud(double)
        assert double.violations == []


@pytest.fixture
def careless() -> Iterator[Cloud]:
    with ComputeDouble() as double:
        yield Cloud(double)


def send(cloud: Cloud, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
    answer = requests.request(
        method, f"{cloud.double.endpoint}/compute/v1{path}", json=body, params=query, timeout=30
    )
    return answer.status_code, answer.json()


def reason(error: GoogleAPICallError) -> str:
    return str(error.errors[0]["reason"])


RUNNING, DONE = gce.Operation.Status.RUNNING, gce.Operation.Status.DONE


def test_a_write_takes_effect_when_its_operation_is_done_and_not_before(cloud: Cloud) -> None:
    operation = cloud.write("insert", **RULE)
    assert (operation.status, operation.operation_type, cloud.names()) == (RUNNING, "insert", [])
    with pytest.raises(NotFound):
        cloud.rules.get(project="p", firewall="web")
    assert cloud.operations.get(project="p", operation=operation.name).status == RUNNING
    assert cloud.operations.get(project="p", operation=operation.name).status == DONE
    assert cloud.names() == ["web"]
    made = cloud.rules.get(project="p", firewall="web")
    assert (made.priority, made.direction, made.disabled, made.log_config.enable) == (
        1000,
        "INGRESS",
        False,
        False,
    )
    assert (made.network, made.id) == (
        f"{compute.BASE}/projects/p/global/networks/default",
        operation.target_id,
    )
    assert "description" not in made
    cloud.done(cloud.write("patch", priority=7))
    assert [
        {name: one["priority"] for name, one in then.items()} for then in cloud.double.history
    ] == [{"web": 1000}, {"web": 7}]
    cloud.done(cloud.write("delete"))
    assert (cloud.names(), cloud.double.firewalls(), cloud.double.history[-1]) == ([], {}, {})


def test_a_wait_may_come_back_early(cloud: Cloud) -> None:
    cloud.double.slow_waits = 2
    operation = cloud.write("insert", **RULE)
    assert [cloud.done(operation).status for _ in range(3)] == [RUNNING, RUNNING, DONE]


def test_an_operation_nobody_waits_for_ends_by_itself(cloud: Cloud) -> None:
    cloud.double.settle_calls = 3
    cloud.write("insert", **RULE)
    assert [cloud.names() for _ in range(4)] == [[], [], [], ["web"]]
    cloud.write("delete")
    cloud.double.settle()
    assert cloud.names() == []


def test_one_operation_at_a_time_on_a_firewall_and_many_on_others(cloud: Cloud) -> None:
    running = cloud.write("insert", **RULE)
    cloud.write("insert", "other", **{key: RULE[key] for key in ("allowed", "sourceRanges")})
    for method, fields in (("patch", {"priority": 3}), ("delete", {}), ("insert", RULE)):
        with pytest.raises(BadRequest) as error:
            cloud.write(method, **fields)
        assert reason(error.value) == "resourceNotReady"
    cloud.done(running)
    assert cloud.write("patch", priority=3).status == RUNNING


def test_the_same_request_id_is_the_same_operation(careless: Cloud) -> None:
    id_ = str(uuid.uuid4())
    first = careless.write("insert", request_id=id_, **RULE)
    again = careless.write("insert", request_id=id_, **RULE)
    assert (again.name, again.client_operation_id) == (first.name, id_)
    careless.done(first)
    assert careless.write("insert", request_id=id_, **RULE).status == DONE
    assert (len(careless.double.history), careless.double.violations) == (1, [])
    assert careless.write("delete", request_id=id_).name == first.name
    assert "another write" in careless.double.violations[0]
    for bad in ("nonsense", str(uuid.UUID(int=0))):
        with pytest.raises(BadRequest):
            careless.write("delete", request_id=bad)


def test_a_lost_answer_did_take_effect(cloud: Cloud) -> None:
    cloud.double.fail(Fault("POST", LIST, "drop-after"))
    id_ = str(uuid.uuid4())
    with pytest.raises(requests.exceptions.ConnectionError):
        cloud.write("insert", request_id=id_, **RULE)
    cloud.done(cloud.write("insert", request_id=id_, **RULE))
    assert (cloud.names(), cloud.double.count("POST", LIST)) == (["web"], 2)


def test_an_operation_that_fails_is_http_200_and_has_no_effect(cloud: Cloud) -> None:
    cloud.double.fail_operations = [(503, "RESOURCE_OPERATION_RATE_EXCEEDED", "later")]
    ended = cloud.done(cloud.write("insert", **RULE))
    assert (ended.status, ended.http_error_status_code, ended.error.errors[0].code) == (
        DONE,
        503,
        "RESOURCE_OPERATION_RATE_EXCEEDED",
    )
    assert (cloud.names(), cloud.double.history) == ([], [])
    cloud.double.quota = 0
    ended = cloud.done(cloud.write("insert", **RULE))
    assert (ended.http_error_status_code, ended.http_error_message) == (403, "FORBIDDEN")
    assert ended.error.errors[0].code == "QUOTA_EXCEEDED"
    assert cloud.names() == []


def test_a_name_is_one_in_the_project_whatever_the_network(cloud: Cloud) -> None:
    cloud.double.add_network("other")
    cloud.double.add_firewall("web", allowed=[TCP], network="global/networks/other")
    with pytest.raises(Conflict) as error:
        cloud.write("insert", **RULE)
    assert reason(error.value) == "alreadyExists"
    assert [one.name for one in cloud.networks.list(project="p")] == ["default", "other"]
    assert cloud.networks.get(project="p", network="other").self_link.endswith(
        "/global/networks/other"
    )


@pytest.mark.parametrize("full", [True, False])
def test_a_network_is_named_in_three_ways_and_must_exist(cloud: Cloud, full: bool) -> None:
    partial = "projects/p/global/networks/default"
    cloud.double.add_firewall(
        "web", allowed=[TCP], network=f"{compute.BASE}/{partial}" if full else partial
    )
    assert cloud.double.firewalls()["web"]["network"] == f"{compute.BASE}/{partial}"
    for bad in ("global/networks/none", "projects/q/global/networks/default"):
        with pytest.raises(NotFound):
            cloud.write("insert", **RULE | {"name": "new", "network": bad})
    with pytest.raises(BadRequest):
        cloud.write("insert", **RULE | {"name": "new", "network": "default"})


def test_patch_replaces_what_it_names_and_update_everything(cloud: Cloud) -> None:
    cloud.double.add_firewall(
        "web", allowed=[TCP], sourceRanges=["10.0.0.0/8"], targetTags=["a", "b"], priority=5
    )
    cloud.done(cloud.write("patch", allowed=[{"IPProtocol": "udp", "ports": ["53"]}]))
    there = cloud.double.firewalls()["web"]
    assert (there["allowed"], there["priority"]) == ([{"IPProtocol": "udp", "ports": ["53"]}], 5)
    assert there["targetTags"] == ["a", "b"]
    assert send(cloud, "PATCH", f"{LIST}/web", {"targetTags": None, "priority": None})[0] == 200
    cloud.double.settle()
    assert "targetTags" not in cloud.double.firewalls()["web"]
    assert cloud.double.firewalls()["web"]["priority"] == 1000
    cloud.done(cloud.write("update", denied=[{"IPProtocol": "all"}]))
    after = cloud.double.firewalls()["web"]
    assert (after["sourceRanges"], after["denied"], after["id"]) == (
        ["0.0.0.0/0"],
        [{"IPProtocol": "all"}],
        there["id"],
    )
    assert "allowed" not in after


def test_a_resource_that_was_read_can_be_put_back(cloud: Cloud) -> None:
    cloud.double.add_firewall("web", allowed=[TCP], sourceRanges=["2001:db8::/32"], description="x")
    before = cloud.double.firewalls()
    there = cloud.rules.get(project="p", firewall="web")
    cloud.done(cloud.rules.update_unary(project="p", firewall="web", firewall_resource=there))
    assert cloud.double.firewalls() == before


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Web"},
        {"name": "w" * 64},
        {"allowed": []},
        {"denied": [TCP]},
        {"allowed": [{"ports": ["80"]}]},
        {"allowed": [{"IPProtocol": "gre"}]},
        {"allowed": [{"IPProtocol": "256"}]},
        {"allowed": [{"IPProtocol": "icmp", "ports": ["80"]}]},
        {"allowed": [{"IPProtocol": "58", "ports": ["80"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["65536"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["20-10"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["ssh"]}]},
        {"sourceRanges": ["10.0.0.1/8"]},
        {"sourceRanges": ["10.0.0.1"]},
        {"sourceRanges": ["0.0.0.0/0", "::/0"]},
        {"sourceRanges": ["0.0.0.0/0"], "destinationRanges": ["::/0"]},
        {"sourceRanges": [f"10.0.{n // 256}.{n % 256}/32" for n in range(257)]},
        {"priority": 65536},
        {"priority": -1},
        {"description": "x" * 2049},
        {"targetTags": ["Upper"]},
        {"targetTags": [f"t{n}" for n in range(71)]},
        {"sourceTags": [f"t{n}" for n in range(31)]},
        {"targetServiceAccounts": [f"a{n}@p.example" for n in range(11)]},
        {"targetTags": ["a"], "targetServiceAccounts": ["a@p.example"]},
        {"sourceTags": ["a"], "targetServiceAccounts": ["a@p.example"]},
        {"direction": "EGRESS", "sourceTags": ["a"]},
        {"logConfig": {"enable": False, "metadata": "INCLUDE_ALL_METADATA"}},
    ],
)
def test_what_the_vendor_refuses_is_refused(careless: Cloud, change: dict[str, Any]) -> None:
    status, answer = send(careless, "POST", LIST, RULE | change)
    assert (status, answer["error"]["errors"][0]["reason"]) == (400, "invalid")
    assert careless.double.operations == []
    if "name" not in change:
        careless.double.add_firewall(
            "there", **{key: RULE[key] for key in ("allowed", "sourceRanges")}
        )
        assert (
            send(
                careless,
                "PUT",
                f"{LIST}/there",
                {key: one for key, one in (RULE | change).items() if key != "name"},
            )[0]
            == 400
        )
    assert [text for text in careless.double.violations if "does not match" not in text] == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("TCP", "tcp"),
        ("6", "tcp"),
        ("17", "udp"),
        ("1", "icmp"),
        ("132", "sctp"),
        ("58", "58"),
        ("all", "all"),
        ("Esp", "esp"),
    ],
)
def test_protocols_come_back_by_name(cloud: Cloud, given: str, kept: str) -> None:
    cloud.done(cloud.write("insert", allowed=[{"IPProtocol": given}]))
    assert cloud.rules.get(project="p", firewall="web").allowed[0].I_p_protocol == kept


def test_ipv6_comes_back_in_another_spelling(cloud: Cloud) -> None:
    cloud.done(cloud.write("insert", **RULE | {"sourceRanges": ["2001:DB8::/32", "::/0"]}))
    (read,) = cloud.rules.list(project="p")
    assert list(read.source_ranges) == ["2001:db8:0:0:0:0:0:0/32", "0:0:0:0:0:0:0:0/0"]
    assert cloud.double.firewalls()["web"]["sourceRanges"] == ["2001:db8::/32", "::/0"]
    cloud.double.odd_spelling = False
    assert list(cloud.rules.get(project="p", firewall="web").source_ranges) == [
        "2001:db8::/32",
        "::/0",
    ]


def test_a_list_comes_in_pages(cloud: Cloud) -> None:
    for number in range(7):
        cloud.double.add_firewall(f"rule-{number}", allowed=[TCP])
    cloud.double.page = 3
    assert cloud.names() == [f"rule-{number}" for number in range(7)]
    assert cloud.double.count("GET", LIST) == 3
    asked: list[dict[str, str]] = [{"maxResults": "0"}, {"maxResults": "501"}, {"pageToken": "bad"}, {"filter": "name:a"}, {"orderBy": "id"}]  # fmt: skip # noqa: E501
    for query in asked:
        assert send(cloud, "GET", LIST, **query)[0] == 400
    assert (
        send(
            cloud,
            "GET",
            LIST,
            **{"alt": "json", "$alt": "json", "prettyPrint": "false", "fields": "items"},
        )[0]
        == 200
    )


@pytest.mark.skipif(not HAS_SPEC, reason="the vendor's description is not at hand")
@pytest.mark.parametrize(
    ("body", "query"),
    [
        ({"surprise": 1}, {}),
        ({"priority": "1000"}, {}),
        ({"priority": 2**31}, {}),
        ({"priority": True}, {}),
        ({"direction": "IN"}, {}),
        ({"allowed": [{"ipProtocol": "tcp"}]}, {}),
        ({"sourceRanges": "0.0.0.0/0"}, {}),
        ({"targetTags": [None]}, {}),
        ({"logConfig": {"enable": "yes"}}, {}),
        ({}, {"returnPartialSuccess": "true"}),
        ({}, {"prettyPrint": "maybe"}),
    ],
)
def test_what_the_description_does_not_know_is_a_violation(
    careless: Cloud, body: dict[str, Any], query: dict[str, str]
) -> None:
    assert send(careless, "POST", LIST, RULE | body, **query)[0] == 400
    assert len(careless.double.violations) == 1


def test_the_tests_hands_are_held_to_the_same_rules(cloud: Cloud) -> None:
    cloud.double.add_firewall("web", allowed=[TCP], sourceRanges=["10.0.0.0/8"], targetTags=["a"])
    cloud.double.set_by_hand("web", targetTags=[], sourceRanges=["0.0.0.0/0"])
    assert "targetTags" not in cloud.double.firewalls("p")["web"]
    with pytest.raises(compute.ApiError):
        cloud.double.set_by_hand("web", sourceRanges=["::/0", "0.0.0.0/0"])
    running = cloud.write("patch", priority=1)
    cloud.double.remove_by_hand("web")
    ended = cloud.done(running)
    assert (ended.http_error_status_code, ended.error.errors[0].code) == (404, "RESOURCE_NOT_FOUND")
    assert (cloud.double.firewalls(), cloud.double.history) == ({}, [])


def test_errors_look_like_googles(careless: Cloud) -> None:
    with pytest.raises(NotFound) as missing:
        careless.write("delete", "none")
    assert reason(missing.value) == "notFound"
    with pytest.raises(NotFound):
        careless.rules.get(project="q", firewall="web")
    careless.double.fail(
        Fault("GET", f"{LIST}/web", status=403, body=fault_body(403, "rateLimitExceeded"))
    )
    with pytest.raises(Forbidden) as limited:
        careless.rules.get(project="p", firewall="web")
    assert reason(limited.value) == "rateLimitExceeded"
    careless.double.require_token = "secret"
    assert send(careless, "GET", LIST)[1]["error"]["status"] == "UNAUTHENTICATED"
    headers = {"Authorization": "Bearer secret"}
    assert (
        requests.get(
            f"{careless.double.endpoint}/compute/v1{LIST}", headers=headers, timeout=30
        ).status_code
        == 200
    )
    assert (
        requests.get(f"{careless.double.endpoint}{LIST}", headers=headers, timeout=30).status_code
        == 404
    )
    assert "not in this double" in careless.double.violations[0]


def test_operations_can_be_listed_and_must_be_known(cloud: Cloud) -> None:
    first = cloud.done(cloud.write("insert", **RULE))
    second = cloud.write("delete")
    listed = [(one.name, one.status) for one in cloud.operations.list(project="p")]
    assert listed == [(first.name, DONE), (second.name, RUNNING)]
    with pytest.raises(NotFound):
        cloud.operations.wait(project="p", operation="operation-none")


def test_without_the_description_nothing_is_held_against_it(
    careless: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "openapi", lambda _name: None)
    assert send(careless, "POST", LIST, RULE | {"priority": "high"})[0] == 400
    assert send(careless, "POST", LIST, RULE | {"surprise": 1})[0] == 200
    assert careless.double.violations == []


def test_a_person_can_run_it() -> None:
    command = [sys.executable, "-m", "tests.doubles.compute", "--project", "mine"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint, project = (process.stdout.readline().split(" = ")[1].strip() for _ in range(2))
        answer = requests.get(
            f"{endpoint}/compute/v1/projects/{project}/global/networks/default", timeout=30
        ).json()
        process.terminate()
    assert (project, answer["name"]) == ("mine", "default")


def test_a_field_of_answers_is_on_every_rule_and_on_nothing_else() -> None:
    """However it is answered: in a list, alone, or as in effect on a network; not on networks,
    instances by zone, operations and errors, whose lists may be of texts."""
    with ComputeDouble() as double:
        double.add_firewall("web", **{key: value for key, value in RULE.items() if key != "name"})
        double.add_instance("web-1")
        double.answers_only("cloudsyncNew", "firewalls", {"a": 1})

        def answers(path: str) -> Any:
            return requests.get(f"{double.endpoint}/compute/v1/projects/p{path}", timeout=10).json()

        rules = answers("/global/firewalls")["items"]
        one = answers("/global/firewalls/web")
        (in_effect,) = answers("/global/networks/default/getEffectiveFirewalls")["firewalls"]
        assert [rule["cloudsyncNew"] for rule in (*rules, one, in_effect)] == [{"a": 1}] * 3
        for path in (
            "/global/networks",
            "/aggregated/instances",
            "/global/operations",
            "/global/firewalls/missing",
        ):
            assert "cloudsyncNew" not in json.dumps(answers(path))
