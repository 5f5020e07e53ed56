"""The answers of DigitalOcean's API that this provider reads
(https://docs.digitalocean.com/reference/api/digitalocean/)."""

from __future__ import annotations

from typing import Any

from cloudsync.provider.answers import Answer, Echoed, Listed

EVERY_PORT = "1-65535"


class Rule(Echoed):
    """A rule of a firewall, in or out; it goes back nearly as it was read."""

    protocol: str
    ports: str | int | None = None
    sources: dict[str, tuple[str | int, ...] | None] | None = None
    destinations: dict[str, tuple[str | int, ...] | None] | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The sources that are networks."""
        return tuple(map(str, (self.sources or {}).get("addresses") or ()))

    @property
    def port_range(self) -> str:
        """The ports as we write them: the vendor says "0", "all" or nothing for all of them."""
        return EVERY_PORT if self.ports in (None, "", "0", 0, "all") else str(self.ports)

    @property
    def title(self) -> str:
        """`tcp/80`, for people."""
        return "icmp" if self.protocol == "icmp" else f"{self.protocol}/{self.port_range}"

    def body(self) -> dict[str, Any]:
        """The rule in the form the vendor takes: it does not accept everything it says."""
        body = self.model_dump(mode="json", exclude_none=True, exclude={"ports"})
        for side in ("sources", "destinations"):
            if side in body:
                body[side] = {key: value for key, value in body[side].items() if value}
        return body if self.protocol == "icmp" else body | {"ports": self.port_range}


class PendingChange(Answer):
    """Something the vendor has not put into effect on a droplet."""

    droplet_id: int
    removing: bool = False
    status: str | None = None


class Firewall(Answer):
    """A firewall."""

    id: str
    name: str
    status: str | None = None
    inbound_rules: Listed[Rule] = ()
    outbound_rules: Listed[Rule] = ()
    droplet_ids: Listed[int] = ()
    tags: Listed[str] = ()
    pending_changes: Listed[PendingChange] = ()

    @property
    def size(self) -> int:
        """How many rules it has, in and out."""
        return len(self.inbound_rules) + len(self.outbound_rules)

    def covers(self, droplet: Droplet) -> bool:
        """Whether it is attached to the droplet, by id or by tag."""
        return droplet.id in self.droplet_ids or not set(self.tags).isdisjoint(droplet.tags)

    def pending_on(self, droplet: Droplet) -> PendingChange | None:
        """What the vendor still works on there."""
        changes = (c for c in self.pending_changes if c.droplet_id == droplet.id)
        return next(changes, None)


class FirewallAnswer(Answer):
    """One firewall, asked for or created."""

    firewall: Firewall


class Address(Answer):
    """An address of a droplet."""

    ip_address: str
    type: str


class Networks(Answer):
    """The addresses of a droplet."""

    v4: Listed[Address] = ()
    v6: Listed[Address] = ()


class Region(Answer):
    """Where a droplet is."""

    slug: str = ""


class Droplet(Answer):
    """A droplet."""

    id: int
    name: str
    tags: Listed[str] = ()
    networks: Networks = Networks()
    region: Region | None = None

    @property
    def detail(self) -> str:
        """Region and tags, for people."""
        region = self.region.slug if self.region is not None else ""
        tags = f"tags {', '.join(self.tags)}" if self.tags else ""
        return ", ".join(filter(None, (region, tags)))

    @property
    def public(self) -> tuple[str, ...]:
        """Its public addresses."""
        addresses = (*self.networks.v4, *self.networks.v6)
        return tuple(a.ip_address for a in addresses if a.type == "public")
