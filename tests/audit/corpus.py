"""Compose files as people publish them, written for these tests: applications of self-hosters, put
together and spelled in the ways that are seen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

APPLICATIONS = {
    "nginx": ("nginx:1.27", ["80:80", "443:443"], ["./html:/usr/share/nginx/html:ro"], []),
    "caddy": (
        "caddy:2",
        ["80:80", "443:443", "443:443/udp"],
        ["./Caddyfile:/etc/caddy/Caddyfile"],
        [],
    ),
    "traefik": (
        "traefik:v3.1",
        ["80:80", "443:443", "8080:8080"],
        ["/var/run/docker.sock:/var/run/docker.sock:ro"],
        [],
    ),
    "postgres": (
        "postgres:16-alpine",
        ["5432:5432"],
        ["pg:/var/lib/postgresql/data"],
        ["POSTGRES_PASSWORD"],
    ),
    "mysql": ("mysql:8", ["127.0.0.1:3306:3306"], ["my:/var/lib/mysql"], ["MYSQL_ROOT_PASSWORD"]),
    "mariadb": (
        "lscr.io/linuxserver/mariadb",
        ["3306:3306"],
        ["./db:/config"],
        ["MYSQL_PASSWORD", "PUID"],
    ),
    "redis": ("redis:7", ["6379:6379"], [], []),
    "mongo": ("mongo:7", ["27017:27017"], ["mongo:/data/db"], ["MONGO_INITDB_ROOT_PASSWORD"]),
    "rabbitmq": (
        "rabbitmq:3-management",
        ["5672:5672", "15672:15672"],
        [],
        ["RABBITMQ_DEFAULT_PASS"],
    ),
    "elasticsearch": (
        "docker.elastic.co/elasticsearch/elasticsearch:8.15.0",
        ["9200:9200"],
        [],
        ["ELASTIC_PASSWORD"],
    ),
    "grafana": (
        "grafana/grafana-oss:11",
        ["3000:3000"],
        ["graf:/var/lib/grafana"],
        ["GF_SECURITY_ADMIN_PASSWORD"],
    ),
    "prometheus": (
        "prom/prometheus",
        ["9090:9090"],
        ["./prometheus.yml:/etc/prometheus/prometheus.yml"],
        [],
    ),
    "node-exporter": ("quay.io/prometheus/node-exporter", ["9100:9100"], ["/:/host:ro,rslave"], []),
    "portainer": (
        "portainer/portainer-ce",
        ["9443:9443", "8000:8000"],
        ["/var/run/docker.sock:/var/run/docker.sock"],
        [],
    ),
    "nextcloud": (
        "nextcloud:30",
        ["8080:80"],
        ["nc:/var/www/html"],
        ["MYSQL_PASSWORD", "NEXTCLOUD_TRUSTED_DOMAINS"],
    ),
    "vaultwarden": (
        "vaultwarden/server",
        ["8081:80", "3012:3012"],
        ["./vw:/data"],
        ["ADMIN_TOKEN"],
    ),
    "jellyfin": ("jellyfin/jellyfin", ["8096:8096", "7359:7359/udp"], ["/media:/media:ro"], []),
    "pihole": ("pihole/pihole", ["53:53/tcp", "53:53/udp", "8053:80"], [], ["WEBPASSWORD"]),
    "wireguard": ("linuxserver/wireguard", ["51820:51820/udp"], ["./wg:/config"], ["PEERS"]),
    "gitea": (
        "gitea/gitea:1",
        ["3001:3000", "2222:22"],
        ["git:/data"],
        ["GITEA__database__PASSWD"],
    ),
    "registry": ("registry:2", ["5000:5000"], ["reg:/var/lib/registry"], []),
    "minecraft": ("itzg/minecraft-server", ["25565:25565"], ["mc:/data"], ["EULA"]),
    "mosquitto": ("eclipse-mosquitto:2", ["1883:1883", "9001:9001"], [], []),
    "homeassistant": ("ghcr.io/home-assistant/home-assistant:stable", [], ["./ha:/config"], []),
    "mail": (
        "mailserver/docker-mailserver",
        ["25:25", "465:465", "993:993"],
        ["./mail:/var/mail"],
        [],
    ),
    "adminer": ("adminer", ["8082:8080"], [], []),
    "node": ("node:22", ["3002:3000", "9229:9229"], [".:/app"], ["SESSION_SECRET"]),
    "cloudflared": ("cloudflare/cloudflared", [], [], ["TUNNEL_TOKEN"]),
    "watchtower": ("containrrr/watchtower", [], ["/var/run/docker.sock:/var/run/docker.sock"], []),
    "worker": ("ghcr.io/shop/worker:${TAG:-latest}", [], [], ["DATABASE_URL", "API_KEY"]),
}
Application = tuple[str, list[str], list[str], list[str]]


def _list(key: str, values: list[str], pad: str = "    ") -> list[str]:
    return [f"{pad}{key}:", *(f'{pad}  - "{value}"' for value in values)] if values else []


def _short(name: str, application: Application) -> list[str]:
    image, ports, volumes, variables = application
    return [
        f"  {name}:", f"    image: {image}", "    restart: unless-stopped",
        *_list("ports", ports), *_list("volumes", volumes),
        *_list("environment", [f"{variable}=${{{variable}:-change-me}}" for variable in variables]),
    ]  # fmt: skip


def _long(name: str, application: Application) -> list[str]:
    """Ports and mounts as mappings, variables as a mapping, labels of a proxy."""
    image, ports, volumes, variables = application
    lines = [f"  {name}:", f"    image: {image}"]
    for number, port in enumerate(ports):
        words, _, protocol = port.partition("/")
        host, target = words.split(":")[-2:]
        lines += ["    ports:"] if number == 0 else []
        lines += [f"      - target: {target}", f"        published: {host}"]
        lines += [f"        protocol: {protocol}"] if protocol else []
        lines += ["        host_ip: 127.0.0.1"] if words.count(":") == 2 else []
    for number, volume in enumerate(volumes):
        source, target = volume.split(":")[:2]
        kind = "bind" if source.startswith(("/", ".")) else "volume"
        lines += ["    volumes:"] if number == 0 else []
        lines += [f"      - {{type: {kind}, source: {source}, target: {target}}}"]
    if variables:
        lines += ["    environment:", *(f"      {variable}: {variable}" for variable in variables)]
    return [*lines, "    labels:", "      traefik.enable: 'true'",
            f"      traefik.http.routers.{name}.rule: Host(`{name}.example.org`)"]  # fmt: skip


def _networked(name: str, application: Application) -> list[str]:
    powers = ["    cap_add: [NET_ADMIN]"] if name in ("wireguard", "pihole") else []
    return [*_short(name, application), "    networks: [front, back]", *powers]


def _on_host(name: str, application: Application) -> list[str]:
    image, _, volumes, _ = application
    lines = [f"  {name}:", f"    image: {image}", "    network_mode: host", "    privileged: true"]
    return [*lines, *_list("volumes", volumes)]


_SPELLINGS = (_short, _long, _networked, _on_host)


def files() -> Iterator[tuple[str, str]]:
    """300 files by name, always the same."""
    names = list(APPLICATIONS)
    stacks = itertools.chain(
        ((name,) for name in names),
        zip(names, [*names[7:], *names[:7]], strict=True),
        zip(names, [*names[3:], *names[:3]], [*names[11:], *names[:11]], strict=True),
    )
    endless = itertools.cycle(list(stacks))
    for number, stack in zip(range(300), endless, strict=False):
        spelling = _SPELLINGS[number // 75]
        yield f"{number:03}-{'-'.join(stack)}", _file(stack, spelling, number)


def _file(stack: tuple[str, ...], spelling: object, number: int) -> str:
    assert callable(spelling)
    lines = ["version: '3.8'"] if number % 3 == 0 else []
    lines += [f"name: stack{number}"] if number % 2 else []
    lines += ["x-logging: &logging", "  logging: {driver: json-file}"] if number % 5 == 0 else []
    lines.append("services:")
    for name in stack:
        lines += spelling(name, APPLICATIONS[name])
        lines += ['    command: ["--api.insecure=true"]'] if name == "traefik" else []
        lines += ["    <<: *logging"] if number % 5 == 0 else []
        lines += ["    depends_on: [" + stack[0] + "]"] if name != stack[0] else []
    volumes = {
        volume.partition(":")[0] for name in stack for volume in APPLICATIONS[name][2]
        if not volume.startswith(("/", "."))
    }  # fmt: skip
    lines += ["volumes:", *(f"  {volume}: {{}}" for volume in sorted(volumes))] if volumes else []
    if spelling is _networked:
        lines += [
            "networks:",
            "  front: {}",
            "  back:",
            f"    internal: {'true' if number % 2 else 'false'}",
        ]
    return "\n".join(lines) + "\n"
