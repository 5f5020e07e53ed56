"""Before a machine drops anything, somebody must be able to log in: a server listens on a declared
SSH port, and the connection that cloudsync came in by is one of those declared."""

from __future__ import annotations

import pytest

from cloudsync_host.ways_in import (
    Listener,
    WaysIn,
    listeners_from,
    login_from,
    no_server,
    shuts_out,
)
from tests.host.lab import PEER4, Lab
from tests.host.site import Site
from tests.host.test_over_ssh import PORT, remote
from tests.world import rules

__all__ = ["remote"]
SSH = rules("tcp/22", "tcp/2222 from 203.0.113.0/24")


def guards(site: Site) -> list[tuple[str, str]]:
    return [(guard["id"], guard["message"]) for guard in site.plan()["guards"]]


@pytest.mark.engine
def test_law2_nothing_drops_where_no_server_listens_on_a_declared_port(
    site: Site, lab: Lab
) -> None:
    site.ssh["ports"] = [2022]
    ((_, _), (guard, message)) = sorted(guards(site))
    assert guard == "no-ssh-server"
    assert "nothing listens on the port that [ssh] declares (2022)" in message
    site.apply(code=3)
    assert lab.listing() == ""
    lab.listen(2022)
    site.apply()
    assert lab.scan((22, 2022)) == {22, 2022}


@pytest.mark.engine
def test_law2_ssh_is_not_moved_to_a_port_that_nothing_listens_on(site: Site, lab: Lab) -> None:
    site.apply()
    before = lab.listing("-a")
    site.ssh["ports"], site.ports = [2022], ["2022/tcp"]
    message = site.apply("--ssh-moved", "--allow-close", "9", code=6)
    assert "nobody could log in any more; nothing was changed" in message
    assert lab.listing("-a") == before
    lab.listen(2022)
    site.apply("--ssh-moved", "--allow-close", "9")
    assert lab.scan((22, 2022)) == {2022}


@pytest.mark.engine
def test_law2_over_ssh_the_connection_that_plans_is_one_of_those_declared(
    remote: Site, lab: Lab
) -> None:
    remote.ssh["sources"] = ["192.0.2.0/24"]
    remote.ports = ["443/tcp"]
    (message,) = [message for guard, message in guards(remote) if guard == "own-ssh"]
    assert f"from {PEER4} to port {PORT}" in message
    remote.apply(code=3)
    assert lab.listing() == ""
    remote.keys["peers"] = [f"{PEER4}/32"]
    remote.apply()
    assert (lab.tcp(PORT), lab.tcp(443)) == ("open", "open")
    assert lab.tcp(443, source="203.0.113.77") == "open"
    assert lab.tcp(PORT, source="203.0.113.77") == "closed"


LISTED = """\
LISTEN 0      128          0.0.0.0:22         0.0.0.0:*    users:(("sshd",pid=7,fd=3))
LISTEN 0      4096       127.0.0.1:631        0.0.0.0:*
LISTEN 0      4096   127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=1,fd=3))
LISTEN 0      128             [::]:22            [::]:*    users:(("sshd",pid=7,fd=4))
LISTEN 0      128            [::1]:6010          [::]:*
LISTEN 0      4096               *:8080             *:*    users:(("docker-proxy",pid=9,fd=4))
"""


def test_what_ss_lists_is_read() -> None:
    assert listeners_from(LISTED) == (
        Listener(22, loopback=False, program="sshd"),
        Listener(631, loopback=True),
        Listener(53, loopback=True, program="systemd-resolve"),
        Listener(22, loopback=False, program="sshd"),
        Listener(6010, loopback=True),
        Listener(8080, loopback=False, program="docker-proxy"),
    )


@pytest.mark.parametrize(
    "listing", ["@cloudsync unknown", "LISTEN 0 1 nonsense:x *:*", "Usage: ss"]
)
def test_law1_a_listing_that_is_none_is_not_an_empty_one(listing: str) -> None:
    with pytest.raises(ValueError):
        listeners_from(listing)
    assert no_server(WaysIn(None), SSH) is not None


@pytest.mark.parametrize(
    ("listener", "problem"),
    [
        (Listener(22, loopback=False, program="sshd"), None),
        (Listener(2222, loopback=False), None),
        (Listener(22, loopback=False, program="systemd"), None),
        (Listener(22, loopback=True, program="sshd"), "nothing listens"),
        (Listener(2022, loopback=False, program="sshd"), "sshd listens on 2022"),
        (Listener(22, loopback=False, program="docker-proxy"), "only docker-proxy"),
        (Listener(22, loopback=False, program="rootlessport"), "only rootlessport"),
        (Listener(22, loopback=False, program="rootlesskit"), "only rootlesskit"),
    ],
)
def test_a_server_for_a_container_or_on_loopback_is_no_way_in(
    listener: Listener, problem: str | None
) -> None:
    answer = no_server(WaysIn((listener,)), SSH)
    assert (answer is None) if problem is None else (problem in (answer or ""))


@pytest.mark.parametrize(
    ("words", "login"),
    [
        ("203.0.113.7 50000 198.51.100.10 22", ("203.0.113.7", 22)),
        ("::ffff:203.0.113.7 50000 ::ffff:198.51.100.10 22", ("203.0.113.7", 22)),
        ("fe80::1%eth0 50000 fe80::2%eth0 22", ("fe80::1", 22)),
        ("UNKNOWN 65535 UNKNOWN 65535", None),
        ("", None),
    ],
)
def test_a_login_is_the_peer_and_the_port_it_went_to(
    words: str, login: tuple[str, int] | None
) -> None:
    assert login_from(words.split()) == login


def test_a_login_that_a_peer_or_a_rule_covers_is_not_shut_out() -> None:
    ways = WaysIn((), ("203.0.113.7", 2222))
    assert shuts_out(ways, SSH, ()) is None
    assert shuts_out(ways, rules("tcp/22"), ("203.0.113.0/24",)) is None
    assert "203.0.113.7" in (shuts_out(ways, rules("tcp/22"), ("10.0.0.0/8",)) or "")
    assert shuts_out(WaysIn(()), rules("tcp/22"), ()) is None
