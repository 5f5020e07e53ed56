"""The plan document of decision 0006: a plan as JSON, and a plan file read back as hostile input.

The models below are the document's one description: writing, reading and the shipped JSON Schema
(`plan.schema.json`) all come from them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cloudsync.model.plan import (
    Change,
    FirewallPlan,
    Granted,
    Guard,
    Halted,
    Held,
    MachineExposure,
    NetworkReading,
    Plan,
    ReadStatus,
    Refused,
    StepSummary,
)
from cloudsync.model.plan_digest import digest, grants_checksum
from cloudsync.model.ports import Origin, Unpublished, UnpublishedNetwork
from cloudsync.rules import Rule
from cloudsync.rules.networks import NetworkSet

FORMAT_VERSION = "1.0"
MAX_PLAN_BYTES = 16 * 1024 * 1024


class PlanFileError(ValueError):
    """A plan file that cannot be used; the message is one line and holds nothing of the file's
    content."""


class _Part(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, hide_input_in_errors=True, extra="ignore", defer_build=True
    )


class OriginPart(_Part):
    host: str | None = None
    """Name in the configuration."""
    project: str | None = None
    """Compose project."""
    service: str | None = None
    """Compose or Swarm service."""
    container: str | None = None
    """Its name."""
    label: str | None = None
    """The label that asks."""
    file: str | None = None
    """The file that asks."""
    line: int | None = None
    """1-based line in `file`."""


class ChangePart(_Part):
    action: Literal["create", "adopt", "attach", "reapply", "open", "close", "rewrite"]
    """What happens. `rewrite`: an object of the vendor is deleted, renamed or retargeted without a
    port opening or closing here."""
    protocol: str | None = None
    """`tcp`, `udp`, `icmp`, a number, `all`."""
    ports: str | None = None
    """`443`, `8000-8010`, an ICMP type; empty for all of the protocol."""
    sources: list[str] | None = None
    """CIDRs."""
    target: str | None = None
    """The machine to attach, or the object that is rewritten."""
    opens_now: bool | None = None
    """The machine is under no firewall now."""
    origins: list[OriginPart] | None = None
    """Who needs it."""
    reason: str = ""
    """Why, in words."""
    vendor_rule: str | None = None
    """For close: the vendor's rule that goes or loses this."""
    list_id: str | None = None
    """For open: the vendor's list of addresses that is the rule's source, and that `sources` are
    in."""


class StepPart(_Part):
    summary: str
    """What the call does, in words."""
    kind: str
    """create, open, close, attach, mark, ..."""


class HeldPart(_Part):
    protocol: str
    """`tcp`, `udp`, `icmp`, a number, `all`."""
    ports: str
    """`443`, `8000-8010`, an ICMP type; empty for all of the protocol."""
    sources: list[str]
    """CIDRs."""
    reason: str
    """A short word: `grace`, `unknown-host`, `additive`, ..."""
    detail: str = ""
    """The same in words."""
    until: str | None = None
    """When grace ends (RFC 3339)."""


class RefusedPart(_Part):
    protocol: str
    """`tcp`, `udp`, `icmp`, a number, `all`."""
    ports: str
    """`443`, `8000-8010`, an ICMP type; empty for all of the protocol."""
    sources: list[str]
    """CIDRs."""
    origins: list[OriginPart]
    """Who asked for it."""
    code: str
    """Why, for programs."""
    reason: str
    """Why, for people."""


class KeptPart(_Part):
    summary: str
    """What cloudsync leaves alone, in words."""


class StatusPart(_Part):
    status: Literal["complete", "partial", "failed"]
    """Whether everything, some of it or nothing was read."""
    reason: str | None = None
    """What was not read and why."""
    temporary: bool | None = None
    """Trying again may help."""


class BeyondPart(_Part):
    protocol: str
    """`tcp`, `udp`, `icmp`, a number, `all`."""
    ports: str
    """`443`, `8000-8010`, an ICMP type; empty for all of the protocol."""
    sources: list[str]
    """CIDRs."""
    through: str
    """The firewall and rule that let it in."""
    advice: str = ""
    """How to close it."""


class RulePart(_Part):
    protocol: str
    """`tcp`, `udp`, `icmp`, a number, `all`."""
    ports: str
    """`443`, `8000-8010`, an ICMP type; empty for all of the protocol."""
    sources: list[str]
    """CIDRs."""


class HaltedPart(RulePart):
    """What one of two walls in front of a machine lets in and the other stops."""

    let_in_by: str
    """The wall that lets it in, for people."""
    stopped_by: str
    """The wall that stops it, for people."""
    needed: bool = False
    """The configuration wants some of it."""


class ExposurePart(_Part):
    """What the Internet reaches on one machine. `protected`: a firewall acts on every interface it
    reaches."""

    machine: str
    """Its name at the vendor."""
    protected: bool
    attached: bool = True
    """The plan's own firewall acts on it."""
    beyond: list[BeyondPart]
    """What is reachable and not wanted."""
    target: str = ""
    """Its kind and id at the vendor."""
    addresses: list[str] = Field(default_factory=list)
    """Its public addresses."""
    firewalls: list[str] = Field(default_factory=list)
    """All firewalls that act on it."""
    reachable: list[RulePart] = Field(default_factory=list)
    """Everything the Internet reaches."""
    pending: list[str] = Field(default_factory=list)
    """What the vendor has not put into effect yet."""
    unknown: list[str] = Field(default_factory=list)
    """What could not be read."""
    kept: list[str] = Field(default_factory=list)
    """What is left alone."""
    halted: list[HaltedPart] = Field(default_factory=list)
    """What only one of two walls lets in."""
    halted_after: list[HaltedPart] = Field(default_factory=list)
    """The same once the plan is applied."""


class StandingPart(_Part):
    """`read`: null where nobody looked. `unattached`: the firewall exists and acts on no
    machine."""

    read: StatusPart | None
    unattached: bool
    not_evaluated: list[str]
    """What else may let packets through or stop them."""


class SharedPart(_Part):
    """Open on `host` only because others need it."""

    host: str
    protocol: str
    """`tcp`, `udp`, `icmp`, a number, `all`."""
    ports: str
    """`443`, `8000-8010`, an ICMP type; empty for all of the protocol."""
    sources: list[str]
    """CIDRs."""
    needed_by: list[str]
    """The hosts that do need it."""


class OrphanPart(_Part):
    provider: str = ""
    """The account's name in the configuration."""
    type: str = ""
    """The provider's type."""
    id: str = ""
    """The vendor's id."""
    name: str = ""
    """The vendor's name for it."""
    firewall: str = ""
    """The name in its marker."""


class FirewallPart(_Part):
    name: str
    """Its name in the configuration."""
    provider: str
    """The account's name in the configuration."""
    type: str
    """The provider's type."""
    endpoint: str
    """The API's address."""
    identity: str
    """What the plugin identifies the firewall by."""
    id: str | None
    """The vendor's id; null if it does not exist or was not read."""
    exists: bool | None
    """null if it could not be read."""
    read: StatusPart
    """Whether the vendor's side could be read."""
    hosts: list[str]
    """The hosts that feed it."""
    changes: list[ChangePart]
    """What an apply would change."""
    steps: list[StepPart]
    """The calls it would make, in order."""
    unchanged: int
    """How many rules stay as they are."""
    held: list[HeldPart]
    """What stays open although nothing requires it."""
    refused: list[RefusedPart]
    """Required ports that are not opened."""
    kept: list[KeptPart]
    """What cloudsync leaves alone."""
    exposure: list[ExposurePart] = Field(default_factory=list)
    """What the Internet reaches, machine by machine."""
    standing: StandingPart | None = None
    """What the firewall acts on."""
    shared: list[SharedPart] = Field(default_factory=list)
    """What is open on a host for the sake of others."""


class NetworkPart(StatusPart):
    """A network of the configuration that moves. `sources`: what the plan used: this run's answer,
    else the last good one. `read`: when that was given; null if there is none."""

    source: str
    read: str | None = None
    sources: list[str] = Field(default_factory=list)


class GuardPart(_Part):
    id: str
    """Its name, as in docs/safety.md."""
    firewall: str
    """The firewall it speaks about."""
    withholds: Literal["closings", "openings", "firewall"]
    """What is not done because of it."""
    message: str
    """What it saw, what could go wrong, how to go on."""


class GrantedPart(_Part):
    adopt: list[str]
    """Firewalls that may be taken over."""
    allow_attach: list[str]
    """Firewalls that may be attached to open machines."""
    allow_close: int | None
    """How many rules may close, instead of `policy.max_close`."""
    ssh_moved: bool
    """SSH may close at its old place."""
    now: bool
    """Whatever grace would hold may close at once."""


class UnpublishedPart(_Part):
    """A container whose ports are not known because of its network."""

    origin: OriginPart
    """Which container."""
    network: UnpublishedNetwork
    """The kind of its network."""
    reason: str
    """In words."""
    exposed: list[str] = Field(default_factory=list)
    """What it or its image exposes (`9100/tcp`): a hint at what it listens on."""


class PlanDocument(_Part):
    """A cloudsync plan. Minor versions of the format add keys; readers ignore keys they do not
    know."""

    format_version: str
    """MAJOR.MINOR of this format."""
    tool_version: str
    """The version of cloudsync that made it."""
    created: str
    """When (RFC 3339)."""
    owner: str
    """`owner` of the configuration."""
    digest: str
    """Over everything an apply would do: what a person approves."""
    granted: GrantedPart
    """What the user allowed."""
    hosts: dict[str, StatusPart]
    """By host: how well its needs are known."""
    firewalls: list[FirewallPart]
    """In the configuration's order."""
    unassigned: list[RefusedPart]
    """Required ports of hosts that feed no firewall."""
    orphans: list[OrphanPart] = Field(default_factory=list)
    """Firewalls with this owner's marker that the configuration lacks."""
    guards: list[GuardPart]
    """What needs a person's decision."""
    networks: dict[str, NetworkPart] = Field(default_factory=dict)
    malformed: list[str] = Field(default_factory=list)
    """Containers whose labels do not parse, in words."""
    warnings: list[str] = Field(default_factory=list)
    """Remarks for people."""
    machines: dict[str, list[str]] = Field(default_factory=dict)
    """By provider table: some machines of its account, which tell one project from another."""
    grants_checksum: str | None = None
    """Over `granted`: what was granted is changed by planning again, not in the file."""
    unpublished: list[UnpublishedPart] = Field(default_factory=list)
    """Containers that listen on ports nobody can list, or not at the machine's addresses."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document, as shipped in `plan.schema.json`."""
    from cloudsync.model.field_texts import described

    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | described(
        PlanDocument.model_json_schema(), sys.modules[__name__]
    )


def to_document(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON values, in the document's order of keys."""
    document = PlanDocument(
        format_version=FORMAT_VERSION,
        tool_version=plan.tool_version,
        created=plan.created.isoformat(timespec="seconds"),
        owner=plan.owner,
        digest=digest(plan),
        granted=GrantedPart(
            adopt=list(plan.granted.adopt),
            allow_attach=list(plan.granted.allow_attach),
            allow_close=plan.granted.allow_close,
            ssh_moved=plan.granted.ssh_moved,
            now=plan.granted.now,
        ),
        hosts={name: _status(status) for name, status in plan.hosts},
        firewalls=[_firewall(firewall) for firewall in plan.firewalls],
        unassigned=[_refused(refusal) for refusal in plan.unassigned],
        orphans=[
            OrphanPart(provider=o.provider, type=o.type, id=o.id, name=o.name, firewall=o.firewall)
            for o in plan.orphans
        ],
        guards=[
            GuardPart(id=g.id, firewall=g.firewall, withholds=g.withholds, message=g.message)
            for g in plan.guards
        ],
        networks={network.name: _network(network) for network in plan.networks},
        malformed=list(plan.malformed),
        warnings=list(plan.warnings),
        machines={name: list(targets) for name, targets in plan.machines},
        grants_checksum=grants_checksum(plan.granted),
        unpublished=[
            UnpublishedPart(
                origin=_origins((container.origin,))[0],
                network=container.network,
                reason=container.reason,
                exposed=list(container.exposed),
            )
            for container in plan.unpublished
        ],
    )
    return document.model_dump(exclude_none=False) | {
        "hosts": {
            name: status.model_dump(exclude_none=True) for name, status in document.hosts.items()
        },
        "networks": {
            name: network.model_dump(exclude_none=True)
            for name, network in document.networks.items()
        },
        "firewalls": [_trimmed(firewall) for firewall in document.firewalls],
    }


def exposure_document(plan: Plan) -> dict[str, Any]:
    """The part of the document that is about machines, for `cloudsync exposure`."""
    document = to_document(plan)
    keys = ("name", "provider", "type", "endpoint", "id", "exposure", "standing", "shared")
    firewalls = [{key: firewall[key] for key in keys} for firewall in document["firewalls"]]
    return {
        key: document[key] for key in ("format_version", "tool_version", "created", "owner")
    } | {
        "firewalls": firewalls,
        "orphans": document["orphans"],
    }


def _trimmed(firewall: FirewallPart) -> dict[str, Any]:
    """Keys that say nothing are left out of changes and statuses; origins always have all of
    theirs."""
    dumped = firewall.model_dump()
    dumped["read"] = firewall.read.model_dump(exclude_none=True)
    if firewall.standing is not None and firewall.standing.read is not None:
        dumped["standing"]["read"] = firewall.standing.read.model_dump(exclude_none=True)
    dumped["changes"] = [
        {k: v for k, v in change.items() if v is not None} for change in dumped["changes"]
    ]
    return dumped


def _status(status: ReadStatus) -> StatusPart:
    if status.status == "complete":
        return StatusPart(status="complete")
    return StatusPart(status=status.status, reason=status.reason, temporary=status.temporary)


def _network(network: NetworkReading) -> NetworkPart:
    status = _status(network.status)
    return NetworkPart(
        status=status.status,
        reason=status.reason,
        temporary=status.temporary,
        source=network.source,
        read=None if network.read is None else network.read.isoformat(timespec="seconds"),
        sources=list(network.networks.cidrs()),
    )


def _origins(origins: Iterable[Origin]) -> list[OriginPart]:
    return [
        OriginPart(
            host=o.host or None,
            project=o.project,
            service=o.service,
            container=o.container,
            label=o.label,
            file=o.file,
            line=o.line,
        )
        for o in origins
    ]


def _change(change: Change) -> ChangePart:
    if change.rule is not None:
        return ChangePart(
            action=change.action,
            protocol=change.rule.protocol,
            ports=change.rule.ports,
            sources=list(change.rule.sources.cidrs()),
            origins=_origins(change.origins),
            reason=change.reason,
            vendor_rule=change.vendor_rule or None,
            list_id=change.list_id or None,
        )
    return ChangePart(
        action=change.action,
        target=change.target,
        opens_now=change.opens_now if change.action == "attach" or change.opens_now else None,
        reason=change.reason,
    )


def _refused(refused: Refused) -> RefusedPart:
    return RefusedPart(
        protocol=refused.protocol,
        ports=refused.ports,
        sources=list(refused.sources),
        origins=_origins(refused.origins),
        code=refused.code,
        reason=refused.reason,
    )


def _firewall(firewall: FirewallPlan) -> FirewallPart:
    return FirewallPart(
        name=firewall.name,
        provider=firewall.provider,
        type=firewall.type,
        endpoint=firewall.endpoint,
        identity=firewall.identity,
        id=firewall.id,
        exists=firewall.exists,
        read=_status(firewall.read),
        hosts=list(firewall.hosts),
        changes=[_change(change) for change in firewall.changes],
        steps=[StepPart(summary=step.summary, kind=step.kind) for step in firewall.steps],
        unchanged=firewall.unchanged,
        held=[
            HeldPart(
                protocol=held.rule.protocol,
                ports=held.rule.ports,
                sources=list(held.rule.sources.cidrs()),
                reason=held.reason,
                detail=held.detail,
                until=held.until.isoformat(timespec="seconds") if held.until else None,
            )
            for held in firewall.held
        ],
        refused=[_refused(entry) for entry in firewall.refused],
        kept=[KeptPart(summary=summary) for summary in firewall.kept],
        exposure=[_exposure(machine) for machine in firewall.standing.machines],
        standing=StandingPart(
            read=None if firewall.standing.read is None else _status(firewall.standing.read),
            unattached=firewall.standing.unattached,
            not_evaluated=list(firewall.standing.not_evaluated),
        ),
        shared=[
            SharedPart(host=entry.host, needed_by=list(entry.needed_by), **_rule(entry.rule))
            for entry in firewall.shared.entries()
        ],
    )


def _exposure(machine: MachineExposure) -> ExposurePart:
    return ExposurePart(
        machine=machine.machine,
        protected=machine.protected,
        attached=machine.attached,
        beyond=[
            BeyondPart(through=entry.through, advice=entry.advice, **_rule(entry.rule))
            for entry in machine.beyond
        ],
        target=machine.target,
        addresses=list(machine.addresses),
        firewalls=list(machine.firewalls),
        reachable=[RulePart(**_rule(rule)) for rule in machine.reachable],
        pending=list(machine.pending),
        unknown=list(machine.unknown),
        kept=list(machine.kept),
        halted=[_halted(halted) for halted in machine.halted],
        halted_after=[_halted(halted) for halted in machine.halted_after],
    )


def _halted(halted: Halted) -> HaltedPart:
    return HaltedPart(
        let_in_by=halted.let_in_by,
        stopped_by=halted.stopped_by,
        needed=halted.needed,
        **_rule(halted.rule),
    )


def _rule(rule: Rule) -> dict[str, Any]:
    return {"protocol": rule.protocol, "ports": rule.ports, "sources": list(rule.sources.cidrs())}


def from_document(text: str) -> Plan:
    """A plan file read back. Nothing in it is ever executed: apply plans again and compares (law
    6).

    Raises `PlanFileError` for anything that is not a plan of a known format whose digest is right.
    """
    if len(text) > MAX_PLAN_BYTES:
        raise PlanFileError(f"the plan file is larger than {MAX_PLAN_BYTES // (1024 * 1024)} MiB")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise PlanFileError("the plan file is not JSON") from None
    version = value.get("format_version") if isinstance(value, dict) else None
    if not isinstance(version, str) or version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise PlanFileError(
            f"the file is not a plan of format {FORMAT_VERSION.split('.')[0]}.x"
        ) from None
    try:
        document = PlanDocument.model_validate(value)
        plan = _plan(document)
    except ValidationError as error:
        where = ".".join(str(key) for key in error.errors(include_input=False)[0]["loc"])
        raise PlanFileError(f"the plan file is malformed at {where[:200]!r}") from None
    except (ValueError, RecursionError, OverflowError):
        raise PlanFileError(
            "the plan file is malformed: a rule or a date in it cannot be read"
        ) from None
    if digest(plan) != document.digest:
        raise PlanFileError(
            "the plan file's digest does not match its changes: it was altered after it was written"
        )
    if document.grants_checksum is None and plan.granted == Granted():
        return plan  # of a version that knew no checksum
    if document.grants_checksum != grants_checksum(plan.granted):
        raise PlanFileError(
            "what the plan file was granted was altered after it was written: plan again with the "
            "options that grant it"
        )
    return plan


def _plan(document: PlanDocument) -> Plan:
    created = datetime.fromisoformat(document.created)
    if created.tzinfo is None:
        raise ValueError("a moment without its zone")
    granted = document.granted
    return Plan(
        tool_version=document.tool_version,
        created=created,
        owner=document.owner,
        granted=Granted(
            tuple(granted.adopt),
            tuple(granted.allow_attach),
            granted.allow_close,
            ssh_moved=granted.ssh_moved,
            now=granted.now,
        ),
        hosts=tuple((name, _read_status(status)) for name, status in document.hosts.items()),
        firewalls=tuple(_read_firewall(firewall) for firewall in document.firewalls),
        guards=tuple(Guard(g.id, g.firewall, g.withholds, g.message) for g in document.guards),
        unassigned=tuple(_read_refused(refusal) for refusal in document.unassigned),
        malformed=tuple(document.malformed),
        warnings=tuple(document.warnings),
        machines=tuple((name, tuple(targets)) for name, targets in document.machines.items()),
        unpublished=tuple(
            Unpublished(
                _read_origins((container.origin,))[0],
                container.network,
                container.reason,
                tuple(container.exposed),
            )
            for container in document.unpublished
        ),
    )


def _read_status(status: StatusPart) -> ReadStatus:
    return ReadStatus(status.status, status.reason, temporary=status.temporary is not False)


def _read_origins(parts: Iterable[OriginPart]) -> tuple[Origin, ...]:
    return tuple(
        Origin(p.host or "", p.project, p.service, p.container, p.label, p.file, p.line)
        for p in parts
    )


def _read_change(change: ChangePart) -> Change:
    if change.action in ("open", "close"):
        if change.protocol is None or change.ports is None or not change.sources:
            raise ValueError("a rule without its parts")
        rule = Rule.of(change.protocol, change.ports, NetworkSet.of(change.sources))
        origins = _read_origins(change.origins or ())
        return Change(
            change.action,
            change.reason,
            rule,
            origins,
            list_id=change.list_id or "",
            vendor_rule=change.vendor_rule or "",
        )
    return Change(
        change.action, change.reason, target=change.target, opens_now=bool(change.opens_now)
    )


def _read_refused(refused: RefusedPart) -> Refused:
    return Refused(
        refused.protocol,
        refused.ports,
        tuple(refused.sources),
        refused.code,
        refused.reason,
        _read_origins(refused.origins),
    )


def _read_firewall(firewall: FirewallPart) -> FirewallPlan:
    return FirewallPlan(
        name=firewall.name,
        provider=firewall.provider,
        type=firewall.type,
        endpoint=firewall.endpoint,
        identity=firewall.identity,
        id=firewall.id,
        exists=firewall.exists,
        read=_read_status(firewall.read),
        hosts=tuple(firewall.hosts),
        changes=tuple(_read_change(change) for change in firewall.changes),
        steps=tuple(StepSummary(step.summary, step.kind) for step in firewall.steps),
        unchanged=firewall.unchanged,
        held=tuple(
            Held(
                Rule.of(held.protocol, held.ports, NetworkSet.of(held.sources)),
                held.reason,
                held.detail,
                datetime.fromisoformat(held.until) if held.until else None,
            )
            for held in firewall.held
        ),
        refused=tuple(_read_refused(refusal) for refusal in firewall.refused),
        kept=tuple(kept.summary for kept in firewall.kept),
    )
