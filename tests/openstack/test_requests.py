"""Every request of an account, the library's own included: no password of ~/.netrc, an end at the
deadline, no other address."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloudsync.provider.contract import Present
from cloudsync.provider.errors import Transient, Unsupported
from cloudsync_openstack import provider
from cloudsync_openstack.login import opened as login_of
from cloudsync_openstack.settings import OpenStackAccount
from tests.doubles.http import Fault
from tests.openstack.cloud import tag_of
from tests.openstack.login import TOKENS, Cloud
from tests.openstack.proxy import NeutronProxy
from tests.openstack.test_login import configured, opened, problem, read
from tests.openstack.test_neutron import (
    MARKER,
    SSH,
    account_of,
    spec_of,
    steps_to,
    there_is,
)

pytestmark = pytest.mark.emulator
SECONDS = 3.0
LIMIT = SECONDS + 3.0
"""The seconds a run has, and those after which it surely did not end in time: an answer byte by
byte takes minutes."""
GROUPS = "/v2.0/security-groups"


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person whose ~/.netrc has a password for 127.0.0.1, and one for every other host."""
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login bob password s3cret\ndefault login bob password s3cret\n"
    )
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)


def credentials_at(proxy: NeutronProxy) -> list[tuple[str, str | None]]:
    """The path and the `Authorization` of each request, as they arrive."""
    arrived: list[tuple[str, str | None]] = []
    named = proxy.named

    def noted(request: Any) -> Any:
        arrived.append((request.path, request.headers.get("Authorization")))
        return named(request)

    proxy.named = noted  # type: ignore[method-assign]
    return arrived


@contextmanager
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LIMIT


@pytest.mark.usefixtures("netrc")
def test_a_password_of_netrc_is_sent_neither_to_keystone_nor_to_a_service(
    cloud: Cloud, tmp_path: Path
) -> None:
    arrived = credentials_at(cloud)
    server = "5f6c6f2e-0000-4000-8000-000000000001"
    cloud.servers[server] = "web-1"
    owner = {"device_id": server, "device_owner": "compute:nova"}
    cloud.project.add_port(cloud.project.add_network(), **owner)
    there_is(cloud, SSH)
    assert isinstance(read(configured(cloud, tmp_path), spec_of(servers=["web-1"])), Present)
    assert {TOKENS, GROUPS, "/compute/v2.1/servers"} <= {path for path, _ in arrived}
    assert {sent for _, sent in arrived} == {None}


@pytest.mark.usefixtures("netrc")
def test_nor_to_a_cloud_without_a_login_by_a_read_or_a_write(proxy: NeutronProxy) -> None:
    arrived = credentials_at(proxy)
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    writer = provider.open_writer(account_of(proxy))
    for step in steps_to(proxy, spec_of(), SSH, "tcp/443"):
        writer.run(step)
    assert {GROUPS, "/v2.0/security-group-rules"} <= {path for path, _ in arrived}
    assert {sent for _, sent in arrived} == {None}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", GROUPS, "trickle", seconds=0.4, times=99),
        Fault("GET", GROUPS, "stall", times=99),
        Fault("POST", TOKENS, "trickle", seconds=0.4, times=99),
        Fault("POST", TOKENS, "stall", times=99),
    ],
    ids=lambda fault: f"{fault.path.rpartition('/')[2]}-{fault.kind}",
)
def test_what_trickles_or_stalls_ends_with_the_deadline(
    fault: Fault, cloud: Cloud, tmp_path: Path
) -> None:
    there_is(cloud, SSH)
    reader = opened(configured(cloud, tmp_path), SECONDS)
    cloud.fail(fault)
    with in_time():
        error = problem(reader.read([spec_of()])["web"])
    assert isinstance(error, Transient)
    assert error.message.endswith("no answer in time")
    assert not error.fate_unknown


def test_law3_a_write_whose_answer_trickles_may_have_taken_effect(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    steps = steps_to(proxy, spec_of(), SSH, "tcp/443")
    writer = provider.open_writer(account_of(proxy, SECONDS))
    proxy.fail(Fault("POST", "/v2.0/security-group-rules", "trickle", seconds=0.4))
    with in_time(), pytest.raises(Transient, match="no answer in time") as error:
        writer.run(steps[0])
    assert error.value.fate_unknown
    assert proxy.count("POST", "/v2.0/security-group-rules") == 1


def test_a_redirect_is_not_followed_with_the_password(cloud: Cloud, tmp_path: Path) -> None:
    elsewhere = {"Location": f"{cloud.endpoint}/elsewhere"}
    cloud.fail(Fault("POST", TOKENS, status=307, headers=elsewhere, times=99))
    error = problem(read(configured(cloud, tmp_path)))
    assert isinstance(error, Unsupported)
    assert "auth_url" in error.message
    assert cloud.count("POST", "/elsewhere") == 0


@pytest.mark.parametrize("profile", ["ovh", "vexxhost", "ADDRESS"])
@pytest.mark.parametrize("key", ["profile", "cloud"])
def test_no_vendor_profile_is_fetched(
    key: str, profile: str, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = fetches(monkeypatch)
    settings = configured(cloud, tmp_path)
    file = tmp_path / "clouds.yaml"
    profile = profile.replace("ADDRESS", cloud.endpoint)
    file.write_text(file.read_text().replace("prod:\n", f"prod:\n    {key}: {profile}\n"))
    there_is(cloud, SSH)
    assert isinstance(read(settings), Present)
    assert fetched == []
    assert not any(".well-known" in call.path for call in cloud.calls)


def fetches(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """The addresses that are asked for outside of an account's session; none answers."""
    import requests

    asked: list[str] = []

    def get(url: str, **_: Any) -> requests.Response:
        asked.append(url)
        raise requests.ConnectionError(url)

    monkeypatch.setattr("requests.get", get)
    return asked


def test_a_vendor_profile_that_is_a_file_of_the_library_holds(cloud: Cloud, tmp_path: Path) -> None:
    """Only what would be fetched is left out."""
    settings = configured(cloud, tmp_path)
    file = tmp_path / "clouds.yaml"
    file.write_text(file.read_text().replace("prod:\n", "prod:\n    profile: switchengines\n"))
    file.write_text(file.read_text().replace("    region_name: RegionOne\n", ""))
    account = account_of(cloud)
    _, network, _ = login_of(account, OpenStackAccount(cloud=settings.cloud, region="LS"))
    assert network.region_name == "LS"
