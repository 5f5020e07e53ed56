"""Interfaces as Calico and the like make them: a veth for each pod, no bridge, a node port by
DNAT."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.host.lab import HOST4, PEER4, Lab, in_namespace
from tests.host.namespace import run
from tests.host.site import Site

pytestmark = pytest.mark.engine
POD = "10.244.1.7"


class Pod:
    """A pod on its own veth, `cali0123456789a`, with a server on 80, and node port 30080."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.name, link = lab, f"{lab.prefix}p", "cali0123456789a"
        run("ip", "netns", "add", self.name)
        host = ("ip", "-n", lab.host)
        run(*host, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run(*host, "link", "set", link, "up")
        run(*host, "addr", "add", "169.254.1.1/32", "dev", link)
        run(*host, "route", "add", f"{POD}/32", "dev", link)
        inside = ("ip", "-n", self.name)
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "addr", "add", f"{POD}/32", "dev", "eth0")
        run(*inside, "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link")
        run(*inside, "route", "add", "default", "via", "169.254.1.1")
        lab.write_proc(lab.host, "ipv4/ip_forward", "1")
        lab.nft(
            "table ip nodes { chain in { type nat hook prerouting priority -100; "
            f"tcp dport 30080 dnat to {POD}:80; }}\n chain out {{ type nat hook postrouting "
            f"priority 100; ip saddr {POD} oifname eth0 masquerade; }}\n }}"
        )
        self.server = in_namespace(self.name, lambda: socket.create_server(("0.0.0.0", 80)))

    def reaches(self, address: str, port: int) -> bool:
        def attempt() -> bool:
            try:
                socket.create_connection((address, port), 1).close()
            except OSError:
                return False
            return True

        return in_namespace(self.name, attempt)

    def close(self) -> None:
        self.server.close()
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@pytest.fixture
def pod(lab: Lab) -> Iterator[Pod]:
    pod = Pod(lab)
    lab.listen_outside(8000)
    try:
        yield pod
    finally:
        pod.close()


def test_pods_go_on_and_node_ports_are_those_of_the_list(site: Site, lab: Lab, pod: Pod) -> None:
    assert lab.tcp(30080) == "open"
    site.apply()
    assert (lab.tcp(30080), lab.tcp(22)) == ("closed", "open")
    assert pod.reaches(PEER4, 8000)
    assert pod.reaches(HOST4, 8443)
    site.ports = ["22/tcp", "30080/tcp"]
    site.apply()
    assert lab.tcp(30080) == "open"
    # The pod's own port, by routing, is another one.
    for namespace, via in ((lab.inet, "203.0.113.1"), (lab.cloud, HOST4)):
        run("ip", "-n", namespace, "route", "add", f"{POD}/32", "via", via)
    site.ports = ["22/tcp", "80/tcp"]
    site.apply()
    assert lab.tcp(80, POD) == "closed"


def test_filtering_all_interfaces_shuts_pods_out_unless_theirs_are_trusted(
    site: Site, lab: Lab, pod: Pod
) -> None:
    site.keys["interfaces"] = "all"
    site.apply()
    assert not pod.reaches(HOST4, 8443)
    site.keys["trusted"] = ["cali*"]
    site.apply()
    assert pod.reaches(HOST4, 8443)
    assert pod.reaches(PEER4, 8000)
    assert lab.tcp(8443) == "closed"
