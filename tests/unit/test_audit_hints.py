"""`--fix-hints`: the exact line in the person's own file, or nothing where a line would not do."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from cloudsync.audit.findings import Finding
from cloudsync.audit.report import Audit, of_machine
from cloudsync.reconcile.machine_facts import of_copy, of_files
from cloudsync.render.audit import text

COMPOSE = """\
services:
  db:
    image: postgres:16
    ports:
{entry}
"""


def of_compose(folder: Path, entry: str, image: str = "postgres:16") -> list[Finding]:
    content = COMPOSE.replace("postgres:16", image).replace("{entry}", entry)
    (folder / "compose.yaml").write_text(content)
    (facts,) = of_files([str(folder / "compose.yaml")])
    assert facts.blind == ()
    return of_machine(facts)


def hints(findings: list[Finding], kind: str) -> list[tuple[int | None, str | None]]:
    return [(finding.line, finding.hint) for finding in findings if finding.id == kind]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ('- "5432:5432"', '- "127.0.0.1:5432:5432"'),
        ("- 5432:5432", "- 127.0.0.1:5432:5432"),
        ("- '0.0.0.0:5432:5432/tcp'  # for Bob", "- '127.0.0.1:5432:5432/tcp'  # for Bob"),
        ('- "[::]:5432:5432"', '- "127.0.0.1:5432:5432"'),
        ('- "${DB_PORT:-5432}:5432"', '- "127.0.0.1:${DB_PORT:-5432}:5432"'),
        ('- "5430-5432:5430-5432"', '- "127.0.0.1:5430-5432:5430-5432"'),
        (
            "- {target: 5432, published: 5432}",
            "- {host_ip: 127.0.0.1, target: 5432, published: 5432}",
        ),
    ],
)
def test_a_port_of_a_compose_file_keeps_all_but_its_address(
    tmp_path: Path, written: str, hint: str
) -> None:
    findings = hints(of_compose(tmp_path, f"      {written}"), "CS002")
    assert set(findings) == {(5, hint)}
    fixed = COMPOSE.replace("{entry}", f"      {hint}")
    assert yaml.safe_load(fixed)["services"]["db"]["ports"]
    assert hints(of_compose(tmp_path, f"      {hint}"), "CS002") == []


def test_of_several_ports_on_a_line_only_its_own_changes(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        'services:\n  db:\n    image: postgres:16\n    ports: ["15432:15432", "5432:5432"]\n'
    )
    (facts,) = of_files([str(tmp_path / "compose.yaml")])
    expected = 'ports: ["15432:15432", "127.0.0.1:5432:5432"]'
    assert (4, expected) in hints(of_machine(facts), "CS002")


def test_the_long_form_gets_the_address_on_the_line_that_has_it(tmp_path: Path) -> None:
    with_address = "      - target: 5432\n        published: 5432\n        host_ip: 0.0.0.0  # all"
    assert hints(of_compose(tmp_path, with_address), "CS002") == [(7, "host_ip: 127.0.0.1  # all")]
    without = "      - target: 5432\n        published: 5432"
    assert hints(of_compose(tmp_path, without), "CS002") == [
        (5, "host_ip: 127.0.0.1 (a new line below it)")
    ]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ('- "80"', '- "80:80"'),
        ("- 80", '- "80:80"'),
        ("- target: 80", "published: 80 (a new line below it)"),
        ('- "8000-8001"', None),
    ],
)
def test_a_random_port_is_named(tmp_path: Path, written: str, hint: str | None) -> None:
    assert set(hints(of_compose(tmp_path, f"      {written}", "nginx"), "CS042")) == {(5, hint)}


def machine(folder: Path, files: dict[str, str]) -> dict[str, Finding]:
    """The findings about a copied machine with one published port."""
    workload = {
        "Id": "a" * 64,
        "Name": "/web",
        "Config": {"Image": "nginx", "Env": [], "Labels": {}},
        "State": {"Status": "running"},
        "HostConfig": {
            "NetworkMode": "bridge",
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        },
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
            "Networks": {"bridge": {"IPAddress": "172.17.0.2"}},
        },
    }
    dumps = {
        "dumps/inspect.json": json.dumps([workload]),
        "dumps/version.json": '{"Version": "26.1.5", "Components": [{"Name": "Engine"}]}',
        "dumps/ss.txt": "",
        "dumps/iptables-save.txt": "",
        "dumps/ip6tables-save.txt": "",
        "dumps/nft.json": '{"nftables": []}',
    }
    for name, content in (dumps | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(content))
    (facts,) = of_copy(folder, ())
    return {finding.id: finding for finding in of_machine(facts)}


def place(finding: Finding) -> tuple[str | None, int | None, str | None]:
    return finding.file, finding.line, finding.hint


DAEMON = "/etc/docker/daemon.json"


def test_a_switch_of_daemon_json_keeps_its_comma(tmp_path: Path) -> None:
    content = '{\n  "ip6tables": false,\n  "iptables": false\n}\n'
    found = machine(tmp_path, {DAEMON[1:]: content})
    assert place(found["CS026"]) == (DAEMON, 3, '"iptables": true')


def test_daemon_json_on_one_line_stays_json(tmp_path: Path) -> None:
    content = '{"hosts": ["tcp://0.0.0.0:2375", "fd://"], "ip6tables": false}'
    found = machine(tmp_path, {DAEMON[1:]: content})
    written = [found[kind].hint or "" for kind in ("CS003", "CS026")]
    assert json.loads(written[0]) == {"hosts": ["fd://"], "ip6tables": False}
    assert json.loads(written[1])["ip6tables"] is True


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (('"tcp://0.0.0.0:2375",', '"fd://"'), (3, "(delete this line)")),
        (('"fd://",', '"tcp://0.0.0.0:2375"'), (4, None)),
        (('"tcp://0.0.0.0:2375"',), (3, "(delete this line)")),
    ],
)
def test_an_address_goes_only_if_json_is_left(
    tmp_path: Path, hosts: tuple[str, ...], expected: tuple[int, str | None]
) -> None:
    content = "\n".join(("{", '"hosts": [', *hosts, "]", "}"))
    found = machine(tmp_path, {DAEMON[1:]: content})
    assert place(found["CS003"]) == (DAEMON, *expected)


def test_an_address_of_the_unit_is_not_looked_for_in_daemon_json(tmp_path: Path) -> None:
    unit = "[Service]\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2375\n"
    found = machine(tmp_path, {DAEMON[1:]: "{}", "etc/systemd/system/docker.service": unit})
    assert place(found["CS003"]) == (None, None, None)


def test_the_forward_policy_of_ufw(tmp_path: Path) -> None:
    files = {
        "etc/ufw/ufw.conf": "ENABLED=yes\n",
        "etc/default/ufw": '# x\nIPV6=yes\nDEFAULT_FORWARD_POLICY="ACCEPT"\n',
    }
    found = machine(tmp_path, files)
    assert place(found["CS015"]) == ("/etc/default/ufw", 3, 'DEFAULT_FORWARD_POLICY="DROP"')


ZONE = """\
<?xml version="1.0"?>
<zone target="ACCEPT">
  <interface name="docker0"/>
  <port port="8080" protocol="tcp"/>
  <port port="8443" protocol="tcp"/>
</zone>
"""


def firewalld(folder: Path, zone: str, main: str) -> dict[str, Finding]:
    return machine(
        folder,
        {
            "etc/firewalld/firewalld.conf": main,
            "etc/firewalld/zones/docker.xml": zone,
            "run/firewalld.pid": "1",
        },
    )


def test_all_needless_lines_of_a_zone_of_firewalld(tmp_path: Path) -> None:
    found = firewalld(tmp_path, ZONE, "")
    file = "/etc/firewalld/zones/docker.xml"
    assert place(found["CS007"]) == (file, 4, "(delete this line, and 5)")
    assert place(found["CS006"]) == (file, None, None)


def test_a_zone_on_one_line_is_not_deleted(tmp_path: Path) -> None:
    found = firewalld(tmp_path, "".join(ZONE.splitlines()), "")
    assert found["CS007"].hint is None


def test_strict_forward_ports_if_this_firewalld_knows_it(tmp_path: Path) -> None:
    found = firewalld(tmp_path, ZONE, "# x\nStrictForwardPorts=no\n")
    file = "/etc/firewalld/firewalld.conf"
    assert place(found["CS006"]) == (file, 2, "StrictForwardPorts=yes")


SSHD = "/etc/ssh/sshd_config"


def test_the_line_of_sshd_that_counts_is_the_first(tmp_path: Path) -> None:
    files = {
        SSHD[1:]: "Include sshd_config.d/*.conf\nPasswordAuthentication no\n",
        "etc/ssh/sshd_config.d/50-cloud-init.conf": "# x\nPasswordAuthentication\tyes\n",
    }
    found = machine(tmp_path, files)
    included = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
    assert place(found["CS038"]) == (included, 2, "PasswordAuthentication no")


@pytest.mark.parametrize("line", ["PasswordAuthentication\tno", "PasswordAuthentication=no"])
def test_sshd_accepts_tabs_and_equals_signs(tmp_path: Path, line: str) -> None:
    assert "CS038" not in machine(tmp_path, {SSHD[1:]: f"{line}\n"})


def test_without_a_line_it_goes_to_the_top_before_any_match_block(tmp_path: Path) -> None:
    found = machine(tmp_path, {SSHD[1:]: "Match User bob\n  PasswordAuthentication no\n"})
    assert place(found["CS038"]) == (SSHD, None, "PasswordAuthentication no")
    printed = text(Audit((found["CS038"],), ()), hints=True, width=80)
    assert f"{SSHD}, a new line at the top: PasswordAuthentication no\n" in printed


def test_a_flush_becomes_the_tables_of_the_file(tmp_path: Path) -> None:
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants/nftables.service"
    wants.parent.mkdir(parents=True)
    wants.symlink_to("/nowhere")
    content = "flush ruleset\ntable inet filter {\n}\ntable ip nat {\n}\n"
    found = machine(tmp_path, {"etc/nftables.conf": content})
    hint = "table inet filter; delete table inet filter; table ip nat; delete table ip nat"
    assert place(found["CS020"]) == ("/etc/nftables.conf", 1, hint)
    printed = text(Audit((found["CS020"],), ()), hints=True, width=40)
    assert f"/etc/nftables.conf:1: {hint}\n" in printed  # to copy: it is not wrapped
