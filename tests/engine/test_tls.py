"""A real dockerd that asks for client certificates, read by the typed command inside the engine's
network."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import typed
from tests.engine.certificates import Authority
from tests.engine.lab import Lab
from tests.engines.kinds import Kind

pytestmark = pytest.mark.engine
PORT = 2376


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    authority.issue("server", address="127.0.0.1")
    authority.issue("client")
    return authority


@pytest.fixture(scope="module")
def engine(pki: Authority, docker_kind: Kind) -> Iterator[Lab]:
    files = {"tlscacert": "ca.pem", "tlscert": "server.pem", "tlskey": "server-key.pem"}
    options = [f"--{name}={pki.folder / file}" for name, file in files.items()]
    with docker_kind.docker("--tlsverify", *options, "-H", f"tcp://127.0.0.1:{PORT}") as lab:
        lab.run("web", "-p", "8080:80")
        yield lab


class Person:
    """Somebody with a shell on the engine's machine."""

    def __init__(self, folder: Path, engine: Lab) -> None:
        self.folder, self.engine = folder, engine

    def types(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER")}
        environment = {**kept, "HOME": str(self.folder), **environ}
        inside = self.engine.inside
        return typed(*words, folder=self.folder, environment=environment, inside=inside)

    def discovers(self, docker: str, code: int = 0, **environ: str) -> Any:
        """The first host of `cloudsync discover --output json` with this `docker = …`."""
        (self.folder / "cloudsync.toml").write_text(f"""
version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[hosts.web-1]
docker = {docker}
""")
        done = self.types("discover", "--output", "json", **environ)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)["hosts"][0]


@pytest.fixture
def person(tmp_path: Path, engine: Lab) -> Person:
    return Person(tmp_path, engine)


def table(
    pki: Authority, *, ca: str = "ca.pem", name: str = "client", address: str = "127.0.0.1"
) -> str:
    files = (
        f'ca = "{pki.folder / ca}", cert = "{pki.folder / name}.pem", key ='
        f' "{pki.folder / name}-key.pem"'
    )
    return f'{{ host = "tcp://{address}:{PORT}", {files} }}'


def ports(host: Any) -> set[str]:
    return {one["ports"] for one in host["ports"]}


def test_a_table_with_files_reads_the_engine(person: Person, pki: Authority) -> None:
    host = person.discovers(table(pki))
    assert host["status"] == "complete"
    assert ports(host) == {"8080"}


def test_a_docker_context_with_tls_reads_the_engine(person: Person, pki: Authority) -> None:
    key = hashlib.sha256(b"shop").hexdigest()
    meta, material = (
        person.folder / ".docker" / "contexts" / kind / key for kind in ("meta", "tls")
    )
    meta.mkdir(parents=True)
    (material / "docker").mkdir(parents=True)
    endpoint = {"Host": f"tcp://127.0.0.1:{PORT}", "SkipTLSVerify": False}
    (meta / "meta.json").write_text(
        json.dumps({"Name": "shop", "Metadata": {}, "Endpoints": {"docker": endpoint}})
    )
    for there, here in (
        ("ca.pem", "ca.pem"),
        ("cert.pem", "client.pem"),
        ("key.pem", "client-key.pem"),
    ):
        (material / "docker" / there).write_bytes((pki.folder / here).read_bytes())
    assert ports(person.discovers('"shop"')) == {"8080"}
    (person.folder / "cloudsync.toml").unlink()
    done = person.types("discover", "--output", "json", DOCKER_CONTEXT="shop")
    assert ports(json.loads(done.stdout)["hosts"][0]) == {"8080"}


def test_an_unknown_context_is_an_error_and_the_local_engine_is_not_read(person: Person) -> None:
    host = person.discovers('"nobody"', code=1)
    assert host["status"] == "failed"
    assert '"nobody" does not exist' in host["reason"]
    (person.folder / "cloudsync.toml").unlink()
    assert person.types("discover", DOCKER_CONTEXT="nobody").returncode == 64


def test_the_docker_commands_variables_read_the_engine(person: Person, pki: Authority) -> None:
    folder = person.folder / "certs"
    folder.mkdir()
    for there, here in (
        ("ca.pem", "ca.pem"),
        ("cert.pem", "client.pem"),
        ("key.pem", "client-key.pem"),
    ):
        (folder / there).write_bytes((pki.folder / here).read_bytes())
    environ = {
        "DOCKER_HOST": f"tcp://127.0.0.1:{PORT}",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(folder),
    }
    done = person.types("discover", "--output", "json", **environ)
    assert ports(json.loads(done.stdout)["hosts"][0]) == {"8080"}


def test_plain_tcp_to_it_says_that_it_may_want_tls(person: Person) -> None:
    host = person.discovers(f'"tcp://127.0.0.1:{PORT}"', code=1)
    assert "may want TLS" in host["reason"]


def test_an_engine_that_our_authority_did_not_sign_is_not_believed(
    person: Person, pki: Authority, tmp_path: Path
) -> None:
    Authority(tmp_path / "other")
    host = person.discovers(table(pki, ca=str(tmp_path / "other" / "ca.pem")), code=1)
    assert "certificate is not accepted" in host["reason"]


def test_an_engine_of_another_name_is_not_believed(person: Person, pki: Authority) -> None:
    host = person.discovers(table(pki, address="localhost"), code=1)
    assert "certificate is not accepted" in host["reason"]


def test_a_proxy_of_the_environment_is_not_asked(person: Person, pki: Authority) -> None:
    environ = {
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }
    assert person.discovers(table(pki), **environ)["status"] == "complete"


def test_a_stranger_is_told_that_the_engine_does_not_accept_the_certificate(
    person: Person, pki: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    stranger.issue("client")
    docker = table(stranger).replace(
        f'ca = "{stranger.folder}/ca.pem"', f'ca = "{pki.folder}/ca.pem"'
    )
    assert "does not accept our TLS certificate" in person.discovers(docker, code=1)["reason"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("missing", "cannot be read"),
        ("mixed", "cannot be used together"),
        ("password", "encrypted"),
    ],
)
def test_unusable_files_are_named_and_none_of_their_content(
    person: Person, pki: Authority, change: str, said: str
) -> None:
    docker = table(pki)
    if change == "missing":
        docker = docker.replace("client-key.pem", "no-key.pem")
    elif change == "mixed":
        docker = docker.replace("client-key.pem", "server-key.pem")
    else:
        pki.issue("locked", password=b"hunter2")
        docker = table(pki, name="locked")
    host = person.discovers(docker, code=1)
    assert said in host["reason"]
    assert "PRIVATE KEY" not in host["reason"]
