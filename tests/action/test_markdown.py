"""What people read: whole where it fits, cut between lines where not, and harmless whatever
containers are called."""

from __future__ import annotations

import pytest

from cloudsync.action import comment, markdown
from cloudsync.action.comment import MOST_BYTES, Place
from cloudsync.action.event import Event
from cloudsync.action.runner import MOST_SUMMARY_BYTES, Runner
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from tests.doubles.github import MOST_CHARACTERS
from tests.world import World

EVENT = Event(
    "pull_request",
    "acme/shop",
    "e" * 40,
    None,
    "main",
    7,
    "a" * 40,
    fork=False,
    run_url="https://github.com/acme/shop/actions/runs/1",
)
PLACE = Place("acme/shop", 7, "")


@pytest.mark.parametrize(
    "line", ["x" * 80, "é" * 80, "🔥" * 40, "| ➕ | tcp/443 opens | because |"]
)
def test_a_comment_stays_below_githubs_limit_and_says_that_it_was_cut(line: str) -> None:
    text = comment.body(PLACE, "sha256:1", "\n".join([line] * 5000))
    assert len(comment.with_state(comment.Comment(1, "x", text, ""), "s" * 2000)) <= MOST_CHARACTERS
    assert "Cut here" in text
    assert text.startswith("<!-- cloudsync v1 key=")
    assert text.count(line) > 100


def test_one_line_that_is_too_long_is_left_out() -> None:
    assert len(comment.body(PLACE, "sha256:1", "x" * 100_000).encode()) < MOST_BYTES + 200


def test_a_cut_closes_what_is_open() -> None:
    text = comment.cut(
        "<details><summary>3</summary>\n\n" + "- a\n" * 500 + "</details>", 400, "see there"
    )
    assert text.count("<details>") == text.count("</details>") == 1


def test_what_fits_is_not_touched() -> None:
    assert comment.cut("text\n", 5, "there") == "text\n"


def test_the_state_takes_the_place_of_the_one_before() -> None:
    first = comment.with_state(
        comment.Comment(1, "x", comment.body(PLACE, "sha256:1", "plan"), ""), "stopped"
    )
    second = comment.with_state(comment.Comment(1, "x", first, ""), "applied")
    assert "plan" in second
    assert second.index("applied") < second.index("plan"), "what became of it is on top"
    assert second.startswith("<!-- cloudsync v1 key="), "the seal stays the first line"
    assert "stopped" not in second


def test_what_became_of_it_takes_the_place_of_what_merging_would_do(world: World) -> None:
    world.needs("443")
    text = markdown.comment("", reconcile.plan(world.configuration, Options()).plan, "", EVENT)
    there = comment.Comment(1, "x", comment.body(PLACE, "sha256:1", text), "")
    after = comment.with_state(there, "applied")
    assert "Merging approves" in there.body
    assert "Merging approves" not in after
    assert after.splitlines()[2] == "applied"
    assert "## cloudsync" in after


def test_the_first_line_says_what_merging_does_and_which_guard_waits(world: World) -> None:
    world.needs("443")
    free = markdown.comment("", reconcile.plan(world.configuration, Options()).plan, "", EVENT)
    assert free.splitlines()[1].startswith("✅ Merging approves exactly these changes of commit")
    world.has("tcp/22", mine=False)
    held = markdown.comment("", reconcile.plan(world.configuration, Options()).plan, "", EVENT)
    assert held.splitlines()[1].startswith("⚠️ **Merging will apply nothing of this")
    assert "web (ownership)" in held.splitlines()[1]
    for text in (free, held):
        assert text.rstrip().endswith("</details>"), "the digest is folded away, at the end"
        assert "sha256:" in text.partition("<summary>Digest</summary>")[2]


def test_a_summary_is_cut_to_what_github_takes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    Runner({"GITHUB_STEP_SUMMARY": str(tmp_path / "s")}).summary("🔥\n" * 500_000)
    assert len((tmp_path / "s").read_bytes()) <= MOST_SUMMARY_BYTES + 1


def test_problems_and_labels_of_strangers_are_no_markup() -> None:
    bad = "<img src=x> @acme/all ](http://x) <!-- cloudsync v1 -->"
    text = markdown.comment(bad, None, bad, EVENT) + markdown.summary(bad, None, bad, "```\n@x")
    assert "<img" not in text
    assert "@acme" not in text
    assert "](http://x" not in text
    assert "<!-- cloudsync" not in text


def test_a_block_cannot_be_ended_by_what_is_in_it() -> None:
    text = markdown.summary("", None, "", "````\n<b>\n  `````` x")
    assert text.count("```````") == 2  # one backtick more than the longest run
    assert text.rstrip().endswith("```````")


def test_an_output_holds_any_text(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from tests.action.workflow import parse_outputs

    Runner({"GITHUB_OUTPUT": str(tmp_path / "o")}).output({"a": "1\nb=2\nEOF", "c": "x=y<<EOF"})
    assert parse_outputs((tmp_path / "o").read_text()) == {"a": "1\nb=2\nEOF", "c": "x=y<<EOF"}


def test_the_runner_takes_no_command_out_of_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    Runner({}).log("::set-output name=x::y\n##[add-mask]e\n")
    lines = capsys.readouterr().out.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert len(token) == 32
    assert lines[1:] == ["::set-output name=x::y", "##[add-mask]e", f"::{token}::"]


def test_an_annotation_is_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    Runner({}).error("100 %\n::error::no\r")
    assert capsys.readouterr().out == "::error title=cloudsync::100 %25%0A::error::no%0D\n"
