"""What an engine makes of an address that is left out, wherever asked ports stand for bound ones,
and containers whose ports cannot be known because of their network."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.sources.docker.answers import Unexpected
from cloudsync.sources.docker.containers import container_of, counts
from cloudsync.sources.docker.needs import Needs, needs_of
from cloudsync.sources.docker.networks import networks_of
from cloudsync.sources.docker.podman import (
    EngineKind,
    as_commanded,
    may_restart,
    with_own_state,
)
from tests.unit.test_containers import SCOPE, answer, codes, ports

OPTION = "com.docker.network.bridge"


def network(name: str, driver: str = "bridge", **more: Any) -> dict[str, Any]:
    options = {f"{OPTION}.{key}": value for key, value in more.pop("options", {}).items()}
    return {"Id": name, "Name": name, "Driver": driver, "Options": options} | more


def needs(value: dict[str, Any], *networks: dict[str, Any]) -> Needs:
    known, problems = networks_of(list(networks))
    assert problems == ()
    return needs_of("web-1", container_of(value), known, {}, SCOPE)


def looping(*published: tuple[str, str, str], networks: tuple[str, ...] = ("net",)) -> Any:
    return answer(*published, state="restarting", networks=list(networks))


BOUND_TO_LOOPBACK = network("net", options={"host_binding_ipv4": "127.0.0.1"})


def test_a_networks_own_address_stands_for_one_that_is_left_out() -> None:
    """Docker's `host_binding_ipv4` (compose 8118): the way a whole project is bound to loopback;
    daemon.json's `ip` shows as this option of `bridge`."""
    found = needs(looping(("80/tcp", "", "8081")), BOUND_TO_LOOPBACK)
    assert found.required == ()
    assert {port.first for port in found.local} == {8081}


def test_an_address_that_is_named_wins_over_the_networks_own() -> None:
    found = needs(looping(("80/tcp", "0.0.0.0", "8081")), BOUND_TO_LOOPBACK)
    assert ports(found) == {("8081/tcp", "0.0.0.0", None)}


@pytest.mark.parametrize(
    ("options", "more", "bound"),
    [
        ({}, {}, {"0.0.0.0", "::"}),
        ({"host_binding_ipv4": "0.0.0.0"}, {}, {"0.0.0.0", "::"}),
        ({"host_binding_ipv4": "198.51.100.10"}, {}, {"198.51.100.10"}),
        ({"host_binding_ipv4": "::"}, {}, {"::"}),
        ({}, {"EnableIPv4": False, "EnableIPv6": True}, {"::"}),
        ({"gateway_mode_ipv4": "routed"}, {}, {"::"}),
        ({"gateway_mode_ipv6": "routed"}, {}, {"0.0.0.0"}),
        ({"gateway_mode_ipv4": "nat-unprotected"}, {}, {"0.0.0.0", "::"}),
    ],
)
def test_what_a_crash_loop_would_be_bound_to(
    options: dict[str, str], more: dict[str, Any], bound: set[str]
) -> None:
    found = needs(looping(("80/tcp", "", "8080")), network("net", options=options, **more))
    assert {address for _, address, _ in ports(found)} == bound


def test_of_several_networks_only_what_all_agree_on_is_expected() -> None:
    """The engine takes one of them, and which one is not known while nothing is bound."""
    value = looping(("80/tcp", "", "8080"), networks=("net", "other"))
    assert needs(value, BOUND_TO_LOOPBACK, network("other")).required == ()
    assert len(needs(value, network("net"), network("other")).required) == 2


def test_an_internal_network_beside_it_changes_nothing() -> None:
    value = looping(("80/tcp", "", "8080"), networks=("net", "inside"))
    assert len(needs(value, network("net"), network("inside", Internal=True)).required) == 2


def test_a_routed_family_is_called_so_and_not_a_random_port() -> None:
    routed = network("net", options={"gateway_mode_ipv4": "routed"})
    running = answer(
        ("80/tcp", "", "8090"),
        networks=["net"],
        bound=(("80/tcp", "0.0.0.0", ""), ("80/tcp", "::", "8090")),
    )
    for value in (running, looping(("80/tcp", "", "8090"))):
        found = needs(value, routed)
        assert ports(found) == {("8090/tcp", "::", None)}
        (reason,) = found.unopened
        assert (reason.ports, reason.code) == ("80", "unsupported-network")
        assert "routes IPv4" in reason.reason


def test_a_network_that_is_not_listed_opens_nothing_in_a_crash_loop() -> None:
    found = needs(looping(("80/tcp", "", "8080")))
    assert codes(found) == {("8080", "unsupported-network")}


def test_a_network_that_makes_no_sense_is_not_known_and_the_others_are() -> None:
    strange = network("net", options={"host_binding_ipv4": "everywhere"})
    known, problems = networks_of([strange, network("other")])
    assert set(known) == {"other"}
    assert len(problems) == 1
    with pytest.raises(Unexpected):
        networks_of({})


@pytest.mark.parametrize(
    ("mode", "networks", "kind"),
    [
        ("host", [network("host", "host")], "host"),
        ("container:abc", [], "container"),
        ("none", [network("none", "null")], "none"),
        ("lan", [network("lan", "macvlan")], "macvlan"),
        ("lan", [network("lan", "ipvlan")], "ipvlan"),
        ("inside", [network("inside", Internal=True)], "internal"),
        (
            "net",
            [network("net", options={f"gateway_mode_ipv{v}": "routed" for v in (4, 6)})],
            "routed",
        ),
    ],
)
def test_what_cannot_be_known_is_named(
    mode: str, networks: list[dict[str, Any]], kind: str
) -> None:
    value = answer(
        ("80/tcp", "", "8080"), bound=(), mode=mode, networks=[n["Name"] for n in networks]
    )
    found = needs(value, *networks)
    assert found.required == ()
    assert found.unpublished is not None
    assert (found.unpublished.network, found.unpublished.origin.container) == (kind, "app")


def test_what_an_image_exposes_is_a_hint_at_what_listens() -> None:
    value = answer(bound=(), mode="host")
    value["Config"]["ExposedPorts"] = {"9100/tcp": {}, "junk": {}, "53/udp": {}}
    found = needs(value)
    assert found.unpublished is not None
    assert found.unpublished.exposed == ("53/udp", "9100/tcp")


def test_a_list_of_its_own_makes_a_host_network_container_known() -> None:
    value = answer(bound=(), mode="host", labels={"cloudsync.ports": "9100"})
    assert needs(value).unpublished is None


def test_a_container_that_publishes_is_not_among_them() -> None:
    assert needs(answer(("80/tcp", "", "8080")), network("bridge")).unpublished is None


ROOT = EngineKind(podman=True, version="5.4.2")
ROOTLESS = EngineKind(podman=True, rootless=True, version="5.8.6")
IPV4_ONLY, IPV6_ONLY = ("10.88.0.0/16",), ("fd00:c5::/64",)


def bound_by(
    kind: EngineKind, *command: str, address: str, subnets: tuple[str, ...], **more: object
) -> set[str]:
    """Where a port that Podman shows at `address` is required, on a network with these subnets."""
    entry = {"Id": "n", "Name": "n", "Driver": "bridge", "EnableIPv4": False, **more}
    entry["IPAM"] = {"Config": [{"Subnet": subnet} for subnet in subnets]}
    known, _ = networks_of([entry], kind.carrying)
    value = answer(("80/tcp", address, "8080"), bound=(("80/tcp", address, "8080"),))
    value["NetworkSettings"]["Networks"] = {"n": {"NetworkID": "n"}}
    libpod = {"Config": {"CreateCommand": ["podman", "run", *command]}}
    container = as_commanded(container_of(value), libpod)
    return {where for _, where, _ in ports(needs_of("h", container, known, {}, SCOPE))}


@pytest.mark.parametrize("address", ["", "0.0.0.0"])
def test_rootless_podman_listens_in_both_families_on_any_network(address: str) -> None:
    """pasta and rootlessport listen on every address, whatever `podman ps` shows (4.3 to 6.1)."""
    words = ("-p", "8080:80")
    for subnets in (IPV4_ONLY, IPV6_ONLY):
        for more in ({}, {"Internal": True}, {"Driver": "macvlan"}):
            where = bound_by(ROOTLESS, *words, address=address, subnets=subnets, **more)
            assert where == {"0.0.0.0", "::"}


def test_rootless_podman_listens_on_the_address_that_was_named() -> None:
    for address in ("0.0.0.0", "198.51.100.10"):
        words = ("-p", f"{address}:8080:80")
        assert bound_by(ROOTLESS, *words, address=address, subnets=IPV4_ONLY) == {address}


@pytest.mark.parametrize("address", ["", "0.0.0.0"])
def test_podman_as_root_listens_in_the_families_of_the_network(address: str) -> None:
    """4.3 leaves the address out of its answers, 5.4 and up fill in 0.0.0.0."""
    words = ("-p", "8080:80")
    assert bound_by(ROOT, *words, address=address, subnets=IPV4_ONLY) == {"0.0.0.0"}
    both = bound_by(ROOT, *words, address=address, subnets=IPV4_ONLY + IPV6_ONLY)
    assert both == {"0.0.0.0", "::"}
    assert bound_by(ROOT, *words, address=address, subnets=IPV6_ONLY) == {"::"}
    assert bound_by(ROOT, *words, address=address, subnets=IPV4_ONLY, Internal=True) == set()


def test_podman_as_root_is_taken_at_its_word_for_an_address_that_was_named() -> None:
    words = ("-p", "0.0.0.0:8080:80")
    subnets = IPV4_ONLY + IPV6_ONLY
    assert bound_by(ROOT, *words, address="0.0.0.0", subnets=subnets) == {"0.0.0.0"}


@pytest.mark.parametrize(
    ("version", "where"),
    [("20.10.24", {"0.0.0.0", "::"}), ("26.1.5", {"0.0.0.0", "::"}), ("28.5.2", {"::"})],
)
def test_docker_before_27_does_not_heed_a_gateway_mode(version: str, where: set[str]) -> None:
    entry = network("n", options={"gateway_mode_ipv4": "routed"})
    known, _ = networks_of([entry], EngineKind(version=version).carrying)
    value = answer(
        ("80/tcp", "", "8080"), bound=(("80/tcp", "0.0.0.0", "8080"), ("80/tcp", "::", "8080"))
    )
    value["NetworkSettings"]["Networks"] = {"n": {"NetworkID": entry["Id"]}}
    needed = needs_of("h", container_of(value), known, {}, SCOPE)
    assert {address for _, address, _ in ports(needed)} == where


@pytest.mark.parametrize(
    ("status", "own", "policy", "needed"),
    [
        ("exited", "stopped", "always", True),
        ("exited", "running", "on-failure", True),
        ("exited", "exited", "always", False),
        ("exited", "stopped", "no", False),
        ("exited", "nonsense", "always", False),
        ("exited", "stopped", "on-failure", True),
        ("exited", "stopped", "unless-stopped", True),
        ("stopped", "stopped", "unless-stopped", True),
        ("stopped", "stopped", "on-failure", True),
        ("stopped", "stopped", "always", True),
        ("stopped", "stopped", "no", False),
    ],
)
def test_podmans_own_state_tells_a_crash_loop_from_an_end(
    status: str, own: str, policy: str, needed: bool
) -> None:
    value = answer(("80/tcp", "", "8080"))
    value["State"] = {"Status": status}
    value["HostConfig"]["RestartPolicy"] = {"Name": policy}
    if may_restart(value):
        value = with_own_state(value, {"State": {"Status": own}})
    assert counts(container_of(value)) is needed


@pytest.mark.parametrize("own", [None, [], {}, {"State": None}, {"State": {"Status": 7}}])
def test_an_own_answer_that_makes_no_sense_changes_nothing(own: object) -> None:
    value = answer(("80/tcp", "", "8080"))
    assert with_own_state(value, own) == value


@pytest.mark.parametrize(
    ("kind", "reached"),
    [
        (EngineKind(version="20.10.24+dfsg1"), True),
        (EngineKind(version="26.1.5"), True),
        (EngineKind(version="28.5.2"), False),
        (EngineKind(version="29.7.2"), False),
        (EngineKind(podman=True, version="5.8.6"), True),
        (EngineKind(podman=True, rootless=True, version="5.8.6"), False),
        (EngineKind(version="dev"), False),
    ],
)
def test_which_engines_let_neighbours_past_a_loopback_publish(
    kind: EngineKind, reached: bool
) -> None:
    assert kind.neighbours is reached
