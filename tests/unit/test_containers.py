"""From the engine's answers to required ports: states, networks, addresses, labels and where they
come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cloudsync.model.ports import LabelScope
from cloudsync.rules.networks import NetworkSet
from cloudsync.sources.docker.answers import Unexpected
from cloudsync.sources.docker.containers import container_of, counts
from cloudsync.sources.docker.needs import Needs, needs_of
from cloudsync.sources.docker.networks import Network, network_of

SCOPE = LabelScope({"office": NetworkSet.of(["203.0.113.0/24"])}, frozenset({"web"}))
NETWORKS = {
    name: Network(name, name, publishes)
    for name, publishes in (
        ("bridge", True),
        ("inside", False),
        ("lan", False),
        ("host", False),
        ("none", False),
    )
}
BOTH = ("0.0.0.0", "::")


def answer(
    *published: tuple[str, str, str],
    bound: tuple[tuple[str, str, str], ...] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An inspect answer. `published`: (`80/tcp`, address, host port) as asked for; bound to the
    same unless told."""
    labels, state, mode = (
        more.get("labels", {}),
        more.get("state", "running"),
        more.get("mode", "bridge"),
    )
    networks = more.get("networks", ["bridge"] if mode == "bridge" else [mode])

    def table(rows: tuple[tuple[str, str, str], ...]) -> dict[str, list[dict[str, str]]]:
        found: dict[str, list[dict[str, str]]] = {}
        for name, address, port in rows:
            found.setdefault(name, []).append({"HostIp": address, "HostPort": port})
        return found

    running = state in ("running", "paused")
    if bound is None:
        bound = tuple(
            (name, ip, port)
            for name, address, port in published
            for ip in ((address,) if address else BOTH)
        )
    return {
        "Id": "c" * 64,
        "Name": "/app",
        "Image": "sha256:1",
        "State": {"Status": state},
        "Config": {"Labels": labels, "Env": ["PASSWORD=hunter2"]},
        "HostConfig": {"NetworkMode": mode, "PortBindings": table(published)},
        "NetworkSettings": {
            "Ports": table(bound) if running else {},
            "Networks": {name: {"NetworkID": name} for name in networks},
        },
    }


def needs(value: dict[str, Any], image: dict[str, str] | None = None) -> Needs:
    container = container_of(value)
    return (
        needs_of("web-1", container, NETWORKS, {} if image is None else image, SCOPE)
        if counts(container)
        else Needs()
    )


def ports(found: Needs) -> set[tuple[str, str, str | None]]:
    return {
        (
            f"{p.first}-{p.last}/{p.protocol}" if p.last > p.first else f"{p.first}/{p.protocol}",
            str(p.address),
            p.origin.label,
        )
        for p in found.required
    }


def codes(found: Needs) -> set[tuple[str, str]]:
    return {(one.ports, one.code) for one in found.unopened}


def test_a_published_port_is_required_on_every_address_it_is_bound_to() -> None:
    assert ports(needs(answer(("80/tcp", "", "8080")))) == {
        ("8080/tcp", "0.0.0.0", None),
        ("8080/tcp", "::", None),
    }


def test_the_container_port_behind_is_known() -> None:
    assert {port.container_first for port in needs(answer(("80/tcp", "", "8080"))).required} == {80}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_never_required(address: str) -> None:
    found = needs(answer(("80/tcp", address, "8080")))
    assert (found.required, found.unopened) == ((), ())
    assert [port.first for port in found.local] == [8080]


def test_a_mapped_address_is_the_ipv4_address_it_stands_for() -> None:
    assert ports(needs(answer(("80/tcp", "::ffff:198.51.100.10", "8080")))) == {
        ("8080/tcp", "198.51.100.10", None)
    }


@pytest.mark.parametrize("state", ["created", "exited", "dead", "removing"])
def test_a_container_that_does_not_run_needs_nothing(state: str) -> None:
    assert needs(answer(("80/tcp", "", "8080"), state=state)) == Needs()


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_running_paused_and_restarting_containers_keep_their_ports(state: str) -> None:
    assert len(needs(answer(("80/tcp", "", "8080"), state=state)).required) == 2


def test_a_container_that_compose_recreates_keeps_its_ports() -> None:
    value = answer(
        ("80/tcp", "", "8080"), state="created", labels={"com.docker.compose.replace": "abc"}
    )
    assert len(needs(value).required) == 2


def test_a_one_off_container_is_left_out() -> None:
    assert (
        needs(answer(("80/tcp", "", "8080"), labels={"com.docker.compose.oneoff": "True"}))
        == Needs()
    )


def test_a_port_the_engine_picked_is_refused_by_its_number() -> None:
    found = needs(
        answer(
            ("80/tcp", "", ""), bound=(("80/tcp", "0.0.0.0", "49153"), ("80/tcp", "::", "49153"))
        )
    )
    assert found.required == ()
    assert codes(found) == {("49153", "random-port")}


def test_publish_all_is_refused() -> None:
    found = needs(answer(bound=(("80/tcp", "0.0.0.0", "49153"),)))
    assert codes(found) == {("49153", "random-port")}


def test_one_of_a_range_is_refused() -> None:
    assert codes(
        needs(answer(("80/tcp", "", "7000-7005"), bound=(("80/tcp", "0.0.0.0", "7003"),)))
    ) == {("7003", "random-port")}


def test_consecutive_ports_become_a_range() -> None:
    rows = tuple((f"{n}/udp", "", str(n)) for n in (9002, 9000, 9001, 9005))
    assert {text for text, _, _ in ports(needs(answer(*rows)))} == {"9000-9002/udp", "9005/udp"}


def test_consecutive_host_ports_of_unrelated_container_ports_stay_apart() -> None:
    assert (
        len(needs(answer(("80/tcp", "0.0.0.0", "9000"), ("443/tcp", "0.0.0.0", "9001"))).required)
        == 2
    )


@pytest.mark.parametrize(
    ("mode", "networks"),
    [("none", ["none"]), ("container:abc", []), ("inside", ["inside"]), ("lan", ["lan"])],
)
@pytest.mark.parametrize("state", ["running", "restarting"])
def test_networks_that_do_not_publish_need_nothing(
    mode: str, networks: list[str], state: str
) -> None:
    assert (
        needs(
            answer(("80/tcp", "", "8080"), bound=(), mode=mode, networks=networks, state=state)
        ).required
        == ()
    )


def test_a_label_that_asks_on_such_a_network_is_refused_by_name() -> None:
    found = needs(
        answer(
            ("80/tcp", "", "8080"),
            bound=(),
            mode="inside",
            networks=["inside"],
            labels={"cloudsync.ports": "8080"},
        )
    )
    assert codes(found) == {("8080", "unsupported-network")}


def test_an_internal_network_beside_a_normal_one_publishes() -> None:
    assert (
        len(
            needs(
                answer(("80/tcp", "", "8080"), mode="inside", networks=["inside", "bridge"])
            ).required
        )
        == 2
    )


def test_a_host_network_container_needs_nothing_by_itself() -> None:
    found = needs(answer(("80/tcp", "", "8080"), bound=(), mode="host"))
    assert (found.required, found.unopened, found.malformed) == ((), (), ())


def test_a_host_network_container_needs_what_its_label_lists() -> None:
    found = needs(
        answer(
            bound=(),
            mode="host",
            labels={"cloudsync.ports": "443,8000-8002/udp", "cloudsync.sources": "@office"},
        )
    )
    assert ports(found) == {
        ("443/tcp", "None", "cloudsync.ports"),
        ("8000-8002/udp", "None", "cloudsync.ports"),
    }
    assert {port.sources for port in found.required} == {SCOPE.networks["office"]}
    assert all(port.asked for port in found.required)


@pytest.mark.parametrize(
    ("options", "publishes"),
    [
        ({"Driver": "bridge"}, True),
        ({"Driver": "bridge", "Internal": True}, False),
        ({"Driver": "macvlan"}, False),
        ({"Driver": "ipvlan"}, False),
        ({"Driver": "host"}, False),
        ({"Driver": "bridge", "Options": None}, True),
        ({"Driver": "overlay"}, True),
        (
            {
                "Driver": "bridge",
                "Options": {
                    f"com.docker.network.bridge.gateway_mode_ipv{v}": "routed" for v in (4, 6)
                },
            },
            False,
        ),
    ],
)
def test_which_networks_publish(options: dict[str, Any], publishes: bool) -> None:
    assert network_of({"Id": "1", "Name": "n"} | options).publishes is publishes


# Labels


def test_expose_false_keeps_everything_closed_and_says_so() -> None:
    found = needs(
        answer(
            ("80/tcp", "", "8080"), labels={"cloudsync.expose": "false", "cloudsync.ports": "8080"}
        )
    )
    assert found.required == ()
    assert codes(found) == {("8080", "labelled-out")}


def test_ports_names_which_of_the_published_ones() -> None:
    found = needs(
        answer(
            ("80/tcp", "", "8080"), ("81/tcp", "", "8081"), labels={"cloudsync.ports": "8080,9999"}
        )
    )
    assert {text for text, _, _ in ports(found)} == {"8080/tcp"}
    assert codes(found) == {("8081", "labelled-out"), ("9999", "not-published")}


def test_a_label_for_a_loopback_port_is_refused_by_name() -> None:
    found = needs(answer(("80/tcp", "127.0.0.1", "8080"), labels={"cloudsync.ports": "8080"}))
    assert codes(found) == {("8080", "loopback")}


def test_sources_stay_within_the_published_family() -> None:
    found = needs(
        answer(
            ("80/tcp", "0.0.0.0", "8080"),
            labels={"cloudsync.sources": "203.0.113.0/24,2001:db8::/32"},
        )
    )
    assert [port.sources for port in found.required] == [NetworkSet.of(["203.0.113.0/24"])]
    assert codes(found) == {("8080", "no-address")}


def test_any_means_the_families_that_are_published() -> None:
    assert (
        needs(answer(("80/tcp", "0.0.0.0", "8080"), labels={"cloudsync.sources": "any"})).unopened
        == ()
    )


def test_the_most_specific_sources_win() -> None:
    labels = {
        "cloudsync.sources": "any",
        "cloudsync.port.8000-8009.sources": "10.0.0.0/8",
        "cloudsync.port.8005.sources": "@office",
    }
    rows = tuple((f"{n}/tcp", "0.0.0.0", str(n)) for n in (8004, 8005, 8010))
    found = {
        port.first: port.sources.cidrs() for port in needs(answer(*rows, labels=labels)).required
    }
    assert found == {8004: ("10.0.0.0/8",), 8005: ("203.0.113.0/24",), 8010: ("0.0.0.0/0",)}


def test_a_malformed_label_touches_the_whole_container_and_keeps_its_ports() -> None:
    found = needs(answer(("80/tcp", "", "8080"), labels={"cloudsync.exposed": "true"}))
    assert found.required == ()
    (bad,) = found.malformed
    assert "cloudsync.exposed" in bad.problem
    assert "cloudsync.expose" in bad.problem
    assert {port.first for port in bad.ports or ()} == {8080}


def test_nobody_knows_the_ports_of_a_malformed_host_network_container() -> None:
    (bad,) = needs(answer(bound=(), mode="host", labels={"cloudsync.ports": "all"})).malformed
    assert bad.ports is None


def test_the_origin_names_project_service_and_the_label_that_asked() -> None:
    labels = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "cloudsync.expose": "true",
    }
    (port, _) = needs(answer(("80/tcp", "", "8080"), labels=labels)).required
    assert (port.origin.project, port.origin.service, port.origin.container, port.origin.label) == (
        "shop",
        "web",
        "app",
        "cloudsync.expose",
    )
    assert port.asked


# Labels of the image


def test_an_image_cannot_ask_for_anything() -> None:
    labels = {"cloudsync.expose": "true", "cloudsync.ports": "8080"}
    found = needs(
        answer(("80/tcp", "", "8080"), ("81/tcp", "", "8081"), labels=labels), image=labels
    )
    assert {port.first for port in found.required} == {8080}
    assert not any(port.asked for port in found.required)
    assert any("labels of the image" in remark for remark in found.remarks)


def test_an_image_on_the_host_network_opens_nothing() -> None:
    labels = {"cloudsync.ports": "443", "cloudsync.expose": "true"}
    assert needs(answer(bound=(), mode="host", labels=labels), image=labels).required == ()


def test_an_image_can_narrow() -> None:
    closed = {"cloudsync.expose": "false"}
    assert needs(answer(("80/tcp", "", "8080"), labels=closed), image=closed).required == ()
    narrow = {"cloudsync.sources": "@office"}
    found = needs(answer(("80/tcp", "", "8080"), labels=narrow), image=narrow)
    assert [port.sources for port in found.required] == [SCOPE.networks["office"]]


def test_an_image_cannot_widen_what_the_container_says() -> None:
    labels = {"cloudsync.sources": "@office", "cloudsync.port.8080.sources": "any"}
    found = needs(
        answer(("80/tcp", "0.0.0.0", "8080"), labels=labels),
        image={"cloudsync.port.8080.sources": "any"},
    )
    assert [port.sources for port in found.required] == [SCOPE.networks["office"]]


def test_the_same_key_with_another_value_is_the_containers_own() -> None:
    found = needs(
        answer(("80/tcp", "", "8080"), labels={"cloudsync.expose": "true"}),
        image={"cloudsync.expose": "false"},
    )
    assert all(port.asked for port in found.required)


@pytest.mark.parametrize(
    ("label", "value", "families"),
    [
        ("cloudsync.sources", "any4", {6}),
        ("cloudsync.sources", "any6", {4}),
        ("cloudsync.sources", "203.0.113.0/24", {6}),
        ("cloudsync.port.8080.sources", "2001:db8::/48", {4}),
        ("cloudsync.sources", "any", set()),
    ],
)
def test_a_family_that_the_containers_own_label_leaves_out_is_shut_on_purpose(
    label: str, value: str, families: set[int]
) -> None:
    labels = {label: value}
    found = needs(answer(("80/tcp", "", "8080"), labels=labels))
    assert {port.address.version for port in found.shut if port.address} == families
    assert {port.address.version for port in found.required if port.address} == {4, 6} - families
    assert found.unopened == ()
    of_image = needs(answer(("80/tcp", "", "8080"), labels=labels), image=labels)
    assert of_image.shut == ()


def test_a_malformed_label_of_an_image_is_ignored_and_reported() -> None:
    labels = {"cloudsync.exposed": "yes"}
    found = needs(answer(("80/tcp", "", "8080"), labels=labels), image=labels)
    assert len(found.required) == 2
    assert found.malformed == ()
    assert any("ignored" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cloudsync.expose", "no"),
        ("cloudsync.expose", "False"),
        ("cloudsync.exposed", "false"),
        ("cloudsync.sources", "203.0.113.0/33"),
        ("cloudsync.port.8080.source", "203.0.113.0/24"),
    ],
)
def test_an_image_that_repeats_a_malformed_label_of_the_user_does_not_lift_its_hold(
    key: str, value: str
) -> None:
    row = ("80/tcp", "", "8080")
    by_user = needs(answer(row, labels={key: value}))
    repeated = needs(answer(row, labels={key: value}), image={key: value})
    for found in (by_user, repeated):
        assert found.required == ()
        (bad,) = found.malformed
        assert {port.first for port in bad.ports or ()} == {8080}
    assert "its image has too" in repeated.malformed[0].problem


def test_a_malformed_label_of_an_image_holds_nothing_that_the_user_closes() -> None:
    labels = {"cloudsync.sources": "nonsense", "cloudsync.expose": "false"}
    found = needs(
        answer(("80/tcp", "", "8080"), labels=labels), image={"cloudsync.sources": "nonsense"}
    )
    assert (found.required, found.malformed) == ((), ())
    assert codes(found) == {("8080", "labelled-out")}


def test_labels_are_untrusted_when_the_image_cannot_be_inspected() -> None:
    container = container_of(answer(("80/tcp", "", "8080"), labels={"cloudsync.expose": "true"}))
    assert not any(
        port.asked for port in needs_of("web-1", container, NETWORKS, None, SCOPE).required
    )


def test_a_description_of_an_image_is_not_taken() -> None:
    labels = {"cloudsync.description": "from the image"}
    assert {
        port.description
        for port in needs(answer(("80/tcp", "", "8080"), labels=labels), image=labels).required
    } == {None}


# What an engine may answer


def test_the_environment_is_never_kept() -> None:
    assert "hunter2" not in repr(container_of(answer(("80/tcp", "", "8080"))))


def test_nulls_are_tolerated() -> None:
    value = answer()
    value["Config"]["Labels"] = None
    value["HostConfig"]["PortBindings"] = None
    value["NetworkSettings"]["Ports"] = {"80/tcp": None}
    value["NetworkSettings"]["Networks"] = None
    assert needs(value) == Needs()


@settings(suppress_health_check=[HealthCheck.too_slow])  # of the machine, not of the code
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    ),
    st.data(),
)
def test_no_answer_makes_anything_but_unexpected(value: Any, data: st.DataObject) -> None:
    whole = answer(("80/tcp", "", "8080"), labels={"cloudsync.ports": "8080"})
    key = data.draw(
        st.sampled_from(["Config", "HostConfig", "NetworkSettings", "State", "Name", "Image", "Id"])
    )
    whole[key] = value
    try:
        container = container_of(whole)
    except Unexpected:
        return
    needs_of("web-1", container, NETWORKS, {}, SCOPE)


LABELS = st.fixed_dictionaries(
    {},
    optional={
        "cloudsync.expose": st.sampled_from(["true", "false"]),
        "cloudsync.ports": st.sampled_from(["80-84", "81,83-86", "80-86,82/udp"]),
        "cloudsync.sources": st.sampled_from(["any4", "@office", "198.51.100.0/24,2001:db8::/32"]),
        "cloudsync.port.82.sources": st.sampled_from(["any", "198.51.100.7"]),
        "cloudsync.port.83-85.sources": st.sampled_from(["@office", "any6"]),
        "cloudsync.firewall": st.sampled_from(["web", "none"]),
    },
)


@given(
    LABELS,
    LABELS,
    st.sets(
        st.tuples(
            st.integers(80, 86),
            st.sampled_from(["", "0.0.0.0", "192.0.2.5"]),
            st.sampled_from(["tcp", "udp"]),
        ),
        max_size=12,
    ),
    st.sampled_from([0, 1000]),
)
@example({"cloudsync.port.82.sources": "198.51.100.7"}, {}, {(n, "", "tcp") for n in (81, 82)}, 0)
@example({}, {"cloudsync.port.82.sources": "any6"}, {(n, "", "tcp") for n in range(80, 85)}, 0)
@example({}, {"cloudsync.ports": "81,83-86"}, {(n, "", "tcp") for n in range(80, 85)}, 1000)
def test_ports_that_are_judged_as_a_range_are_judged_like_each_of_them(
    own: dict[str, str], image: dict[str, str], ports: set[tuple[int, str, str]], offset: int
) -> None:
    def judged(*published: tuple[int, str, str]) -> set[tuple[object, ...]]:
        rows = [(f"{n + offset}/{protocol}", where, str(n)) for n, where, protocol in published]
        found = needs(answer(*rows, labels={**image, **own}), image)
        return {
            (kind, replace(port, first=n, last=n, container_first=behind + n - port.first))
            for kind in ("required", "narrowed", "shut")
            for port in getattr(found, kind)
            for n in range(port.first, port.last + 1)
            if (behind := port.container_first) is not None
        }

    assert judged(*sorted(ports)) == {one for port in ports for one in judged(port)}


def test_the_gateway_of_a_docker_network_is_reached_by_containers_only() -> None:
    """Where a private address of the machine is mapped to a public one (AWS, GCP), the gateway's is
    not."""
    bridge = network_of(
        {
            "Id": "b",
            "Name": "b",
            "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]},
        }
    )
    lan = network_of(
        {
            "Id": "l",
            "Name": "l",
            "Driver": "macvlan",
            "IPAM": {"Config": [{"Subnet": "10.0.0.0/24"}]},
        }
    )
    container = container_of(
        answer(("80/tcp", "172.17.0.1", "8080"), ("81/tcp", "10.0.0.5", "8081"))
    )
    found = needs_of("web-1", container, {**NETWORKS, "b": bridge, "l": lan}, {}, SCOPE)
    assert ports(found) == {("8081/tcp", "10.0.0.5", None)}
    assert codes(found) == {("8080", "private-address")}


# Labels that are void by their position


def test_sources_of_the_port_inside_the_container_never_end_in_an_opening() -> None:
    """`cloudsync.port.80.sources` with `-p 8080:80` narrows nothing: held, not opened to anyone."""
    found = needs(
        answer(("80/tcp", "", "8080"), labels={"cloudsync.port.80.sources": "203.0.113.0/24"})
    )
    assert found.required == ()
    (bad,) = found.malformed
    assert "8080" in bad.problem
    assert {port.first for port in bad.ports or ()} == {8080}


def test_sources_of_a_port_that_is_published_elsewhere_too_are_what_they_say() -> None:
    rows = (("80/tcp", "0.0.0.0", "8080"), ("443/tcp", "0.0.0.0", "80"))
    found = needs(answer(*rows, labels={"cloudsync.port.80.sources": "203.0.113.0/24"}))
    assert found.malformed == ()
    assert {p.first: p.sources.cidrs() for p in found.required} == {
        8080: ("0.0.0.0/0",),
        80: ("203.0.113.0/24",),
    }


@pytest.mark.parametrize("networks", [["made-just-now"], ["inside", "made-just-now"]])
def test_law1_a_container_on_a_network_that_was_not_listed_keeps_its_ports(
    networks: list[str],
) -> None:
    """It was made after the engine listed its networks: its ports are required, and nothing of them
    vanishes."""
    found = needs(answer(("80/tcp", "", "8080"), networks=networks))
    assert {port.first for port in found.required} == {8080}
    assert found.unpublished is None


# What an image cannot hide


def test_an_image_that_calls_its_containers_one_off_hides_nothing() -> None:
    labels = {"com.docker.compose.oneoff": "True"}
    container = container_of(answer(("80/tcp", "", "8080"), labels=labels))
    assert counts(container, labels)
    found = needs_of("web-1", container, NETWORKS, labels, SCOPE)
    assert found.required == ()
    assert codes(found) == {("8080", "labelled-out")}
    assert not counts(container, {})
    assert not counts(container, None), "nothing is opened while it is not known"


def test_an_image_that_says_it_replaces_a_container_is_not_believed() -> None:
    labels = {"com.docker.compose.replace": "x"}
    container = container_of(answer(("80/tcp", "", "8080"), labels=labels, state="created"))
    assert not counts(container, labels)
    assert counts(container, {})
    assert not counts(container, None)


@pytest.mark.parametrize(
    "labels",
    [
        {"cloudsync.sources": "any6"},
        {"cloudsync.expose": "false"},
        {"cloudsync.ports": "9999"},
        {"cloudsync.port.8080.sources": "2001:db8::/32"},
    ],
)
def test_what_an_image_keeps_closed_is_listed(labels: dict[str, str]) -> None:
    found = needs(answer(("80/tcp", "0.0.0.0", "8080"), labels=labels), image=labels)
    assert found.required == ()
    assert [(one.ports, one.by_image) for one in found.unopened] == [("8080", True)]


def test_what_an_image_takes_away_is_still_asked_for() -> None:
    labels = {"cloudsync.sources": "198.51.100.7/32"}
    found = needs(answer(("80/tcp", "0.0.0.0", "5432"), labels=labels), image=labels)
    asked = NetworkSet.union(port.sources for port in (*found.required, *found.narrowed))
    assert asked.cidrs() == ("0.0.0.0/0",)
    assert found.required[0].sources.cidrs() == ("198.51.100.7/32",)


def test_an_image_that_names_a_firewall_takes_the_port_away_from_the_others() -> None:
    scope = LabelScope({}, frozenset({"web", "other"}))
    labels = {"cloudsync.firewall": "web"}
    container = container_of(answer(("80/tcp", "0.0.0.0", "8080"), labels=labels))
    found = needs_of("web-1", container, NETWORKS, labels, scope)
    assert [port.firewalls for port in found.required] == [{"web"}]
    assert [port.firewalls for port in found.narrowed] == [{"other"}]


# Bounds on strangers' labels


def test_more_labels_than_anybody_writes_are_malformed() -> None:
    labels = {f"cloudsync.port.{number}.sources": "any" for number in range(1, 2000)}
    assert len(needs(answer(("80/tcp", "", "8080"), labels=labels)).malformed) == 1


def test_more_labels_of_an_image_than_anybody_writes_keep_it_closed() -> None:
    labels = {f"cloudsync.port.{number}.sources": "any" for number in range(1, 60000)}
    found = needs(answer(("80/tcp", "", "8080"), labels=labels), image=labels)
    assert found.required == ()
    assert len(found.remarks) == 1


def test_an_image_that_repeats_the_users_label_does_not_override_it_with_another() -> None:
    """Repeated, the user's label counts as the image's; the image's own is more specific."""
    image = {"cloudsync.sources": "@office", "cloudsync.port.8000-8100.sources": "any"}
    labels = {**image, "cloudsync.sources": "@office"}
    found = needs(answer(("80/tcp", "0.0.0.0", "8080"), labels=labels), image=image)
    assert [port.sources for port in found.required] == [SCOPE.networks["office"]]


def test_sources_of_an_image_that_overlap_all_narrow() -> None:
    labels = {
        "cloudsync.port.8000-8080.sources": "@office",
        "cloudsync.port.8080-8090.sources": "any",
    }
    found = needs(answer(("80/tcp", "0.0.0.0", "8080"), labels=labels), image=labels)
    assert [port.sources for port in found.required] == [SCOPE.networks["office"]]


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_a_list_that_repeats_itself_is_the_list(mode: str) -> None:
    """`1-65535` four hundred times over took half an hour."""
    labels = {"cloudsync.ports": ",".join(["1-65535"] * 400)}
    published = (("80/tcp", "", "8080"),) if mode == "bridge" else ()
    found = needs(answer(*published, mode=mode, labels=labels))
    assert {(p.first, p.last) for p in found.required} == (
        {(8080, 8080)} if mode == "bridge" else {(1, 65535)}
    )


def test_nested_ranges_are_looked_up_and_not_gone_through() -> None:
    labels = {f"cloudsync.port.{n}-{40000 - n}.sources": f"10.{n}.0.0/16" for n in range(1, 250)}
    rows = tuple((f"{n}/tcp", "0.0.0.0", str(n)) for n in range(1, 40000, 500))
    found = needs(answer(*rows, labels=labels))
    sources = {p.first: p.sources.cidrs() for p in found.required}
    assert sources[1] == ("10.1.0.0/16",)
    assert sources[20001] == ("10.249.0.0/16",)
    assert sources[39501] == ("10.249.0.0/16",)
