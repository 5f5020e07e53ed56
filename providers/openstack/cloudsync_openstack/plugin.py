"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

One firewall is one security group. Any number of rules is added in one call, all of them or none;
each rule that goes is a call. What is wanted is opened before anything closes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cloudsync.provider.base import ProviderBase
from cloudsync.provider.contract import (
    API_VERSION,
    Absent,
    Account,
    Capabilities,
    FirewallSpec,
    Present,
    Reader,
    Refusal,
    Step,
    StepKind,
    Target,
    Writer,
)
from cloudsync.provider.phrases import count
from cloudsync.provider.quota import Call, too_many, within_quota
from cloudsync.provider.single_rules import difference
from cloudsync.provider.steps import take_marker_off, write_marker
from cloudsync.rules import RuleSet
from cloudsync_openstack.answers import Group
from cloudsync_openstack.native import (
    DEFAULT,
    Add,
    Attach,
    Create,
    Delete,
    Found,
    Mark,
    marked,
    tag_for,
)
from cloudsync_openstack.rules import MAX_DESCRIPTION, inexpressible
from cloudsync_openstack.settings import OpenStackAccount, OpenStackFirewall

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter
    from cloudsync_openstack.client import Api

_API = "https://docs.openstack.org/api-ref/network/v2/"


class OpenStackProvider(ProviderBase[OpenStackAccount, OpenStackFirewall]):
    """Security groups of OpenStack's Neutron."""

    api_version = API_VERSION
    type = "openstack"
    sdk = "openstack"
    extra = "openstack"
    account_settings = OpenStackAccount
    firewall_settings = OpenStackFirewall
    capabilities = Capabilities(
        protocols=None,
        icmp_types=True,
        private_is_public=True,
        attaches=True,
        descriptions=True,
        all_protocols=True,
        other_sources=True,
        longest_description=MAX_DESCRIPTION,
        list_ids=r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        limited=True,
        paged=True,
        at_once=4,
        notes=(
            (
                "protocol 0 is refused",
                (
                    "Neutron's iptables driver lets every protocol in for it; a rule of it counts"
                    " as all"
                ),
            ),
            (
                "the quota counts the rules of all groups of the project",
                f"what does not fit is refused in the plan: {_API}#quotas-extension-quotas",
            ),
            (
                "groups are attached to ports and never detached",
                f"a port's other groups stay, and all of them are united: {_API}#ports",
            ),
            (
                "connections that are open stay open",
                "a stateful group tracks them; how soon the agents follow the API is not reported",
            ),
        ),
    )

    @property
    def starter(self) -> Starter:
        """What `cloudsync init` asks."""
        from cloudsync_openstack.init import STARTER

        return STARTER

    def identity(self, spec: FirewallSpec) -> str:
        """The group's id, or its name, in its project if that is not the login's."""
        settings = self.settings_of(spec)
        which = settings.id or self.name_of(spec)
        return f"{settings.project}/{which}" if settings.project else which

    def name_of(self, spec: FirewallSpec) -> str:
        """The group's name, if the configuration does not go by id."""
        return super().identity(spec)

    def endpoint(self, account: Account) -> str:
        """Neutron's URL if the configuration has it, else Keystone's or the name of the cloud."""
        settings = self.account_of(account)
        if settings.endpoint is not None:
            return settings.endpoint
        cloud = settings.cloud or os.environ.get("OS_CLOUD")
        region = settings.region or os.environ.get("OS_REGION_NAME")
        where = f"cloud {cloud}" if cloud else _without_credentials(os.environ.get("OS_AUTH_URL"))
        return f"{where} {region}" if region else where

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Marker, one call for what opens, one for each rule that goes, attachments."""
        if not isinstance(observed.native, Found):
            raise TypeError("an observation of another provider")
        state = observed.native
        identity = self.identity(target.spec)
        if target.release:
            if state.group is None:
                return ()
            return (take_marker_off(identity, target, Mark(state.group, None)),)
        if rest := inexpressible(target.rules):
            rest_text = ", ".join(map(str, rest))
            return Refusal(f"Neutron has no rule that lets in only this: {rest_text}")
        rules = observed.vendor_rules if isinstance(observed, Present) else ()
        change = difference(rules, target, list_families=True)
        calls = within_quota(rules, target, change, state.has_room)
        if calls is None:
            return Refusal(_over_quota(state, len(change.adding), len(change.removing)))
        if isinstance(observed, Absent) or state.group is None:
            steps = [self._create(state, target, calls)]
        else:
            marking = _marked(state.group, identity, target, observed.rules)
            if isinstance(marking, Refusal):
                return marking
            steps = [*marking, *(_changed(state.group, identity, call) for call in calls)]
        return (*steps, *self._attached(state, identity, target))

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """By reading, and by a write that cannot take effect."""
        from cloudsync_openstack.access import check

        return check(account, specs)

    def open_client(self, account: Account) -> Api:
        """Raises `AuthError` if there are no credentials."""
        from cloudsync_openstack.client import Api

        return Api(account, self.account_of(account))

    def open_reader(self, account: Account) -> Reader:
        """As `open_client`."""
        from cloudsync_openstack.reader import OpenStackReader

        return OpenStackReader(self.open_client(account))

    def open_writer(self, account: Account) -> Writer:
        """As `open_client`."""
        from cloudsync_openstack.writer import OpenStackWriter

        return OpenStackWriter(self.open_client(account))

    def _create(self, state: Found, target: Target, calls: Sequence[Call]) -> Step:
        """A new group with all its rules."""
        name, adding = self.name_of(target.spec), tuple(r for call in calls for r in call.adding)
        change = Create(name, state.project, target.spec.marker, adding)
        summary = f'create the group "{name}" with {count(len(adding), "rule")}'
        return Step(summary, StepKind.WIDEN, target.rules, native=change)

    def _attached(self, state: Found, identity: str, target: Target) -> Iterator[Step]:
        """The group on the ports that lack it, each once."""
        if not target.attach:
            return
        natives = (attachment.native for attachment in target.attach)
        ports = {p.id: p for native in natives if isinstance(native, tuple) for p in native}
        targets = tuple(attachment.target for attachment in target.attach)
        group = state.group.id if state.group is not None else None
        change = Attach(group, state.project, self.name_of(target.spec), tuple(ports.values()))
        summary = f'attach "{identity}" to {", ".join(targets)}'
        yield Step(summary, StepKind.ATTACH, target.rules, targets, change)


def _marked(
    group: Group, identity: str, target: Target, now: RuleSet
) -> tuple[Step, ...] | Refusal:
    if target.marker is None:
        return ()
    described = marked(group.description, target.marker)
    if tag_for(group, target.marker) is None and len(described) > MAX_DESCRIPTION:
        return Refusal(
            f"the owner marker does not fit into the description of {identity!r} any more "
            f"({MAX_DESCRIPTION} characters at most): shorten it"
        )
    warning = None
    if group.name == DEFAULT:
        warning = (
            f'"{identity}" is the default group of the project: every port that is created without '
            "a list of groups gets it"
        )
    return (write_marker(identity, now, Mark(group, target.marker), warning),)


def _changed(group: Group, identity: str, call: Call) -> Step:
    """The rules to add or to delete, as a step."""
    if call.adding:
        return call.step(identity, Add(group.id, call.adding))
    return call.step(identity, Delete(tuple(rule.key for rule in call.removing)))


def _over_quota(state: Found, adding: int, going: int) -> str:
    """The numbers and the way out."""
    quotas = state.quotas
    if quotas is None:
        raise TypeError("a quota that is not known is not passed")
    groups, rules = quotas.security_group, quotas.security_group_rule
    if state.group is None and groups.free == 0:
        return (
            f"the project has {groups.used} of {groups.limit} security groups: no room for one "
            "more. Delete one that nothing uses, or have the quota raised"
        )
    numbers = too_many(rules.used + rules.reserved, adding + state.by_itself, going, rules.limit)
    return (
        f"the quota counts the rules of all groups of the project: {numbers}. Publish consecutive "
        "ports, name fewer sources, delete groups that nothing uses, or have the quota raised"
    )


def _without_credentials(url: str | None) -> str:
    if not url:
        return "the cloud of clouds.yaml"
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
