"""What every provider must do, ours or a stranger's."""

from __future__ import annotations

from cloudsync.testing.language import (
    Apply,
    Attached,
    Boundary,
    LetsInWanted,
    NothingLeft,
    Other,
    Others,
    Race,
    Release,
    Untouched,
    WantsLimit,
    belongs_to,
    by_hand,
    goes,
    lets_in,
    meanwhile,
    scenario,
    there_is,
    unmarked,
    wants,
)

_MANY = ",".join(f"198.51.{n}.{m}/32" for n in range(3) for m in range(1, 26, 2))
FINISHES = (Apply(), LetsInWanted(), NothingLeft())
"""The next run finishes whatever the last one left."""

SCENARIOS = (
    # What a person would try first
    scenario("a firewall is created", wants("tcp/443"), Apply(attach=True), lets_in("tcp/443"), NothingLeft()),
    scenario("a port opens", there_is(), wants("tcp/443"), Apply(opens=1, closes=0), lets_in("tcp/443"), NothingLeft()),
    scenario("a port closes", there_is("tcp/443"), wants(), Apply(opens=0, closes=1), lets_in(), NothingLeft()),
    scenario(
        "one opens and one closes",
        there_is("tcp/80"),
        wants("tcp/443"),
        Apply(opens=1, closes=1),
        lets_in("tcp/443"),
        NothingLeft(),
    ),
    scenario(
        "everything is replaced",
        there_is("tcp/80", "tcp/8000-8010 from 203.0.113.0/24", "udp/53"),
        wants("tcp/443", "udp/51820 from 198.51.100.0/24,2001:db8::/32"),
        Apply(closes=3),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario("nothing is to do", there_is("tcp/443", "udp/53"), wants("tcp/443", "udp/53"), NothingLeft(), Untouched()),
    scenario("a second run is empty", wants("tcp/443", "udp/53"), Apply(attach=True), NothingLeft()),
    # Addresses, ports, protocols
    scenario("IPv4 only", there_is(), wants("tcp/443 from 0.0.0.0/0"), Apply(opens=1), LetsInWanted(), NothingLeft()),
    scenario("IPv6 only", there_is(), wants("tcp/443 from ::/0"), Apply(opens=1), LetsInWanted(), NothingLeft()),
    scenario("IPv6 only is not opened to IPv4", there_is("tcp/443"), wants("tcp/443 from ::/0"), Apply(closes=1), LetsInWanted()),
    scenario("many sources", there_is(), wants(f"tcp/443 from {_MANY}"), Apply(opens=1), LetsInWanted(), NothingLeft()),
    scenario(
        "many sources, some of them fewer",
        there_is("tcp/443 from 198.51.100.0/25,203.0.113.0/24,2001:db8::/32"),
        wants("tcp/443 from 198.51.100.0/26,203.0.113.0/24"),
        Apply(opens=0, closes=1),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario(
        "one source of many goes",
        there_is("tcp/443 from 198.51.100.0/25,203.0.113.0/24,192.0.2.1/32"),
        wants("tcp/443 from 198.51.100.0/25,203.0.113.0/24"),
        Apply(opens=0, closes=1),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario(
        "a range of ports", there_is(), wants("tcp/8000-8010", "udp/60000-61000"), Apply(opens=2), LetsInWanted(), NothingLeft()
    ),
    scenario(
        "one port of a range closes",
        there_is("tcp/8000-8010"),
        wants("tcp/8000-8004", "tcp/8006-8010"),
        Apply(closes=1),
        LetsInWanted(),
    ),
    scenario(
        "a range grows",
        there_is("tcp/8000-8004"),
        wants("tcp/8000-8010"),
        Apply(opens=1, closes=0),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario("all ports of a protocol", there_is(), wants("udp/1-65535"), Apply(opens=1), LetsInWanted(), NothingLeft()),
    scenario("all ports shrink to one", there_is("udp/1-65535"), wants("udp/53"), Apply(), LetsInWanted(), NothingLeft()),
    scenario(
        "a wide source becomes narrow",
        there_is("tcp/443"),
        wants("tcp/443 from 203.0.113.0/24"),
        Apply(),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario(
        "a narrow source becomes wide",
        there_is("tcp/443 from 203.0.113.0/24"),
        wants("tcp/443"),
        Apply(closes=0),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario(
        "ports swap their sources",
        there_is("tcp/80 from 203.0.113.0/24", "tcp/81 from 198.51.100.0/24"),
        wants("tcp/80 from 198.51.100.0/24", "tcp/81 from 203.0.113.0/24"),
        Apply(opens=2, closes=2),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario(
        "overlapping sources",
        there_is("tcp/443 from 203.0.113.0/24"),
        wants("tcp/443 from 203.0.113.0/24", "tcp/444", "tcp/445 from 203.0.113.0/25"),
        Apply(),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario("ICMP", there_is(), wants("icmp from 0.0.0.0/0"), Apply(opens=1), LetsInWanted(), NothingLeft(), protocols="icmp"),
    scenario("ICMPv6", there_is(), wants("icmpv6 from ::/0"), Apply(opens=1), LetsInWanted(), NothingLeft(), protocols="icmpv6"),
    scenario(
        "single ICMP types",
        there_is(),
        wants("icmp/8 from 0.0.0.0/0", "icmp/3/4 from 0.0.0.0/0"),
        Apply(opens=2),
        LetsInWanted(),
        NothingLeft(),
        needs="icmp_types",
    ),
    scenario("ESP", there_is(), wants("esp from 203.0.113.0/24"), Apply(opens=1), LetsInWanted(), NothingLeft(), protocols="esp"),
    scenario("SCTP", there_is(), wants("sctp/3868"), Apply(opens=1), LetsInWanted(), NothingLeft(), protocols="sctp"),
    scenario(
        "everything from one network",
        there_is(),
        wants("all from 203.0.113.0/24"),
        Apply(),
        LetsInWanted(),
        NothingLeft(),
        needs="all_protocols",
    ),
    # Spelling
    scenario("merged ports are the same", there_is("tcp/80-82"), wants("tcp/80", "tcp/81", "tcp/82"), NothingLeft(), Untouched()),
    scenario("split ports are the same", there_is("tcp/80", "tcp/81", "tcp/82"), wants("tcp/80-82"), NothingLeft(), Untouched()),
    scenario(
        "split networks are the same",
        there_is("tcp/443 from 0.0.0.0/1,128.0.0.0/1", "tcp/443 from ::/1", "tcp/443 from 8000::/1"),
        wants("tcp/443"),
        NothingLeft(),
        Untouched(),
    ),
    scenario(
        "overlapping rules are the same", there_is("tcp/80-90", "tcp/85-95"), wants("tcp/80-95"), NothingLeft(), Untouched()
    ),
    scenario(
        "another spelling of IPv6 is the same",
        there_is("tcp/443 from 2001:DB8:0:0:0:0:0:0/32"),
        wants("tcp/443 from 2001:db8::/32"),
        NothingLeft(),
        Untouched(),
    ),
    scenario(
        "another order is the same",
        there_is("udp/53", "tcp/443", "tcp/80"),
        wants("tcp/80", "tcp/443", "udp/53"),
        NothingLeft(),
        Untouched(),
    ),
    scenario(
        "a description is no change",
        there_is("tcp/443 # words of somebody", "tcp/80 # x"),
        wants("tcp/443", "tcp/80"),
        NothingLeft(),
        Untouched(),
        needs="descriptions",
    ),
    scenario(
        "a split spelling closes whole",
        there_is("tcp/443 from 0.0.0.0/1,128.0.0.0/1", "tcp/443 from ::/1", "tcp/443 from 8000::/1", "tcp/440-450"),
        wants(),
        Apply(opens=0, closes=1, ends=(0,)),
        lets_in(),
        NothingLeft(),
    ),
    # By hand
    scenario(
        "a rule added by hand closes",
        there_is("tcp/443"),
        wants("tcp/443"),
        NothingLeft(),
        by_hand("tcp/22", "tcp/443", "tcp/3389"),
        *FINISHES,
    ),
    scenario(
        "a rule taken away by hand opens",
        there_is("tcp/443"),
        wants("tcp/443"),
        by_hand("tcp/22"),
        Apply(opens=1, closes=0),
        *FINISHES,
    ),
    scenario(
        "a rule widened by hand is narrowed",
        there_is("tcp/443"),
        wants("tcp/443"),
        by_hand("tcp/22", "tcp/1-65535"),
        Apply(opens=0),
        *FINISHES,
    ),
    scenario(
        "SSH narrowed by hand opens",
        there_is("tcp/443"),
        wants("tcp/443"),
        by_hand("tcp/22 from 203.0.113.0/24", "tcp/443"),
        *FINISHES,
    ),
    scenario("SSH taken away by hand opens first", there_is("tcp/443"), wants("tcp/80"), by_hand("tcp/443"), *FINISHES),
    scenario(
        "everything taken away by hand", there_is("tcp/443"), wants("tcp/443"), by_hand("tcp/9999 from 192.0.2.9/32"), *FINISHES
    ),
    scenario(
        "additive keeps what was added by hand",
        there_is("tcp/443"),
        wants("tcp/80", mode="additive"),
        Apply(opens=1, closes=0),
        lets_in("tcp/443", "tcp/80"),
        NothingLeft(),
    ),
    scenario(
        "rules from private networks stay",
        there_is("tcp/443", "tcp/5432 from 10.0.0.0/8"),
        wants("tcp/443"),
        NothingLeft(),
        Untouched(),
    ),
    scenario(
        "sources that are no networks stay",
        there_is("tcp/80"),
        Other(),
        wants("tcp/443"),
        Apply(opens=1, closes=1),
        Others(1),
        lets_in("tcp/443"),
        NothingLeft(),
        needs="other_sources",
    ),
    # Ownership
    scenario(
        "another owner's is refused",
        belongs_to("another-owner", "tcp/3389"),
        wants("tcp/443"),
        Apply((3,)),
        Apply((3,), adopt=True),
        Untouched(),
    ),
    scenario("an unmarked one is refused", unmarked("tcp/3389"), wants("tcp/443"), Apply((3,)), Untouched()),
    scenario(
        "one of other hosts is refused",
        belongs_to("other-hosts", "tcp/22", "tcp/443"),
        wants("tcp/443"),
        Apply((3,)),
        Untouched(),
    ),
    scenario(
        "an unmarked one is adopted",
        unmarked("tcp/3389", "tcp/80"),
        wants("tcp/443"),
        Apply(adopt=True, attach=True),
        LetsInWanted(),
        NothingLeft(),
    ),
    scenario(
        "one with the right rules is adopted",
        unmarked("tcp/22", "tcp/443"),
        wants("tcp/443"),
        Apply(opens=0, closes=0, adopt=True, attach=True),
        *FINISHES,
    ),
    scenario(
        "one of other hosts is adopted",
        belongs_to("other-hosts", "tcp/22", "tcp/443"),
        wants("tcp/443"),
        Apply(adopt=True, attach=True),
        *FINISHES,
    ),
    scenario(
        "a released one is nobody's, and adopted again",
        there_is("tcp/443"),
        wants("tcp/443"),
        Release(),
        lets_in("tcp/443"),
        Apply((3,)),
        Release(("unchanged",)),
        lets_in("tcp/443"),
        Apply(opens=0, closes=0, adopt=True),
        *FINISHES,
    ),
    scenario(
        "another owner's is not released", belongs_to("another-owner", "tcp/22"), wants(), Release(("refused",)), Untouched()
    ),
    scenario(
        "one of other hosts is not released", belongs_to("other-hosts", "tcp/22"), wants(), Release(("refused",)), Untouched()
    ),
    scenario(
        "releasing is lost on the way",
        there_is("tcp/443"),
        wants("tcp/443"),
        goes("lost-before"),
        Release(("unknown", "done")),
        lets_in("tcp/443"),
        Apply(opens=0, closes=0, adopt=True),
        LetsInWanted(),
        NothingLeft(),
        needs="remote",
    ),
    # Attaching
    scenario(
        "attaching needs the word",
        wants("tcp/443"),
        Apply((3,)),
        Untouched(),
        Apply(attach=True),
        Attached(1),
        NothingLeft(),
        needs="attaches",
    ),
    scenario(
        "attaching to an existing one needs the word",
        there_is("tcp/443"),
        wants("tcp/443"),
        Apply((3,)),
        Untouched(),
        Apply(attach=True),
        Attached(1),
        NothingLeft(),
        needs="attaches",
    ),
    # Limits and pages
    scenario("as many rules as fit", WantsLimit(0), Apply(attach=True), LetsInWanted(), NothingLeft(), needs="limited"),
    scenario("one rule too many is refused", there_is("tcp/80"), WantsLimit(1), Apply((3,)), Untouched(), needs="limited"),
    scenario("one rule too many is not created", WantsLimit(1), Apply((3,), attach=True), Untouched(), needs="limited"),
    scenario(
        "a list that fills its page",
        there_is("tcp/80"),
        Boundary(0),
        wants("tcp/443"),
        Apply(opens=1, closes=1),
        *FINISHES,
        needs="paged",
    ),
    scenario(
        "a list one longer than a page",
        there_is("tcp/80"),
        Boundary(1),
        wants("tcp/443"),
        Apply(opens=1, closes=1),
        *FINISHES,
        needs="paged",
    ),
    scenario(
        "the second page fails",
        there_is("tcp/80"),
        Boundary(1),
        wants("tcp/443"),
        goes("unavailable", "read", 99, skip=1),
        Apply((75,)),
        Untouched(),
        needs="paged",
    ),
    scenario(
        "the second page is cut short",
        there_is("tcp/80"),
        Boundary(1),
        wants("tcp/443"),
        goes("cut-short", "read", 99, skip=1),
        Apply((75,)),
        Untouched(),
        needs="paged",
    ),
    scenario(
        "a list shorter than its own count",
        there_is("tcp/80"),
        wants("tcp/443"),
        goes("short", "read", 99),
        Apply((75,)),
        Untouched(),
        needs="counted",
    ),
    # Reading goes wrong: nothing is written
    *(
        scenario(
            f"reading is {kind}",
            there_is("tcp/80"),
            wants("tcp/443"),
            goes(kind, "read", 99),
            Apply((1,)),
            Untouched(),
            needs="remote",
        )
        for kind in ("unauthorized", "forbidden", "not-found")
    ),
    *(
        scenario(
            f"reading is {kind} for good",
            there_is("tcp/80"),
            wants("tcp/443"),
            goes(kind, "read", 99),
            Apply((75,)),
            Untouched(),
            needs="remote",
        )
        for kind in ("throttled", "unavailable", "lost-before", "lost-after", "cut-short", "nonsense")
    ),
    *(
        scenario(f"reading is {kind} once", there_is("tcp/80"), wants("tcp/443"), goes(kind, "read"), *FINISHES, needs="remote")
        for kind in ("throttled", "unavailable", "lost-before", "lost-after", "cut-short", "nonsense")
    ),
    scenario(
        "reading is throttled with a hint",
        there_is("tcp/80"),
        wants("tcp/443"),
        goes("throttled", "read", hint=1),
        *FINISHES,
        needs="remote",
    ),
    scenario(
        "reading takes for ever",
        there_is("tcp/80"),
        wants("tcp/443"),
        goes("slow", "read", 99, seconds=8),
        Apply((75,)),
        Untouched(),
        needs="remote",
    ),
    # Writing goes wrong: the next run finishes
    *(
        scenario(
            f"writing is {kind}",
            there_is("tcp/80"),
            wants("tcp/443"),
            goes(kind, times=99),
            Apply((6,)),
            lets_in("tcp/80"),
            needs="remote",
        )
        for kind in ("unauthorized", "forbidden")
    ),
    *(
        scenario(
            f"writing is {kind} once", there_is("tcp/80"), wants("tcp/443"), goes(kind), Apply((0, 6)), *FINISHES, needs="remote"
        )
        for kind in ("not-found", "unavailable", "lost-before", "lost-after", "cut-short", "nonsense")
    ),
    # What somebody else's work stands in the way of is looked at and planned once more, in the same run.
    scenario("writing meets a conflict once", there_is("tcp/80"), wants("tcp/443"), goes("conflict"), *FINISHES, needs="remote"),
    *(
        scenario(
            f"the second write is {kind}",
            there_is("tcp/80"),
            wants("tcp/443"),
            goes(kind, skip=1),
            Apply((0, 6)),
            *FINISHES,
            needs="remote",
        )
        for kind in ("unavailable", "lost-before", "lost-after")
    ),
    *(
        scenario(
            f"creating is {kind} once",
            wants("tcp/443"),
            goes(kind),
            Apply((0, 6), attach=True),
            Apply((0,), attach=True),
            LetsInWanted(),
            NothingLeft(),
            needs="remote",
        )
        for kind in ("unavailable", "lost-before", "lost-after")
    ),
    *(
        scenario(
            f"adopting is {kind} once",
            unmarked("tcp/80"),
            wants("tcp/443"),
            goes(kind),
            Apply((0, 6), adopt=True, attach=True),
            Apply((0,), adopt=True, attach=True),
            LetsInWanted(),
            NothingLeft(),
            needs="remote",
        )
        for kind in ("lost-before", "lost-after")
    ),
    scenario(
        "writing is throttled with a hint",
        there_is("tcp/80"),
        wants("tcp/443"),
        goes("throttled", hint=1),
        *FINISHES,
        needs="remote",
    ),
    scenario("writing is throttled once", there_is("tcp/80"), wants("tcp/443"), goes("throttled"), *FINISHES, needs="remote"),
    scenario(
        "writing takes for ever",
        there_is("tcp/80"),
        wants("tcp/443"),
        goes("slow", seconds=8),
        Apply((6,)),
        *FINISHES,
        needs="remote",
    ),
    # Two at once
    scenario("another run is faster", there_is("tcp/80"), wants("tcp/443"), Race(), Apply((0, 6)), *FINISHES, needs="remote"),
    scenario(
        "somebody takes a rule away meanwhile",
        there_is("tcp/80", "udp/53"),
        wants("tcp/443", "udp/53"),
        meanwhile("tcp/22", "udp/53"),
        Apply((0, 6)),
        *FINISHES,
        needs="remote",
    ),
    scenario(
        "somebody adds the same rule meanwhile",
        there_is("tcp/80"),
        wants("tcp/443"),
        meanwhile("tcp/22", "tcp/80", "tcp/443"),
        Apply((0, 6)),
        *FINISHES,
        needs="remote",
    ),
)
