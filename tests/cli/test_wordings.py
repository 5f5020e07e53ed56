"""The fifteen screens that a newcomer's first hour was about: what the program used to print
(`before.txt`, recorded at 621da5e) and what it prints now, at 80 and at 120 columns.

`CLOUDSYNC_RECORD=1 pytest tests/cli/test_wordings.py` records them again; the diff is the review.
"""

from __future__ import annotations

import os
import pwd
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.action.conftest import Repository
from tests.action.conftest import github as github  # a fixture
from tests.action.conftest import repository as repository  # a fixture
from tests.cli.test_screens import CONFIGURATION, Machine, named
from tests.doubles.digitalocean import DigitalOceanDouble
from tests.doubles.engine import FakeEngine
from tests.doubles.github import GitHubDouble
from tests.doubles.hetzner import HetznerDouble

WORDINGS = Path(__file__).parent / "wordings"
EARLIER = os.environ.get("CLOUDSYNC_EARLIER")
"""A checkout of an earlier version, whose screens are recorded as `before.txt`."""
NO_BOTO3 = """import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
sys.meta_path.insert(0, Absent())
"""


class Newcomer(Machine):
    """A machine with a dozen containers, as the newcomer had it."""

    def __init__(self, folder: Path, engine: FakeEngine, cloud: HetznerDouble) -> None:
        super().__init__(folder, engine, cloud)
        self.environ: dict[str, str] = {"HCLOUD_TOKEN": cloud.token}
        if EARLIER:
            places = [EARLIER, *map(str, sorted(Path(EARLIER, "providers").iterdir()))]
            self.environ["PYTHONPATH"] = ":".join(places)

    def runs(self, *containers: dict[str, Any]) -> None:
        self.engine.routes["/containers/json"] = [{"Id": made["Id"]} for made in containers]
        self.engine.routes |= {f"/containers/{made['Id']}/json": made for made in containers}

    def screen(self, *words: str, columns: int) -> str:
        """A command line and everything it prints, as a terminal of that width keeps it."""
        prompt = f"$ cloudsync {' '.join(words)}\n"
        with pytest.MonkeyPatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(("CLOUDSYNC_", "DOCKER_", "XDG_")):
                    patch.delenv(name)
            patch.setenv("HOME", str(self.folder))
            for name, value in self.environ.items():
                patch.setenv(name, value)
            code, shown = self.asks(*words, columns=columns)
        ended = f"[exit {code}]\n" if code else ""
        return prompt + self.clean(kept(shown)).rstrip("\n") + "\n" + ended

    def was_root(self) -> None:
        """Whoever runs the tests, the history says that root applied."""
        for file in self.folder.rglob("*.history.jsonl"):
            entry = f'"user":"{pwd.getpwuid(os.getuid()).pw_name}"'
            file.write_text(file.read_text().replace(entry, '"user":"root"'))

    def clean(self, screen: str) -> str:
        """Without what differs from run to run."""
        screen = screen.replace(self.engine.endpoint, "unix:///run/user/1000/docker.sock")
        screen = screen.replace(
            self.engine.endpoint.removeprefix("unix://"), "/run/user/1000/docker.sock"
        )
        screen = screen.replace(str(self.folder), "/home/deployer")
        screen = re.sub(r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", "2026-03-01 03:10", screen)
        screen = re.sub(r"20\d\d-\d\d-\d\d", "2026-03-01", screen)
        screen = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "20260301T031007-5eed01", screen)
        screen = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", screen)
        return re.sub(r"\(-?\d+ (s|min|h) left\)", "(9 min left)", screen)


def kept(shown: str) -> str:
    """What stays on a terminal: a line that is rewritten is what it was last."""
    lines = (re.split(r"\r(?:\x1b\[K)?", line)[-1] for line in shown.split("\n"))
    return "\n".join(lines)


def both(name: str, number: int, ports: dict[str, str], **more: Any) -> dict[str, Any]:
    """A container whose ports are published in both address families."""
    made = named(name, number, ports, **more)
    address = more.get("address", "0.0.0.0")
    for bindings in (made["HostConfig"]["PortBindings"], made["NetworkSettings"]["Ports"]):
        for binding in bindings.values():
            if address == "0.0.0.0":
                binding += [{"HostIp": "::", "HostPort": one["HostPort"]} for one in tuple(binding)]
    return made


def on_host_network(name: str, number: int) -> dict[str, Any]:
    made = named(name, number, {})
    made["HostConfig"] = {"NetworkMode": "host", "PortBindings": {}}
    made["NetworkSettings"] = {"Ports": {}, "Networks": {"host": {"NetworkID": "h"}}}
    return made


def picked_by_the_engine(name: str, number: int) -> dict[str, Any]:
    made = both(name, number, {"8000/tcp": "32768"})
    made["HostConfig"]["PortBindings"] = {"8000/tcp": [{"HostIp": "", "HostPort": ""}]}
    return made


BY_HAND = """{"format": 1,
 "rules": [{"protocol": "tcp", "ports": "22", "sources": ["0.0.0.0/0", "::/0"]}],
 "marker": null}
"""
FEW = [
    both("ftp", 0, {"21/tcp": "21", **{f"{n}/tcp": str(n) for n in range(8000, 8005)}}),
    both("traefik", 1, {"80/tcp": "80", "443/tcp": "443", "443/udp": "443"}),
]
ALL = [
    *FEW,
    both("shop-admin", 2, {"3000/tcp": "3000"}),
    both("db", 3, {"5432/tcp": "5432"}),
    both("debug", 4, {"9000/tcp": "9000"}, **{"cloudsync.expose": "false"}),
    both("partner-api", 5, {"8443/tcp": "8443"}, **{"cloudsync.sources": "203.0.113.0/24"}),
    named("cache", 6, {"6379/tcp": "6379"}, address="127.0.0.1"),
    both("wg", 7, {"51820/udp": "51820"}),
    picked_by_the_engine("preview", 8),
    on_host_network("node-exporter", 9),
]


@pytest.fixture
def newcomer() -> Iterator[Newcomer]:
    # Paths as long as those that stand for them in the recorded screens: lines break alike.
    with (
        tempfile.TemporaryDirectory(dir="/tmp", prefix="c") as folder,
        tempfile.TemporaryDirectory(dir="/tmp", prefix="c") as run,
        FakeEngine(Path(run), containers=0) as engine,
        HetznerDouble() as cloud,
    ):
        cloud.add_server("web-1", v6=True)
        engine.routes["/networks"].append(
            {"Id": "h", "Name": "host", "Driver": "host", "Internal": False, "Options": {}}
        )
        engine.routes["/info"] = {"ID": "first", "Swarm": {"LocalNodeState": "inactive"}}
        engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": {}}}
        machine = Newcomer(Path(folder), engine, cloud)
        machine.runs(*ALL)
        yield machine


def recorded(name: str, columns: int, screen: str) -> None:
    """`screen` is what the file has; or the file is written."""
    file = WORDINGS / name / ("before.txt" if EARLIER else f"after-{columns}.txt")
    if EARLIER or os.environ.get("CLOUDSYNC_RECORD"):
        file.parent.mkdir(exist_ok=True)
        if not EARLIER or columns == 80:
            file.write_text(screen)
    if not EARLIER:
        assert screen == file.read_text()


APPLY = ("apply", "--auto-approve", "--allow-attach", "web")
at_both_widths = pytest.mark.parametrize("columns", [80, 120])


@at_both_widths
def test_01_discover_is_grouped_with_a_sum_and_what_is_next(
    newcomer: Newcomer, columns: int
) -> None:
    (newcomer.folder / "cloudsync.toml").unlink()
    newcomer.environ["DOCKER_HOST"] = newcomer.engine.endpoint
    recorded("01-discover", columns, newcomer.screen("discover", columns=columns))


@at_both_widths
def test_02_an_attachment_says_what_closes_and_what_word_it_needs(
    newcomer: Newcomer, columns: int
) -> None:
    recorded("02-attach", columns, newcomer.screen("plan", columns=columns))


@at_both_widths
def test_03_a_container_on_the_host_network_is_named(newcomer: Newcomer, columns: int) -> None:
    newcomer.runs(*FEW, ALL[-1])
    recorded("03-host-network", columns, newcomer.screen("plan", columns=columns))


@at_both_widths
def test_04_one_notation_and_both_are_read(newcomer: Newcomer, columns: int) -> None:
    newcomer.runs(*FEW)
    newcomer.screen(*APPLY, columns=columns)
    newcomer.was_root()
    screens = [newcomer.screen("explain", port, columns=columns) for port in ("tcp/443", "443/tcp")]
    if not EARLIER:
        assert screens[0].split("\n")[1:] == screens[1].split("\n")[1:]
    newcomer.cloud.set_rules_by_hand(next(iter(newcomer.cloud.firewalls)), [])
    plan = newcomer.screen("plan", columns=columns)
    recorded("04-notation", columns, f"{plan}\n{screens[0]}")


@at_both_widths
def test_05_a_result_names_ports_and_machines(newcomer: Newcomer, columns: int) -> None:
    first = newcomer.screen(*APPLY, columns=columns)
    if not EARLIER:
        first = f"$ cloudsync {' '.join(APPLY)}\n…\n{first[first.rindex(chr(10) + 'web: ') :]}"
    newcomer.runs(*ALL, both("ev1", 10, {"7100/tcp": "7100"}))
    quiet = newcomer.screen("apply", "--auto-approve", "--quiet", columns=columns)
    recorded("05-result", columns, f"{first}\n{quiet}")


@at_both_widths
def test_06_an_engine_that_is_down_is_one_reason(newcomer: Newcomer, columns: int) -> None:
    newcomer.screen(*APPLY, columns=columns)
    Path(newcomer.engine.endpoint.removeprefix("unix://")).unlink()
    recorded("06-engine-down", columns, newcomer.screen("plan", columns=columns))


@at_both_widths
def test_07_rules_for_private_networks_are_one_row(newcomer: Newcomer, columns: int) -> None:
    with DigitalOceanDouble() as cloud:
        cloud.add_droplet("web-1", v6=True)
        text = CONFIGURATION.replace("hetzner", "digitalocean").replace("servers", "droplets")
        (newcomer.folder / "cloudsync.toml").write_text(
            text.replace("HCLOUD_TOKEN", "DIGITALOCEAN_TOKEN").format(
                folder=newcomer.folder, endpoint=cloud.endpoint, engine=newcomer.engine.endpoint
            )
        )
        newcomer.environ["DIGITALOCEAN_TOKEN"] = cloud.token
        recorded("07-private-networks", columns, newcomer.screen("plan", columns=columns))


@at_both_widths
def test_08_a_missing_library_is_named_with_the_line_to_type(
    newcomer: Newcomer, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (newcomer.folder / "cloudsync.toml").read_text()
    head, _, rest = text.partition("[providers.hetzner]")
    hosts = rest[rest.index("[hosts.web-1]") :].partition("[firewalls.web]")[0]
    firewall = '[firewalls.web]\nprovider = "aws"\nhosts = ["web-1"]\ngroup_id = "sg-01234567"\n'
    account = '[providers.aws]\nregion = "eu-central-1"\n'
    (newcomer.folder / "cloudsync.toml").write_text(head + account + hosts + firewall)
    (newcomer.folder / "absent").mkdir()
    (newcomer.folder / "absent" / "sitecustomize.py").write_text(NO_BOTO3)
    before = newcomer.environ.get("PYTHONPATH", "")
    newcomer.environ["PYTHONPATH"] = f"{newcomer.folder / 'absent'}:{before}"
    (newcomer.folder / "v").symlink_to(sys.prefix)
    monkeypatch.setattr(sys, "executable", str(newcomer.folder / "v" / "bin" / "python"))
    screens = [newcomer.screen(*w, columns=columns) for w in (("config", "check"), ("plan",))]
    recorded("08-missing-library", columns, "\n".join(screens))


@at_both_widths
def test_09_files_that_a_user_names_are_written_to(newcomer: Newcomer, columns: int) -> None:
    newcomer.runs(*FEW)
    shown = newcomer.screen("plan", "--out", "-", columns=columns).splitlines()[:3]
    link, plan = newcomer.folder / "link.json", newcomer.folder / "plan.json"
    plan.touch()
    link.symlink_to(plan)
    newcomer.screen("plan", "--out", "link.json", columns=columns)
    kind = "a link" if link.is_symlink() else "no link any more"
    dashes = "a file called -" if (newcomer.folder / "-").exists() else "no file called -"
    more = f"…\n$ cloudsync plan --out link.json\nlink.json is {kind}; there is {dashes}\n"
    recorded("09-named-files", columns, "\n".join(shown) + "\n" + more)


@at_both_widths
def test_10_the_configuration_that_is_read_is_named(newcomer: Newcomer, columns: int) -> None:
    newcomer.runs(*FEW)
    verbose = newcomer.screen("plan", "-v", columns=columns).splitlines()[:2]
    if os.geteuid() == 0:
        os.chown(newcomer.folder / "cloudsync.toml", 65533, 65533)  # nobody has that number
    strangers = newcomer.screen("plan", columns=columns).splitlines()
    shown = "\n".join((*verbose, "…", *strangers[:4]))
    if os.geteuid() != 0:
        pytest.skip("needs root for a file of somebody else's")
    recorded("10-configuration", columns, shown + "\n")


@at_both_widths
def test_13_init_names_the_firewall_after_the_machine(newcomer: Newcomer, columns: int) -> None:
    (newcomer.folder / "cloudsync.toml").unlink()
    newcomer.runs(*FEW)
    words = ("init", "--no-input", "--provider", "hetzner", "--host", "web-2", "--no-plan")
    words = (*words, "--engine", newcomer.engine.endpoint, "--set", "servers=web-2")
    newcomer.screen(*words, columns=columns)
    text = (newcomer.folder / "cloudsync.toml").read_text()
    firewall = text[text.index("[firewalls.") :].partition("\n\n")[0]
    account = f'[providers.hetzner]\nendpoint = "{newcomer.cloud.endpoint}"'
    state = f'version = 1\nstate = "file://{newcomer.folder}/state"'
    text = text.replace("version = 1", state).replace("[providers.hetzner]", account)
    (newcomer.folder / "cloudsync.toml").write_text(text.replace("web-2", "web-1"))
    newcomer.screen("apply", "--auto-approve", "--allow-attach", "web-1", columns=columns)
    newcomer.screen("apply", "--auto-approve", "--allow-attach", "web", columns=columns)
    # The same file on a second machine: the owner and the name are the same, the host is another.
    newcomer.cloud.add_server("web-2", v6=True)
    again = (newcomer.folder / "cloudsync.toml").read_text()
    again = re.sub(r"(?m)^(\[hosts\.|hosts = \[\")web-1", r"\1web-2", again)
    (newcomer.folder / "cloudsync.toml").write_text(again)
    second = newcomer.screen("plan", columns=columns)
    recorded("13-several-machines", columns, f"{firewall}\n\n{second}")


@at_both_widths
def test_14_no_configuration_names_init(newcomer: Newcomer, columns: int) -> None:
    (newcomer.folder / "cloudsync.toml").unlink()
    shown = newcomer.screen("plan", columns=columns)
    recorded("14-no-configuration", columns, shown)


@at_both_widths
def test_15_the_plan_then_progress_on_one_line_then_the_result(
    newcomer: Newcomer, columns: int
) -> None:
    newcomer.runs(*FEW)
    newcomer.cloud.polls = 2
    shown = newcomer.screen(*APPLY, columns=columns)
    recorded("15-apply", columns, shown)


def test_15_a_comment_says_first_what_a_merge_will_not_do_and_what_it_did(
    repository: Repository, github: GitHubDouble
) -> None:
    """Markdown has no width."""
    (repository.folder / "cloud" / "fw.json").write_text(BY_HAND)
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    (waiting,) = github.on(7)
    (repository.folder / "cloud" / "fw.json").unlink()
    repository.plans(7, head="b" * 40)
    github.merge(7, "c0ffee" + "0" * 34)
    repository.applies("c0ffee" + "0" * 34)
    (applied,) = github.on(7)
    shown = f"{waiting}\n\n=== another one, after its merge ===\n\n{applied}"
    shown = re.sub(r"sha256:[0-9a-f]{64}|[0-9a-f]{40,64}", "…", shown)
    shown = re.sub(r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", "2026-03-01 03:10", shown)
    shown = re.sub(r"/tmp/pytest.*?/cloud/", "/srv/", shown)
    recorded("15-pull-request", 80, shown)
