"""The refusals, each alone: what lets them pass and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.model.plan import Granted, Guard
from cloudsync.planning.guards import (
    attaching,
    closings,
    everything_would_close,
    lawful_steps,
    max_close,
)
from cloudsync.planning.policy import Desired
from cloudsync.provider.contract import (
    Attachment,
    FirewallSpec,
    Machine,
    Step,
    StepKind,
    Target,
    VendorRule,
)
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import FirewallSettings
from cloudsync.rules import NOTHING, RuleSet
from tests.world import rules

SSH = rules("tcp/22")


def step(kind: StepKind, *after: str, attaches: tuple[str, ...] = ()) -> Step:
    return Step(f"{kind} something", kind, rules(*after), attaches)


def checked(
    before: RuleSet, after: RuleSet, *steps: Step, attach: tuple[str, ...] | None = None
) -> str | None:
    """`attach`: what the plan attaches; left out, what the steps do."""
    if attach is None:
        attach = tuple(dict.fromkeys(name for step in steps for name in step.attaches))
    spec = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0badcafe"))
    attachments = tuple(Attachment(name, attached=False) for name in attach)
    target = Target(spec, after, SSH, attach=attachments)
    guard = lawful_steps("web", before, target, steps)
    return guard.id if guard else None


def test_opening_then_closing_is_lawful() -> None:
    before, after = rules("tcp/22", "tcp/80"), rules("tcp/22", "tcp/443")
    steps = (
        step(StepKind.WIDEN, "tcp/22", "tcp/80", "tcp/443"),
        step(StepKind.NARROW, "tcp/22", "tcp/443"),
    )
    assert checked(before, after, *steps) is None


def test_one_atomic_replacement_may_bring_ssh_and_close_at_once() -> None:
    assert checked(rules("tcp/80"), SSH, step(StepKind.REPLACE, "tcp/22")) is None


def test_creating_with_rules_and_attachment_at_once_is_lawful() -> None:
    assert checked(NOTHING, SSH, step(StepKind.REPLACE, "tcp/22", attaches=("server 7",))) is None


def test_attaching_without_ssh_is_not_lawful() -> None:
    steps = step(StepKind.ATTACH, attaches=("server 7",)), step(StepKind.WIDEN, "tcp/22")
    assert checked(NOTHING, SSH, *steps) == "ssh"


def test_law2_a_machine_is_attached_only_once_all_its_rules_are_in_effect() -> None:
    after = rules("tcp/22", "tcp/443")
    attach = step(StepKind.ATTACH, "tcp/22", attaches=("server 7",))
    assert checked(SSH, after, attach, step(StepKind.REPLACE, "tcp/22", "tcp/443")) == "steps"
    lawful = step(StepKind.ATTACH, "tcp/22", "tcp/443", attaches=("server 7",))
    assert checked(SSH, after, step(StepKind.WIDEN, "tcp/22", "tcp/443"), lawful) is None


def test_law2_several_calls_in_any_order_may_not_open_and_attach_in_one_step() -> None:
    after = rules("tcp/22", "tcp/443")
    step_of_both = step(StepKind.WIDEN, "tcp/22", "tcp/443", attaches=("server 7",))
    assert checked(SSH, after, step_of_both) == "steps"
    at_once = step(StepKind.REPLACE, "tcp/22", "tcp/443", attaches=("server 7",))
    assert checked(SSH, after, at_once) is None


def test_law2_what_an_attached_machine_needs_does_not_close_after_the_attachment() -> None:
    after = rules("tcp/22", "tcp/443")
    steps = (
        step(StepKind.WIDEN, "tcp/22", "tcp/443"),
        step(StepKind.ATTACH, "tcp/22", "tcp/443", attaches=("server 7",)),
        step(StepKind.REPLACE, "tcp/22"),
        step(StepKind.REPLACE, "tcp/22", "tcp/443"),
    )
    assert checked(SSH, after, *steps) == "steps"


def test_law8_the_steps_attach_what_the_plan_shows() -> None:
    steps = (step(StepKind.ATTACH, "tcp/22", attaches=("server 7",)),)
    assert checked(SSH, SSH, *steps, attach=("server 7", "server 8")) == "steps"
    assert checked(SSH, SSH, *steps, attach=("server 7",)) is None


def test_ssh_that_is_open_stays_open_even_if_it_comes_back() -> None:
    before = rules("tcp/22", "tcp/80")
    steps = step(StepKind.REPLACE, "tcp/80"), step(StepKind.REPLACE, "tcp/22")
    assert checked(before, SSH, *steps) == "ssh"


def test_a_part_of_ssh_that_is_open_stays_open() -> None:
    before, after = rules("tcp/22 from 0.0.0.0/0"), SSH
    steps = step(StepKind.REPLACE, "tcp/22 from ::/0"), step(StepKind.REPLACE, "tcp/22")
    assert checked(before, after, *steps) == "ssh"


def test_ssh_does_not_close_even_if_the_plan_itself_forgot_it() -> None:
    assert (
        checked(rules("tcp/22", "tcp/80"), rules("tcp/80"), step(StepKind.NARROW, "tcp/80"))
        == "ssh"
    )


def test_opening_for_a_moment_what_nobody_wants_is_not_lawful() -> None:
    steps = (
        step(StepKind.REPLACE, "tcp/22", "tcp/443", "tcp/1"),
        step(StepKind.REPLACE, "tcp/22", "tcp/443"),
    )
    assert checked(SSH, rules("tcp/22", "tcp/443"), *steps) == "steps"


def test_closing_for_a_moment_what_stays_wanted_is_not_lawful() -> None:
    before = rules("tcp/22", "tcp/443")
    steps = step(StepKind.REPLACE, "tcp/22"), step(StepKind.REPLACE, "tcp/22", "tcp/443")
    assert checked(before, before, *steps) == "steps"


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        (StepKind.WIDEN, ("tcp/22",)),
        (StepKind.NARROW, ("tcp/22", "tcp/80", "tcp/443")),
        (StepKind.ATTACH, ("tcp/22", "tcp/80", "tcp/443")),
        (StepKind.MARK, ("tcp/22",)),
    ],
)
def test_a_step_does_only_what_its_kind_says(kind: StepKind, after: tuple[str, ...]) -> None:
    before, wanted = rules("tcp/22", "tcp/80"), rules("tcp/22", "tcp/443")
    assert (
        checked(before, wanted, step(kind, *after), step(StepKind.REPLACE, "tcp/22", "tcp/443"))
        == "steps"
    )


def test_steps_must_end_where_the_plan_ends() -> None:
    assert checked(SSH, rules("tcp/22", "tcp/443")) == "steps"


@pytest.mark.parametrize(("count", "refused"), [(4, False), (5, False), (6, True)])
def test_max_close_lets_exactly_its_number_pass(count: int, refused: bool) -> None:
    closing = rules(*(f"tcp/{8000 + 2 * n}" for n in range(count)))
    assert bool(max_close("web", closings((), closing), 5, Granted())) is refused


def attach(*machines: Machine) -> Guard | None:
    return attaching(
        "web",
        (Attachment("label selector env=prod", attached=False, newly_covered=machines),),
        Granted(),
    )


def test_every_open_machine_under_a_selector_is_named() -> None:
    guard = attach(Machine("7", "web-1", protected=False), Machine("8", "web-2", protected=True))
    assert guard is not None
    assert "web-1" in guard.message
    assert "web-2" not in guard.message


def test_a_machine_that_is_under_another_firewall_needs_no_word() -> None:
    assert attach(Machine("8", "web-2", protected=True)) is None


def test_law8_containers_whose_ports_are_not_known_are_named_before_an_attach() -> None:
    from cloudsync.model.ports import Origin, Unpublished

    machine = Machine("7", "web-1", protected=False)
    attach = (Attachment("server 7", False, (machine,)),)
    exporter = Unpublished(Origin("web-1", container="node-exporter"), "host", "", ("9100/tcp",))
    others = tuple(
        Unpublished(Origin("web-1", container=f"in-{network}"), network, "")  # type: ignore[arg-type]
        for network in ("macvlan", "ipvlan", "container", "none", "internal", "routed")
    )
    guard = attaching("web", attach, Granted(), (exporter, *others))
    assert guard is not None
    assert "node-exporter on web-1 (host)" in guard.message
    assert "cloudsync.ports" in guard.message
    for other in others:
        assert f"in-{other.network} on web-1 ({other.network})" in guard.message
    many = tuple(replace(exporter, origin=Origin("web-1", container=f"e{n}")) for n in range(8))
    guard = attaching("web", attach, Granted(), many)
    assert guard is not None
    assert "e4 on web-1 (host) and 3 more" in guard.message


def only_ssh_is_desired(*written: str, closing: RuleSet | None = None) -> Guard | None:
    """The guard where the vendor has these rules besides SSH, and they close."""
    desired = Desired((), SSH, SSH, NOTHING, NOTHING, (), ())
    vendor = [VendorRule(str(at), rules(text)) for at, text in enumerate(written)]
    going = rules(*written) if closing is None else closing
    return everything_would_close("web", desired, vendor, going, {}, Granted())


@pytest.mark.parametrize(
    "written",
    [
        ("tcp/443", "tcp/8080"),
        ("tcp/8080", "tcp/8081"),
        ("tcp/8000-8010", "tcp/8011-8020"),
        ("tcp/53", "udp/53"),
    ],
)
def test_rules_of_several_ports_are_everything_though_their_numbers_are_neighbours(
    written: tuple[str, ...],
) -> None:
    guard = only_ssh_is_desired(*written)
    assert guard is not None
    assert guard.withholds == "closings"
    assert "(2 rules would close)" in guard.message


@pytest.mark.parametrize(
    "written",
    [
        ("tcp/8000-8010",),
        ("tcp/8080 from 0.0.0.0/0", "tcp/8080 from ::/0"),
        ("tcp/8080 from 203.0.113.0/24", "tcp/8080 from 198.51.100.0/24"),
    ],
)
def test_one_range_and_the_families_and_sources_of_one_port_are_not_several_rules(
    written: tuple[str, ...],
) -> None:
    assert only_ssh_is_desired(*written) is None


def test_the_pieces_of_one_wide_rule_are_not_several_rules() -> None:
    wide = "tcp/1-65535"
    assert only_ssh_is_desired(wide, closing=rules(wide) - rules("tcp/22", "tcp/443")) is None


def test_two_ports_in_one_object_of_the_vendor_are_several_rules() -> None:
    desired = Desired((), SSH, SSH, NOTHING, NOTHING, (), ())
    packed = [VendorRule("web-any4", rules("tcp/80", "tcp/443"))]
    guard = everything_would_close(
        "web", desired, packed, rules("tcp/80", "tcp/443"), {}, Granted()
    )
    assert guard is not None
    assert "(1 rule would close)" in guard.message
