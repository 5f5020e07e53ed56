"""The little of GitHub's REST API that the action needs: comments of a pull request, and the pull
requests of a commit.

Every call is repeated while GitHub is busy (429, 403 with a rate limit's headers) or failing (5xx,
no answer), within a minute or two; a write that may have happened is not repeated here, since a
second comment would be left behind: `comment.py` looks again first.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from cloudsync.provider.retry import bounded
from cloudsync.provider.transport import session
from cloudsync.render.escape import plain
from cloudsync.rules.frozen import dataclass

MOST_CALLS = 4
MOST_PAGES = 50
LONGEST_WAIT = 90.0
SECONDARY_WAIT = 60.0
_SECONDARY = re.compile(r"secondary rate limit|abuse detection|rate limit exceeded", re.IGNORECASE)
TIMEOUT = 20.0
"""Seconds for a whole answer."""
API_VERSION = "2022-11-28"


class GitHubError(Exception):
    """A call that failed for good. `temporary`: trying again later may fix it. `forbidden`: the
    token may not."""

    def __init__(
        self,
        message: str,
        *,
        temporary: bool = False,
        forbidden: bool = False,
        fate_unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.temporary, self.forbidden, self.fate_unknown = temporary, forbidden, fate_unknown


@dataclass(frozen=True, slots=True)
class Comment:
    id: int
    """GitHub's."""
    author: str
    """Login."""
    body: str
    """Markdown."""
    url: str
    """Of its page."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """`merge_commit`: what it became on `base`, None while it is not merged. `from_repository`:
    where its head lies: "" if that repository is gone, None if GitHub does not say."""

    number: int
    """In its repository."""
    base: str
    merge_commit: str | None
    from_repository: str | None = None


class GitHub:
    """One repository seen with one token."""

    def __init__(
        self,
        url: str,
        graphql: str,
        repository: str,
        token: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        for parts in (urlsplit(url), urlsplit(graphql)):
            if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
                raise GitHubError("the address of the GitHub API must begin with https://")
        if repository.count("/") != 1:
            raise GitHubError("the run names no repository")
        self._url, self._graphql, self._repository, self._sleep = (
            url.rstrip("/"),
            graphql,
            repository,
            sleep,
        )
        self._session = session(token)
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": API_VERSION,
                "User-Agent": "cloudsync-action",
            }
        )

    def user(self) -> str:
        """The login the token writes as. GraphQL, since `GET /user` answers 403 to the token of a
        job."""
        answer = self._json(
            "POST", self._graphql, {"query": "query { viewer { login } }"}, repeat=True
        )
        try:
            return str(answer["data"]["viewer"]["login"])
        except (KeyError, TypeError):
            raise GitHubError("GitHub does not say whose token this is", temporary=True) from None

    def pull_requests_of(self, sha: str) -> list[PullRequest]:
        """Those that a commit belongs to, merged ones too."""
        path = f"/repos/{self._repository}/commits/{sha}/pulls"
        return [_pull_request(row) for row in self._pages(path)]

    def tip(self, branch: str) -> str:
        """The commit that a branch is at now."""
        path = f"{self._url}/repos/{self._repository}/commits/{quote(branch, safe='')}"
        sha = self._json("GET", path, None, repeat=True).get("sha")
        if not isinstance(sha, str):
            raise GitHubError("GitHub answered with a commit without its sha", temporary=True)
        return sha

    def comments(self, number: int) -> list[Comment]:
        """All comments of a pull request, oldest first."""
        return [
            _comment(row)
            for row in self._pages(f"/repos/{self._repository}/issues/{number}/comments")
        ]

    def create_comment(self, number: int, body: str) -> Comment:
        """Raises `GitHubError`, with `fate_unknown` where the comment may stand there all the
        same."""
        path = f"{self._url}/repos/{self._repository}/issues/{number}/comments"
        return _comment(self._json("POST", path, {"body": body}, repeat=False))

    def update_comment(self, comment: Comment, body: str) -> Comment:
        path = f"{self._url}/repos/{self._repository}/issues/comments/{comment.id}"
        return _comment(self._json("PATCH", path, {"body": body}, repeat=True))

    def delete_comment(self, comment: Comment) -> None:
        self._call(
            "DELETE",
            f"{self._url}/repos/{self._repository}/issues/comments/{comment.id}",
            None,
            repeat=True,
        )

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        url: str | None = f"{self._url}{path}?per_page=100"
        for _ in range(MOST_PAGES):
            if url is None:
                return
            answer = self._call("GET", url, None, repeat=True)
            rows = _decoded(answer)
            if not isinstance(rows, list):
                raise GitHubError("GitHub answered with something else than a list", temporary=True)
            yield from rows
            url = answer.links.get("next", {}).get("url")
            if url is not None and urlsplit(url)[:2] != urlsplit(self._url)[:2]:
                raise GitHubError("GitHub named a next page on another server")
        if url is not None:
            raise GitHubError(f"the list has more than {MOST_PAGES} pages")

    def _json(
        self, method: str, url: str, body: Mapping[str, Any] | None, *, repeat: bool
    ) -> dict[str, Any]:
        value = _decoded(self._call(method, url, body, repeat=repeat))
        if not isinstance(value, dict):
            raise GitHubError("GitHub answered with something else than an object", temporary=True)
        return value

    def _call(
        self, method: str, url: str, body: Mapping[str, Any] | None, *, repeat: bool
    ) -> requests.Response:
        """One call, and again where that is safe. `repeat`: doing it twice is as good as once."""
        for number in range(1, MOST_CALLS + 1):
            wait = min(2.0**number / 2, LONGEST_WAIT)
            try:
                answer = bounded(
                    lambda: self._session.request(method, url, json=body, timeout=TIMEOUT), TIMEOUT
                )
            except (requests.RequestException, TimeoutError) as error:
                failure = GitHubError(
                    f"GitHub does not answer ({type(error).__name__})",
                    temporary=True,
                    fate_unknown=True,
                )
            else:
                if answer.status_code < 300:
                    return answer
                failure = _failure(answer)
                wait = _rate_limit(answer) or wait
            if (
                not failure.temporary
                or (failure.fate_unknown and not repeat)
                or number == MOST_CALLS
                or wait > LONGEST_WAIT
            ):
                raise failure
            self._sleep(wait)
        raise AssertionError("the last call returns or raises")


def _failure(answer: requests.Response) -> GitHubError:
    status = answer.status_code
    if status == 429 or (status == 403 and _rate_limit(answer) is not None):
        return GitHubError("GitHub's rate limit is used up", temporary=True)
    if status >= 500:
        return GitHubError(f"GitHub failed ({status})", temporary=True, fate_unknown=True)
    return GitHubError(
        f"GitHub refused it ({status}): {plain(_message(answer) or 'no reason was given', 200)}",
        forbidden=status in (401, 403, 404),
    )


def _rate_limit(answer: requests.Response) -> float | None:
    """Seconds to wait, if the answer is one about a rate limit (docs.github.com, "Best practices
    for using the REST API"). A secondary limit may say so in its body alone: then GitHub asks for a
    minute at least."""
    try:
        if "retry-after" in answer.headers:
            return max(0.0, float(answer.headers["retry-after"]))
        if answer.headers.get("x-ratelimit-remaining") == "0":
            return max(1.0, float(answer.headers.get("x-ratelimit-reset", "0")) - time.time())
    except ValueError:
        return None
    if answer.status_code in (403, 429) and _SECONDARY.search(_message(answer)):
        return SECONDARY_WAIT
    return None


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _decoded(answer: requests.Response) -> Any:
    try:
        return json.loads(answer.content)
    except ValueError:
        raise GitHubError(
            "GitHub answered with something that is not valid JSON",
            temporary=True,
            fate_unknown=True,
        ) from None


def _pull_request(row: Mapping[str, Any]) -> PullRequest:
    try:
        merged = str(row["merge_commit_sha"]) if row.get("merged_at") else None
        head = row.get("head") or {}
        origin = str((head["repo"] or {}).get("full_name") or "") if "repo" in head else None
        return PullRequest(_number(row, "number"), str(row["base"]["ref"]), merged, origin)
    except (KeyError, TypeError):
        raise GitHubError(
            "GitHub answered with a pull request without its parts", temporary=True
        ) from None


def _comment(row: Mapping[str, Any]) -> Comment:
    user = row.get("user")
    author = user.get("login") if isinstance(user, dict) else None
    return Comment(
        _number(row, "id"),
        str(author or ""),
        str(row.get("body") or ""),
        str(row.get("html_url") or ""),
    )


def _number(row: Mapping[str, Any], key: str) -> int:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, int):
        raise GitHubError(f"GitHub answered without a {key}", temporary=True)
    return value
