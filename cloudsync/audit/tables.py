"""Images and ports that mean something."""

from __future__ import annotations

import re

from cloudsync.model.machine_facts import Mount, Publish, Workload
from cloudsync.planning.sensitive_ports import SENSITIVE

PROXIES = ("traefik", "nginx", "nginx-proxy", "caddy", "haproxy", "envoy", "nginx-proxy-manager")
ADMIN_IMAGES = (
    "portainer", "phpmyadmin", "phppgadmin", "adminer", "grafana", "prometheus", "jupyter",
    "jupyterhub", "jupyterlab", "base-notebook", "minimal-notebook", "scipy-notebook",
    "datascience-notebook", "tensorflow-notebook", "pytorch-notebook", "pyspark-notebook",
    "registry", "kibana", "pgadmin4", "pgweb", "cloudbeaver", "redis-commander", "redisinsight",
    "mongo-express", "rabbitmq-management", "dozzle", "dockge", "netdata", "uptime-kuma", "vault",
    "consul", "minio", "cockpit", "webmin", "nginx-proxy-manager", "alertmanager", "cadvisor",
    "kafka-ui", "akhq", "kafdrop", "flower", "mailhog", "mailpit", "code-server", "jenkins",
    "node-red", "ollama", "wg-easy", "pihole", "adguardhome",
)  # fmt: skip
_ADMIN_PORTS = {
    "minio": (9001,), "nginx-proxy-manager": (81,), "wg-easy": (51821,), "pihole": (80, 443),
    "adguardhome": (80, 443, 3000), "mailhog": (8025,), "mailpit": (8025,),
}  # fmt: skip
"""The container ports of an image whose other ports are there for everybody."""
_CONSOLE = re.compile(r"--console-address[= ]\S*?:(\d{1,5})\b")
"""MinIO's own choice of its port."""
_INTERFACES = {"kibana": 5601}
"""Admin images whose own port is among the sensitive ones, though no data is behind it but that of
another container."""
NOT_HTTP = frozenset((21, 22, 25, 53, 110, 143, 465, 587, 853, 993, 995, 1883, 3478, 5222, 8883))
"""Container ports that no reverse proxy routes requests to."""
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
    "docker-proxy",
    "rootlesskit",
    "rootlessport",
    "pasta",
    "passt",
    "slirp4netns",
    "conmon",
    "dockerd",
    "podman",
)
"""Beginnings of processes that listen for containers."""
SOCKETS = ("docker.sock", "podman.sock")
SOCKET_DIRECTORIES = ("/", "/run", "/var/run", "/run/podman", "/var/run/podman", "/run/user")
_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|_PASS$|SECRET|TOKEN|CREDENTIAL"
    r"|(?:API|ACCESS|PRIVATE|AUTH|APP|ENCRYPTION|SIGNING|MASTER)_?KEY",
    re.IGNORECASE,
)
_ABOUT_SECRETS = re.compile(
    r"(?:^|_)(?:ALLOW|DISABLE|ENABLE|REQUIRE|RANDOM)_|_(?:FILE|LENGTH|EXPIRY|EXPIRES(?:_IN)?|EXPIRE"
    r"|EXPIRATION|TTL|LIFETIME|TIMEOUT|DURATION|AGE|ENABLED|DISABLED|REQUIRED|ALGORITHM|POLICY"
    r"|HEADER|NAME|URL|URI|ENDPOINT|PATH|DIR|ISSUER|AUDIENCE|ID|TYPE)$",
    re.IGNORECASE,
)
"""Settings about a secret, which are none: `TOKEN_TTL`, `ALLOW_EMPTY_PASSWORD`."""
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


def is_admin_port(workload: Workload, publish: Publish) -> bool:
    """Whether it is a port of an admin interface."""
    if publish.protocol != "tcp" or not is_image(workload, ADMIN_IMAGES):
        return False
    chosen = _CONSOLE.search(" ".join(workload.command))
    if chosen and is_image(workload, ("minio",)):
        return publish.container_port == int(chosen[1])
    ports = next((p for name, p in _ADMIN_PORTS.items() if is_image(workload, (name,))), ())
    return not ports or publish.container_port in ports


def is_interface(workload: Workload, publish: Publish) -> bool:
    """Whether a sensitive port is an admin interface of the image, and no data of its own."""
    return any(
        is_image(workload, (image,)) and publish.container_port == port
        for image, port in _INTERFACES.items()
    )


def is_secret(variable: str) -> bool:
    """Whether a variable of that name holds a password, a token or a key itself."""
    return bool(_SECRET_NAME.search(variable)) and not _ABOUT_SECRETS.search(variable)


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
    # The value of VIRTUAL_PORT is never kept.
    return "VIRTUAL_HOST" if "VIRTUAL_HOST" in workload.environment else None
