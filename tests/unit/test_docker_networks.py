"""What an engine makes of an address that is left out, wherever asked ports stand for bound ones,
and containers whose ports cannot be known because of their network."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.sources.docker.answers import Unexpected
from cloudsync.sources.docker.containers import container_of
from cloudsync.sources.docker.needs import Needs, needs_of
from cloudsync.sources.docker.networks import networks_of
from cloudsync.sources.docker.podman import EngineKind, as_commanded
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


def rootless(*command: str, address: str) -> set[str]:
    kind = EngineKind(podman=True, rootless=True, version="5.8.6")
    value = answer(("80/tcp", address, "8080"), bound=(("80/tcp", address, "8080"),))
    container = container_of(value, left_out=kind.left_out)
    libpod = {"Config": {"CreateCommand": ["podman", "run", *command]}}
    known = needs_of("h", as_commanded(container, libpod, rootless=True), {}, {}, SCOPE)
    return {address for _, address, _ in ports(known)}


def test_rootless_podman_listens_in_both_families() -> None:
    """pasta and rootlessport listen on every address, whatever `podman ps` shows (5.8.6, 6.1.1)."""
    assert rootless("-p", "8080:80", address="") == {"0.0.0.0", "::"}
    assert rootless("-p", "8080:80", address="0.0.0.0") == {"0.0.0.0", "::"}


def test_rootless_podman_listens_on_the_address_that_was_named() -> None:
    assert rootless("-p", "0.0.0.0:8080:80", address="0.0.0.0") == {"0.0.0.0"}
    assert rootless("-p", "198.51.100.10:8080:80", address="198.51.100.10") == {"198.51.100.10"}


def test_podman_as_root_listens_on_ipv4() -> None:
    assert EngineKind(podman=True, version="5.4.2").left_out is not None


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
