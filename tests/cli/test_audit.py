"""`cloudsync audit` as typed: Compose files, a copied machine, a real configuration."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.command import typed

COMPOSE = """\
services:
  db:
    image: postgres:16
    ports:
      - "5432:5432"
  web:
    image: nginx:1.27
    ports: ["80:80"]
"""
DOCKER_SAVE = """\
*nat
:DOCKER - [0:0]
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""


def audit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "80"}
    return typed("audit", *words, folder=folder, environment=environment)


def found(folder: Path, *words: str) -> list[tuple[str, str, str]]:
    done = audit(folder, "--output", "json", *words)
    document = json.loads(done.stdout)
    return [(f["id"], f["severity"], f["object"]) for f in document["findings"]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    return folder


def test_a_database_in_a_compose_file_is_found_with_its_line_and_the_line_to_write(
    project: Path,
) -> None:
    done = audit(project, "--compose", "compose.yaml", "--fix-hints")
    assert done.returncode == 3
    assert "high     CS002" in done.stdout
    assert "(compose.yaml:5)" in done.stdout
    assert 'compose.yaml:5: - "127.0.0.1:5432:5432"' in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_exit_code_follows_the_least_severity_that_counts(project: Path) -> None:
    assert audit(project, "--compose", "compose.yaml", "--fail-on", "critical").returncode == 0
    assert audit(project, "--compose", "compose.yaml", "--fail-on", "none").returncode == 0
    assert audit(project, "--compose", "compose.yaml", "--fail-on", "medium").returncode == 3
    assert audit(project, "--compose", "compose.yaml", "--fail-on", "everything").returncode == 64


def test_law1_a_file_that_cannot_be_read_is_a_blind_spot_and_no_clean_machine(
    project: Path,
) -> None:
    done = audit(project, "--compose", "nothing.yaml")
    assert done.returncode == 1
    assert "CS046" in done.stdout
    assert "Nothing found in what could be read; 1 input could not be looked at." in done.stdout


def test_sarif_names_the_file_and_keeps_its_fingerprints(project: Path) -> None:
    first = json.loads(audit(project, "--compose", "compose.yaml", "--output", "sarif").stdout)
    (project / "compose.yaml").write_text(f"# a comment more\n{COMPOSE}")
    second = json.loads(audit(project, "--compose", "compose.yaml", "--output", "sarif").stdout)
    one, other = first["runs"][0]["results"][0], second["runs"][0]["results"][0]
    assert one["partialFingerprints"] == other["partialFingerprints"]
    place = one["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "compose.yaml"
    assert (
        place["region"]["startLine"],
        other["locations"][0]["physicalLocation"]["region"]["startLine"],
    ) == (5, 6)
    rules = first["runs"][0]["tool"]["driver"]["rules"]
    assert rules[one["ruleIndex"]]["id"] == one["ruleId"] == "CS002"
    assert rules[one["ruleIndex"]]["name"] == "DatabaseCacheOrQueuePublishedOnAllAddresses"
    assert first["version"] == "2.1.0"


def test_the_html_page_needs_nothing_from_elsewhere_and_keeps_names_harmless(
    tmp_path: Path,
) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace("  db:", '  "<b>db</b>":'))
    done = audit(tmp_path, "--compose", "compose.yaml", "--output", "html", "--out", "a.html")
    assert done.returncode in (1, 3)
    page = (tmp_path / "a.html").read_text()
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<b>db</b>" not in page


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of a machine: ufw, firewalld, daemon.json, saved rules, dumps."""
    root = tmp_path / "web-1"
    files = {
        "etc/ufw/ufw.conf": "ENABLED=yes\n",
        "etc/default/ufw": 'DEFAULT_FORWARD_POLICY="ACCEPT"\nIPV6=yes\n',
        "etc/ufw/after.rules": "*filter\n-A DOCKER-USER -j DROP\nCOMMIT\n",
        "etc/docker/daemon.json": '{"hosts": ["tcp://0.0.0.0:2375"], "ip6tables": false}',
        "etc/iptables/rules.v4": DOCKER_SAVE,
        "etc/nftables.conf": "#!/usr/sbin/nft -f\nflush ruleset\n",
        "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nPort 2222\n",
        "etc/ssh/sshd_config.d/a.conf": "PasswordAuthentication no\n",
        "dumps/iptables-save.txt": f"*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n{DOCKER_SAVE}",
        "dumps/ip6tables-save.txt": "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n",
        "dumps/nft.json": '{"nftables": []}',
        "dumps/ss.txt": 'tcp LISTEN 0 5 0.0.0.0:9999 0.0.0.0:* users:(("python3",pid=7,fd=3))\n',
        "dumps/version.json": '{"Version": "26.1.5", "Components": [{"Name": "Engine"}]}',
        "dumps/inspect.json": json.dumps(
            [
                {
                    "Id": "a" * 64,
                    "Name": "/db",
                    "Config": {"Image": "redis:7", "Env": ["X=1"], "Labels": {}},
                    "State": {"Status": "running"},
                    "HostConfig": {
                        "NetworkMode": "bridge",
                        "PortBindings": {"6379/tcp": [{"HostIp": "", "HostPort": "6379"}]},
                    },
                    "NetworkSettings": {
                        "Ports": {"6379/tcp": [{"HostIp": "0.0.0.0", "HostPort": "6379"}]},
                        "Networks": {"bridge": {"IPAddress": "172.17.0.2"}},
                    },
                }
            ]
        ),
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for unit in ("netfilter-persistent", "nftables"):
        wants = root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / f"{unit}.service").symlink_to("/nowhere")
    return root


def test_a_copied_machine_is_looked_at_as_if_it_were_this_one(copy: Path) -> None:
    kinds = {id_: severity for id_, severity, _ in found(copy, "--root", str(copy))}
    assert kinds == {
        "CS002": "high",  # 6379 on every address
        "CS003": "critical",  # tcp://0.0.0.0:2375
        "CS005": "high",  # ufw never sees 6379
        "CS014": "high",  # its after.rules drop replies
        "CS015": "high",  # forwarding, Docker 26
        "CS018": "high",  # rules.v4 has Docker's
        "CS019": "critical",  # 8080 leads to redis
        "CS020": "medium",  # flush ruleset
        "CS023": "medium",  # 9999
        "CS026": "high",  # ip6tables off
    }


def test_a_mended_copy_has_no_finding(copy: Path) -> None:
    for name in (
        "etc/ufw/ufw.conf",
        "etc/ufw/after.rules",
        "etc/iptables/rules.v4",
        "etc/nftables.conf",
        "etc/docker/daemon.json",
    ):
        (copy / name).unlink()
    (copy / "dumps/iptables-save.txt").write_text("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n")
    (copy / "dumps/ss.txt").write_text("")
    (copy / "dumps/inspect.json").write_text("[]")
    done = audit(copy, "--root", str(copy))
    assert (done.returncode, done.stdout.strip()) == (0, "Nothing found.")


def test_a_copy_whose_links_lead_out_of_it_is_not_followed(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ENABLED=yes")
    (copy / "etc/ufw/ufw.conf").unlink()
    (copy / "etc/ufw/ufw.conf").symlink_to(tmp_path / "secret")
    done = audit(copy, "--root", str(copy), "--output", "json")
    assert any(spot["input"] == "ufw" for spot in json.loads(done.stdout)["blind"])


def test_an_ignore_of_the_configuration_leaves_a_finding_out(project: Path) -> None:
    (project / "cloudsync.toml").write_text(
        'version = 1\nowner = "shop"\n[ssh]\nports = [22]\nsources = ["any"]\n[policy]\n'
        'expose = "published"\n[[audit.ignore]]\nid = "CS002"\nobject = "shop/db"\n'
        'reason = "a throw-away machine"\n'
    )
    assert tomllib.loads((project / "cloudsync.toml").read_text())["audit"]
    assert found(project, "--compose", "compose.yaml") == []


_FLEET = """version = 1
owner = "shop"
state = "file://{state}"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
{rest}"""


def test_law1_hosts_that_only_publish_are_blind_spots_and_never_clean(tmp_path: Path) -> None:
    config = tmp_path / "cloudsync.toml"
    tables = '[providers.local]\n[hosts-from-store]\nmatch = "web-*"\n'
    config.write_text(_FLEET.format(state=tmp_path / "state", rest=tables))
    nothing_published = audit(tmp_path)
    assert nothing_published.returncode == 1
    assert "none of them has published yet" in " ".join(nothing_published.stdout.split())
    inventories = tmp_path / "state" / "inventories" / "shop"
    inventories.mkdir(parents=True)
    (inventories / "web-1.json").write_text("{}")
    for words in ((), ("web-1",)):
        done = audit(tmp_path, *words, "--output", "json")
        document = json.loads(done.stdout)
        assert (done.returncode, document["complete"]) == (1, False)
        assert {finding["host"] for finding in document["findings"]} == {"web-1"}
        assert "machine" in {spot["input"] for spot in document["blind"]}
    assert audit(tmp_path, "db-1").returncode == 64


def test_a_cloud_that_refuses_its_credentials_ends_with_1(tmp_path: Path) -> None:
    tables = """[providers.hetzner]
token = { env = "NOT_SET" }
[hosts.web-1]
ports = ["443/tcp"]
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
name = "web"
"""
    config = tmp_path / "cloudsync.toml"
    config.write_text(_FLEET.format(state=tmp_path / "state", rest=tables))
    done = audit(tmp_path)
    assert (done.returncode, "NOT_SET" in done.stdout) == (1, True)
    config.write_text(config.read_text().replace("hetzner", "local").replace("name =", "path ="))
    config.write_text(config.read_text().replace('token = { env = "NOT_SET" }\n', ""))
    unknown_machine = audit(tmp_path)
    assert unknown_machine.returncode == 0
    assert "1 input could not be looked at" in unknown_machine.stdout
