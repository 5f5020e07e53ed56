"""The networks of a project, as far as they decide who can reach a published port."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

from cloudsync.rules.frozen import dataclass
from cloudsync.sources.compose.nodes import ComposeError, Mapping, Node, Scalar, Sequence
from cloudsync.sources.compose.relevant import NETWORK_OPTIONS

_TRUE = ("true", "y", "yes", "on")
_FALSE = ("false", "n", "no", "off")
_ROUTED4, _ROUTED6, _BINDING = NETWORK_OPTIONS


@dataclass(frozen=True, slots=True)
class Network:
    """One entry of the project's `networks`."""

    name: str
    driver: str
    """Empty for the engine's default, a bridge."""
    internal: bool
    subnets: tuple[str, ...]
    """Of its `ipam`."""
    routed: frozenset[int]
    """The families, 4 and 6, that are routed: nothing is published for them."""
    host_binding: IPv4Address | None
    """What a port without an address is bound to; None for every address."""


def network_of(name: str, node: Node) -> Network:
    """Reads a network whose variables are all set. Raises `ComposeError`."""
    if not isinstance(node, Mapping):
        node = Mapping({}, node.place, {})
    modes = {4: node.get("driver_opts", _ROUTED4), 6: node.get("driver_opts", _ROUTED6)}
    subnets = node.get("ipam", "config")
    return Network(
        name,
        driver=_driver(node),
        internal=_boolean(node, "internal", default=False),
        subnets=tuple(item.text for item in subnets.items if isinstance(item, Scalar))
        if isinstance(subnets, Sequence)
        else (),
        routed=frozenset(
            family
            for family, mode in modes.items()
            if isinstance(mode, Scalar) and mode.text == "routed"
        ),
        host_binding=_host_binding(node),
    )


def _driver(node: Mapping) -> str:
    driver = node.get("driver")
    if driver is not None and not isinstance(driver, Scalar):
        raise ComposeError(driver.place, "driver must be a single value")
    return driver.text if driver else ""


def _boolean(node: Mapping, key: str, *, default: bool) -> bool:
    value = node.get(key)
    if value is None:
        return default
    word = value.text.lower() if isinstance(value, Scalar) else ""
    if word not in _TRUE + _FALSE:
        raise ComposeError(value.place, f"{key} must be true or false")
    return word in _TRUE


def _host_binding(node: Mapping) -> IPv4Address | None:
    option = node.get("driver_opts", _BINDING)
    if option is None:
        return None
    try:
        address = ip_address(option.text if isinstance(option, Scalar) else "")
    except ValueError:
        address = None
    if not isinstance(address, IPv4Address):
        raise ComposeError(option.place, f"{_BINDING} must be an IPv4 address")
    return None if address.is_unspecified else address
