"""Stores to test on: a folder, a real Ceph gateway, moto's server as a second opinion, and
Microsoft's emulator of Azure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
import requests

from cloudsync.model.state_url import StateUrl
from cloudsync.state.store.contract import Store
from cloudsync.state.store.folder import FolderStore
from cloudsync.state.store.opened import proved
from tests.first_use import limit_the_tests_themselves
from tests.free_ports import free_port
from tests.store import azurite
from tests.store import ceph as real
from tests.store.trouble import Proxy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The servers are installed and started for all of them."""
    here = Path(__file__).parent
    limit_the_tests_themselves(item for item in items if item.path.is_relative_to(here))


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """What every store of these tests knows its user by."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", real.ACCESS)
        patch.setenv("AWS_SECRET_ACCESS_KEY", real.SECRET)
        patch.setenv("AZURE_STORAGE_ACCOUNT_NAME", azurite.ACCOUNT)
        patch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite.KEY)
        yield


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Ceph]:
    if real.MISSING:
        pytest.skip(f"not installed: {', '.join(real.MISSING)}")
    cluster = real.Ceph(tmp_path_factory.mktemp("ceph"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The endpoint of moto's server."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.store.moto_server", str(port)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                requests.get(endpoint, timeout=5)
                break
            except requests.RequestException:
                time.sleep(0.1)
        yield endpoint
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def azure() -> Iterator[azurite.Azurite]:
    if (why := azurite.unavailable()) is not None:
        pytest.skip(why)
    with azurite.Azurite() as server:
        yield server


def bucket(endpoint: str) -> str:
    """The name of a new bucket."""
    name = f"cloudsync-{uuid.uuid4().hex[:12]}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=real.ACCESS,
        aws_secret_access_key=real.SECRET,
    )
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def url(ceph: real.Ceph) -> StateUrl:
    """A bucket of the real store."""
    return StateUrl(f"s3://{bucket(ceph.endpoint)}/state", ceph.endpoint)


@pytest.fixture
def troubled(url: StateUrl, ceph: real.Ceph) -> Iterator[tuple[StateUrl, Proxy]]:
    """The same bucket, behind a proxy that makes trouble."""
    proved(url)
    proxy = Proxy(ceph.gateway)
    proxy.start()
    troubled = replace(url, endpoint=proxy.endpoint)
    proved(troubled)
    try:
        yield troubled, proxy
    finally:
        proxy.stop()


KINDS = ["folder", pytest.param("ceph", marks=pytest.mark.ceph), "moto", "azure"]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Every kind of store, one after the other."""
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    if request.param == "ceph":
        return proved(request.getfixturevalue("url"))
    if request.param == "azure":
        server = request.getfixturevalue("azure")
        return proved(StateUrl(f"az://{server.container()}/state", server.endpoint))
    endpoint = request.getfixturevalue("moto")
    return proved(StateUrl(f"s3://{bucket(endpoint)}/state", endpoint))
