"""Reading a team: all firewalls, a call per 200; droplets and tags only if something is to be
attached or taken over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from cloudsync.provider.account_reader import AccountReader, ListedRules
from cloudsync.provider.answers import Nothing, printable
from cloudsync.provider.contract import Absent, Attachment, FirewallSpec, Kept, Pending, Present
from cloudsync.provider.errors import AuthError, NotFound, Unsupported
from cloudsync.provider.http import Rest
from cloudsync.provider.machines import families_of
from cloudsync.provider.owners import owners_of
from cloudsync.provider.private_networks import private_rules
from cloudsync.provider.simple_fleet import Acts, ListedFirewall, ListedMachine, attachment, named
from cloudsync_digitalocean.answers import Droplet, Firewall
from cloudsync_digitalocean.client import ask_for_scope, hidden
from cloudsync_digitalocean.native import MARKER, Observed
from cloudsync_digitalocean.rules import GRAMMAR, lets_in, other_texts, reaches, spelled
from cloudsync_digitalocean.settings import DigitalOceanFirewall

if TYPE_CHECKING:
    from cloudsync_digitalocean.plugin import DigitalOceanProvider


class DigitalOceanReader(AccountReader["Team"]):
    """Reads one team."""

    provider: DigitalOceanProvider
    lacks = "the team has no droplet"
    not_evaluated = (
        "load balancers and clusters in front of the droplets, and firewalls inside them",
        "reserved addresses, which are under the same firewalls and were not listed",
    )

    def list_account(self) -> Team:
        """The firewalls."""
        return Team(self.api, self.api.pages("/firewalls", "firewalls", Firewall))

    def observe(self, listing: Team, spec: FirewallSpec) -> Present | Absent:
        """One firewall by the first part of its name."""
        provider = self.provider
        return listing.observe(spec, provider.identity(spec), provider.settings_of(spec))

    def firewalls(
        self, listing: Team, specs: Sequence[FirewallSpec]
    ) -> Mapping[str, ListedFirewall]:
        """All of the team."""
        owned = self.provider.owned(listing.names, specs)
        return {id_: _listed(f, owned.get(id_)) for id_, f in listing.firewalls.items()}

    def machines(self, listing: Team, specs: Sequence[FirewallSpec]) -> Sequence[ListedMachine]:
        """All droplets of the team: besides the list of firewalls that of the droplets, that of
        those with GPUs, and one look at the tags, without which a token would hide what firewalls
        are attached to."""
        listing.see_everything()
        tags = {spec.name: set(self.provider.settings_of(spec).tags) for spec in specs}
        return [
            replace(
                listing.machine(droplet),
                selected=frozenset(name for name in tags if tags[name].intersection(droplet.tags)),
            )
            for droplet in listing.droplets.values()
        ]

    def wanted(self, spec: FirewallSpec) -> Sequence[str | int]:
        """The key `droplets`."""
        return self.provider.settings_of(spec).droplets


class Team:
    """A team's firewalls as they were listed; its droplets and tags if they are asked for."""

    def __init__(self, api: Rest, firewalls: list[Firewall]) -> None:
        self.api = api
        self.firewalls = {firewall.id: firewall for firewall in firewalls}
        self.names = {firewall.id: firewall.name for firewall in firewalls}
        self._droplets: dict[str, dict[int, Droplet]] = {}
        self._machines: dict[int, ListedMachine] = {}
        self._tags_visible = False

    def observe(
        self, spec: FirewallSpec, base: str, settings: DigitalOceanFirewall
    ) -> Present | Absent:
        """One firewall. Raises `ProviderError`."""
        fitting = MARKER.best_fit(self.names, base, spec.marker)
        if len(fitting) > 1:
            names = ", ".join(sorted(self.names[id_] for id_ in fitting))
            raise Unsupported(
                f'several firewalls could be "{base}": {names}; delete or rename all but one'
            )
        private = private_rules(settings.private, GRAMMAR.protocols)
        if not fitting:
            return Absent(self._attachments(settings, None), private)
        firewall = self.firewalls[fitting[0]]
        marker = MARKER.read(firewall.name, base, spec.marker)
        if marker != spec.marker and (marker is None or marker.owner == spec.marker.owner):
            # To adopt is to rename, and a rename replaces the whole firewall: what the token does
            # not show would be detached.
            self.see_everything()
        inbound = firewall.inbound_rules
        rules = ListedRules.read(base, inbound, spelled, lets_in)
        return Present(
            id=firewall.id,
            rules=rules.rules,
            marker=marker,
            listed=rules.listed,
            attachments=self._attachments(settings, firewall),
            kept=tuple(
                Kept(text, reaches(rule), text.partition(" from ")[2])
                for rule in inbound
                for text in other_texts(rule)
            ),
            objects=rules.objects,
            managed_by=owners_of(dict.fromkeys(firewall.tags, ""), firewall.name),
            pending=_pending(firewall),
            private=private,
            native=Observed(
                firewall, bare_taken=firewall.name != base and base in self.names.values()
            ),
        )

    def machine(self, droplet: Droplet) -> ListedMachine:
        """A droplet with every firewall that acts on it; worked out once."""
        if droplet.id not in self._machines:
            acting = {id_: _acts(firewall, droplet) for id_, firewall in self.firewalls.items()}
            self._machines[droplet.id] = ListedMachine(
                str(droplet.id),
                droplet.name,
                "droplet",
                families_of(droplet.public),
                droplet.public,
                {id_: acts for id_, acts in acting.items() if acts is not None},
            )
        return self._machines[droplet.id]

    def see_everything(self) -> None:
        """Raises `AuthError` if the token would hide what a firewall is attached to."""
        self._list("plain", {})
        if not self._tags_visible:
            ask_for_scope(self.api, "tags", "tag:read")
            self._tags_visible = True

    @property
    def droplets(self) -> dict[int, Droplet]:
        """All droplets by id, those with GPUs too."""
        return self._list("plain", {}) | self._list("gpus", {"type": "gpus"})

    def _list(self, kind: str, query: Mapping[str, str]) -> dict[int, Droplet]:
        """The plain list leaves the droplets with GPUs out; theirs is asked for only if the plain
        one does not have it."""
        if kind not in self._droplets:
            try:
                listed = self.api.pages("/droplets", "droplets", Droplet, query)
            except AuthError as error:
                raise hidden("droplet:read", error) from None
            self._droplets[kind] = {droplet.id: droplet for droplet in listed}
        return self._droplets[kind]

    def _named(self, wanted: str | int) -> Droplet:
        """One droplet by name or id. Two of one name cannot be told apart, so a name that fits
        looks no further than the plain list."""
        droplets = self._list("plain", {})
        if not any(self.machine(droplet).is_called(wanted) for droplet in droplets.values()):
            droplets = self.droplets
        machines = map(self.machine, droplets.values())
        return droplets[int(named(machines, wanted, DigitalOceanReader.lacks).id)]

    def _attachments(
        self, settings: DigitalOceanFirewall, firewall: Firewall | None
    ) -> tuple[Attachment, ...]:
        attachments = [self._droplet(d, firewall) for d in dict.fromkeys(settings.droplets)]
        attachments += [self._tag(tag, firewall) for tag in dict.fromkeys(settings.tags)]
        return tuple({attachment.target: attachment for attachment in attachments}.values())

    def _droplet(self, wanted: str | int, firewall: Firewall | None) -> Attachment:
        if firewall is not None and str(wanted) in map(str, firewall.droplet_ids):
            return attachment(f"droplet {wanted}", (), ("droplet", int(wanted)), attached=True)
        droplet = self._named(wanted)
        covered = firewall is not None and firewall.covers(droplet)
        fresh = () if covered else (self.machine(droplet),)
        native = ("droplet", droplet.id)
        return attachment(f"droplet {droplet.id}", fresh, native, covered)

    def _tag(self, tag: str, firewall: Firewall | None) -> Attachment:
        if firewall is not None and tag in firewall.tags:
            return attachment(f"tag {tag}", (), ("tag", tag), attached=True)
        try:
            self.api.get(f"/tags/{quote(tag, safe='')}", Nothing)
        except NotFound:
            raise NotFound(
                f"the team has no tag {tag!r}: a tag must exist before a firewall can name it"
            ) from None
        except AuthError as error:
            raise hidden("tag:read", error) from None
        tagged = [droplet for droplet in self.droplets.values() if tag in droplet.tags]
        fresh = [d for d in tagged if firewall is None or not firewall.covers(d)]
        return attachment(f"tag {tag}", map(self.machine, fresh), ("tag", tag), attached=False)


def _acts(firewall: Firewall, droplet: Droplet) -> Acts | None:
    """How the firewall acts on the droplet; None if it does not."""
    if (change := firewall.pending_on(droplet)) is not None:
        verb = "being taken off it" if change.removing else "being put into effect on it"
        return Acts(in_effect=False, problem=f"is {verb} ({printable(change.status or 'waiting')})")
    if not firewall.covers(droplet):
        return None
    failed = "failed to change the last time: what is in effect may be older"
    return Acts(problem=failed if firewall.status == "failed" else "")


def _listed(firewall: Firewall, of: str | None) -> ListedFirewall:
    inbound = firewall.inbound_rules
    kept = tuple(text for rule in inbound for text in other_texts(rule))
    marker = MARKER.read_any(firewall.name, of)
    listed = ListedFirewall(firewall.id, firewall.name, of, marker, kept=kept)
    return listed.letting(inbound, lets_in, lambda rule: rule.title)


def _pending(firewall: Firewall) -> tuple[Pending, ...]:
    """What is not in effect: the vendor works on it, or gave up."""
    reasons = {"failed": "the last change failed", "waiting": "the last change is still waiting"}
    if not firewall.pending_changes and (reason := reasons.get(firewall.status or "")):
        return (Pending("the firewall", reason),)
    return tuple(
        Pending(f"droplet {change.droplet_id}", f"the change is {change.status or 'waiting'} there")
        for change in firewall.pending_changes
    )
