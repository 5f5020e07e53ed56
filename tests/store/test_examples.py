"""The files of `examples/fleet`: the schedulers' own schemas, our own parsers, and for the policies
a real store that judges them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import hcl2
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from cloudsync.cli.main import cloudsync
from cloudsync.config import load
from cloudsync.model.state_url import StateUrl
from cloudsync.provider.settings import SecretRef
from cloudsync.state.shards import Shard
from cloudsync.state.store.contract import StoreError
from cloudsync.state.store.opened import open_store
from tests.store import ceph as real

FLEET = Path(__file__).parents[2] / "examples" / "fleet"


def shards_of(words: list[str], index: str, count: int) -> list[Shard]:
    """What the `--shard` of a command line stands for, with every index of the scheduler."""
    joined = " ".join(words).replace("--shard ", "--shard=")
    match = re.search(r"--shard=(\S+)", joined)
    assert match is not None
    return [Shard.of(match[1].replace(index, str(number))) for number in range(count)]


def assert_takes_our_options(words: list[str]) -> None:
    """The command line parses: every option is one of ours."""
    shown = CliRunner().invoke(cloudsync, [words[0], "--help"])
    for option in re.findall(r"(?<!\S)(--[a-z-]+|-c)", " ".join(words[1:])):
        assert option in shown.output, option


@pytest.mark.parametrize("name", ["cronjob.yaml", "job.yaml"])
def test_kubernetes_manifests_keep_to_kubernetes_own_schema(name: str) -> None:
    manifest = yaml.safe_load((FLEET / "kubernetes" / name).read_text())
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    job = (
        manifest["spec"]["jobTemplate"]["spec"]
        if "jobTemplate" in manifest["spec"]
        else manifest["spec"]
    )
    assert job["completionMode"] == "Indexed"
    (container,) = job["template"]["spec"]["containers"]
    assert_takes_our_options(container["args"])
    shards = shards_of(container["args"], "$(JOB_COMPLETION_INDEX)", job["completions"])
    assert {shard.number for shard in shards} == set(range(job["completions"]))


def test_a_misspelt_key_of_a_manifest_is_noticed() -> None:
    manifest = yaml.safe_load((FLEET / "kubernetes" / "job.yaml").read_text())
    manifest["spec"]["completion"] = manifest["spec"].pop("completions")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_nomad_job_is_hcl_and_takes_every_shard() -> None:
    with (FLEET / "nomad" / "cloudsync.nomad.hcl").open() as file:
        (job,) = hcl2.load(file)["job"]
    (body,) = job.values()
    (group,) = body["group"]
    (group_body,) = (value for value in group.values() if isinstance(value, dict))
    (task,) = group_body["task"]
    (task_body,) = (value for value in task.values() if isinstance(value, dict))
    (config,) = task_body["config"]
    words = [str(word).strip('"') for word in config["args"]]
    assert_takes_our_options(words)
    shards = shards_of(words, "${NOMAD_ALLOC_INDEX}", int(group_body["count"]))
    assert {shard.number for shard in shards} == set(range(4))


def test_the_swarm_stack_keeps_to_the_compose_schema() -> None:
    path = FLEET / "swarm" / "stack.yaml"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            str(path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    service = yaml.safe_load(path.read_text())["services"]["shard"]
    assert_takes_our_options(service["command"])
    replicas = service["deploy"]["replicas"]
    slots = [
        Shard.of(service["command"][2].replace("{{.Task.Slot}}", str(slot + 1)))
        for slot in range(replicas)
    ]
    assert {shard.number for shard in slots} == set(range(replicas))


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (package systemd)"
)
@pytest.mark.parametrize("name", ["cloudsync-shard@.service", "cloudsync-publish.service"])
def test_systemd_units_are_units(name: str, tmp_path: Path) -> None:
    text = (FLEET / "systemd" / name).read_text().replace("/usr/local/bin/cloudsync", "/bin/true")
    unit = tmp_path / name.replace("@.", "@2.")
    unit.write_text(text)
    (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if name.partition("@")[0] in line]
    assert complaints == []
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert_takes_our_options(line.split()[1:])


@pytest.mark.parametrize("name", ["machine.toml", "controller.toml", "swarm/config.toml"])
def test_the_configurations_load(name: str) -> None:
    configuration = load(FLEET / name)
    assert configuration.owner == "shop"
    assert isinstance(configuration.state, StateUrl)


def statements(name: str) -> list[dict[str, Any]]:
    policy: dict[str, Any] = json.loads((FLEET / "policies" / name).read_text())
    found: list[dict[str, Any]] = policy["Statement"]
    return found


def user_of(url: StateUrl, name: str) -> StateUrl:
    """The same place with the credentials of another user."""
    keys = {
        "access_key_id": SecretRef(env="USER_KEY"),
        "secret_access_key": SecretRef(env="USER_SECRET"),
    }
    assert name
    return replace(url, **keys)


def put_policy(url: StateUrl, policy: list[dict[str, Any]], user: str) -> None:
    """As the bucket's own policy, for this user, in this bucket."""
    bucket = url.url.removeprefix("s3://").partition("/")[0]
    text = json.dumps({"Version": "2012-10-17", "Statement": policy}).replace(
        "cloudsync-shop", bucket
    )
    document = json.loads(text)
    for statement in document["Statement"]:
        controllers = "controller" in json.dumps(statement.get("Principal", ""))
        name = "tests" if controllers else user
        statement["Principal"] = {"AWS": [f"arn:aws:iam:::user/{name}"]}
    boto3.client(
        "s3",
        endpoint_url=url.endpoint,
        region_name="us-east-1",
        aws_access_key_id=real.ACCESS,
        aws_secret_access_key=real.SECRET,
    ).put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))


@pytest.fixture(scope="module")
def user(ceph: real.Ceph) -> str:
    ceph.add_user("web-1", "secret-of-web-1")
    return "web-1"


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch, url: StateUrl, user: str) -> StateUrl:
    monkeypatch.setenv("USER_KEY", "web-1")
    monkeypatch.setenv("USER_SECRET", "secret-of-web-1")
    return user_of(url, user)


@pytest.mark.ceph
@pytest.mark.parametrize("name", ["s3-machine.json", "ceph-bucket-policy.json"])
def test_a_machine_writes_its_own_inventory_and_nothing_else(
    url: StateUrl, as_user: StateUrl, user: str, name: str
) -> None:
    put_policy(url, statements(name), user)
    owner, machine = open_store(url), open_store(as_user)
    mine = "inventories/shop/web-1.json"
    version = machine.put(mine, b"1", None)
    machine.put(mine, b"2", version)
    for name_ in ("inventories/shop/web-2.json", "shop/leases/0-of-1.json", "shop/seen/web.json"):
        owner.put(name_, b"1", None)
        with pytest.raises(StoreError, match="refuses"):
            machine.put(name_, b"2", None)
        with pytest.raises(StoreError, match="refuses"):
            machine.get(name_)
    with pytest.raises(StoreError, match="refuses"):
        machine.delete(mine)
    with pytest.raises(StoreError, match="refuses"):
        machine.list("inventories/")


@pytest.mark.ceph
def test_a_machine_publishes_with_no_more_than_that(
    url: StateUrl, as_user: StateUrl, user: str, tmp_path: Path
) -> None:
    from cloudsync.reconcile.publish import publish
    from tests.doubles.engine import FakeEngine

    put_policy(url, statements("ceph-bucket-policy.json"), user)
    configuration = load(FLEET / "machine.toml")
    with FakeEngine(tmp_path) as engine:
        host = replace(configuration.hosts["web-1"], docker=(f"unix://{engine.socket}",))
        configuration = replace(configuration, state=as_user, hosts={"web-1": host}, publish=None)
        for _ in range(3):
            (outcome,) = publish(configuration)
            assert outcome.problem is None
    assert open_store(url).get("inventories/shop/web-1.json") is not None


@pytest.mark.ceph
def test_a_controller_writes_state_and_reads_what_machines_publish(
    url: StateUrl, as_user: StateUrl, user: str
) -> None:
    """Deletions are not judged here: obstore deletes in bulk, which Ceph allows by the bucket, and
    Amazon by the object."""
    put_policy(url, statements("s3-controller.json"), user)
    owner, store = open_store(url), open_store(as_user)
    owner.put("inventories/shop/web-1.json", b"1", None)
    assert store.get("inventories/shop/web-1.json") is not None
    assert [entry.name for entry in store.list("inventories/shop/")]
    for name in ("shop/leases/0-of-1.json", "shop/seen/web.json", "conditional-writes.json"):
        store.put(name, b"2", store.put(name, b"1", None))
    with pytest.raises(StoreError, match="refuses"):
        store.put("inventories/shop/web-2.json", b"1", None)
    with pytest.raises(StoreError, match="refuses"):
        store.put("another-owner/seen/web.json", b"1", None)


def test_the_other_clouds_policies_name_the_same_object() -> None:
    for name in ("gcs-machine.json", "azure-machine.json"):
        policy = (FLEET / "policies" / name).read_text()
        json.loads(policy)
        assert "state/inventories/shop/web-1.json'" in policy
