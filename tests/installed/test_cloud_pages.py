"""The pages for several machines, for people who come from something else, and for trouble: their
blocks pasted in a shell, with real commands, a fake engine and a vendor's double."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.config import load
from tests.cli.test_discover import container, runs
from tests.doubles.engine import FakeEngine
from tests.doubles.hetzner import HetznerDouble
from tests.installed.pages import ROOT, Block, Paster, blocks

HEAD = """version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
[providers.hetzner]
token = {{ env = "HCLOUD_TOKEN" }}
endpoint = "{endpoint}"
"""
ONE = """[hosts.web-1]
docker = "{engine}"
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
"""
ANYWHERE = ["0.0.0.0/0", "::/0"]
pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600)]


class Reader:
    """A reader of a page with a machine, a cloud and a shell."""

    def __init__(self, folder: Path, engine: FakeEngine, cloud: HetznerDouble) -> None:
        self.folder, self.engine, self.cloud = folder, engine, cloud
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "TERM": "dumb",
            "COLUMNS": "400",
            "HCLOUD_TOKEN": cloud.token,
            "DOCKER_HOST": engine.endpoint,
            "LANG": "C.UTF-8",
        }

    def configures(self, tables: str) -> None:
        """Write cloudsync.toml, with these hosts and firewalls."""
        text = (HEAD + tables).replace("{{", "{").replace("}}", "}")
        known = {
            "folder": self.folder,
            "endpoint": self.cloud.endpoint,
            "engine": self.engine.endpoint,
        }
        for name, value in known.items():
            text = text.replace(f"{{{name}}}", str(value))
        (self.folder / "cloudsync.toml").write_text(text)

    def begins_anew(self) -> None:
        """Nothing at the vendor but servers, and nothing remembered."""
        self.cloud.firewalls.clear()
        self.cloud.in_force.clear()
        for file in (self.folder / "state").iterdir():
            file.unlink()

    def shell(self) -> Paster:
        return Paster(["bash", "--norc"], self.environ, self.folder)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "e").mkdir()
    with FakeEngine(tmp_path / "e", containers=0) as engine, HetznerDouble() as cloud:
        engine.routes["/info"] = {"ID": "first", "Swarm": {"LocalNodeState": "inactive"}}
        runs(engine, container(0, {"443/tcp": "443"}), container(1, {"5432/tcp": "5432"}))
        cloud.add_server("web-1")
        yield Reader(tmp_path, engine, cloud)
        assert cloud.violations == []


def pasted(page: str) -> list[Block]:
    """The blocks of a page; every one of them is pasted."""
    every = blocks(page)
    assert all(block.places == ("cloud",) for block in every)
    assert (ROOT / "docs" / page).read_text().count("```sh\n") == len(every)
    return list(every)


def test_several_machines(reader: Reader) -> None:
    alone, together = pasted("several-machines.md")
    reader.cloud.add_server("web-2")
    reader.cloud.add_server("db-1")
    with reader.shell() as shell:
        # A cloud of the test instead of the vendor's, and a state of its own.
        settings = f"--set endpoint={reader.cloud.endpoint}"
        state = f'state = "file://{reader.folder}/state"'
        shell.run(
            'cloudsync() { if [ "$1" = init ]; then command cloudsync "$@" --no-plan'
            f" {settings} && "
            f"sed -i 's|^version = 1|&\\n{state}|' cloudsync.toml; else command cloudsync \"$@\";"
            " fi; }"
        )
        shown = shell.paste(alone)
        assert "web-2: created, attached to web-2; opened 22, 443/tcp" in shown
        assert reader.cloud.firewall("cloudsync-web-2") is not None
        reader.begins_anew()
        (tables,) = re.findall(
            r"```toml\n(.*?)```", (ROOT / "docs/several-machines.md").read_text(), re.DOTALL
        )
        reader.configures(tables)
        assert set(load(reader.folder / "cloudsync.toml").hosts) == {"web-1", "web-2", "db-1"}
        reader.configures(re.sub(r'docker = ".*"', 'docker = "{engine}"', tables))
        shown = shell.paste(together)
    assert "web: created, attached to web-1, web-2" in shown
    assert "db-1: created, attached to db-1" in shown
    assert "Status: in step" in shown


def test_coming_from_something_else(reader: Reader) -> None:
    ufw, found, adopted, reviewed = pasted("coming-from.md")
    reader.configures(ONE)
    with reader.shell() as shell:
        shown = shell.paste(ufw)
        assert "Would be opened (1)" in shown
        assert "Nothing is open beyond the configuration." in shown
        # A firewall by hand instead: SSH and 443 fit, 8080 is nobody's.
        reader.begins_anew()
        (server,) = reader.cloud.servers
        by_hand = [
            {"direction": "in", "protocol": "tcp", "port": port, "source_ips": ANYWHERE}
            for port in ("22", "8080")
        ]
        reader.cloud.add_firewall("web", by_hand, servers=[server])
        reader.configures(ONE + 'name = "web"\n')
        shown = shell.paste(found)
        assert "ownership: nothing of it is applied" in shown
        assert "- 8080/tcp" in shown
        shown = shell.paste(adopted)
        assert "web: adopted; opened 443/tcp (c0); closed 8080/tcp" in shown
        runs(reader.engine, container(0, {"443/tcp": "443", "80/tcp": "80"}))
        shown = shell.paste(reviewed)
        assert "web: opened 80/tcp" in shown


def test_when_something_is_wrong(reader: Reader) -> None:
    overview, explained, back = pasted("troubleshooting.md")
    reader.configures(ONE)
    with reader.shell() as shell:
        shell.run("cloudsync apply --auto-approve --allow-attach web")
        runs(reader.engine, container(1, {"5432/tcp": "5432"}))
        shell.run("cloudsync apply --auto-approve")
        shell.run("cloudsync apply --auto-approve")
        shown = shell.paste(overview)
        assert "Status: in step" in shown
        assert "Nothing is broken." in shown
        shown = shell.paste(explained)
        assert "443/tcp" in shown
        shown = shell.paste(back)
        assert "443/tcp" in shown
        assert "back" in shown


def test_a_block_that_reads_its_input_would_be_noticed(reader: Reader) -> None:
    """As `install -m 600 /dev/stdin token` once ate the lines behind it."""
    with reader.shell() as shell, pytest.raises(AssertionError, match="not done after"):
        shell.run("cat >eaten\necho after", timeout=3)
    with reader.shell() as shell, pytest.raises(AssertionError, match="ended with"):
        shell.paste(Block("page.md", "false\n", ("cloud",)))
    assert (reader.folder / "eaten").exists()
