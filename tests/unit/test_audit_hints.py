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
    assert place(found["CS026"]) == (DAEMON, 2, '"ip6tables": true,; line 3: "iptables": true')


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
        (('"fd://",', '"tcp://0.0.0.0:2375"'), (4, '(delete this line); line 3: "fd://"')),
        (('"tcp://0.0.0.0:2375"',), (3, "(delete this line)")),
    ],
)
def test_an_address_goes_only_if_json_is_left(
    tmp_path: Path, hosts: tuple[str, ...], expected: tuple[int, str | None]
) -> None:
    content = "\n".join(("{", '"hosts": [', *hosts, "]", "}"))
    found = machine(tmp_path, {DAEMON[1:]: content})
    assert place(found["CS003"]) == (DAEMON, *expected)


UNIT = "/etc/systemd/system/docker.service"
DROP_IN = "/etc/systemd/system/docker.service.d/tcp.conf"


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        (
            UNIT,
            "ExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2375",
            (2, "ExecStart=/usr/bin/dockerd"),
        ),
        (
            UNIT,
            "ExecStart=dockerd --host=tcp://0.0.0.0:2375 -H fd://",
            (2, "ExecStart=dockerd -H fd://"),
        ),
        (DROP_IN, "ExecStart=\nExecStart=dockerd -Htcp://0.0.0.0:2375", (3, "ExecStart=dockerd")),
        (
            DROP_IN,
            "ExecStart=dockerd \\\n  -H tcp://0.0.0.0:2375 \\\n  -H fd://",
            (3, "(delete this line)"),
        ),
        (DROP_IN, "ExecStart=dockerd \\\n  -H fd:// \\\n  -H tcp://0.0.0.0:2375", (4, None)),
        (
            "/usr/lib/systemd/system/docker.service",
            "ExecStart=dockerd -H tcp://0.0.0.0:2375",
            (2, None),
        ),
        (DROP_IN, "ExecStart=dockerd -H tcp://0.0.0.0:2375 --log-opt splunk-token=x", (2, None)),
    ],
)
def test_an_argument_of_dockerd_goes_from_the_line_that_has_it(
    tmp_path: Path, file: str, content: str, expected: tuple[int, str | None]
) -> None:
    found = machine(tmp_path, {DAEMON[1:]: "{}", file[1:]: f"[Service]\n{content}\n"})
    assert place(found["CS003"]) == (file, *expected)


PACKAGED = """\
[Service]
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS
"""


def test_options_in_the_environment_file_of_a_package_count(tmp_path: Path) -> None:
    files = {
        "lib/systemd/system/docker.service": PACKAGED,
        "etc/default/docker": '# x\nDOCKER_OPTS="-H tcp://0.0.0.0:2375 --iptables=false"\n',
    }
    found = machine(tmp_path, files)
    file = "/etc/default/docker"
    assert place(found["CS003"]) == (file, 2, 'DOCKER_OPTS=" --iptables=false"')
    assert place(found["CS026"]) == (file, 2, 'DOCKER_OPTS="-H tcp://0.0.0.0:2375"')


def test_an_environment_file_that_no_unit_names_does_not_count(tmp_path: Path) -> None:
    files = {
        "lib/systemd/system/docker.service": "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n",
        "etc/default/docker": 'DOCKER_OPTS="-H tcp://0.0.0.0:2375 --iptables=false"\n',
    }
    assert not {"CS003", "CS026"} & set(machine(tmp_path, files))


def test_a_variable_of_the_unit_goes_as_a_line(tmp_path: Path) -> None:
    content = "[Service]\nEnvironment=DOCKER_INSECURE_NO_IPTABLES_RAW=1\n"
    found = machine(tmp_path, {DROP_IN[1:]: content})
    assert place(found["CS025"]) == (DROP_IN, 2, "(delete this line)")


def test_switches_of_two_files_are_no_one_hint(tmp_path: Path) -> None:
    unit = "[Service]\nExecStart=/usr/bin/dockerd --ip6tables=false\n"
    found = machine(tmp_path, {DAEMON[1:]: '{\n"iptables": false\n}', UNIT[1:]: unit})
    assert found["CS026"].hint is None


def test_a_line_of_daemon_json_with_a_login_is_never_shown(tmp_path: Path) -> None:
    content = '{"iptables": false, "proxies": {"http-proxy": "http://bob:hunter2@proxy:3128"}}'
    found = machine(tmp_path, {DAEMON[1:]: content})
    assert place(found["CS026"]) == (DAEMON, 1, None)


def test_where_swarm_ports_ignore_the_address_of_the_daemon(tmp_path: Path) -> None:
    ingress = [
        {
            "Endpoint": {
                "Ports": [
                    {
                        "Protocol": "tcp",
                        "PublishedPort": 80,
                        "TargetPort": 80,
                        "PublishMode": "ingress",
                    }
                ]
            }
        }
    ]
    files = {
        DAEMON[1:]: '{\n  "ip": "127.0.0.1"\n}',
        "dumps/services.json": json.dumps(ingress),
        "dumps/info.json": '{"Swarm": {"LocalNodeState": "active", "ControlAvailable": true}}',
    }
    assert place(machine(tmp_path, files)["CS040"]) == (DAEMON, 2, None)


AFTER = "/etc/ufw/after.rules"
UFW = {"etc/ufw/ufw.conf": "ENABLED=yes\n", "etc/default/ufw": "IPV6=yes\n"}


def after_rules(folder: Path, *rules: str, **files: str) -> Finding:
    content = "\n".join(("# x", "*filter", ":DOCKER-USER - [0:0]", *rules, "COMMIT", ""))
    return machine(folder, UFW | {AFTER[1:]: content} | files)["CS014"]


REPLIES = "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
DROP = "-A DOCKER-USER -i eth0 -j DROP"


@pytest.mark.parametrize(
    ("rules", "line", "hint"),
    [
        ((DROP,), 4, f"{REPLIES} (a new line above it)"),
        (
            ("-A DOCKER-USER -i eth0 -j REJECT --reject-with tcp-reset",),
            4,
            f"{REPLIES} (a new line above it)",
        ),
        (
            (
                REPLIES,
                DROP,
                "COMMIT",
                "*nat",
                "-A POSTROUTING -s 172.17.0.0/16 -o eth0 -j MASQUERADE",
            ),
            8,
            "(delete this line)",
        ),
        (
            (
                REPLIES,
                "-A DOCKER-USER -s 10.0.0.0/8 -j RETURN",
                "-A DOCKER-USER -s 192.168.0.0/16 -j RETURN",
                DROP,
            ),
            5,
            "(delete lines 5-6)",
        ),
        ((REPLIES, "-A DOCKER-USER -s 10.0.0.0/8 -j RETURN", "-A DOCKER-USER -j DROP"), 5, None),
        (
            ("-A DOCKER-USER -s 10.0.0.0/8 -j RETURN", DROP),
            4,
            f"(delete this line); line 5: {REPLIES} (a new line above it)",
        ),
    ],
)
def test_the_lines_of_after_rules_that_do_harm(
    tmp_path: Path, rules: tuple[str, ...], line: int, hint: str | None
) -> None:
    assert place(after_rules(tmp_path, *rules)) == (AFTER, line, hint)


def test_a_masquerade_stays_if_docker_writes_none(tmp_path: Path) -> None:
    daemon = {DAEMON[1:]: '{"iptables": false}'}
    finding = after_rules(tmp_path, "-A POSTROUTING -o eth0 -j MASQUERADE", **daemon)
    assert place(finding) == (AFTER, 4, None)


def test_the_forward_policy_of_ufw(tmp_path: Path) -> None:
    files = {
        "etc/ufw/ufw.conf": "ENABLED=yes\n",
        "etc/default/ufw": '# x\nIPV6=yes\nDEFAULT_FORWARD_POLICY="ACCEPT"\n',
    }
    found = machine(tmp_path, files)
    assert place(found["CS015"]) == ("/etc/default/ufw", 3, 'DEFAULT_FORWARD_POLICY="DROP"')


SAVED = """\
*filter
:INPUT DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-USER - [0:0]
-A INPUT -i lo -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -d 10.0.0.0/8 -j DROP
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -i eth0 -j DROP
COMMIT
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE
[3:180] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""


def test_of_saved_rules_only_dockers_own_lines_go(tmp_path: Path) -> None:
    found = machine(tmp_path, {"etc/iptables/rules.v4": SAVED})
    hint = "(delete this line, and 4, 8-10, 12, 16-19, 21)"
    assert place(found["CS018"]) == ("/etc/iptables/rules.v4", 3, hint)
    gone = {3, 4, 8, 9, 10, 12, 16, 17, 18, 19, 21}
    left = [line for n, line in enumerate(SAVED.splitlines(), 1) if n not in gone]
    assert "CS018" not in machine(tmp_path, {"etc/iptables/rules.v4": "\n".join(left)})


POWERS = """\
services:
  vpn:
    image: shop/vpn
    ports: ["8443:80"]
{power}
"""


@pytest.mark.parametrize(
    ("power", "line", "hint"),
    [
        ("    privileged: true  # for now", 5, "(delete this line)"),
        ("    pid: 'host'", 5, "(delete this line)"),
        ("    cap_add: [NET_ADMIN]", 5, "(delete this line)"),
        ("    cap_add: [NET_ADMIN, 'SYS_TIME']  # x", 5, "cap_add: ['SYS_TIME']  # x"),
        ("    cap_add:\n      - CAP_NET_ADMIN\n      - SYS_TIME", 6, "(delete this line)"),
        ("    cap_add:\n      - NET_ADMIN\n      - sys_admin", 5, "(delete lines 5-7)"),
        ("    cap_add:\n      - NET_ADMIN", 5, "(delete lines 5-6)"),
        (
            "    privileged: true\n    restart: always\n    pid: host",
            5,
            "(delete this line, and 7)",
        ),
        ("    privileged: ${POWER:-true}", 5, None),
    ],
)
def test_a_power_of_a_service_goes_with_its_line(
    tmp_path: Path, power: str, line: int, hint: str | None
) -> None:
    (tmp_path / "compose.yaml").write_text(POWERS.replace("{power}", power))
    (facts,) = of_files([str(tmp_path / "compose.yaml")])
    assert facts.blind == ()
    assert hints(of_machine(facts), "CS043") == [(line, hint)]


def test_a_power_on_a_line_with_other_things_is_left_alone(tmp_path: Path) -> None:
    content = "services: {vpn: {image: x, privileged: true, ports: ['1:1'], command: [hunter2]}}"
    (tmp_path / "compose.yaml").write_text(content)
    (facts,) = of_files([str(tmp_path / "compose.yaml")])
    assert hints(of_machine(facts), "CS043") == [(1, None)]
    assert "hunter2" not in repr([dict(service.places) for service in facts.services])


def test_mounts_and_variables_are_found_on_their_own_lines(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n  a:\n    image: x\n    ports: ['1:1']\n    environment:\n      - A=1\n"
        "      - DB_PASSWORD=hunter2\n    volumes:\n      - ./x:/x\n"
        "      - /var/run/docker.sock:/var/run/docker.sock\n"
    )
    (facts,) = of_files([str(tmp_path / "compose.yaml")])
    findings = of_machine(facts)
    assert hints(findings, "CS044") == [(7, None)]
    assert hints(findings, "CS004") == [(10, None)]
    assert "hunter2" not in repr(facts)


@pytest.mark.parametrize(
    ("ports", "hint"),
    [
        ('      - "127.0.0.1:443:443"', '- "443:443"'),
        ('      - "127.0.0.1:80:80"\n      - "127.0.0.1:443:443"', None),
    ],
)
def test_a_proxy_on_loopback_is_opened_by_the_line_of_its_only_port(
    tmp_path: Path, ports: str, hint: str | None
) -> None:
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  p:\n    image: traefik\n    ports:\n{ports}\n"
        "    command: [--certificatesresolvers.le.acme.email=a@example.org]\n"
    )
    (facts,) = of_files([str(tmp_path / "compose.yaml")])
    assert hints(of_machine(facts), "CS031") == [(5, hint)]


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
    assert place(found["CS007"]) == (file, 4, "(delete lines 4-5)")
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
