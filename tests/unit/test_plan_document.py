"""The plan document: its shape, its digest, and a plan file as hostile input."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

import cloudsync
from cloudsync.model.plan import Granted, Plan
from cloudsync.model.plan_digest import digest
from cloudsync.model.plan_json import (
    PlanFileError,
    from_document,
    json_schema,
    to_document,
)
from cloudsync.model.ports import Complete, Failed, Origin, Unpublished
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from tests.world import World, ports


def planned(world: World) -> Plan:
    world.has("tcp/22", "tcp/8080", "icmp", "tcp/9100 from 10.0.0.0/8")
    world.policy(deny=ports("4444"))
    world.needs("443", "5432", "4444", project="shop", service="web")
    return reconcile.plan(world.configuration, Options(granted=Granted(allow_close=3))).plan


def test_the_document_has_the_keys_of_the_contract(world: World) -> None:
    document = to_document(planned(world))
    assert set(document) >= {
        *(
            "format_version",
            "tool_version",
            "created",
            "owner",
            "digest",
            "granted",
            "hosts",
            "firewalls",
        ),
        *("unassigned", "orphans", "guards"),
    }
    (web,) = document["firewalls"]
    assert set(web) >= {
        *(
            "name",
            "provider",
            "type",
            "endpoint",
            "id",
            "exists",
            "read",
            "hosts",
            "changes",
            "steps",
        ),
        *("unchanged", "held", "refused", "kept", "exposure"),
    }
    assert document["hosts"] == {"web-1": {"status": "complete"}}
    assert web["changes"][0] == {
        "action": "open",
        "protocol": "tcp",
        "ports": "443",
        "sources": ["0.0.0.0/0", "::/0"],
        "origins": [
            {
                "host": "web-1",
                "project": "shop",
                "service": "web",
                "container": "app",
                "label": None,
                "file": None,
                "line": None,
            }
        ],
        "reason": "shop/web on web-1 (published)",
    }
    assert [change["action"] for change in web["changes"]] == ["open", "close"]
    assert {(one["ports"], one["code"]) for one in web["refused"]} == {
        ("5432", "sensitive"),
        ("4444", "denied"),
    }
    assert len(web["kept"]) == 2


def test_a_host_that_failed_is_in_the_document_with_the_reason(world: World) -> None:
    world.has("tcp/22", "tcp/443")
    world.discoveries["web-1"] = Failed("connection refused")
    document = to_document(reconcile.plan(world.configuration, Options()).plan)
    assert document["hosts"]["web-1"]["status"] == "failed"
    assert document["hosts"]["web-1"]["reason"] == "connection refused"
    assert document["firewalls"][0]["held"][0]["reason"] == "unknown-host"


def test_law8_containers_whose_ports_are_not_known_have_a_key_of_their_own(world: World) -> None:
    found = Unpublished(
        Origin("web-1", container="node-exporter"), "host", "its own words", ("9100/tcp",)
    )
    world.has("tcp/22")
    world.discoveries["web-1"] = Complete(unpublished=(found,))
    plan = reconcile.plan(world.configuration, Options()).plan
    (shown,) = to_document(plan)["unpublished"]
    assert shown["origin"]["container"] == "node-exporter"
    assert (shown["network"], shown["exposed"]) == ("host", ["9100/tcp"])
    assert from_document(json.dumps(to_document(plan))).unpublished == (found,)


def test_the_document_fits_the_shipped_schema(world: World) -> None:
    shipped = json.loads(
        (Path(cloudsync.__file__).parent / "model" / "plan.schema.json").read_text()
    )
    jsonschema.validate(to_document(planned(world)), shipped)
    assert shipped == json_schema()


def test_the_digest_is_the_one_the_contract_describes(world: World) -> None:
    document = to_document(planned(world))
    (web,) = document["firewalls"]
    changes = [
        [c["action"], c.get("protocol"), c.get("ports"), c.get("sources"), c.get("target")]
        for c in web["changes"]
    ]
    essence = ["shop", [["web", "memory", "memory", "memory", "web", changes]]]
    assert document["digest"] == "sha256:" + hashlib.sha256(rfc8785.dumps(essence)).hexdigest()


def test_reasons_origins_and_times_are_not_in_the_digest(world: World) -> None:
    first = planned(world)
    world.needs("443", "5432", "4444", container="renamed")
    second = reconcile.plan(world.configuration, Options()).plan
    assert first.created <= second.created
    assert first.firewalls[0].changes != second.firewalls[0].changes
    assert digest(first) == digest(second)


def test_another_change_has_another_digest(world: World) -> None:
    first = planned(world)
    world.needs("444")
    assert digest(first) != digest(reconcile.plan(world.configuration, Options()).plan)


def test_a_plan_survives_the_way_through_its_file(world: World) -> None:
    plan = planned(world)
    back = from_document(json.dumps(to_document(plan)))
    assert to_document(back) == to_document(plan)
    assert back.firewalls == plan.firewalls
    assert back.granted == plan.granted


def test_unknown_keys_and_a_newer_minor_version_are_read(world: World) -> None:
    document = to_document(planned(world)) | {"format_version": "1.7", "news": 1}
    assert from_document(json.dumps(document)).owner == "shop"


def altered(document: dict[str, Any], *path: Any, value: Any) -> str:
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format_version",), "2.0"),
        (("digest",), "sha256:" + "0" * 64),
        (("owner",), "somebody-else"),
        (("firewalls", 0, "endpoint"), "https://evil.example"),
        (("firewalls", 0, "identity"), "another"),
        (("firewalls", 0, "changes", 0, "ports"), "1-65535"),
        (("firewalls", 0, "changes", 0, "sources"), ["10.0.0.1/8"]),
        (("firewalls", 0, "changes", 0, "ports"), "443\x1b[31m"),
        (("firewalls", 0, "changes", 0, "action"), "drop"),
        (("firewalls",), {}),
        (("created",), "yesterday"),
        (("created",), "2026-01-01T00:00:00"),
        (("granted", "allow_close"), True),
        (("hosts",), []),
    ],
)
def test_an_altered_plan_file_is_refused_in_one_line(
    world: World, path: tuple[Any, ...], value: Any
) -> None:
    text = altered(to_document(planned(world)), *path, value=value)
    with pytest.raises(PlanFileError) as error:
        from_document(text)
    assert "\n" not in str(error.value)
    assert "evil" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "null",
        "[" * 100_000,
        '{"format_version": 1}',
        '{"format_version": "1.0"}',
        "1e999",
        '"' + "x" * 20_000_000,
    ],
    ids=["empty", "text", "list", "null", "deep", "number-version", "bare", "number", "huge"],
)
def test_a_file_that_is_no_plan_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanFileError) as error:
        from_document(text)
    assert "\n" not in str(error.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
def test_no_json_makes_a_traceback(value: Any) -> None:
    with pytest.raises(PlanFileError):
        from_document(
            json.dumps(
                {"format_version": "1.0", "firewalls": value, "hosts": value, "granted": value}
            )
        )
