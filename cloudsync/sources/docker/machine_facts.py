"""What an audit wants to know of an engine: more of each container than required ports need, and of
the environment the names only."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cloudsync.model.machine_facts import Engine, Mount, Network, Publish, Workload
from cloudsync.sources.labels import PREFIX
from cloudsync.sources.machine.root import Root, Unreadable

Get = Callable[[str], Any]
_REMEMBERED_STATES = ("running", "restarting", "paused")


def read(engine: object, timeout: float, base: Path) -> Engine:
    """Ask an engine. `engine`: as the configuration names it. Raises `Unreadable`."""
    from cloudsync.sources.docker.client import EngineError
    from cloudsync.sources.docker.endpoint import EndpointError
    from cloudsync.sources.docker.engine import reached

    try:
        with reached(engine, time.monotonic() + timeout, base) as client:  # type: ignore[arg-type]
            return _engine(client.about, lambda path: client.get(path))
    except (EngineError, EndpointError) as error:
        raise Unreadable(str(error)) from None


def from_dumps(root: Root) -> Engine | None:
    """From `dumps/` of a copied machine: the answers `version.json`, `info.json`, `networks.json`,
    `inspect.json` (of all containers), `images.json` and `services.json`; None without
    `inspect.json`. Raises `Unreadable`."""
    inspected = root.dump("inspect")
    if inspected is None:
        return None
    answers = {
        "/info": _json(root.dump("info") or "{}", "info"),
        "/networks": _json(root.dump("networks") or "[]", "networks"),
        "/services": _json(root.dump("services") or "[]", "services"),
    }
    images = {
        str(image.get("Id")): image
        for image in _json(root.dump("images") or "[]", "images")
        if isinstance(image, dict)
    }
    containers = {str(c.get("Id")): c for c in _json(inspected, "inspect") if isinstance(c, dict)}

    def get(path: str) -> Any:
        if path.startswith("/containers/json"):
            return [{"Id": id_} for id_ in containers]
        if path.startswith("/containers/"):
            return containers[path.split("/")[2]]
        if path.startswith("/images/"):
            return images.get(path.split("/")[2], {})
        return answers.get(path, {})

    return _engine(_json(root.dump("version") or "{}", "version"), get)


def _json(content: str, name: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise Unreadable(f"dumps/{name} is not JSON") from None


def _engine(about: Mapping[str, Any], get: Get) -> Engine:
    try:
        info = _table(get("/info"))
        networks = tuple(_network(network) for network in get("/networks"))
        listed = get("/containers/json?all=1")
        containers = tuple(
            workload
            for entry in listed
            if (workload := _container(_table(get(f"/containers/{entry['Id']}/json")), get)).state
            in _REMEMBERED_STATES
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"the engine's answer is not what it should be ({error})") from None
    components = about.get("Components") or []
    is_podman = any("podman" in str(_table(c).get("Name", "")).lower() for c in components)
    swarm = _table(info.get("Swarm"))
    return Engine(
        kind="podman" if is_podman else "docker",
        version=str(about.get("Version") or info.get("ServerVersion") or ""),
        containers=containers,
        networks=networks,
        rootless=any("rootless" in str(option) for option in info.get("SecurityOptions") or ()),
        swarm=swarm.get("LocalNodeState") == "active",
        swarm_nodes=int(swarm.get("Nodes") or 1),
        ingress_ports=_ingress(get, swarm),
        firewall_backend=str(_table(info.get("FirewallBackend")).get("Driver") or ""),
    )


def _ingress(get: Get, swarm: Mapping[str, Any]) -> tuple[Publish, ...]:
    if not swarm.get("ControlAvailable"):
        return ()
    services = get("/services")
    return tuple(
        Publish(
            str(port.get("Protocol") or "tcp"), int(port["PublishedPort"]),
            int(port["PublishedPort"]), int(port.get("TargetPort") or 0), "",
        )
        for service in services
        for port in _table(service.get("Endpoint")).get("Ports") or ()
        if port.get("PublishMode") == "ingress" and port.get("PublishedPort")
    )  # fmt: skip


def _network(value: Mapping[str, Any]) -> Network:
    options = {str(k): str(v) for k, v in _table(value.get("Options")).items()}
    name = options.get("com.docker.network.bridge.name") or f"br-{str(value.get('Id') or '')[:12]}"
    return Network(
        name=str(value.get("Name") or ""),
        internal=bool(value.get("Internal")),
        ipv6=bool(value.get("EnableIPv6")),
        subnets=tuple(
            str(_table(entry).get("Subnet"))
            for entry in _table(value.get("IPAM")).get("Config") or ()
            if _table(entry).get("Subnet")
        ),
        bridge=name if value.get("Driver") == "bridge" else "",
        options=options,
    )


def _image_labels(image: object, labels: Mapping[str, str], get: Get) -> frozenset[str]:
    """Our labels that the image has with the same value; asked only of a container that has any."""
    ours = {key: value for key, value in labels.items() if key.startswith(PREFIX)}
    if not ours or not image:
        return frozenset()
    config = _table(_table(get(f"/images/{image}/json")).get("Config"))
    born = _table(config.get("Labels"))
    return frozenset(key for key, value in ours.items() if born.get(key) == value)


def _container(value: Mapping[str, Any], get: Get) -> Workload:
    config, host = _table(value.get("Config")), _table(value.get("HostConfig"))
    settings, state = _table(value.get("NetworkSettings")), _table(value.get("State"))
    labels = {str(k): str(v) for k, v in _table(config.get("Labels")).items()}
    project = labels.get("com.docker.compose.project")
    service = labels.get("com.docker.compose.service")
    name = str(value.get("Name") or "").removeprefix("/")
    attached = _table(settings.get("Networks"))
    return Workload(
        name=f"{project}/{service}" if project and service else name,
        image=str(config.get("Image") or ""),
        state=str(state.get("Status") or ""),
        id=str(value.get("Id") or ""),
        network_mode=str(host.get("NetworkMode") or ""),
        networks=tuple(str(network) for network in attached),
        published=_publishes(settings.get("Ports")),
        asked=_publishes(host.get("PortBindings")),
        addresses=tuple(
            str(network.get("IPAddress"))
            for network in map(_table, attached.values())
            if network.get("IPAddress")
        ),
        mounts=tuple(
            Mount(str(m.get("Source") or ""), read_only=not m.get("RW", True))
            for m in map(_table, value.get("Mounts") or ())
            if m.get("Type") == "bind"
        ),
        privileged=bool(host.get("Privileged")),
        capabilities=tuple(str(name) for name in host.get("CapAdd") or ()),
        host_pid=host.get("PidMode") == "host",
        environment=tuple(str(entry).partition("=")[0] for entry in config.get("Env") or ()),
        command=tuple(str(word) for word in (value.get("Path") or "", *(value.get("Args") or ()))),
        labels=labels,
        image_labels=_image_labels(value.get("Image"), labels, get),
        pid=_pid(state.get("Pid")),
        listening=_listening(_pid(state.get("Pid")), str(value.get("Id") or "")),
    )


def _publishes(value: object) -> tuple[Publish, ...]:
    publishes = []
    for target, bindings in _table(value).items():
        inside, _, protocol = str(target).partition("/")
        for binding in bindings or ():
            first, _, last = str(binding.get("HostPort") or "0").partition("-")
            publishes.append(
                Publish(
                    protocol or "tcp", int(first or 0), int(last or first or 0), int(inside),
                    str(binding.get("HostIp") or ""),
                )
            )  # fmt: skip
    return tuple(publishes)


def _pid(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _listening(pid: int, container: str) -> frozenset[tuple[str, int]] | None:
    """What listens in the network namespace of a container's process, as the kernel lists it; None
    if that cannot be read (another machine, whose process of that number is another one, no
    permission)."""
    if not pid or not _is_of(pid, container):
        return None
    listening: set[tuple[str, int]] = set()
    for name, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        try:
            lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
        except FileNotFoundError:
            if name.endswith("6"):
                continue
            return None
        except OSError:
            return None
        for line in lines:
            words = line.split()
            if words[3] == state:
                listening.add((name.rstrip("6"), int(words[1].rpartition(":")[2], 16)))
    return frozenset(listening)


def _is_of(pid: int, container: str) -> bool:
    try:
        return bool(container) and container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
