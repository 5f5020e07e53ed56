"""The history of applies: durable, bounded, and written whatever happens."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from cloudsync.model.plan import Granted
from cloudsync.planning.reopen import way_back
from cloudsync.provider.errors import Transient
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.audit_log import who
from cloudsync.reconcile.run import Options, Report, Terms
from cloudsync.render.history import listing
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.state import StateError, history
from tests.world import World, ports, rules


def apply(world: World, **more: Any) -> Report:
    return reconcile.apply(world.configuration, Options(), Terms(**more))


def last(world: World) -> dict[str, Any]:
    return history.entries(world.configuration.state, "shop")[-1]


def test_an_apply_says_what_was_shown_and_what_was_really_done(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.needs("443", project="shop", service="web")
    apply(world, trigger="apply --auto-approve")
    entry = last(world)
    assert (entry["outcome"], entry["why"], entry["owner"]) == (
        "done",
        "apply --auto-approve",
        "shop",
    )
    assert entry["digest"].startswith("sha256:")
    assert entry["hosts"] == {"web-1": "complete"}
    assert entry["who"]["pid"] > 0
    (firewall,) = entry["firewalls"]
    assert [change["action"] for change in firewall["planned"]] == ["open", "close"]
    assert firewall["planned"][0]["for"] == ["shop/web"]
    assert [rule["ports"] for rule in firewall["before"]] == ["22", "8080"]
    assert [rule["ports"] for rule in firewall["after"]] == ["22", "443"]
    assert [rule["ports"] for rule in firewall["opened"]] == ["443"]
    assert [rule["ports"] for rule in firewall["closed"]] == ["8080"]


def test_a_run_with_nothing_to_do_is_kept_apart(world: World) -> None:
    world.has("tcp/22")
    apply(world)
    assert last(world)["outcome"] == "nothing-to-do"
    assert not (world.configuration.state / "shop.history.jsonl").exists()


@pytest.mark.parametrize(
    ("break_", "outcome"),
    [
        (lambda world: setattr(world.cloud, "failing", lambda _: Transient("gone")), "partly"),
        (lambda world: setattr(world.cloud, "unreadable", Transient("down")), "failed"),
        (lambda world: world.has("tcp/22", mine=False), "refused"),
    ],
)
def test_failures_and_refusals_leave_an_entry(world: World, break_: Any, outcome: str) -> None:
    world.has("tcp/22")
    world.needs("443")
    break_(world)
    apply(world)
    assert last(world)["outcome"] == outcome


def test_an_unexpected_digest_leaves_an_entry(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    apply(world, expect="sha256:0")
    assert last(world)["outcome"] == "moved"
    assert "digest" in last(world)["message"]


def test_a_run_that_died_leaves_an_entry(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")

    class Killed(BaseException):
        """Stands for SIGKILL: nothing of the run is heard of again."""

    def die(_: object) -> None:
        raise Killed

    world.cloud.failing = die  # type: ignore[assignment]
    end = history.end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "end", lambda *_, **__: None)
        with pytest.raises(Killed):
            apply(world)
    assert history.end is end
    world.cloud.failing = lambda _: None
    assert last(world)["outcome"] == "begun", "as long as its process holds the file"
    apply(world)
    died, done = history.entries(world.configuration.state, "shop")
    assert (died["outcome"], done["outcome"]) == ("begun", "done")
    assert [change["ports"] for change in died["firewalls"][0]["planned"]] == ["443"]
    held = [*history._ALIVE]  # this process did not really die: its lock is still there
    for path in held:
        history._free(path)
    apply(world)
    died, done, *_ = history.entries(world.configuration.state, "shop")
    assert (died["outcome"], done["outcome"]) == ("died", "done")
    assert not list(world.configuration.state.glob("shop.running*"))


def test_the_file_of_an_earlier_version_is_settled_too(world: World) -> None:
    apply(world)
    entry = {"id": "20260101T000000-abcdef", "started": "2026-01-01T00:00:00+00:00"}
    left = world.configuration.state / "shop.running.json"
    left.write_text(json.dumps(entry))
    apply(world)
    assert not left.exists()
    (died, *_) = history.entries(world.configuration.state, "shop")
    assert (died["id"], died["outcome"]) == (entry["id"], "died")


def test_a_run_about_other_firewalls_is_not_taken_for_dead(world: World) -> None:
    """Two runs at once, about different firewalls: neither settles what the other is about."""
    apply(world)
    state = world.configuration.state
    entry = {"id": "20300101T000000-abcdef", "started": "2030-01-01T00:00:00+00:00", "outcome": "x"}
    history.begin(state, "shop", entry)
    world.needs("443")
    apply(world)
    assert [path.name for path in state.glob("shop.running-*")] == [
        "shop.running-20300101T000000-abcdef.json"
    ]
    assert history.end(state, "shop", {**entry, "outcome": "done"}, quiet=False) is None
    assert not list(state.glob("shop.running-*"))
    assert [e["outcome"] for e in history.entries(state, "shop") if e["id"] == entry["id"]] == [
        "done"
    ]


def test_a_run_whose_entry_was_refused_is_settled_by_the_next_run_of_its_process(
    tmp_path: Path,
) -> None:
    """A service runs again in the same process: it must not take its own last run for alive."""
    entry = {"id": "20300101T000000-abcdef", "started": "2030-01-01T00:00:00+00:00", "outcome": "x"}
    history.begin(tmp_path, "shop", entry)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    path = tmp_path / "shop.history.jsonl"
    path.hardlink_to(elsewhere)
    problem = history.end(tmp_path, "shop", {**entry, "outcome": "done"}, quiet=False)
    assert problem is not None
    assert "not a file of its own" in problem
    path.unlink()
    history.settle(tmp_path, "shop")
    assert [e["outcome"] for e in history.entries(tmp_path, "shop")] == ["died"]
    assert not list(tmp_path.glob("shop.running-*"))


def test_a_run_may_begin_where_only_a_file_open_for_writing_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, which makes an exclusive lock of a file one for writing (flock(2))."""
    flock = fcntl.flock

    def of_nfs(handle: int, operation: int) -> None:
        writable = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        is_file = stat.S_ISREG(os.fstat(handle).st_mode)
        if is_file and operation & fcntl.LOCK_EX and not writable:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", of_nfs)
    entry = {"id": "20300101T000000-abcdef", "started": "2030-01-01T00:00:00+00:00", "outcome": "x"}
    history.begin(tmp_path, "shop", entry)
    history.settle(tmp_path, "shop")
    assert list(tmp_path.glob("shop.running-*"))
    assert history.end(tmp_path, "shop", {**entry, "outcome": "done"}, quiet=False) is None
    assert [e["outcome"] for e in history.entries(tmp_path, "shop")] == ["done"]


def test_half_a_line_of_a_killed_run_spoils_no_other(tmp_path: Path) -> None:
    for cut in range(1, 30):
        history.end(tmp_path, "shop", {"id": f"a{cut}", "started": "1"}, quiet=False)
        path = tmp_path / "shop.history.jsonl"
        whole = path.read_bytes()
        history.end(tmp_path, "shop", {"id": "half", "started": "2"}, quiet=False)
        path.write_bytes(whole + path.read_bytes()[len(whole) :][:cut])
        history.end(tmp_path, "shop", {"id": f"b{cut}", "started": "3"}, quiet=False)
        found = [entry["id"] for entry in history.entries(tmp_path, "shop")]
        assert {f"a{cut}", f"b{cut}"} <= set(found)
        path.unlink()


def test_the_history_is_bounded(tmp_path: Path) -> None:
    entry = {"started": "1", "text": "x" * 10_000}
    for number in range(100):
        history.end(tmp_path, "shop", {**entry, "id": str(number)}, quiet=True)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"shop.quiet.jsonl", "shop.quiet.jsonl.1"}
    assert sum(sizes.values()) <= 2 * 256 * 1024
    assert history.entries(tmp_path, "shop")[-1]["id"] == "99"


def many_networks() -> NetworkSet:
    return NetworkSet.of(
        f"198.{18 + n // 250}.{n % 250}.{m}/32" for n in range(400) for m in (1, 3, 5, 7, 9)
    )


def test_an_entry_holds_thousands_of_sources_once(world: World) -> None:
    """Ten rules of 2,000 networks, in five lists: all of it comes back, and is not written fifty
    times."""
    networks = many_networks()
    wide = RuleSet.of(Rule("tcp", 8000 + 2 * n, 8000 + 2 * n, networks) for n in range(10))
    world.has("tcp/22")
    world.cloud.firewalls["web"] = world.cloud.firewalls["web"] | wide
    world.policy(max_close=1000)
    world.needs("443")
    apply(world)
    line = (world.configuration.state / "shop.history.jsonl").read_bytes()
    assert line.count(b"198.18.0.1/32") == 1
    (firewall,) = last(world)["firewalls"]
    assert [len(rule["sources"]) for rule in firewall["closed"]] == [2000] * 10
    assert firewall["before"][1]["sources"] == list(networks.cidrs())


def test_an_entry_is_bounded_and_says_what_it_leaves_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_ENTRY_BYTES", 30_000)
    world.has("tcp/22")
    world.cloud.firewalls["web"] = world.cloud.firewalls["web"] | RuleSet.of(
        [Rule("tcp", 8000, 8000, many_networks())]
    )
    world.needs("443")
    apply(world)
    line = (world.configuration.state / "shop.history.jsonl").read_bytes()
    assert len(line) < 30_000
    assert last(world)["firewalls"][0]["closed"][0]["further_sources"] == 1000
    assert last(world)["totals"] == {"firewalls": 1, "opened": 1, "closed": 1}


def test_the_change_of_a_whole_fleet_is_kept_and_counted(world: World) -> None:
    """300 firewalls, a port closed in each: every one of them is in the history, and the listing
    counts them all."""
    names = [f"f{number}" for number in range(299)]
    world.add(*names)
    for name in ("web", *names):
        world.has("tcp/22", "tcp/8081", name=name)
    apply(world)
    entry = last(world)
    assert "truncated" not in entry
    assert [firewall["name"] for firewall in entry["firewalls"]] == ["web", *names]
    assert all(firewall["closed"][0]["ports"] == "8081" for firewall in entry["firewalls"])
    (line,) = listing([entry], hidden=0)
    assert "+0 -300" in str(line)


def test_a_quiet_run_counts_what_was_well(world: World) -> None:
    names = [f"f{number}" for number in range(49)]
    world.add(*names)
    for name in ("web", *names):
        world.has("tcp/22", name=name)
    apply(world)
    assert last(world)["counted"] == {"unchanged": 50}


def test_entries_are_one_line_each_and_private(world: World) -> None:
    world.has("tcp/22")
    world.needs("443", container="a\nb")
    apply(world)
    path = world.configuration.state / "shop.history.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 1
    json.loads(path.read_text())


def test_what_cannot_be_recorded_is_not_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has("tcp/22")
    world.needs("443")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cloudsync.state.history.replace", full)
    with pytest.raises(StateError, match="nothing was changed"):
        apply(world)
    assert world.cloud.history == []


def test_what_was_done_is_done_though_the_history_is_full(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has("tcp/22")
    world.needs("443")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cloudsync.state.history._append", full)
    report = apply(world)
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443")
    assert any("No space left" in note for note in report.notes)


def test_what_is_granted_is_recorded(world: World) -> None:
    world.has("tcp/22", mine=False)
    world.needs("443")
    reconcile.apply(world.configuration, Options(granted=Granted(adopt=("web",), now=True)))
    assert last(world)["granted"] == {"adopt": ["web"], "now": True}


def test_who_did_it_is_the_person_behind_sudo_or_the_job() -> None:
    assert who({"SUDO_USER": "ada"})["sudo_user"] == "ada"
    job = {"GITHUB_ACTOR": "ada", "GITHUB_REPOSITORY": "shop/infra", "GITHUB_RUN_ID": "7"}
    assert who(job)["ci"] == "github ada shop/infra 7"
    assert "ci" not in who({"GITHUB_ACTOR": "ada"})


# How to get a port back


def closed(**more: Any) -> dict[str, Any]:
    return {
        "protocol": "tcp",
        "ports": "8080",
        "sources": ["0.0.0.0/0", "::/0"],
        "reason": "",
        **more,
    }


def test_a_port_nobody_publishes_comes_back_with_its_container_or_by_allow() -> None:
    ways = way_back(closed(), "web")
    assert "start the container" in ways[0]
    assert '[[firewalls.web.allow]] ports = ["8080/tcp"] sources = ["any"]' in ways[1]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("denied", "policy.deny"),
        ("labelled-out", "label of shop/web"),
        ("sensitive", "allow_sensitive"),
        ("not-labelled", "cloudsync.ports=8080/tcp"),
    ],
)
def test_what_the_user_closed_comes_back_by_the_same_means(code: str, word: str) -> None:
    assert word in way_back(closed(codes=[code], of=["shop/web"]), "web")[0]


def test_a_denied_port_is_known_as_denied_in_the_entry(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.policy(deny=ports("8080"))
    world.needs("8080")
    apply(world)
    (one,) = last(world)["firewalls"][0]["closed"]
    assert one["codes"] == ["denied"]
    assert "policy.deny" in way_back(one, "web")[0]
