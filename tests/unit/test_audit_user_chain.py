"""DOCKER-USER as guides and tools write it: what it closes to the Internet, and what only looks
like a wall."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.audit import user_chain
from cloudsync.audit.report import of_machine
from cloudsync.model.machine_facts import Facts, Tables
from cloudsync.sources.machine.iptables import parse
from tests.unit.audit_facts import (
    ACCEPT_REPLIES,
    DATABASE,
    OPEN_TO_ALL,
    UFW,
    chain,
    container,
    docker,
    ids,
    machine,
    publish,
)

DROP = "-i eth0 -j DROP"


def called(*rules: str, **chains: tuple[str, ...]) -> Tables:
    """DOCKER-USER with `rules`, and further chains by name."""
    lines = ["*filter", ":FORWARD DROP [0:0]", "-A FORWARD -j DOCKER-USER"]
    lines += [f"-A DOCKER-USER {rule}" for rule in rules]
    lines += [f"-A {name} {rule}" for name, rules in chains.items() for rule in rules]
    return parse("\n".join([*lines, "COMMIT"]))


WALLS = {
    "one uplink": called(ACCEPT_REPLIES, DROP),
    "all but the bridge": called("! -i docker0 -j DROP"),
    "all but an office, as Docker's own guide has it": called(
        "-i eth0 ! -s 203.0.113.0/24 -j DROP"
    ),
    "all but a range": called("-i eth0 -m iprange ! --src-range 203.0.113.1-203.0.113.3 -j DROP"),
    "only new connections": called("-i eth0 -m conntrack --ctstate NEW -j DROP"),
    "with a comment": called(
        '-i eth0 -m comment --comment "shut" -j REJECT --reject-with tcp-reset'
    ),
    "a chain of its own": called(
        "-i eth0 -j FILTERS",
        FILTERS=(ACCEPT_REPLIES, "-p tcp -m tcp --dport 443 -j ACCEPT", "-j REJECT"),
    ),
    "behind a list of addresses": called("-m set --match-set blocked src -j DROP", DROP),
}
NO_WALLS = {
    "a list of addresses to block": called("-m set --match-set crowdsec-blacklists src -j DROP"),
    "one address": called("-s 203.0.113.7/32 -j DROP"),
    "invalid packets": called("-m conntrack --ctstate INVALID -j DROP"),
    "what containers send": called("-i docker0 -j DROP"),
    "a rate": called("-p tcp -m connlimit --connlimit-above 50 -j DROP"),
    "fail2ban": called(
        "-p tcp -j f2b-sshd", **{"f2b-sshd": ("-s 198.51.100.1/32 -j DROP", "-j RETURN")}
    ),
    "a drop behind an accept of the uplink": called("-i eth0 -j ACCEPT", DROP),
    "a chain that returns": called(
        "-i eth0 -j FILTERS", "-j RETURN", FILTERS=("-j RETURN", "-j DROP")
    ),
}


def bypasses_ufw(tables: Tables) -> bool:
    return "CS005" in ids(machine(docker(DATABASE), ufw=UFW, ip4=tables))


def reached(tables: Tables, port: int = 8080, inside: int = 80) -> str:
    facts = machine(
        docker(container("web", publish(port, inside), environment=("DB_PASSWORD",))),
        ip4=tables,
        cloud=OPEN_TO_ALL,
    )
    return next((f.reachable for f in of_machine(facts) if f.id == "CS044"), "none")


@pytest.mark.parametrize("name", WALLS)
def test_a_wall_is_seen(name: str) -> None:
    assert user_chain.stops_the_rest(WALLS[name])
    assert not bypasses_ufw(WALLS[name])
    assert reached(WALLS[name]) == "none"


@pytest.mark.parametrize("name", NO_WALLS)
def test_what_is_no_wall_is_none(name: str) -> None:
    assert not user_chain.stops_the_rest(NO_WALLS[name])
    assert bypasses_ufw(NO_WALLS[name])
    assert reached(NO_WALLS[name]) == "internet"


@pytest.mark.parametrize(
    ("accept", "verdict"),
    [
        ("-p tcp --dport 80 -j RETURN", "internet"),
        ("-p tcp -m multiport --dports 443,80 -j ACCEPT", "internet"),
        ("-p tcp -m multiport --dports 70:90 -j ACCEPT", "internet"),
        ("-p tcp -m conntrack --ctorigdstport 8080 -j ACCEPT", "internet"),
        ("-p tcp --dport 8080 -j ACCEPT", "none"),
        ("-p udp --dport 80 -j ACCEPT", "none"),
        ("-p tcp -s 203.0.113.0/24 --dport 80 -j ACCEPT", "none"),
    ],
)
def test_a_port_that_is_let_in_before_the_drop_is_reached(accept: str, verdict: str) -> None:
    assert reached(called(ACCEPT_REPLIES, accept, DROP)) == verdict


def test_a_drop_of_one_port_leaves_the_others_open() -> None:
    tables = called("-p tcp --dport 5432 -j DROP")
    assert reached(tables) == "internet"
    assert reached(tables, 5432, 5432) == "none"


UFW_DOCKER = {
    "ufw-user-forward": ("-p tcp -m tcp --dport 80 -j ACCEPT",),
    "ufw-docker-logging-deny": ("-m limit --limit 3/min -j LOG", "-j DROP"),
}


def test_ufw_docker_lets_in_what_ufw_route_allows_and_nothing_else() -> None:
    rules = [
        "-j ufw-user-forward",
        "-s 172.16.0.0/12 -j RETURN",
        "-d 172.16.0.0/12 -m conntrack --ctstate NEW -j ufw-docker-logging-deny",
        "-j RETURN",
    ]
    tables = called(*rules, **UFW_DOCKER)
    assert reached(tables, 8080, 80) == "internet"
    assert reached(tables, 8080, 8000) == "none"


@pytest.mark.parametrize(
    "drop",
    [
        "-m set --match-set crowdsec-blacklists src -j DROP",
        "-s 203.0.113.7/32 -j DROP",
        "-m conntrack --ctstate INVALID -j DROP",
        "-p tcp --dport 80 -j DROP",
        "-i docker0 -j DROP",
    ],
)
def test_a_drop_of_some_packets_cuts_no_replies(drop: str) -> None:
    facts = machine(docker(container("web", publish(80))), ip4=chain(drop))
    assert "CS013" not in ids(facts)


def test_a_list_of_addresses_filters_no_family() -> None:
    facts = machine(
        docker(container("web", publish(8080, 80, "::"))),
        ip4=chain("-m set --match-set blocked src -j DROP"),
    )
    assert not {"CS011", "CS012"} & set(ids(facts))


def test_a_port_in_a_chain_of_its_own_is_compared_with_the_containers_too() -> None:
    tables = called("-i eth0 -j FILTERS", FILTERS=("-p tcp --dport 8080 -j ACCEPT", "-j DROP"))
    facts = machine(docker(container("web", publish(8080, 80))), ip4=tables)
    assert "CS009" in ids(facts)


def test_a_rule_about_a_port_that_nothing_publishes_is_nothing() -> None:
    facts = machine(
        docker(container("web", publish(443))), ip4=chain("-p tcp --dport 3306 -j DROP")
    )
    assert "CS009" not in ids(facts)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("-A DOCKER-USER -i eth0 -j DROP -m comment --comment shut", True),
        ("-A DOCKER-USER -p tcp --dport 3306 -j DROP", False),
        ("-A DOCKER-USER -s 203.0.113.7 -j DROP", False),
    ],
)
def test_a_block_of_ufw_cuts_replies_only_if_it_drops_them(line: str, found: bool) -> None:
    facts = machine(ufw=replace(UFW, after_rules=("*filter", line, "COMMIT")))
    assert ("CS014" in ids(facts)) is found


def masquerade(*lines: str) -> Facts:
    rule = "-A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE"
    return machine(ufw=replace(UFW, after_rules=("*nat", *lines, rule, "COMMIT")))


def test_a_masquerade_that_is_flushed_first_does_not_repeat() -> None:
    assert "CS014" in ids(masquerade())
    assert "CS014" not in ids(masquerade("-F POSTROUTING"))
    assert "CS014" not in ids(masquerade("-F"))


def test_counters_before_a_rule_change_nothing() -> None:
    plain, counted = "-A DOCKER-USER -j DROP", "[12:720] -A DOCKER-USER -j DROP"
    assert parse(f"*filter\n{plain}\nCOMMIT") == parse(f"*filter\n{counted}\nCOMMIT")
