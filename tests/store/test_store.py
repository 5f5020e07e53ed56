"""The small interface of a store: the same on a folder, on a real Ceph gateway, on moto and on
Azurite."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cloudsync.config import load
from cloudsync.model.state_url import StateUrl
from cloudsync.reconcile.publish import publish
from cloudsync.state import StateError
from cloudsync.state.store.bucket import BucketStore
from cloudsync.state.store.contract import Changed, Store, StoreError, update
from cloudsync.state.store.opened import open_store, proved
from tests.doubles.engine import FakeEngine
from tests.store import ceph as real
from tests.store.azurite import Azurite
from tests.store.conftest import bucket
from tests.store.trouble import Asked, Proxy, Trouble


def test_what_is_not_there_is_absent(store: Store) -> None:
    assert store.get("shop/seen/web.json") is None


def test_an_object_is_created_once(store: Store) -> None:
    version = store.put("shop/a.json", b"1", None)
    with pytest.raises(Changed):
        store.put("shop/a.json", b"2", None)
    stored = store.get("shop/a.json")
    assert stored is not None
    assert (stored.data, stored.version) == (b"1", version)


def test_a_write_is_over_what_was_read_only(store: Store) -> None:
    first = store.put("shop/a.json", b"1", None)
    second = store.put("shop/a.json", b"2", first)
    assert second != first
    with pytest.raises(Changed):
        store.put("shop/a.json", b"3", first)
    store.put("shop/a.json", b"4", second)
    assert getattr(store.get("shop/a.json"), "data", None) == b"4"


def test_a_write_over_what_is_gone_is_refused(store: Store) -> None:
    version = store.put("shop/a.json", b"1", None)
    store.delete("shop/a.json")
    store.delete("shop/a.json")
    with pytest.raises(Changed):
        store.put("shop/a.json", b"2", version)
    assert store.get("shop/a.json") is None


def test_a_list_is_by_name_and_prefix(store: Store) -> None:
    for name in ("shop/history/2.json", "shop/history/1.json", "shop/seen/web.json", "shopping/x"):
        store.put(name, name.encode(), None)
    assert [entry.name for entry in store.list("shop/history/")] == [
        "shop/history/1.json",
        "shop/history/2.json",
    ]
    assert [entry.name for entry in store.list("shop/history/2")] == ["shop/history/2.json"]
    assert store.list("nobody/") == []


def test_a_list_knows_objects_by_the_versions_that_reading_and_writing_say(store: Store) -> None:
    """Else whoever follows a list would take everything for changed, at every look."""
    written = store.put("shop/a.json", b"1", None)
    stored = store.get("shop/a.json")
    assert stored is not None
    assert [entry.version for entry in store.list("shop/")] == [written] == [stored.version]
    again = store.put("shop/a.json", b"2", written)
    assert [entry.version for entry in store.list("shop/")] == [again]


def test_a_store_can_be_shown(store: Store) -> None:
    """In a message of an error, say: obstore panics for a client whose account is in a variable."""
    assert "Store" in repr(store)


def test_of_eight_at_once_one_creates_and_one_replaces(store: Store) -> None:
    def attempt(over: str | None, number: int) -> bool:
        try:
            store.put("shop/race.json", str(number).encode(), over)
        except Changed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for round_ in range(5):
            stored = store.get("shop/race.json")
            over = None if stored is None else stored.version
            wins = list(pool.map(partial(attempt, over), range(round_ * 8, round_ * 8 + 8)))
            assert wins.count(True) == 1


def test_updates_by_eight_are_never_lost(store: Store) -> None:
    def plus(raw: bytes | None) -> bytes:
        return str(int(raw or b"0") + 1).encode()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(update, store, "shop/count", plus) for _ in range(40)]:
            done.result()
    assert getattr(store.get("shop/count"), "data", None) == b"40"


def test_a_missing_bucket_is_not_an_empty_one(url: StateUrl) -> None:
    gone = replace(url, url="s3://cloudsync-no-such-bucket/state")
    with pytest.raises(StoreError, match="no such bucket"):
        open_store(gone)


def test_a_missing_container_is_not_an_empty_one(azure: Azurite) -> None:
    with pytest.raises(StoreError, match="no such bucket"):
        open_store(StateUrl("az://cloudsync-no-such-container/state", azure.endpoint))


def test_a_wrong_key_of_azure_is_said_without_it(
    azure: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = StateUrl(f"az://{azure.container()}/state", azure.endpoint)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmctc2VjcmV0")
    with pytest.raises(StoreError, match="refuses the credentials") as caught:
        proved(place)
    assert "d3Jvbmctc2VjcmV0" not in str(caught.value)


def test_a_web_server_that_is_no_store_is_not_an_empty_one(
    troubled: tuple[StateUrl, Proxy],
) -> None:
    place, proxy = troubled
    store = open_store(place)
    proxy.choose = lambda _: "404"
    with pytest.raises(StoreError, match="no object store answers"):
        store.get("shop/seen/web.json")


def test_wrong_credentials_are_said_without_them(
    url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(StoreError, match="refuses the credentials") as caught:
        proved(url)
    assert "wrong-secret" not in str(caught.value)
    assert not caught.value.temporary


def test_credentials_come_from_secret_references(
    url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cloudsync.provider.settings import SecretRef

    for name, value in (("ACCESS_KEY_ID", "nobody"), ("SECRET_ACCESS_KEY", "nothing")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("STORE_KEY", real.ACCESS)
    monkeypatch.setenv("STORE_SECRET", real.SECRET)
    keys = {
        "access_key_id": SecretRef(env="STORE_KEY"),
        "secret_access_key": SecretRef(env="STORE_SECRET"),
    }
    assert proved(replace(url, **keys)).get("shop/x.json") is None


def test_plain_http_to_another_machine_is_refused(
    url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://198.51.100.1:9000")
    with pytest.raises(StoreError, match="https"):
        open_store(replace(url, endpoint=None))


def test_the_sdks_variables_name_the_endpoint(
    url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert url.endpoint is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url.endpoint)
    assert proved(replace(url, endpoint=None)).get("shop/x.json") is None


_MACHINE = """version = 1
owner = "shop"
state = {{ url = "s3://{bucket}/state", endpoint = "{endpoint}" }}
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[hosts.web-1]
docker = "{engine}"
"""


class _Heedless(Proxy):
    """A store that takes no notice of `If-None-Match` and `If-Match`."""

    drops = "if-"

    def _forward(self, handler, body):  # type: ignore[no-untyped-def]
        for name in list(handler.headers):
            if name.lower().startswith(self.drops):
                del handler.headers[name]
        return super()._forward(handler, body)


@pytest.mark.parametrize("drops", ["if-none-match", "if-match"])
def test_a_store_without_conditional_writes_is_refused(
    moto: str, drops: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Heedless, "drops", drops)
    proxy = _Heedless(int(moto.rpartition(":")[2]))
    proxy.start()
    try:
        with pytest.raises(StateError, match="does not do conditional writes"):
            proved(StateUrl(f"s3://{bucket(moto)}/state", proxy.endpoint))
    finally:
        proxy.stop()


@pytest.mark.emulator
def test_a_machine_publishes_into_no_store_without_conditional_writes(
    moto: str, tmp_path: Path
) -> None:
    proxy = _Heedless(int(moto.rpartition(":")[2]))
    proxy.start()
    with FakeEngine(tmp_path) as engine:
        path = tmp_path / "cloudsync.toml"
        path.write_text(
            _MACHINE.format(bucket=bucket(moto), endpoint=proxy.endpoint, engine=engine.endpoint)
        )
        try:
            (outcome,) = publish(load(path))
            assert "does not do conditional writes" in str(outcome.problem)
            path.write_text(path.read_text().replace(proxy.endpoint, moto))
            (outcome,) = publish(load(path))
            assert outcome.problem is None
        finally:
            proxy.stop()


def test_the_proof_is_kept_for_a_day_and_for_this_endpoint_only(
    troubled: tuple[StateUrl, Proxy], url: StateUrl
) -> None:
    place, proxy = troubled
    proxy.asked.clear()
    proved(place)
    assert len(proxy.asked) <= 2
    proof = json.loads(getattr(proved(place).get("conditional-writes.json"), "data", b"{}"))
    assert proof["endpoint"] == place.endpoint != url.endpoint


@pytest.mark.parametrize("trouble", ["unanswered", "500", "503", "429", "lost"])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_request_in_trouble_once_is_done_once(
    troubled: tuple[StateUrl, Proxy], trouble: Trouble, method: str
) -> None:
    place, proxy = troubled
    store = open_store(place)
    assert isinstance(store, BucketStore)
    store = replace(store, pause=lambda _: None)
    first = store.put("shop/a.json", b"1", None)
    hit: list[int] = []

    def once(asked: Asked) -> Trouble:
        if asked.method == method and not hit:
            hit.append(asked.number)
            return trouble
        return "none"

    proxy.choose = once
    version = store.put("shop/a.json", b"2", first)
    stored = store.get("shop/a.json")
    assert stored is not None
    assert (stored.data, stored.version) == (b"2", version)
    assert hit


def test_a_write_whose_fate_is_unknown_is_not_taken_for_somebody_elses(
    troubled: tuple[StateUrl, Proxy],
) -> None:
    place, proxy = troubled
    store = replace(open_store(place), pause=lambda _: None)  # type: ignore[type-var]
    proxy.choose = lambda asked: "unanswered" if asked.method == "PUT" else "none"
    version = store.put("shop/a.json", b"1", None)
    proxy.choose = lambda _: "none"
    assert getattr(store.get("shop/a.json"), "version", None) == version


def test_a_store_that_stays_down_is_a_reason_to_try_again(troubled: tuple[StateUrl, Proxy]) -> None:
    place, proxy = troubled
    store = replace(open_store(place), pause=lambda _: None)  # type: ignore[type-var]
    proxy.choose = lambda _: "lost"
    with pytest.raises(StoreError) as caught:
        store.get("shop/a.json")
    assert caught.value.temporary
    with pytest.raises(StoreError):
        store.put("shop/a.json", b"1", None)


def test_updates_are_not_lost_in_trouble(troubled: tuple[StateUrl, Proxy]) -> None:
    """Every fifth request meets trouble, while four update one object."""
    place, proxy = troubled
    kinds: tuple[Trouble, ...] = ("unanswered", "500", "slow", "lost", "503", "429")
    proxy.slow_seconds = 0.05
    proxy.choose = lambda asked: kinds[asked.number % 6] if asked.number % 5 == 0 else "none"
    store = replace(open_store(place), pause=lambda _: None)  # type: ignore[type-var]

    def add(word: str, raw: bytes | None) -> bytes:
        words = set(json.loads(raw or b"[]"))
        return json.dumps(sorted(words | {word})).encode()

    with ThreadPoolExecutor(4) as pool:
        for done in [
            pool.submit(update, store, "shop/words", partial(add, f"w{number}"))
            for number in range(24)
        ]:
            done.result()
    proxy.choose = lambda _: "none"
    kept = json.loads(getattr(store.get("shop/words"), "data", b"[]"))
    assert len(kept) == 24
