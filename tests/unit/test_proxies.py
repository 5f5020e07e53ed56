"""Reverse proxies make remarks: their backends need nothing, and the ones that publish a port
besides are pointed out."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.model.ports import Origin, RequiredPort
from cloudsync.sources.docker.proxies import (
    Served,
    Trait,
    routed,
    routed_by_labels,
    traits_of,
)
from tests.world import required


def served(name: str, *traits: Trait, ports: tuple[str, ...] = (), host: bool = False) -> Served:
    published: tuple[RequiredPort, ...] = tuple(required(text, container=name) for text in ports)
    return Served(Origin("web-1", container=name), frozenset(traits), host, published)


@pytest.mark.parametrize(
    ("config", "arguments", "traits"),
    [
        ({"Image": "traefik:v3.1"}, [], {"is-traefik"}),
        ({"Image": "registry.example/infra/traefik@sha256:0"}, None, {"is-traefik"}),
        ({"Image": "traefik/whoami"}, [], set()),
        ({"Image": "my-traefik"}, ["--providers.docker=true"], {"is-traefik"}),
        ({"Image": "traefik"}, ["--entryPoints.websecure.http3"], {"is-traefik", "http3"}),
        ({"Image": "lucaslorentz/caddy-docker-proxy:ci-alpine"}, ["docker-proxy"], {"is-caddy"}),
        ({"Image": "caddy:2"}, ["run"], set()),
        ({"Image": "nginxproxy/nginx-proxy:1.6"}, [], {"is-nginx-proxy"}),
        ({"Image": "jwilder/nginx-proxy"}, [], {"is-nginx-proxy"}),
        (
            {"Image": "web", "Env": ["VIRTUAL_HOST=shop.example", "PASSWORD=hunter2"]},
            [],
            {"by-nginx-proxy"},
        ),
        ({"Image": "web", "Labels": {"traefik.enable": "true"}}, [], {"by-traefik"}),
        ({"Image": 1, "Env": 1, "Labels": 1}, 1, set()),
    ],
)
def test_what_a_containers_settings_say(
    config: dict[str, Any], arguments: Any, traits: set[str]
) -> None:
    assert traits_of(config, arguments) == traits


@pytest.mark.parametrize(
    ("labels", "traits"),
    [
        ({"traefik.http.routers.web.rule": "Host(`x`)"}, {"by-traefik"}),
        ({"traefik.tcp.routers.db.rule": "HostSNI(`*`)"}, {"by-traefik"}),
        ({"traefik.enable": "false", "traefik.http.routers.web.rule": "Host(`x`)"}, set()),
        ({"traefik.http.middlewares.auth.basicauth.users": "x"}, set()),
        ({"caddy": "shop.example", "caddy.reverse_proxy": "{{upstreams}}"}, {"by-caddy"}),
        ({"caddy_1": "shop.example"}, {"by-caddy"}),
        ({"caddyfile": "x"}, set()),
        (None, set()),
    ],
)
def test_labels_that_speak_to_a_proxy(labels: Any, traits: set[str]) -> None:
    assert routed_by_labels(labels) == traits


def test_a_backend_of_a_proxy_that_is_open_needs_nothing() -> None:
    behind, remarks = routed(
        [served("traefik", "is-traefik", ports=("80/tcp", "443/tcp")), served("shop", "by-traefik")]
    )
    assert [(one.origin.container, one.by, one.published) for one in behind] == [
        ("shop", "Traefik (traefik)", ())
    ]
    assert remarks == ("Traefik (traefik) serves shop: they need no port of their own",)


def test_a_backend_that_publishes_a_port_past_the_proxy_is_pointed_out() -> None:
    behind, remarks = routed(
        [
            served("p", "is-nginx-proxy", ports=("80/tcp",)),
            served("api", "by-nginx-proxy", ports=("8080/tcp", "9000-9001/udp")),
        ]
    )
    assert behind[0].published == ("8080/tcp", "9000-9001/udp")
    assert len(remarks) == 1
    assert "api publishes 8080/tcp, 9000-9001/udp although nginx-proxy (p) serves it" in remarks[0]


def test_a_proxy_on_the_host_network_is_one_too() -> None:
    behind, _ = routed([served("caddy", "is-caddy", host=True), served("shop", "by-caddy")])
    assert len(behind) == 1


def test_labels_alone_say_nothing_where_no_such_proxy_is_open() -> None:
    assert routed([served("shop", "by-traefik")]) == ((), ())
    assert routed(
        [served("traefik", "is-traefik", ports=("8080/tcp",)), served("shop", "by-traefik")]
    ) == ((), ())
    assert routed(
        [served("caddy", "is-caddy", ports=("443/tcp",)), served("shop", "by-traefik")]
    ) == ((), ())


def test_the_proxys_own_dashboard_is_not_its_backend() -> None:
    assert routed(
        [served("traefik", "is-traefik", "by-traefik", ports=("443/tcp", "8080/tcp"))]
    ) == ((), ())


def test_http3_needs_udp_443_only_where_it_is_published() -> None:
    without = [served("traefik", "is-traefik", "http3", ports=("443/tcp",))]
    assert routed(without)[1] == (
        "Traefik (traefik) speaks HTTP/3, but does not publish 443/udp: it stays closed",
    )
    assert routed([served("traefik", "is-traefik", "http3", ports=("443/tcp", "443/udp"))]) == (
        (),
        (),
    )
