"""Inventories: what a machine publishes is what its engine would have answered, and is believed
only as long as it is fresh, newer than the last one, and signed by who may."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.config import load
from cloudsync.config.configuration import Configuration
from cloudsync.model.inventory import Published
from cloudsync.model.ports import Complete, Discovery, Failed, Partial
from cloudsync.reconcile import discover as reading
from cloudsync.reconcile.inventories import Inventories, name_of, with_hosts_from_store
from cloudsync.reconcile.publish import publish
from cloudsync.sources.docker.inspected import Inspections
from cloudsync.sources.inventory.document import MOST_BYTES
from cloudsync.sources.inventory.reading import Expected, Inventory, inventory_of
from cloudsync.state.engines import remember
from cloudsync.state.store.contract import Store, StoreError
from cloudsync.state.store.folder import FolderStore
from tests.doubles.engine import FakeEngine

pytestmark = pytest.mark.emulator

_HEAD = """version = 1
owner = "shop"
state = "file://{state}"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
"""


@dataclass
class Site:
    """A machine with an engine, and a controller elsewhere; a folder is their store."""

    folder: Path
    engine: FakeEngine

    def machine(self, more: str = "", host: str = "web-1") -> Configuration:
        return self.loaded(
            "machine", f'{more}\n[hosts.{host}]\ndocker = "unix://{self.engine.socket}"\n'
        )

    def controller(self, host: str = 'inventory = "store"', more: str = "") -> Configuration:
        return self.loaded("controller", f"{more}\n[hosts.web-1]\n{host}\n")

    def loaded(self, name: str, tables: str) -> Configuration:
        path = self.folder / f"{name}.toml"
        path.write_text(_HEAD.format(state=self.folder / "state") + tables)
        return load(path)

    @property
    def store(self) -> Store:
        return FolderStore(self.folder / "state")

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change what was published, as who may write the object can."""
        stored = self.store.get("inventories/shop/web-1.json")
        assert stored is not None
        document = json.loads(stored.data)
        change(document)
        self.store.put("inventories/shop/web-1.json", json.dumps(document).encode(), stored.version)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with FakeEngine(tmp_path, containers=3) as engine:
        yield Site(tmp_path, engine)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """An SSH host key, as sshd makes them."""
    path = tmp_path / "ssh_host_ed25519_key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@web-1", "-f", str(path)],
        check=True,
    )
    return path


def discover(configuration: Configuration) -> Mapping[str, Discovery]:
    return reading.discover(configuration)[1]


def of(found: Mapping[str, object]) -> object:
    return found["web-1"]


def test_a_published_host_needs_what_its_engine_says(site: Site) -> None:
    direct = of(discover(site.machine()))
    publish(site.machine())
    published = of(discover(site.controller()))
    assert isinstance(direct, Complete)
    assert isinstance(published, Complete)
    assert published.required == direct.required
    assert len(published.required) == 3


def test_labels_are_judged_by_the_controllers_configuration(site: Site) -> None:
    labels = {"cloudsync.sources": "@office", "secret.token": "hunter2"}
    site.engine.routes[f"/containers/{site.engine.id(0)}/json"] = site.engine.container(0, **labels)
    site.engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": {}}}
    publish(site.machine())
    stored = site.store.get("inventories/shop/web-1.json")
    assert stored is not None
    assert b"hunter2" not in stored.data
    office = '[networks]\noffice = ["203.0.113.0/24"]'
    found = of(discover(site.controller(more=office)))
    assert isinstance(found, Complete)
    assert "203.0.113.0/24" in {
        str(cidr) for port in found.required for cidr in port.sources.cidrs()
    }
    unknown = of(discover(site.controller()))
    assert isinstance(unknown, Complete)
    assert len(unknown.malformed) == 1


def test_an_engine_that_is_down_is_published_as_failed(site: Site) -> None:
    machine = site.machine()
    site.engine.routes["/containers/json"] = (500, {"message": "broken"})
    (outcome,) = publish(machine)
    assert outcome.status == "failed"
    found = of(discover(site.controller()))
    assert isinstance(found, Failed)
    assert found.temporary


def test_a_partial_read_stays_partial(site: Site) -> None:
    site.engine.routes[f"/containers/{site.engine.id(1)}/json"] = (500, {"message": "broken"})
    (outcome,) = publish(site.machine())
    assert outcome.status == "partial"
    found = of(discover(site.controller()))
    assert isinstance(found, Partial)
    assert len(found.required) == 2


@pytest.mark.parametrize(
    "words", [{"status": "partial"}, {"status": "partial", "reasons": ["x"]}, {"reasons": ["x"]}]
)
def test_law1_an_inventory_is_as_complete_as_it_says(site: Site, words: Mapping[str, Any]) -> None:
    publish(site.machine())
    site.edit(lambda document: document.update(words))
    discovery = of(discover(site.controller()))
    assert isinstance(discovery, Partial)
    assert len(discovery.required) == 3
    assert any("the machine itself says" in reason for reason in discovery.reasons)


def test_law1_no_inventory_is_unknown_and_not_empty(site: Site) -> None:
    assert isinstance(of(discover(site.controller())), Failed)


def test_law1_an_inventory_that_is_out_of_date_is_unknown(site: Site) -> None:
    publish(site.machine())
    earlier = (datetime.now(UTC) - timedelta(minutes=16)).isoformat()
    site.edit(lambda document: document.update(time=earlier))
    found = of(discover(site.controller()))
    assert isinstance(found, Failed)
    assert "out of date" in found.reason


def test_an_inventory_of_the_future_is_unknown(site: Site) -> None:
    publish(site.machine())
    later = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    site.edit(lambda document: document.update(time=later))
    assert isinstance(of(discover(site.controller())), Failed)


def test_an_older_inventory_than_the_last_one_read_is_unknown(site: Site) -> None:
    publish(site.machine())
    stored = site.store.get("inventories/shop/web-1.json")
    assert stored is not None
    publish(site.machine())
    controller = site.controller()
    remember(controller.state, "shop", discover(controller), datetime.now(UTC))
    now = site.store.get("inventories/shop/web-1.json")
    assert now is not None
    site.store.put("inventories/shop/web-1.json", stored.data, now.version)
    found = of(discover(controller))
    assert isinstance(found, Failed)
    assert "older" in found.reason


def test_another_machine_of_the_same_name_does_not_overwrite(site: Site) -> None:
    publish(site.machine())
    site.edit(lambda document: document.update(machine="another"))
    (outcome,) = publish(site.machine())
    assert "another machine" in str(outcome.problem)
    later = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    site.edit(lambda document: document.update(time=later))
    (outcome,) = publish(site.machine())
    assert outcome.problem is None, "a machine whose inventory ran out was replaced"


def test_a_signed_inventory_is_believed_from_a_trusted_key_only(site: Site, key: Path) -> None:
    publish(site.machine(f'[publish]\nsign_with = "{key}"'))
    public = key.with_suffix(".pub").read_text().strip()
    trusting = site.controller(f'inventory = "store"\ntrusted_keys = ["{public}"]')
    assert isinstance(of(discover(trusting)), Complete)
    other = f"ssh-ed25519 {'A' * 68}"
    assert isinstance(
        of(discover(site.controller(f'inventory = "store"\ntrusted_keys = ["{other}"]'))), Failed
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(sequence=document["sequence"] + 1),
        lambda document: document.update(host="web-2"),
        lambda document: document["engines"][0]["containers"].pop(),
        lambda document: document["engines"][0].update(unheard_of=1),
        lambda document: document.pop("signature"),
        lambda document: document["signature"].update(value="AAAA"),
        lambda document: document["signature"].update(value="not base64!"),
        lambda document: document.update(signature="yes"),
    ],
)
def test_whatever_is_changed_of_a_signed_inventory_is_noticed(
    site: Site, key: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    publish(site.machine(f'[publish]\nsign_with = "{key}"'))
    public = key.with_suffix(".pub").read_text().strip()
    site.edit(change)
    found = of(discover(site.controller(f'inventory = "store"\ntrusted_keys = ["{public}"]')))
    assert isinstance(found, Failed)
    assert not found.temporary


def test_a_key_of_another_host_signs_for_nobody_else(site: Site, key: Path) -> None:
    """A machine that was broken into writes what it likes under its own name, and no other."""
    publish(site.machine(f'[publish]\nsign_with = "{key}"', host="web-2"))
    forged = site.store.get("inventories/shop/web-2.json")
    assert forged is not None
    site.store.put("inventories/shop/web-1.json", forged.data, None)
    public = key.with_suffix(".pub").read_text().strip()
    found = of(discover(site.controller(f'inventory = "store"\ntrusted_keys = ["{public}"]')))
    assert isinstance(found, Failed)
    assert "another host" in found.reason


def test_a_hostile_inventory_declares_nothing_and_lifts_no_refusal(site: Site) -> None:
    """What an inventory says is judged like an engine's answer: a sensitive port stays refused."""
    publish(site.machine())

    def hostile(document: dict[str, Any]) -> None:
        container = document["engines"][0]["containers"][0]
        for binding in container["bound"] + container["asked"]:
            binding["host_port"] = "5432"
            binding["declared"] = True

    site.edit(hostile)
    found = of(discover(site.controller()))
    assert isinstance(found, Complete)
    (port,) = [port for port in found.required if port.first == 5432]
    assert not port.declared
    assert port.origin.host == "web-1"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=12,
    )
)
def test_whatever_is_there_instead_of_an_inventory_is_a_failed_discovery(value: Any) -> None:
    published = Published(json.dumps(value).encode())
    assert isinstance(inventory_of(published, Expected("shop", "web-1")), Failed)


@given(st.data())
def test_one_value_replaced_by_anything_never_ends_the_run(data: st.DataObject) -> None:
    document = json.loads(json.dumps(_SAMPLE))
    parent: Any = document
    while True:
        steps = sorted(parent) if isinstance(parent, dict) else list(range(len(parent)))
        if not steps:
            return
        step = data.draw(st.sampled_from(steps))
        if isinstance(parent[step], dict | list) and parent[step] and data.draw(st.booleans()):
            parent = parent[step]
            continue
        parent[step] = data.draw(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text(max_size=20)
            | st.just([])
            | st.just({})
        )
        break
    expected = Expected("shop", "web-1", now=datetime(2026, 11, 28, 12, 0, tzinfo=UTC))
    answer = inventory_of(Published(json.dumps(document).encode()), expected)
    assert isinstance(answer, Failed | Inventory)


def test_a_giant_is_not_parsed() -> None:
    giant = Published(b"[" * (MOST_BYTES + 1))
    assert isinstance(inventory_of(giant, Expected("shop", "web-1")), Failed)
    deep = Published(b"[" * 100_000)
    assert isinstance(inventory_of(deep, Expected("shop", "web-1")), Failed)


def test_a_kept_reader_reads_only_what_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site.machine())
    controller, inventories = site.controller(), Inventories()
    until = float("inf")
    asked: list[str] = []
    get = FolderStore.get
    monkeypatch.setattr(
        FolderStore, "get", lambda self, name: (asked.append(name), get(self, name))[1]
    )
    monkeypatch.setattr(FolderStore, "list", lambda self, prefix: _listed(self, prefix, get))
    first = inventories.read(controller, ["web-1"], until)
    assert asked == [name_of("shop", "web-1")]
    assert not inventories.changed(controller)
    assert inventories.read(controller, ["web-1"], until) == first
    assert asked == [name_of("shop", "web-1")]
    site.edit(lambda document: document.update(sequence=document["sequence"] + 1, engines=[]))
    assert inventories.changed(controller) == {"web-1"}
    asked.clear()
    assert inventories.read(controller, ["web-1"], until) != first
    assert asked == [name_of("shop", "web-1")]


def test_who_publishes_again_and_again_inspects_only_what_changed(site: Site) -> None:
    site.engine.lists_what_it_runs()
    site.engine.routes["/info"] = {"ID": "ABCD", "Swarm": {"LocalNodeState": "inactive"}}
    machine, inspections = site.machine(), Inspections()
    asked = []
    for number in range(4):
        if number == 2:
            moved = site.engine.container(7)
            path = f"/containers/{site.engine.id(0)}/json"
            site.engine.routes[path] = {**moved, "Id": site.engine.id(0)}
        publish(machine, inspections=inspections)
        asked.append(site.engine.asked("containers"))
    assert asked == [3, 3, 4, 4]
    published = of(discover(site.controller()))
    assert isinstance(published, Complete)
    ports = {port.first for port in published.required}
    assert ports == {8007, 8001, 8002}


def test_what_other_shards_read_is_a_change_once_and_not_at_every_look(site: Site) -> None:
    publish(site.machine())
    controller, inventories = site.controller(), Inventories()
    inventories.read(controller, ["web-1"], float("inf"))
    store = FolderStore(site.folder / "state")
    others = {name_of("shop", f"other-{number}") for number in range(3)}
    for name in others:
        store.put(name, b"{}", None)
    assert inventories.changed(controller) == {"other-0", "other-1", "other-2"}
    assert inventories.changed(controller) == frozenset()
    stored = store.get(name_of("shop", "other-1"))
    assert stored is not None
    store.put(name_of("shop", "other-1"), b"[]", stored.version)
    assert inventories.changed(controller) == frozenset()


def test_a_change_that_could_not_be_read_is_still_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site.machine())
    controller, inventories = site.controller(), Inventories()
    inventories.read(controller, ["web-1"], float("inf"))
    site.edit(lambda document: document.update(sequence=document["sequence"] + 1, engines=[]))
    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "get", _unavailable)
        assert inventories.read(controller, ["web-1"], float("inf"))["web-1"].problem
    assert inventories.changed(controller) == {"web-1"}


def test_who_says_the_same_again_is_no_change_and_what_is_read_is_the_last(site: Site) -> None:
    publish(site.machine())
    controller, inventories = site.controller(), Inventories()
    before = inventories.read(controller, ["web-1"], float("inf"))["web-1"]
    for _ in range(3):
        publish(site.machine())
        assert inventories.changed(controller) == frozenset()
    stored = site.store.get(name_of("shop", "web-1"))
    assert stored is not None
    after = inventories.read(controller, ["web-1"], float("inf"))["web-1"]
    assert after.data == stored.data != before.data


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a container less": lambda document: document["engines"][0]["containers"].pop(),
    "an engine that cannot be read": lambda document: document.update(status="failed"),
    "only a part of it": lambda document: document.update(status="partial", reasons=["slow"]),
    "another host": lambda document: document.update(host="web-2"),
    "an older one": lambda document: document.update(sequence=1),
    "the future": lambda document: document.update(time="2199-01-01T00:00:00Z"),
    "out of date": lambda document: document.update(time="2020-01-01T00:00:00Z"),
    "another form": lambda document: document.clear(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_else_is_published_is_a_change_until_it_is_read(
    site: Site, change: Callable[[dict[str, Any]], object]
) -> None:
    site.engine.lists_what_it_runs()
    site.engine.routes["/info"] = {"ID": "ABCD", "Swarm": {"LocalNodeState": "inactive"}}
    publish(site.machine())
    controller, inventories = site.controller(), Inventories()
    inventories.read(controller, ["web-1"], float("inf"))
    site.edit(change)
    assert inventories.changed(controller) == {"web-1"}
    assert inventories.changed(controller) == {"web-1"}
    inventories.read(controller, ["web-1"], float("inf"))
    assert inventories.changed(controller) == frozenset()


def test_an_unsigned_one_is_a_change_where_a_key_is_asked_for(site: Site, key: Path) -> None:
    public = key.with_suffix(".pub").read_text().strip()
    publish(site.machine(f'[publish]\nsign_with = "{key}"\n'))
    controller = site.controller(f'inventory = "store"\ntrusted_keys = ["{public}"]')
    inventories = Inventories()
    inventories.read(controller, ["web-1"], float("inf"))
    publish(site.machine(f'[publish]\nsign_with = "{key}"\n'))
    assert inventories.changed(controller) == frozenset()
    publish(site.machine())
    assert inventories.changed(controller) == {"web-1"}


def test_one_that_was_out_of_date_when_it_was_read_is_a_change(site: Site) -> None:
    publish(site.machine())
    site.edit(lambda document: document.update(time="2020-01-01T00:00:00Z"))
    controller, inventories = site.controller(), Inventories()
    inventories.read(controller, ["web-1"], float("inf"))
    publish(site.machine())
    assert inventories.changed(controller) == {"web-1"}


def test_a_service_expands_its_configuration_again_only_for_other_hosts(site: Site) -> None:
    more = '[hosts-from-store]\nmatch = "web-*"\n'
    store = FolderStore(site.folder / "state")
    store.put(name_of("shop", "web-7"), b"{}", None)
    controller, inventories = site.controller(more=more), Inventories()
    first = with_hosts_from_store(controller, inventories)
    assert set(first.hosts) == {"web-1", "web-7"}
    assert with_hosts_from_store(controller, inventories).hosts is first.hosts
    store.put(name_of("shop", "web-8"), b"{}", None)
    second = with_hosts_from_store(controller, inventories)
    assert set(second.hosts) == {"web-1", "web-7", "web-8"}
    changed = site.controller(more=more.replace("web-*", "*"))
    store.put(name_of("shop", "db-1"), b"{}", None)
    assert "db-1" in with_hosts_from_store(changed, inventories).hosts


def _unavailable(*_: object) -> None:
    raise StoreError("503", temporary=True)


def _listed(store: FolderStore, prefix: str, get: Any) -> list[Any]:
    from cloudsync.state.store.contract import Entry

    stored = get(store, f"{prefix}web-1.json")
    return [Entry(f"{prefix}web-1.json", stored.version, stored.modified)]


def test_a_published_inventory_is_private_to_its_owner(site: Site) -> None:
    publish(site.machine())
    path = site.folder / "state" / "inventories" / "shop" / "web-1.json"
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_host_from_the_store_may_have_ports_of_its_own(site: Site) -> None:
    publish(site.machine())
    found = of(discover(site.controller('inventory = "store"\nports = ["51820/udp"]')))
    assert isinstance(found, Complete)
    assert {(port.protocol, port.first) for port in found.required} >= {("udp", 51820)}


def test_a_failed_reading_of_the_store_is_each_hosts(site: Site) -> None:
    configuration = replace(site.controller(), state=site.folder / "state" / "nothing")
    assert isinstance(of(discover(configuration)), Failed)


_SAMPLE: dict[str, Any] = {
    "format_version": "1.0",
    "owner": "shop",
    "host": "web-1",
    "status": "complete",
    "reasons": [],
    "machine": "m",
    "sequence": 5,
    "time": "2026-11-28T11:59:00Z",
    "valid_seconds": 900,
    "engines": [
        {
            "engine": "unix:///var/run/docker.sock",
            "id": "E1",
            "containers": [
                {
                    "id": "a1",
                    "name": "web",
                    "state": "running",
                    "image": "sha256:1",
                    "labels": {"cloudsync.expose": "true"},
                    "network_mode": "bridge",
                    "networks": ["n1"],
                    "asked": [
                        {
                            "protocol": "tcp",
                            "container_port": 80,
                            "address": "0.0.0.0",
                            "host_port": "8080",
                        }
                    ],
                    "bound": [],
                }
            ],
            "networks": [
                {"id": "n1", "name": "bridge", "publishes": True, "inner": ["172.17.0.0/16"]}
            ],
            "images": {"sha256:1": {}},
            "membership": {"role": "manager", "node": "n", "managers": ["n"]},
            "cluster": {
                "services": [
                    {
                        "id": "s1",
                        "name": "api",
                        "image": "api:1",
                        "labels": {},
                        "ports": [
                            {
                                "protocol": "tcp",
                                "target": 80,
                                "asked": 8081,
                                "now": 8081,
                                "ingress": True,
                            }
                        ],
                    }
                ],
                "tasks": [{"service": "s1", "node": "n", "container": "a1", "state": "running"}],
                "nodes": {"n": "10.0.0.1"},
                "contained": [["a1", "s1"]],
            },
        }
    ],
}


def test_the_sample_is_an_inventory() -> None:
    expected = Expected("shop", "web-1", now=datetime(2026, 11, 28, 12, 0, tzinfo=UTC))
    assert isinstance(inventory_of(Published(json.dumps(_SAMPLE).encode()), expected), Inventory)
