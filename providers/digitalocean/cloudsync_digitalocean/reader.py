"""Reading a team: all firewalls, a call per 200; droplets and tags only where something is to be
attached or taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cloudsync.provider.contract import (
    Absent,
    Attachment,
    FirewallSpec,
    Kept,
    Machine,
    Observation,
    Pending,
    Present,
    Unreadable,
)
from cloudsync.provider.errors import AuthError, NotFound, ProviderError, Transient, Unsupported
from cloudsync.provider.machines import Fleet, Marked
from cloudsync.provider.owners import owners_of
from cloudsync.provider.rule_list import keyed
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY, ANY4, ANY6, NetworkSet
from cloudsync_digitalocean.client import Api
from cloudsync_digitalocean.machines import covers, fleet, marked
from cloudsync_digitalocean.native import Found, best_fit, marker_of
from cloudsync_digitalocean.rules import Listed, UnknownRule, from_vendor, ports_of, what
from cloudsync_digitalocean.settings import settings_of


@dataclass(slots=True)
class DigitalOceanReader:
    """Reads one team, its lists once. `identity`: the first part of a firewall's name."""

    api: Api
    identity: Callable[[FirewallSpec], str]
    _team: Team | None = None

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every firewall asked for; where the list cannot be had, none of them is known."""
        team = self._listed()
        if isinstance(team, Unreadable):
            return {spec.name: team for spec in specs}
        return {spec.name: self._one(team, spec) for spec in specs}

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        """All droplets the firewalls are about: beside the list of firewalls that of the droplets,
        that of those with GPUs, and one look at the tags, without which a token would hide what
        firewalls are attached to."""
        team = self._listed()
        if isinstance(team, Unreadable):
            return team
        try:
            team.see_everything()
            return fleet(
                team.firewalls,
                team.droplets,
                {spec.name: (spec, self.identity(spec)) for spec in specs},
            )
        except ProviderError as error:
            return Unreadable(error)
        except (KeyError, TypeError, AttributeError, ValueError):
            return Unreadable(Transient("the droplets of DigitalOcean cannot be understood"))

    def read_marked(
        self,
        owner: str,
        specs: Sequence[FirewallSpec],
        *,
        ask: bool,  # noqa: ARG002 - no call is needed
    ) -> Sequence[Marked] | Unreadable:
        """Out of the list of firewalls."""
        team = self._listed()
        if isinstance(team, Unreadable):
            return team
        return marked(
            team.firewalls, owner, {spec.name: (spec, self.identity(spec)) for spec in specs}
        )

    def _listed(self) -> Team | Unreadable:
        if self._team is None:
            try:
                self._team = Team(self.api, self.api.pages("firewalls", "firewalls"))
            except ProviderError as error:
                return Unreadable(error)
            except (KeyError, TypeError):
                return Unreadable(
                    Transient("DigitalOcean answered with a list that cannot be understood")
                )
        return self._team

    def _one(self, team: Team, spec: FirewallSpec) -> Observation:
        name = self.identity(spec)
        try:
            return team.observe(spec, name)
        except ProviderError as error:
            return Unreadable(error)
        except UnknownRule as error:
            return Unreadable(Unsupported(f'the firewall "{name}" has {error}'))
        except (KeyError, TypeError, AttributeError, ValueError):
            return Unreadable(Transient(f'the firewall "{name}" cannot be understood'))


class Team:
    """A team's firewalls as they were listed; its droplets and tags where they are asked for."""

    def __init__(self, api: Api, firewalls: list[dict[str, Any]]) -> None:
        self.api = api
        self.firewalls = {str(firewall["id"]): firewall for firewall in firewalls}
        self._droplets: dict[str, dict[int, dict[str, Any]]] = {}
        self._tags_visible = False

    def observe(self, spec: FirewallSpec, base: str) -> Observation:
        fitting = best_fit(
            {id_: str(one["name"]) for id_, one in self.firewalls.items()}, base, spec.marker
        )
        if len(fitting) > 1:
            names = ", ".join(sorted(str(self.firewalls[id_]["name"]) for id_ in fitting))
            raise Unsupported(
                f'several firewalls could be "{base}": {names}; delete or rename all but one'
            )
        private = _private_rules(settings_of(spec).private_networks)
        if not fitting:
            return Absent(self._attachments(spec, {}), private)
        firewall = self.firewalls[fitting[0]]
        marker = marker_of(str(firewall["name"]), base, spec.marker)
        if marker != spec.marker and (marker is None or marker.owner == spec.marker.owner):
            # To adopt is to rename, and a rename replaces the whole firewall: what the token does
            # not show would be detached.
            self.see_everything()
        inbound = tuple(from_vendor(rule) for rule in firewall.get("inbound_rules") or ())
        return Present(
            id=str(firewall["id"]),
            rules=RuleSet.of(rule for one in inbound for rule in one.rules),
            marker=marker,
            listed=tuple(rule for one in inbound for rule in one.rules),
            attachments=self._attachments(spec, firewall),
            kept=tuple(
                Kept(text, _ports(listed), text.partition(" from ")[2])
                for listed in inbound
                for text in listed.others
            ),
            objects=keyed([(_spelled(listed), listed.meaning, "") for listed in inbound]),
            managed_by=owners_of(
                dict.fromkeys(map(str, firewall.get("tags") or ()), ""), str(firewall["name"])
            ),
            pending=tuple(_pending(firewall)),
            private=private,
            native=Found(
                id=str(firewall["id"]),
                name=str(firewall["name"]),
                inbound=inbound,
                outbound=tuple(firewall.get("outbound_rules") or ()),
                droplets=frozenset(firewall.get("droplet_ids") or ()),
                tags=frozenset(firewall.get("tags") or ()),
                failed=firewall.get("status") == "failed",
                bare_taken=any(
                    one["name"] == base and one is not firewall for one in self.firewalls.values()
                ),
            ),
        )

    def see_everything(self) -> None:
        """Raises `AuthError` where the token would hide what a firewall is attached to."""
        self._listed("plain", {})
        if not self._tags_visible:
            visible(self.api, "tags", "tag:read")
            self._tags_visible = True

    @property
    def droplets(self) -> dict[int, dict[str, Any]]:
        """All droplets by id, those with GPUs too."""
        return self._listed("plain", {}) | self._listed("gpus", {"type": "gpus"})

    def _listed(self, kind: str, query: Mapping[str, str]) -> dict[int, dict[str, Any]]:
        """The plain list leaves the droplets with GPUs out; theirs is asked for only where the
        plain one does not tell."""
        if kind not in self._droplets:
            try:
                found = self.api.pages("droplets", "droplets", query)
            except AuthError as error:
                raise hidden("droplet:read", error) from None
            self._droplets[kind] = {int(one["id"]): one for one in found}
        return self._droplets[kind]

    def _named(self, wanted: str | int, id_: int | None) -> dict[str, Any]:
        """One droplet by name or id. Two of one name cannot be told apart, so a name that fits
        looks no further than the plain list."""
        for query in ({}, {"type": "gpus"}):
            droplets = self._listed(query.get("type", "plain"), query)
            named = [droplet for droplet in droplets.values() if droplet["name"] == wanted]
            if len(named) > 1:
                raise Unsupported(f"several droplets are named {str(wanted)[:64]!r}; give the id")
            if named or (id_ or 0) in droplets:
                return named[0] if named else droplets[id_ or 0]
        raise NotFound(
            f"the team has no droplet {str(wanted)[:64]!r}, which the configuration attaches the firewall to"
        )

    def _attachments(
        self, spec: FirewallSpec, firewall: Mapping[str, Any]
    ) -> tuple[Attachment, ...]:
        settings = settings_of(spec)
        attachments = [
            self._droplet(wanted, firewall) for wanted in dict.fromkeys(settings.droplets)
        ]
        attachments += [self._tag(tag, firewall) for tag in dict.fromkeys(settings.tags)]
        return tuple({one.target: one for one in attachments}.values())

    def _droplet(self, wanted: str | int, firewall: Mapping[str, Any]) -> Attachment:
        direct = set(firewall.get("droplet_ids") or ())
        id_ = int(wanted) if isinstance(wanted, int) or wanted.isdecimal() else None
        if id_ is not None and id_ in direct:
            return Attachment(f"droplet {id_}", attached=True, native=("droplet", id_))
        droplet = self._named(wanted, id_)
        id_ = int(droplet["id"])
        covered = id_ in direct or covers(firewall, droplet)
        machines = () if covered else (self._machine(droplet),)
        return Attachment(f"droplet {id_}", covered, machines, ("droplet", id_))

    def _tag(self, tag: str, firewall: Mapping[str, Any]) -> Attachment:
        if tag in (firewall.get("tags") or ()):
            return Attachment(f"tag {tag}", attached=True, native=("tag", tag))
        try:
            self.api.get(f"tags/{quote(tag, safe='')}")
        except NotFound:
            raise NotFound(
                f"the team has no tag {tag!r}: a tag must exist before a firewall can name it"
            ) from None
        except AuthError as error:
            raise hidden("tag:read", error) from None
        fresh = [
            droplet
            for droplet in self.droplets.values()
            if tag in (droplet.get("tags") or ()) and not covers(firewall, droplet)
        ]
        return Attachment(
            f"tag {tag}",
            attached=False,
            newly_covered=tuple(self._machine(one) for one in fresh),
            native=("tag", tag),
        )

    def _machine(self, droplet: Mapping[str, Any]) -> Machine:
        protected = any(covers(firewall, droplet) for firewall in self.firewalls.values())
        return Machine(str(droplet["id"]), str(droplet["name"]), protected, "droplet")


def _spelled(listed: Listed) -> str:
    """A rule as it stands at DigitalOcean: rules have no ids."""
    addresses = (listed.native.get("sources") or {}).get("addresses") or ()
    return f"{what(listed.native)} from {', '.join((*map(str, addresses), *listed.others))}"


def _ports(listed: Listed) -> RuleSet:
    """The ports of a rule, as if from everywhere."""
    protocol = str(listed.native["protocol"])
    if protocol == "icmp":
        return RuleSet.of((Rule.of("icmp", "", ANY4), Rule.of("icmpv6", "", ANY6)))
    return RuleSet.of((Rule.of(protocol, ports_of(listed.native), ANY),))


def visible(api: Api, what: str, scope: str) -> None:
    """One small read that a token without `scope` may not do: such a token gets firewalls with
    their attachments cut away, silently."""
    try:
        api.get(what, {"page": 1, "per_page": 1})
    except AuthError as error:
        raise hidden(scope, error) from None


def hidden(scope: str, error: ProviderError) -> AuthError:
    """The refusal of a token that does not show everything."""
    return AuthError(
        f"the token lacks {scope}: DigitalOcean hides what firewalls are attached to from it ({error.message})"
    )


def _pending(firewall: Mapping[str, Any]) -> list[Pending]:
    """What is not in effect: the vendor works on it, or gave up."""
    found = [
        Pending(
            f"droplet {pending_change['droplet_id']}",
            f"the change is {pending_change.get('status') or 'waiting'} there",
        )
        for pending_change in firewall.get("pending_changes") or ()
    ]
    status = firewall.get("status")
    if not found and status in ("failed", "waiting"):
        found.append(
            Pending(
                "the firewall",
                "the last change failed"
                if status == "failed"
                else "the last change is still waiting",
            )
        )
    return found


def _private_rules(networks: NetworkSet) -> RuleSet:
    if not networks:
        return RuleSet()
    pings = [Rule.of("icmp", "", networks.family(4)), Rule.of("icmpv6", "", networks.family(6))]
    return RuleSet.of(Rule.of(protocol, "", networks) for protocol in ("tcp", "udp")) | RuleSet.of(
        r for r in pings if r.sources
    )
