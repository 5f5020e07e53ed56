"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

One firewall is a group of VPC rules that share a prefix. What only widens is started together and
waited for, then the rules that gain and lose are replaced (each replacement is atomic; together
where every order is lawful, else one by one), then what only narrows is started together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from cloudsync.provider.contract import (
    API_VERSION,
    Absent,
    Account,
    AccountModel,
    Capabilities,
    FirewallModel,
    FirewallSpec,
    Present,
    Reader,
    Refusal,
    Step,
    StepKind,
    Target,
    Writer,
)
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_gcp import denials
from cloudsync_gcp.native import Change, Found, Write
from cloudsync_gcp.rules import (
    Listed,
    Wished,
    body,
    inexpressible,
    sources_of,
    spare_name,
    text_of,
    wishes,
    written_marker,
)
from cloudsync_gcp.settings import GcpAccount, GcpFirewall, denial_priority, prefix_of, settings_of

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter

ENDPOINT = "https://compute.googleapis.com"
# Any protocol without ports may be named by its number; ports are for tcp and udp only, by the
# API's description.
_WITH_PORTS_ELSEWHERE = {33, 132, 136}
_PROTOCOLS = frozenset(
    {"tcp", "udp", *(str(n) for n in range(256) if n not in _WITH_PORTS_ELSEWHERE)}
)


class GcpProvider:
    """Google Cloud VPC firewall rules."""

    api_version: ClassVar[int] = API_VERSION
    type: ClassVar[str] = "gcp"
    sdk: ClassVar[str | None] = "google.cloud.compute"
    extra: ClassVar[str | None] = "gcp"
    account_settings: ClassVar[AccountModel] = GcpAccount
    firewall_settings: ClassVar[FirewallModel] = GcpFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        protocols=_PROTOCOLS,
        icmp_types=False,
        private_is_public=True,
        attaches=False,
        descriptions=True,
        all_protocols=True,
        other_sources=True,
        paged=True,
        at_once=4,
        notes=(
            (
                "no SCTP, no ICMP types",
                "ports are for tcp and udp: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls",
            ),
            ("256 networks a rule", "more are written as several rules"),
            (
                "other rules of the network stay in force",
                'enforce = "allow" only adds; "deny-others" denies what others let in from the Internet',
            ),
            (
                "the quota of rules is the project's",
                "it is not asked for; where it is reached the write fails and says so",
            ),
        ),
    )

    @property
    def starter(self) -> Starter:
        """What `cloudsync init` asks."""
        from cloudsync_gcp.init import STARTER

        return STARTER

    def identity(self, spec: FirewallSpec) -> str:
        """The prefix of the rules' names, unique in the project."""
        return prefix_of(spec)

    def endpoint(self, account: Account) -> str:
        """The API's base URL, and the project: `https://compute.googleapis.com/projects/p`."""
        project = account.settings.project if isinstance(account.settings, GcpAccount) else "?"
        return f"{base_of(account)}/projects/{project}"

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Marker, widen, replace, narrow; a call a VPC rule that differs."""
        settings, prefix = settings_of(target.spec), prefix_of(target.spec)
        if target.release:
            return _releasing(observed, target, prefix)
        if rest := inexpressible(target.rules, _PROTOCOLS):
            return Refusal(
                f"VPC rules have ports for tcp and udp only, and no ICMP types; they cannot say: {', '.join(map(str, rest))}"
            )
        native = observed.native if isinstance(observed.native, Found) else Found()
        found = native.rules
        if strange := [one for one in found if one.kind == "deny" and not one.turned]:
            names = ", ".join(one.name for one in strange)
            return Refusal(
                f"{names} begins with this firewall's prefix and denies traffic; rename or delete it by hand"
            )
        asked = target.reapply or any(one.target == denials.TARGET for one in target.attach)
        deny = settings.enforce == "deny-others" and asked
        if deny and native.overruled:
            return Refusal(
                f"denying what others let in would stop {', '.join(native.overruled[:5])} of this owner's other firewalls on the same "
                f"machines; give those a priority below {denial_priority(settings)}"
            )
        moves = _moves(wishes(prefix, target.rules, target, found, native.taken), found, target)
        now = {one.name: one.effect for one in found}
        stages = list(_stages(moves, now, target))
        if not _lawful(stages, now, target):
            taken = {*now, *native.taken, *(move.write.name for move in moves)}
            moves = [part for move in moves for part in _apart(move, settings, prefix, taken)]
            stages = list(_stages(moves, now, target))
        steps = []
        if settings.enforce == "allow" and (lifted := denials.lifting(found)):
            names = ", ".join(write.name for write in lifted)
            summary = f"stop denying what others let in: delete {names}"
            steps.append(Step(summary, StepKind.REPLACE, _together(now), native=Change(lifted)))
        denied, surplus = (
            denials.denying(found, native.taken, prefix, settings, target.spec.marker)
            if deny
            else ((), ())
        )
        touched = {move.write.name for move in moves} | {
            write.name for write in (*denied, *surplus)
        }
        if settings.enforce == "allow":
            touched |= {one.name for one in found if one.kind == "denial"}
        if target.marker is not None and (
            marks := [
                one
                for one in found
                if one.kind in ("allow", "denial")
                and one.name not in touched
                and one.marker != target.marker
            ]
        ):
            change = Change(tuple(_marked(one, target) for one in marks))
            steps.append(
                Step(
                    f'write the owner marker of "{prefix}"',
                    StepKind.MARK,
                    _together(now),
                    native=change,
                )
            )
        for verb, kind, group in stages:
            if kind is StepKind.NARROW and denied:
                # Before it closes anything, what is wrong with a denial may be that it stops SSH.
                steps.append(_denial(denied, _together(now)))
                denied = ()
            for move in group:
                now[move.write.name] = move.after
            summary = f"{verb} {', '.join(move.write.name for move in group)}"
            steps.append(
                Step(
                    summary,
                    kind,
                    _together(now),
                    native=Change(tuple(move.write for move in group)),
                )
            )
        if denied:
            steps.append(_denial(denied, _together(now)))
        if surplus:
            names = ", ".join(write.name for write in surplus)
            steps.append(
                Step(
                    f"delete {names}, which is denied twice",
                    StepKind.REPLACE,
                    _together(now),
                    native=Change(surplus),
                )
            )
        return tuple(steps)

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Asked of the vendor without a write."""
        from cloudsync_gcp.access import check

        return check(account, base_of(account), specs)

    def open_reader(self, account: Account) -> Reader:
        """Raises `AuthError` where there are no credentials."""
        from cloudsync_gcp.client import Api
        from cloudsync_gcp.reader import GcpReader

        return GcpReader(Api(account, base_of(account)))

    def open_writer(self, account: Account) -> Writer:
        """As `open_reader`."""
        from cloudsync_gcp.writer import GcpWriter

        return GcpWriter(account, base_of(account))


def base_of(account: Account) -> str:
    """Scheme and host of the API; the version's path is the SDK's to add."""
    return (account.settings.endpoint or ENDPOINT).removesuffix("/compute/v1")


@dataclass(frozen=True, slots=True)
class _Move:
    """One call about one VPC rule: what it lets in before and after. `wished` and `found`: the rule
    as it should be and as it is."""

    before: RuleSet
    after: RuleSet
    write: Write
    wished: Wished | None = None
    found: Listed | None = None

    @property
    def gains(self) -> bool:
        return bool(self.after - self.before)

    @property
    def loses(self) -> bool:
        return self.write.method == "delete" or bool(self.before - self.after)


def _moves(wished: tuple[Wished, ...], found: tuple[Listed, ...], target: Target) -> list[_Move]:
    """Every VPC rule that differs from what it should be, in any field."""
    settings = settings_of(target.spec)
    there = {one.name: one for one in found if one.kind == "allow" or one.turned}
    moves = []
    for one in wished:
        now = there.get(one.name)
        if now is None:
            moves.append(
                _Move(NOTHING, one.allowed, Write("insert", one.name, body(one, settings)), one)
            )
        elif (
            now.effect != one.allowed
            or (now.wrong and target.reapply)
            or (target.marker is not None and now.marker != target.marker)
        ):
            moves.append(
                _Move(
                    now.effect,
                    one.allowed,
                    Write("update", one.name, body(one, settings, now.native)),
                    one,
                    now,
                )
            )
    names = {one.name for one in wished}
    # A rule that lets in nothing here, because somebody changed another field of it, goes where the
    # plan says so.
    gone = [
        one
        for one in there.values()
        if one.name not in names and not one.others and (one.effect or target.reapply)
    ]
    moves += [_Move(one.effect, NOTHING, Write("delete", one.name), found=one) for one in gone]
    return moves


_Stage = tuple[str, StepKind, list[_Move]]


def _stages(moves: list[_Move], now: Mapping[str, RuleSet], target: Target) -> Iterator[_Stage]:
    """What only gains, together; what gains and loses; what only loses, together."""
    wider = [move for move in moves if not move.loses]
    if wider:
        gains = any(move.gains for move in wider)
        yield ("widen", StepKind.WIDEN, wider) if gains else ("put right", StepKind.REPLACE, wider)
    replaced = [move for move in moves if move.gains and move.loses]
    after = {**now, **{move.write.name: move.after for move in wider}}
    for group in (
        [replaced] if _in_any_order(replaced, after, target) else [[move] for move in replaced]
    ):
        if group:
            yield "replace", StepKind.REPLACE, group
    narrower = [move for move in moves if move.loses and not move.gains]
    if narrower:
        yield "narrow", StepKind.NARROW, narrower


def _in_any_order(moves: list[_Move], now: Mapping[str, RuleSet], target: Target) -> bool:
    """Whether the replacements may end in any order: what has to be open is open in what none of
    them closes."""
    touched = {move.write.name for move in moves}
    throughout = _together({name: rules for name, rules in now.items() if name not in touched})
    throughout = throughout | _together(
        {move.write.name: move.before & move.after for move in moves}
    )
    return throughout.covers(_together(now) & target.rules) and throughout.covers(target.ssh)


def _lawful(stages: list[_Stage], found: Mapping[str, RuleSet], target: Target) -> bool:
    """Whether the replacements close nothing that stays wanted, and nothing before SSH is open."""
    now = dict(found)
    lowest = _together(now) & target.rules
    for _, kind, group in stages:
        for move in group:
            now[move.write.name] = move.after
        if kind is StepKind.REPLACE and not (
            _together(now).covers(lowest) and _together(now).covers(target.ssh)
        ):
            return False
    return True


def _apart(
    move: _Move, settings: GcpFirewall, prefix: str, taken: Collection[str]
) -> Iterator[_Move]:
    """A rule that gains and loses, as two calls: first it gains, then it loses. Where its sources
    change too, no one rule lets in what it lets in before and after: a second one takes over."""
    if not (move.gains and move.loses) or move.wished is None or move.found is None:
        yield move
        return
    wished, native = move.wished, move.found.native
    if sources_of(native) == wished.sources:
        both = replace(wished, allowed=move.before | move.after)
        yield _Move(
            move.before,
            both.allowed,
            Write("update", wished.name, body(both, settings, native)),
            both,
            move.found,
        )
        yield _Move(both.allowed, move.after, move.write, wished, move.found)
        return
    other = replace(wished, name=spare_name(prefix, wished.sources, taken))
    yield _Move(NOTHING, move.after, Write("insert", other.name, body(other, settings)), other)
    yield _Move(move.before, NOTHING, Write("delete", wished.name), found=move.found)


def _marked(one: Listed, target: Target) -> Write:
    """The rule as it is, with the marker: PUT replaces the whole resource."""
    description = written_marker(target.spec.marker, text_of(one.native))
    return Write("update", one.name, _as_it_is(one) | {"description": description})


def _denial(writes: tuple[Write, ...], after: RuleSet) -> Step:
    """Once everything that is to come in is let in."""
    summary = (
        f"deny what others let in from the Internet: {', '.join(write.name for write in writes)}"
    )
    return Step(summary, StepKind.ATTACH, after, (denials.TARGET,), Change(writes))


def _releasing(observed: Present | Absent, target: Target, prefix: str) -> tuple[Step, ...]:
    """The descriptions without the marker; who needs a rule stays in them."""
    found = observed.native.rules if isinstance(observed.native, Found) else ()
    writes = tuple(
        Write("update", one.name, _as_it_is(one) | {"description": text_of(one.native)})
        for one in found
        if one.marker is not None
    )
    summary = f'take the owner marker off "{prefix}"'
    return (Step(summary, StepKind.MARK, target.rules, native=Change(writes)),) if writes else ()


def _as_it_is(one: Listed) -> dict[str, object]:
    return {key: value for key, value in one.native.items() if key not in _ANSWERED}


def _together(rules: Mapping[str, RuleSet]) -> RuleSet:
    total = NOTHING
    for one in rules.values():
        total = total | one
    return total


_ANSWERED = ("id", "kind", "creationTimestamp", "selfLink", "selfLinkWithId")
