"""Labels, engines, configurations and plan files that nobody meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.model.plan import Plan
from cloudsync.model.plan_json import PlanFileError, from_document
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    LabelScope,
    Partial,
)
from cloudsync.rules import Rule
from cloudsync.sources.docker.engine import read_engine
from tests.conformance.local import LocalStage
from tests.crash.site import NAME, SSH, Site
from tests.doubles.engine import FakeEngine
from tests.fuzz.bent import DICE, bend, bounded, tear
from tests.fuzz.conftest import Typed

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "unit" / "fixtures" / "docker" / "engine-20.10"
CONTAINERS: list[dict[str, Any]] = json.loads((RECORDED / "inspect.json").read_text())
NETWORKS: list[dict[str, Any]] = json.loads((RECORDED / "networks.json").read_text())
SCOPE = LabelScope({}, frozenset({"web"}))


# Engines and labels


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path_factory.mktemp("engine"), containers=0) as fake:
        fake.routes["/networks"] = NETWORKS
        yield fake


def sound(found: Discovery) -> None:
    """Whatever an engine said, every port that is asked for is a port, and what was not understood
    is not nothing."""
    if isinstance(found, Failed):
        assert "\n" not in found.reason
        return
    for port in found.required:
        Rule(port.protocol, port.first, port.last, port.sources)
    if isinstance(found, Partial):
        assert all("\n" not in reason for reason in found.reasons)
    assert isinstance(found, Complete | Partial)


@bounded(150)
@given(dice=DICE)
def test_law1_an_engine_that_answers_anything_is_read_or_is_unknown(
    engine: FakeEngine, dice: Random
) -> None:
    container = dice.choice(CONTAINERS)
    path = f"/containers/{container['Id']}/json"
    where = dice.choice([path, path, path, "/networks", "/info", "/containers/json", "/version"])
    right: dict[str, Any] = {
        "/version": {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"},
        "/info": {"Swarm": {"LocalNodeState": "inactive"}},
        "/networks": NETWORKS,
        "/containers/json": [{"Id": container["Id"]}],
        path: container,
    }
    wrong = (
        bend(dice, right[where], 3)
        if dice.random() < 0.7
        else tear(dice, json.dumps(right[where]).encode())
    )
    engine.routes = right | {where: (200, wrong)}
    sound(read_engine("web-1", engine.endpoint, SCOPE, timeout=5, concurrency=1))


@bounded(60)
@given(dice=DICE)
def test_law1_a_404_about_something_that_exists_is_never_a_complete_read(
    engine: FakeEngine, dice: Random
) -> None:
    """What else is bent or not: the image of a running container, a listed container, networks."""
    container = json.loads(json.dumps(dice.choice(CONTAINERS)))
    container["State"] = {"Status": "running"}
    container["Config"]["Labels"] = {"cloudsync.expose": dice.choice(["true", "false"])}
    path, image = f"/containers/{container['Id']}/json", f"/images/{container['Image']}/json"
    where = dice.choice([path, image, "/networks", "/containers/json", "/info"])
    missing = (404, dice.choice([{"message": "No such thing"}, {}, b"404 page not found", []]))
    engine.routes = {
        "/version": {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"},
        "/info": {"ID": dice.choice(["AAAA", "BBBB"]), "Swarm": {"LocalNodeState": "inactive"}},
        "/networks": NETWORKS,
        "/containers/json": [{"Id": container["Id"], "State": "running"}],
        path: container,
        image: {"Config": {"Labels": {}}},
        where: missing,
    }
    answers = read_engine("web-1", engine.endpoint, SCOPE, timeout=5, concurrency=1)
    sound(answers)
    assert not isinstance(answers, Complete), where


LABEL_KEYS = st.one_of(
    st.sampled_from(
        [
            "cloudsync.expose",
            "cloudsync.ports",
            "cloudsync.sources",
            "cloudsync.firewall",
            "cloudsync.description",
        ]
    ),
    st.from_regex(r"cloudsync\.port\.[0-9-]{1,12}(/(tcp|udp|x))?(\.sources)?", fullmatch=True),
    st.text(max_size=30).map(lambda text: f"cloudsync.{text}"),
)
LABEL_VALUES = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"[0-9,/a-z.:@\- ]{0,60}", fullmatch=True),
    st.sampled_from(
        [
            "true",
            "false",
            "any",
            "any4",
            "443",
            "8000-8010/udp",
            "10.0.0.0/8,::/0",
            "@office",
            "1" * 5000,
            "80," * 3000,
        ]
    ),
)


@bounded(150)
@given(labels=st.dictionaries(LABEL_KEYS, LABEL_VALUES, max_size=4))
def test_law7_labels_of_any_text_never_open_more_than_is_published(
    engine: FakeEngine, labels: dict[str, str]
) -> None:
    container = FakeEngine.container(0) | {"Id": engine.id(0)}
    container["Config"] = {"Labels": labels}
    engine.routes = {
        "/version": {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"},
        "/info": {"Swarm": {"LocalNodeState": "inactive"}},
        "/networks": [{"Id": "n1", "Name": "bridge", "Driver": "bridge", "Options": {}}],
        "/containers/json": [{"Id": engine.id(0)}],
        f"/containers/{engine.id(0)}/json": container,
        "/images/sha256:1/json": {"Config": {"Labels": {}}},
    }
    found = read_engine("web-1", engine.endpoint, SCOPE, timeout=5, concurrency=1)
    sound(found)
    assert isinstance(found, Complete)
    assert all(
        (port.protocol, port.first, port.last) == ("tcp", 8000, 8000) for port in found.required
    )


# Configurations


EXAMPLE = (ROOT / "config.example.toml").read_text()
DOCUMENT = tomlkit.parse(EXAMPLE).unwrap()


def as_toml(value: Any) -> str | None:
    """The text; None for what TOML cannot say."""
    try:
        return tomlkit.dumps(value)
    except Exception:  # noqa: BLE001 - the library says so in many ways
        return None


@bounded(120)
@given(document=DICE.map(lambda dice: as_toml(bend(dice, DOCUMENT, 3))))
def test_a_configuration_with_anything_in_it_is_right_or_64(
    types: Typed, tmp_path: Path, document: str | None
) -> None:
    if document is None:
        return
    file = tmp_path / "cloudsync.toml"
    file.write_text(document, encoding="utf-8", errors="surrogatepass")
    assert types("config", "check", "-c", str(file))[0] in (0, 64)
    assert [path.name for path in tmp_path.iterdir()] == ["cloudsync.toml"]


@bounded(120)
@given(raw=DICE.map(lambda dice: tear(dice, EXAMPLE.encode())))
def test_a_configuration_of_torn_text_is_right_or_64(
    types: Typed, tmp_path: Path, raw: bytes
) -> None:
    file = tmp_path / "cloudsync.toml"
    file.write_bytes(raw)
    assert types("config", "check", "-c", str(file))[0] in (0, 64)


# Plan files


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "vendor").mkdir()
    one = Site(None, LocalStage(tmp_path / "vendor"), tmp_path, ("tcp/443", "tcp/80"))  # type: ignore[arg-type]  # typed in this process
    one.has(SSH, "tcp/8080", "tcp/3389 from 198.51.100.0/24")
    return one


def whole_plan(site: Site, types: Typed) -> dict[str, Any]:
    assert (
        types("plan", "-c", str(site.configure()), "--out", str(site.folder / "plan.json"))[0] == 0
    )
    return json.loads((site.folder / "plan.json").read_text())  # type: ignore[no-any-return]


def read(raw: bytes) -> Plan | None:
    """The plan in a file; None where it is refused, in one line."""
    try:
        return from_document(raw.decode(errors="replace"))
    except PlanFileError as error:
        said = str(error)
    assert "\n" not in said
    return None


def test_law6_a_bent_plan_file_is_refused_or_does_no_more_than_it_shows(
    site: Site, types: Typed
) -> None:
    right, before = whole_plan(site, types), site.now
    file, config = site.folder / "bent.json", str(site.configure())

    @bounded(150)
    @given(dice=DICE)
    def check(dice: Random) -> None:
        raw = (
            json.dumps(bend(dice, right, 3)).encode()
            if dice.random() < 0.7
            else tear(dice, json.dumps(right).encode())
        )
        plan = read(raw)
        file.write_bytes(raw)
        code, _ = types("apply", str(file), "-c", config)
        if plan is None:
            assert code == 64
        if code != 0:
            assert site.now == before, "it was refused, and something was written"
        else:
            assert site.now in (site.wanted, before)
            site.by_hand(SSH, "tcp/8080", "tcp/3389 from 198.51.100.0/24")

    check()
    assert site.stage.lets_in(NAME) == before


@bounded(100)
@given(
    text=st.one_of(
        st.text(max_size=200),
        st.integers(1, 10**5).map(lambda n: "[" * n),
        st.integers(1, 5000).map(lambda n: '{"a":' * n),
    )
)
def test_a_plan_file_of_any_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanFileError) as refused:
        from_document(text)
    assert "\n" not in str(refused.value)
