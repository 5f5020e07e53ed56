"""Images and ports that mean something."""

from __future__ import annotations

import re

from cloudsync.model.machine_facts import Mount, Publish, Workload
from cloudsync.planning.sensitive_ports import SENSITIVE

PROXIES = ("traefik", "nginx", "nginx-proxy", "caddy", "haproxy", "envoy", "nginx-proxy-manager")
ADMIN_IMAGES = (
    "portainer",
    "phpmyadmin",
    "adminer",
    "grafana",
    "prometheus",
    "jupyter",
    "registry",
    "kibana",
    "pgadmin4",
    "redis-commander",
    "mongo-express",
    "rabbitmq-management",
    "dozzle",
    "netdata",
    "uptime-kuma",
    "vault",
    "consul",
    "minio",
    "cockpit",
    "webmin",
    "nginx-proxy-manager",
    "alertmanager",
)
DATABASE_IMAGES = (
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "redis",
    "valkey",
    "memcached",
    "elasticsearch",
    "opensearch",
    "rabbitmq",
    "cassandra",
    "couchdb",
    "influxdb",
    "clickhouse-server",
    "mssql",
    "etcd",
    "kafka",
    "nats",
)
DEBUG_PORTS = frozenset((5005, 6060, 9100, 9229, 10250, 4000, 5678))
DEBUG_ARGUMENTS = re.compile(r"--inspect(-brk)?(=|$)|debugpy|-agentlib:jdwp|dlv\b")
ENGINES = (
    "docker-proxy", "rootlessport", "pasta", "passt", "slirp4netns", "conmon", "dockerd", "podman",
)  # fmt: skip
"""Beginnings of processes that listen for containers."""
SOCKETS = ("docker.sock", "podman.sock")
SOCKET_DIRECTORIES = ("/", "/run", "/var/run", "/run/podman", "/var/run/podman", "/run/user")
SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIAL", re.IGNORECASE
)
POWERS = frozenset(("NET_ADMIN", "SYS_ADMIN", "ALL"))
NETWORK_TOOLS = (
    "wireguard",
    "wg-easy",
    "openvpn",
    "tailscale",
    "headscale",
    "netbird",
    "zerotier",
    "strongswan",
    "gluetun",
    "pihole",
    "adguardhome",
    "keepalived",
    "frr",
)
TUNNELS = ("cloudflared", "ngrok", "tailscale", "frpc", "inlets", "zrok")


def is_image(workload: Workload, names: tuple[str, ...]) -> bool:
    """Whether the last word of the image's name is one of `names`: `grafana/grafana-oss` is
    `grafana`."""
    last = workload.image_name.rpartition("/")[2]
    return any(last == name or last.startswith(f"{name}-") for name in names)


def is_sensitive(publish: Publish) -> bool:
    """Whether the host port or the container port behind it is a database's or the like."""
    known = SENSITIVE.get(publish.protocol, frozenset())
    host = range(publish.first, publish.last + 1) if publish.first else range(0)
    return publish.container_port in known or any(port in known for port in host)


def socket_of(workload: Workload) -> Mount | None:
    """The mount of the engine's socket, or of a directory that has it; None without one. Read-only
    mounts count: connecting needs no writing."""
    for mount in workload.mounts:
        source = mount.source.rstrip("/") or "/"
        if source.rpartition("/")[2] in SOCKETS or source in SOCKET_DIRECTORIES:
            return mount
    return None


def is_routed_to(workload: Workload) -> str | None:
    """The label or variable by which a reverse proxy routes to it; None without one."""
    labels = workload.labels
    if labels.get("traefik.enable", "").lower() == "false":
        return None
    for key in labels:
        if key == "caddy" or key.startswith(("traefik.http.routers.", "caddy_")):
            return key
    return "VIRTUAL_HOST" if "VIRTUAL_HOST" in workload.environment else None
