"""Every finding once, each made by hand on a real machine: the right severity, nothing else, and
nothing at all once it is fixed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from cloudsync.audit.catalogue import BY_ID
from tests.audit.world import ANYWHERE, Found, Site, found
from tests.doubles.ec2 import Ec2Double, Nic
from tests.engine import lab as engines
from tests.host.engine import missing
from tests.host.lab import in_namespace
from tests.host.namespace import needs, run

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
Fix = Callable[[], None]


class Scene(NamedTuple):
    """`make`: the mistakes; what it returns takes them back."""

    make: Callable[[Site], Fix]
    expected: tuple[Found, ...]
    options: tuple[str, ...] = ()
    """For dockerd."""


def containers(site: Site) -> Fix:
    """What people start in a hurry, all of it open in the cloud too."""
    docker, socket = site.engine.docker, site.engine.socket
    docker("network", "create", "--internal", "back")
    site.listen(9998)
    site.serve("web", "8080:80", 80)
    site.serve("spare", "7000:80", 80, "-l", "cloudsync.expose=false")
    site.serve("db", "5432:5432", 5432, image="postgres:16")
    site.serve("agent", "9001:80", 80, "-v", f"{socket}:/var/run/docker.sock:ro")
    site.serve("exporter", "", 9999, "--network", "host")
    site.serve("later", "3306:80", 80, "--network", "back")
    site.serve("cache", "", 6379, image="redis:7")
    loopback = ("-e", "TRAEFIK_CERTIFICATESRESOLVERS_LE_ACME_EMAIL=a@example.org")
    site.serve("proxy", "127.0.0.1:80:80", 80, *loopback, image="traefik:v3.1")
    site.serve("shop", "8081:80", 80, "-l", "traefik.http.routers.shop.rule=Host(`a`)")
    site.serve("panel", "8082:8080", 8080, image="traefik:v3.1", word="--api.insecure=true")
    site.serve("grafana", "3000:3000", 3000, image="grafana/grafana:11")
    site.serve("node", "9229:9229", 9229)
    site.image("stranger:1", **{"cloudsync.ports": "443"})
    site.engine.run("stranger", image="stranger:1")
    site.engine.run("silent", "-p", "8083:80")
    site.serve("random", "80", 80)
    site.serve("vpn", "8443:80", 80, "--cap-add", "NET_ADMIN")
    site.serve("app", "8444:80", 80, "-e", "DB_PASSWORD=x")
    site.lets_in(
        "8080", "7000", "5432", "9001", "9999", "9998", "8081", "8082", "3000", "9229", "8083",
        "8443", "8444",
    )  # fmt: skip

    def fix() -> None:
        site.engine.remove_containers()
        site.stop()
        site.listen(9998, "::1")
        site.serve("web", "8080:80", 80)
        site.serve("db", "", 5432, "--network", "back", image="postgres:16")
        site.serve("agent", "", 80, "-v", f"{socket}:/var/run/docker.sock:ro")
        site.serve("cache", "", 6379, "--network", "back", image="redis:7")
        site.serve("proxy", "80:80", 80, *loopback, image="traefik:v3.1")
        site.serve("shop", "", 80, "-l", "traefik.http.routers.shop.rule=Host(`a`)")
        site.serve("grafana", "", 3000, image="grafana/grafana:11")
        site.serve("app", "8444:80", 80, "-e", "DB_PASSWORD_FILE=/run/secrets/db")
        site.lets_in("8080", "80", "8444")

    return fix


def ufw(site: Site) -> Fix:
    site.serve("web", "8080:80", 80)
    site.lets_in("8080")
    site.run("ufw", "--force", "enable")

    def fix() -> None:
        site.run("ufw", "disable")
        site.iptables("-P FORWARD DROP")  # which ufw leaves at ACCEPT

    return fix


def after_rules(site: Site) -> Fix:
    """A block that drops before it accepts replies, loaded by ufw."""
    site.serve("web", "0.0.0.0:8080:80", 80)
    site.lets_in("8080", sources=["0.0.0.0/0"])
    before = site.run("cat", "/etc/ufw/after.rules")
    site.append(
        "/etc/ufw/after.rules",
        "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i eth0 -j DROP\nCOMMIT\n",
    )
    site.run("ufw", "--force", "enable")

    def fix() -> None:
        site.write("/etc/ufw/after.rules", before)
        site.run("ufw", "disable")
        site.iptables("-P FORWARD DROP")
        site.iptables("-F DOCKER-USER")

    return fix


def forwarding(site: Site) -> Fix:
    site.serve("web", "8080:80", 80)
    site.lets_in("8080")
    site.iptables("-P FORWARD ACCEPT")
    return lambda: site.iptables("-P FORWARD DROP")


def firewalld(site: Site) -> Fix:
    """Docker's bridge in a zone that accepts everything, and a port added to it."""
    site.serve("web", "8080:80", 80)
    site.lets_in("8080")
    zone = "/etc/firewalld/zones/docker.xml"
    site.write(
        zone,
        '<?xml version="1.0" encoding="utf-8"?>\n<zone target="ACCEPT"><short>docker</short>'
        '<interface name="docker0"/></zone>\n',
    )
    site.firewalld()
    site.run("firewall-cmd", "--permanent", "--zone=docker", "--add-port=8443/tcp")

    def fix() -> None:
        site.stop()
        site.remove(zone, "/run/firewalld.pid")

    return fix


def user_chain(*lines: str, publish: str = "0.0.0.0:8080:80") -> Callable[[Site], Fix]:
    """Rules in DOCKER-USER."""

    def make(site: Site) -> Fix:
        site.serve("web", publish, 80)
        site.lets_in("8080", sources=["0.0.0.0/0"] if publish.startswith("0") else ANYWHERE)
        for line in lines:
            site.iptables(line)

        def fix() -> None:
            site.iptables("-F DOCKER-USER")
            site.iptables("-A DOCKER-USER -j RETURN")
            if any("-D FORWARD" in line for line in lines):
                site.iptables("-I FORWARD -j DOCKER-USER")

        return fix

    return make


REPLIES = "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
DROP = "-A DOCKER-USER -i eth0 -j DROP"
EMPTY = "-F DOCKER-USER"


def dual_stack(site: Site) -> Fix:
    """A network with IPv6 of its own, filtered for IPv4 only."""
    site.engine.docker("network", "create", "--ipv6", "--subnet", "fd00:8::/64", "six")
    site.serve("web", "8080:80", 80, "--network", "six")
    site.lets_in("8080")
    for line in (EMPTY, REPLIES, DROP):
        site.iptables(line)

    def fix() -> None:
        site.iptables(EMPTY)

    return fix


def at_boot(site: Site) -> Fix:
    """Rules saved with Docker's own in them, and a flush of everything."""
    site.serve("web", "8080:80", 80)
    site.lets_in("8080")
    site.write("/etc/iptables/rules.v4", site.run("iptables-save"))
    site.enable("netfilter-persistent.service")
    site.write("/etc/nftables.conf", "#!/usr/sbin/nft -f\nflush ruleset\n")
    site.enable("nftables.service")

    def fix() -> None:
        site.write("/etc/iptables/rules.v4", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n")
        site.write("/etc/nftables.conf", "#!/usr/sbin/nft -f\n")

    return fix


def stale(site: Site) -> Fix:
    """Rules of an earlier container loaded again: its address is another one's now."""
    site.serve("web", "8080:80", 80)
    site.lets_in("8080")
    saved = site.run("iptables-save", "-t", "nat")
    site.engine.remove_containers()
    site.serve("job", "", 80)
    site.write("/run/saved", saved)
    site.run("iptables-restore", "/run/saved")

    def fix() -> None:
        site.engine.stop()
        site.run("iptables", "-t", "nat", "-F")
        site.engine.start()
        site.engine.remove_containers()

    return fix


def daemon(site: Site) -> Fix:
    """What daemon.json can open."""
    site.serve("web", "8080:80", 80)
    site.lets_in("8080")
    switches = {"hosts": ["tcp://0.0.0.0:2375"], "ip6tables": False, "allow-direct-routing": True}
    site.write("/etc/docker/daemon.json", json.dumps(switches))
    secured = {"hosts": ["tcp://0.0.0.0:2376"], "tlsverify": True}
    return lambda: site.write("/etc/docker/daemon.json", json.dumps(secured))


def table(site: Site) -> Fix:
    """A rule of others in our own table."""
    site.listen(22)
    site.configure(
        end='[providers.host]\n[firewalls.web-1-host]\nprovider = "host"\nhosts = ["web-1"]\n'
        f'enforce = "enforce"\nconfirm = "off"\nsave = "{site.folder}/host.nft"\n'
    )
    site.serve("web", "8080:80", 80)
    site.lets_in("8080")
    grant = ("--allow-attach", "web-1-host", "--allow-attach", "web")
    site.cloudsync("apply", "--auto-approve", "-q", *grant)
    shutil.copy("deploy/systemd/cloudsync-host.service", site.folder)
    unit = "cloudsync-host.service"
    site.run("cp", f"{site.folder}/{unit}", f"/etc/systemd/system/{unit}")
    site.enable(unit)
    site.run("nft", "insert", "rule", "inet", "cloudsync", "judge", "tcp", "dport", "1", "accept")
    (finding,) = site.audit()["findings"]
    assert "nft delete rule inet cloudsync CHAIN handle N" in finding["fix"]

    def fix() -> None:
        site.cloudsync("apply", "--auto-approve", "-q", code=None)
        assert [found.id for found in site.found()] == ["CS021"]  # an apply leaves it there
        listing = site.run("nft", "-a", "list", "chain", "inet", "cloudsync", "judge")
        (handle,) = re.findall(r"tcp dport 1 accept # handle (\d+)", listing)
        site.run("nft", "delete", "rule", "inet", "cloudsync", "judge", "handle", handle)

    return fix


def cloud(site: Site) -> Fix:
    """Open in the cloud, and nothing behind it; SSH with passwords."""
    site.serve("web", "8080:80", 80)
    site.lets_in("8080", "3389")
    site.write("/etc/ssh/sshd_config", "PasswordAuthentication yes\n")

    def fix() -> None:
        site.lets_in("8080")
        site.write("/etc/ssh/sshd_config", "PasswordAuthentication no\n")

    return fix


def swarm(site: Site) -> Fix:
    """Two nodes whose own ports the cloud lets everybody reach, and a port that Swarm publishes
    although the daemon binds to loopback."""
    docker = site.engine.docker
    worker = site.enter(engines.Lab())
    cable = ["ip", "link", "add", "cable", "netns", site.lab.host, "type", "veth", "peer", "name"]
    run(*cable, "cable", "netns", worker.namespace)
    for number, namespace in enumerate((site.lab.host, worker.namespace), 1):
        run("ip", "-n", namespace, "addr", "add", f"10.77.0.{number}/24", "dev", "cable")
        run("ip", "-n", namespace, "link", "set", "cable", "up")
    docker("swarm", "init", "--advertise-addr", "10.77.0.1")
    token = docker("swarm", "join-token", "-q", "worker")
    worker.docker(
        "swarm", "join", "--advertise-addr", "10.77.0.2", "--token", token, "10.77.0.1:2377"
    )
    service = ("service", "create", "-d", "--no-resolve-image", "--replicas", "0", "--name", "web")
    docker(*service, "--publish", "published=8090,target=80", "bb:1")
    site.write("/etc/docker/daemon.json", '{"ip": "127.0.0.1"}')
    site.lets_in("8090", "2377", sources=["0.0.0.0/0"])

    def fix() -> None:
        site.lets_in("8090", sources=["0.0.0.0/0"])
        site.remove("/etc/docker/daemon.json")

    return fix


AWS = """\
[providers.aws]
region = "eu-central-1"
endpoint = "{endpoint}"
[firewalls.web]
provider = "aws"
hosts = ["web-1"]
"""


def metadata(site: Site) -> Fix:
    """An instance whose metadata service answers containers."""
    cloud = site.enter(in_namespace(site.lab.host, Ec2Double))
    group = cloud.add_group("web")
    instance = cloud.add_instance("web-1", Nic("", [group], public="198.51.100.10"))
    keys = f'group_id = "{group}"\ninstances = ["{instance}"]\n'
    site.configure(AWS.replace("{endpoint}", cloud.endpoint), end=keys)
    site.environment |= {
        "AWS_ACCESS_KEY_ID": cloud.access_key, "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    site.serve("web", "0.0.0.0:8080:80", 80)
    site.cloudsync("apply", "--auto-approve", "-q", "--adopt", "web", "--ssh-moved")
    options = cloud.instances[instance].metadata
    options["HttpPutResponseHopLimit"] = 2
    return lambda: options.update(HttpPutResponseHopLimit=1)


def blind(site: Site) -> Fix:
    site.serve("web", "8080:80", 80)
    site.lets_in("8080")
    site.run("sh", "-c", "rm /etc/ufw/ufw.conf; mkdir /etc/ufw/ufw.conf")
    return lambda: (site.run("sh", "-c", "rmdir /etc/ufw/ufw.conf; : > /etc/ufw/ufw.conf"), None)[1]


SCENES: dict[str, Scene] = {
    "containers": Scene(
        containers,
        (
            Found("CS001", "critical", "spare"),
            Found("CS002", "critical", "db"),
            Found("CS004", "critical", "agent"),
            Found("CS016", "medium", "proxy"),
            Found("CS022", "high", "exporter"),
            Found("CS023", "medium", "python"),
            Found("CS027", "medium", "later"),
            Found("CS028", "note", "cache"),
            Found("CS029", "low", "network back"),
            Found("CS031", "low", "proxy"),
            Found("CS032", "high", "shop"),
            Found("CS033", "high", "panel"),
            Found("CS034", "high", "grafana"),
            Found("CS035", "high", "node"),
            Found("CS036", "high", "stranger"),
            Found("CS041", "low", "silent"),
            Found("CS042", "low", "random"),
            Found("CS043", "high", "vpn"),
            Found("CS044", "medium", "app"),
        ),
    ),
    "ufw": Scene(ufw, (Found("CS005", "high", "ufw"),)),
    "after-rules": Scene(after_rules, (Found("CS014", "high", "/etc/ufw/after.rules"),)),
    "forwarding": Scene(forwarding, (Found("CS015", "high", "chain FORWARD"),)),
    "firewalld": Scene(
        firewalld,
        (
            Found("CS006", "high", "zone docker"),
            Found("CS007", "medium", "zone docker"),
            Found("CS017", "medium", "Docker VERSION"),
        ),
    ),
    "appended": Scene(user_chain(DROP), (Found("CS008", "high", "chain DOCKER-USER"),)),
    "container-port": Scene(
        user_chain(EMPTY, "-A DOCKER-USER -p tcp --dport 8080 -j DROP"),
        (Found("CS009", "high", "chain DOCKER-USER"),),
    ),
    "not-called": Scene(
        user_chain(EMPTY, REPLIES, DROP, "-D FORWARD -j DOCKER-USER"),
        (Found("CS010", "high", "chain DOCKER-USER"),),
    ),
    "no-replies": Scene(user_chain(EMPTY, DROP), (Found("CS013", "medium", "chain DOCKER-USER"),)),
    "dual-stack": Scene(dual_stack, (Found("CS011", "high", "chain DOCKER-USER"),)),
    "ipv4-only-network": Scene(
        user_chain(EMPTY, REPLIES, DROP, publish="8080:80"),
        (Found("CS012", "high", "docker-proxy"),),
    ),
    "at-boot": Scene(
        at_boot,
        (
            Found("CS018", "high", "/etc/iptables/rules.v4"),
            Found("CS020", "medium", "/etc/nftables.conf"),
        ),
    ),
    "stale": Scene(stale, (Found("CS019", "critical", "job"),)),
    "daemon": Scene(
        daemon,
        (
            Found("CS003", "critical", "dockerd"),
            Found("CS025", "medium", "dockerd"),
            Found("CS026", "high", "dockerd"),
        ),
    ),
    "table": Scene(table, (Found("CS021", "high", "table inet cloudsync"),)),
    "cloud": Scene(
        cloud,
        (
            Found("CS037", "high", "firewall web"),
            Found("CS038", "medium", "sshd"),
        ),
    ),
    "swarm": Scene(
        swarm,
        (
            Found("CS039", "high", "swarm"),
            Found("CS040", "low", "port 8090/tcp"),
        ),
    ),
    "metadata": Scene(metadata, (Found("CS030", "medium", "metadata service"),)),
    "blind": Scene(blind, (Found("CS046", "note", "ufw"),)),
}


PODMAN = {
    "version.json": {"Version": "5.4.2", "Components": [{"Name": "Podman Engine"}]},
    "info.json": {"SecurityOptions": ["name=seccomp", "name=rootless"]},
    "inspect.json": [
        {
            "Id": "a" * 64,
            "Name": "/web",
            "Config": {"Image": "docker.io/library/httpd:2.4", "Labels": {}},
            "State": {"Status": "running"},
            "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
                "Networks": {"podman": {}},
            },
        }
    ],
}
DOCKER = {"version.json": {"Version": "27.3.1", "Components": [{"Name": "Engine"}]}}
PASTA = 'tcp LISTEN 0 128 *:8080 *:* users:(("pasta.avx2",pid=7,fd=4))\n'
COPIES: dict[str, tuple[dict[str, object], dict[str, object], Found]] = {
    "rootless-podman": (
        {**PODMAN, "ss.txt": PASTA},
        {**PODMAN, "ss.txt": PASTA.replace("*:8080", "0.0.0.0:8080")},
        Found("CS024", "medium", "web"),
    ),
    "docker-27.3": (
        {**DOCKER, "inspect.json": []},
        {"version.json": {"Version": "27.4.0"}, "inspect.json": []},
        Found("CS045", "medium", "Docker 27.3.1"),
    ),
}
"""Engines that no archive has for this machine, as files: with the mistake, without it, and what is
found."""


def copied(folder: Path, dumps: dict[str, object]) -> list[Found]:
    nothing = {"iptables-save.txt": "", "ip6tables-save.txt": "", "nft.json": {"nftables": []}}
    place = folder / "web-1" / "dumps"
    place.mkdir(parents=True, exist_ok=True)
    for name, content in ({"ss.txt": ""} | nothing | dumps).items():
        (place / name).write_text(content if isinstance(content, str) else json.dumps(content))
    command = [sys.executable, "-m", "cloudsync", "audit", "--output", "json", "--root", "web-1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    assert document["complete"], document["blind"]
    return found(document)


@pytest.mark.parametrize("name", COPIES)
def test_a_mistake_in_a_copied_machine_is_found_and_once_mended_is_gone(
    name: str, tmp_path: Path
) -> None:
    wrong, fixed, expected = COPIES[name]
    assert copied(tmp_path, wrong) == [expected]
    assert copied(tmp_path, fixed) == []


def test_the_world_has_every_finding_once() -> None:
    ids = [finding.id for scene in SCENES.values() for finding in scene.expected]
    ids += [expected.id for _, _, expected in COPIES.values()]
    assert Counter(ids) == Counter(dict.fromkeys(BY_ID, 1))


@pytest.mark.parametrize("name", SCENES)
def test_a_mistake_is_found_and_once_mended_is_gone(name: str, tmp_path: Path) -> None:
    scene = SCENES[name]
    needs("busybox")
    if (reason := missing()) is not None:
        pytest.skip(reason)
    tools = {"ufw": "ufw", "after-rules": "ufw", "firewalld": "firewalld"}
    if name in tools and shutil.which(tools[name]) is None:
        pytest.skip(f"needs {tools[name]}")
    with Site(tmp_path, *scene.options) as site:
        fix = scene.make(site)
        version = site.engine.docker("version", "-f", "{{.Server.Version}}")
        assert site.found() == [
            finding._replace(object=finding.object.replace("VERSION", version))
            for finding in scene.expected
        ]
        fix()
        assert site.found() == []
        assert site.cloudsync("audit") == "Nothing found.\n"
