"""GitHub when it is busy, broken, or says no."""

from __future__ import annotations

import pytest

from cloudsync.action import comment
from cloudsync.action.comment import Place
from cloudsync.action.github import GitHub, GitHubError
from tests.doubles.github import GitHubDouble
from tests.doubles.http import Fault

PLACE = Place("acme/shop", 7, "")
COMMENTS = "/repos/acme/shop/issues/7/comments"
ONE = "/repos/acme/shop/issues/comments/.*"


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(github: GitHubDouble, waits: list[float]) -> GitHub:
    github.open_pull(7, "a" * 40)
    token = github.token(pull_requests="write")
    return GitHub(
        github.endpoint, f"{github.endpoint}/graphql", "acme/shop", token, sleep=waits.append
    )


def test_every_page_is_read(client: GitHub, github: GitHubDouble) -> None:
    github.page = 3
    for number in range(8):
        github.says("somebody", 7, str(number))
    assert [one.body for one in client.comments(7)] == [str(number) for number in range(8)]
    assert github.count("GET", COMMENTS) == 3


def test_a_list_without_an_end_is_refused(client: GitHub, github: GitHubDouble) -> None:
    github.page = 1
    for number in range(52):
        github.says("somebody", 7, str(number))
    with pytest.raises(GitHubError, match="more than 50 pages"):
        client.comments(7)


def test_the_token_goes_to_no_other_server(client: GitHub, github: GitHubDouble) -> None:
    headers = {
        "Link": '<https://example.invalid/next>; rel="next"',
        "Content-Type": "application/json",
    }
    github.fail(Fault("GET", COMMENTS, status=200, body=[], headers=headers))  # type: ignore[arg-type]
    with pytest.raises(GitHubError, match="another server"):
        client.comments(7)


@pytest.mark.parametrize(
    "url", ["http://api.github.com", "http://127.0.0.1.example.com", "ftp://127.0.0.1.x"]
)
def test_the_token_goes_nowhere_in_the_clear(url: str) -> None:
    with pytest.raises(GitHubError, match="https"):
        GitHub(url, "https://api.github.com/graphql", "acme/shop", "t")
    with pytest.raises(GitHubError, match="https"):
        GitHub("https://api.github.com", url, "acme/shop", "t")


def test_an_answer_that_trickles_ends_with_its_time(
    client: GitHub, github: GitHubDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudsync.action.github.TIMEOUT", 0.2)
    github.fail(Fault("POST", COMMENTS, "trickle", seconds=0.1))
    with pytest.raises(GitHubError, match="does not answer") as raised:
        client.create_comment(7, "text")
    assert raised.value.fate_unknown
    assert github.on(7) == ["text"]


@pytest.mark.parametrize("secondary", [True, False])
def test_a_short_rate_limit_is_waited_for(
    client: GitHub, github: GitHubDouble, waits: list[float], secondary: bool
) -> None:
    github.limit(COMMENTS, seconds=2, secondary=secondary)
    client.create_comment(7, "text")
    assert github.on(7) == ["text"]
    assert waits
    assert 0 < waits[0] <= 2


def test_a_secondary_limit_that_only_its_body_tells_is_waited_for(
    client: GitHub, github: GitHubDouble, waits: list[float]
) -> None:
    github.limit_without_headers(COMMENTS)
    client.create_comment(7, "text")
    assert github.on(7) == ["text"]
    assert waits == [60.0]


def test_a_secondary_limit_that_stays_is_temporary_and_no_question_of_permissions(
    client: GitHub, github: GitHubDouble
) -> None:
    github.limit_without_headers(COMMENTS, times=99)
    with pytest.raises(GitHubError, match="rate limit") as caught:
        client.comments(7)
    assert (caught.value.temporary, caught.value.forbidden) == (True, False)


def test_a_403_about_something_else_is_not_waited_for(
    client: GitHub, github: GitHubDouble, waits: list[float]
) -> None:
    body = {"message": "Resource not accessible by integration"}
    github.fail(Fault("GET", COMMENTS, status=403, body=body))
    with pytest.raises(GitHubError, match="not accessible") as caught:
        client.comments(7)
    assert (caught.value.forbidden, waits) == (True, [])


def test_a_long_rate_limit_is_told_at_once(
    client: GitHub, github: GitHubDouble, waits: list[float]
) -> None:
    github.limit(COMMENTS, seconds=1800)
    with pytest.raises(GitHubError, match="rate limit") as caught:
        client.comments(7)
    assert (caught.value.temporary, waits) == (True, [])


def test_reads_are_repeated_while_github_fails(client: GitHub, github: GitHubDouble) -> None:
    github.fail(Fault("GET", COMMENTS, status=502, times=2))
    github.fail(Fault("GET", COMMENTS, "drop-before"))
    assert client.comments(7) == []


def test_a_github_that_stays_down_is_told_after_four_calls(
    client: GitHub, github: GitHubDouble, waits: list[float]
) -> None:
    github.fail(Fault("GET", COMMENTS, status=503, times=99))
    with pytest.raises(GitHubError, match="503") as caught:
        client.comments(7)
    assert caught.value.temporary
    assert (github.count("GET", COMMENTS), waits) == (4, [1.0, 2.0, 4.0])


@pytest.mark.parametrize("kind", ["garbage", "truncate"])
def test_an_answer_that_is_no_json_is_no_empty_list(
    client: GitHub, github: GitHubDouble, kind: str
) -> None:
    github.says("somebody", 7, "here")
    github.fail(Fault("GET", COMMENTS, kind, times=9))  # type: ignore[arg-type]
    with pytest.raises(GitHubError):
        client.comments(7)


def test_a_no_is_told_with_githubs_reason_and_not_repeated(
    client: GitHub, github: GitHubDouble
) -> None:
    poor = GitHub(
        github.endpoint, f"{github.endpoint}/graphql", "acme/shop", github.token(contents="read")
    )
    with pytest.raises(GitHubError, match="not accessible by integration") as caught:
        poor.comments(7)
    assert (caught.value.forbidden, caught.value.temporary) == (True, False)
    with pytest.raises(GitHubError, match="404"):
        client.comments(8)
    with pytest.raises(GitHubError, match="401"):
        GitHub(github.endpoint, f"{github.endpoint}/graphql", "acme/shop", "nobody").user()
    assert github.count("GET", COMMENTS) == 1


def test_the_token_tells_whose_it_is(client: GitHub, github: GitHubDouble) -> None:
    assert client.user() == "github-actions[bot]"
    app = GitHub(
        github.endpoint,
        f"{github.endpoint}/graphql",
        "acme/shop",
        github.token("shop-ci[bot]", contents="read"),
    )
    assert app.user() == "shop-ci[bot]"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", COMMENTS, "drop-after"),
        Fault("POST", COMMENTS, "garbage"),
        Fault("POST", COMMENTS, "truncate"),
    ],
)
def test_a_comment_whose_fate_is_unknown_is_looked_for_and_not_written_twice(
    client: GitHub, github: GitHubDouble, fault: Fault
) -> None:
    github.fail(fault)
    comment.put(client, PLACE, comment.body(PLACE, "sha256:1", "text"))
    assert len(github.on(7)) == 1


def test_a_comment_that_surely_was_not_written_is_written_then(
    client: GitHub, github: GitHubDouble
) -> None:
    github.fail(Fault("POST", COMMENTS, status=500))
    comment.put(client, PLACE, comment.body(PLACE, "sha256:1", "text"))
    assert len(github.on(7)) == 1


def test_an_update_is_repeated(client: GitHub, github: GitHubDouble) -> None:
    comment.put(client, PLACE, comment.body(PLACE, "sha256:1", "text"))
    github.fail(Fault("PATCH", ONE, "drop-after"))
    comment.put(client, PLACE, comment.body(PLACE, "sha256:2", "text"))
    assert github.on(7) == [comment.body(PLACE, "sha256:2", "text")]


def test_the_same_text_is_not_written_again(client: GitHub, github: GitHubDouble) -> None:
    comment.put(client, PLACE, comment.body(PLACE, "sha256:1", "text"))
    github.reset_calls()
    comment.put(client, PLACE, comment.body(PLACE, "sha256:1", "text"))
    assert [call.path for call in github.writes()] == ["/graphql"]


def test_of_two_comments_of_ours_one_stays(client: GitHub, github: GitHubDouble) -> None:
    for number in range(2):
        github.says("github-actions[bot]", 7, comment.body(PLACE, f"sha256:{number}", "old"))
    github.says("mallory", 7, comment.body(PLACE, "sha256:9", "mine"))
    comment.put(client, PLACE, comment.body(PLACE, "sha256:3", "new"))
    assert [body.splitlines()[-1] for body in github.on(7)] == ["new", "mine"]


def test_a_comment_that_only_quotes_ours_is_not_written_over(
    client: GitHub, github: GitHubDouble
) -> None:
    quoting = "somebody said:\n" + comment.body(PLACE, "sha256:1", "text")
    github.says("github-actions[bot]", 7, quoting)
    comment.put(client, PLACE, comment.body(PLACE, "sha256:2", "text"))
    assert github.on(7) == [quoting, comment.body(PLACE, "sha256:2", "text")]
