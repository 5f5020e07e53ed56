"""The wheel in an environment of its own, as pipx makes one: alone, with each extra alone, and
beside the other `cloudsync`."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cloudsync.runtime.serving import ServerThread
from tests.packages.conftest import ROOT, Environment

ACCOUNTS = {
    "aws": ('region = "eu-central-1"', 'group_id = "sg-0123456789abcdef0"'),
    "digitalocean": ('token = { env = "T" }', ""),
    "gcp": ('project = "shop-prod"\nanonymous = true', 'target_tags = ["web"]\nenforce = "allow"'),
    "hetzner": ('token = { env = "T" }', ""),
    "openstack": ('anonymous = true\nproject_id = "shop"', ""),
}
EC2_SAYS_NO = (
    b"<Response><Errors><Error><Code>AuthFailure</Code><Message>no</Message></Error></Errors>"
    b"<RequestID>1</RequestID></Response>"
)
CONFIGURATION = """version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.{kind}]
{account}
endpoint = "{endpoint}"
[hosts.web-1]
ports = ["443/tcp"]
[firewalls.web]
provider = "{kind}"
hosts = ["web-1"]
{firewall}
"""


@pytest.fixture(scope="module")
def closed_door() -> Iterator[str]:
    """A vendor that says 401 to everybody: whoever hears it has its SDK and got it to work."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = (
                b'{"error": {"code": "unauthorized", "message": "no"}}'
                if self.command == "GET"
                else EC2_SAYS_NO
            )
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = ServerThread(server)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    thread.stop()


@pytest.mark.parametrize("command", ["cloudsync", "cloudsync-firewall"])
def test_the_command_answers_without_any_dependency(
    environment: Environment, tmp_path: Path, command: str
) -> None:
    (environment.site / "requirements.pth").unlink(missing_ok=True)
    done = environment.types(command, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "cloudsync 0.1.0\n", "")


def test_the_folder_providers_is_no_package_there(environment: Environment, tmp_path: Path) -> None:
    script = (
        "import importlib.util as u, sys; sys.exit(u.find_spec('providers') is not None or"
        " u.find_spec('tests') is not None)"
    )
    assert environment.types("python", "-c", script, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("extra", ["", *ACCOUNTS])
def test_each_extra_alone_is_enough_for_its_provider(
    environment: Environment,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    closed_door: str,
    extra: str,
) -> None:
    environment.with_requirements_of(extra, tmp_path_factory.mktemp("requirements"))
    rows = {
        row["type"]: row
        for row in json.loads(
            environment.types("cloudsync", "providers", "--output=json", cwd=tmp_path).stdout
        )
    }
    assert set(rows) == {*ACCOUNTS, "host", "local"}
    usable = {name for name, row in rows.items() if row["problem"] is None}
    assert usable == {"digitalocean", "hetzner", "host", "local", extra} - {""}
    assert all(
        f"-m pip install 'cloudsync-firewall[{name}]'" in rows[name]["problem"]
        for name in set(rows) - usable
    )
    if extra:
        account, firewall = ACCOUNTS[extra]
        text = CONFIGURATION.format(
            folder=tmp_path, kind=extra, account=account, firewall=firewall, endpoint=closed_door
        )
        (tmp_path / "cloudsync.toml").write_text(text)
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "T": "x"}
        done = environment.types("cloudsync", "plan", cwd=tmp_path, **keys)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "not read, so nothing is changed" in done.stdout
        assert "pip install" not in done.stdout
        assert "401" in done.stdout or "token" in done.stdout or "credentials" in done.stdout, (
            done.stdout
        )


def stranger(folder: Path) -> Path:
    """A distribution `cloudsync` with the files of the one on PyPI (3.4.0) that matter, and its
    command."""
    path = folder / "cloudsync-3.4.0-py3-none-any.whl"
    info = "cloudsync-3.4.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for name in ("__init__", "__main__", "cs", "provider", "registry", "command/__init__"):
            wheel.writestr(
                f"cloudsync/{name}.py", "def main():\n    print('the tool that syncs files')\n"
            )
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: cloudsync\nVersion: 3.4.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(
            f"{info}/entry_points.txt", "[console_scripts]\ncloudsync=cloudsync.command:main\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.parametrize("words", [("plan",), ("--version",), ()])
def test_the_other_cloudsync_in_the_same_environment_is_told_in_one_line(
    both: Environment, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = both.types("cloudsync", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert 'the PyPI package "cloudsync", another tool' in line
    assert "pipx install cloudsync-firewall" in line


@pytest.fixture(scope="module")
def both(wheel_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("both"))
    made.install(stranger(tmp_path_factory.mktemp("stranger")))
    made.install(wheel_path)
    return made


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("pl", "plan"),
        ("plan --allow-", "--allow-attach --allow-close"),
        ("plan --firewall e", "edge"),
    ],
)
def test_bash_completes_commands_options_and_names_of_firewalls(
    environment: Environment,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    typed: str,
    found: str,
) -> None:
    environment.with_requirements_of("", tmp_path_factory.mktemp("requirements"))
    shutil.copy(ROOT / "examples" / "demo" / "cloudsync.toml", tmp_path)
    words = ["cloudsync", *typed.split(" ")]
    script = tmp_path / "complete.sh"
    script.write_text(
        'eval "$(cloudsync completion bash)"\n'
        f"COMP_WORDS=({' '.join(words)})\nCOMP_CWORD={len(words) - 1}\n"
        '_cloudsync_completion cloudsync\necho "${COMPREPLY[@]}"\n'
    )
    (environment.folder / "bin" / "bash").unlink(missing_ok=True)
    (environment.folder / "bin" / "bash").symlink_to(shutil.which("bash") or "/bin/bash")
    done = environment.types(
        "bash", str(script), cwd=tmp_path, PATH=f"{environment.folder}/bin:/usr/bin:/bin"
    )
    assert done.stdout.split() == found.split(), done.stderr


@pytest.mark.parametrize(
    ("shell", "sign"),
    [("zsh", "#compdef cloudsync"), ("fish", "complete --no-files --command cloudsync")],
)
def test_other_shells_get_their_script(
    environment: Environment,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    shell: str,
    sign: str,
) -> None:
    environment.with_requirements_of("", tmp_path_factory.mktemp("requirements"))
    done = environment.types("cloudsync", "completion", shell, cwd=tmp_path)
    assert (done.returncode, sign in done.stdout) == (0, True)
