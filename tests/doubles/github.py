"""A double of the part of GitHub that the action talks to: comments of a pull request, the pull
requests of a commit, who a token is.

Written from docs.github.com/rest and its descriptions of permissions, not from the client. Tokens
have permissions, as the `permissions:` of a job give them; what a token may not do is answered with
403 (or 404 for a token that is none).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.http import (
    ApiError,
    Double,
    Fault,
    Request,
)

MOST_CHARACTERS = 65536
WRITES = {"write": ("read", "write"), "read": ("read",), "none": ()}


@dataclass
class Token:
    """`permissions`: as in a workflow, e.g. {"pull-requests": "write"}; what is left out is
    none."""

    login: str
    permissions: dict[str, str]

    def may(self, what: str, *scopes: str) -> bool:
        return any(what in WRITES[self.permissions.get(scope, "none")] for scope in scopes)


@dataclass
class Pull:
    number: int
    base: str
    head: str
    merge_commit: str | None = None
    merged: bool = False
    commits: list[str] = field(default_factory=list)
    fork: str | None = None


class GitHubDouble(Double):
    """One repository, `acme/shop`."""

    repository = "acme/shop"

    def __init__(self, page: int = 100) -> None:
        super().__init__()
        self.page = page
        self.tokens: dict[str, Token] = {}
        self.pulls: dict[int, Pull] = {}
        self.comments: list[dict[str, Any]] = []
        self.tips: dict[str, str] = {}
        self._next = 1000

    def token(self, login: str = "github-actions[bot]", **permissions: str) -> str:
        """A token of a job with these permissions (`pull_requests="write"`)."""
        text = f"ghs_{len(self.tokens):036d}"
        self.tokens[text] = Token(
            login, {name.replace("_", "-"): value for name, value in permissions.items()}
        )
        return text

    def open_pull(self, number: int, head: str, base: str = "main") -> Pull:
        self.pulls[number] = Pull(number, base, head, commits=[head])
        return self.pulls[number]

    def push(self, number: int, head: str) -> None:
        self.pulls[number].head = head
        self.pulls[number].commits.append(head)

    def merge(self, number: int, sha: str) -> None:
        """Merged (squashed, rebased or not): the base's new commit is `sha`."""
        pull = self.pulls[number]
        pull.merged, pull.merge_commit = True, sha
        self.tips[pull.base] = sha

    def says(self, login: str, number: int, body: str) -> dict[str, Any]:
        """Somebody comments."""
        self._next += 1
        row = {
            "id": self._next,
            "body": body,
            "user": {"login": login, "type": "Bot" if login.endswith("[bot]") else "User"},
            "html_url": f"https://github.com/{self.repository}/pull/{number}#issuecomment-{self._next}",
            "number": number,
        }
        self.comments.append(row)
        return row

    def on(self, number: int) -> list[str]:
        """The bodies of a pull request's comments."""
        return [row["body"] for row in self.comments if row["number"] == number]

    def limit(
        self, path: str, *, seconds: int = 1, times: int = 1, secondary: bool = False
    ) -> None:
        """The next calls meet the rate limit: the primary one (403 with the remaining calls), or a
        secondary one (Retry-After)."""
        reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + seconds)}
        body = {"message": "API rate limit exceeded for installation."}
        headers = {"retry-after": str(seconds)} if secondary else reset
        self.fail(
            Fault("GET|POST|PATCH", path, status=403, body=body, headers=headers, times=times)
        )

    def limit_without_headers(self, path: str, *, times: int = 1) -> None:
        """A secondary limit that says so in its body alone, as GitHub's documents allow."""
        body = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
        self.fail(Fault("GET|POST|PATCH", path, status=403, body=body, times=times))

    def handle(self, request: Request) -> tuple[int, Any]:
        token = self.tokens.get(request.token or "")
        if token is None:
            raise ApiError(
                401,
                {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"},
            )
        if (request.method, request.path) == ("POST", "/graphql"):
            if set(request.body) != {"query"} or "viewer" not in request.body["query"]:
                return 200, {"errors": [{"message": "Parse error"}]}
            return 200, {"data": {"viewer": {"login": token.login}}}
        if request.path == "/user":
            raise ApiError(403, {"message": "Resource not accessible by integration"})
        base = f"/repos/{self.repository}/"
        if not request.path.startswith(base):
            raise ApiError(404, {"message": "Not Found"})
        match request.method, *request.path.removeprefix(base).split("/"):
            case "GET", "commits", sha, "pulls":
                self.allow(token, "read", "pull-requests")
                found = [
                    p for p in self.pulls.values() if sha in p.commits or sha == p.merge_commit
                ]
                return 200, self.paged(request, [self.pull_json(pull) for pull in found])
            case "GET", "commits", branch:
                self.allow(token, "read", "contents")
                if branch not in self.tips:
                    raise ApiError(422, {"message": f"No commit found for SHA: {branch}"})
                return 200, {"sha": self.tips[branch]}
            case "GET", "issues", number, "comments":
                self.allow(token, "read", "pull-requests", "issues")
                self.known(number)
                rows = [
                    self.comment_json(row) for row in self.comments if row["number"] == int(number)
                ]
                return 200, self.paged(request, rows)
            case "POST", "issues", number, "comments":
                self.allow(token, "write", "pull-requests", "issues")
                self.known(number)
                return 201, self.comment_json(
                    self.says(token.login, int(number), self.text(request))
                )
            case "PATCH", "issues", "comments", number:
                self.allow(token, "write", "pull-requests", "issues")
                row = self.comment(number)
                row["body"] = self.text(request)
                return 200, self.comment_json(row)
            case "DELETE", "issues", "comments", number:
                self.allow(token, "write", "pull-requests", "issues")
                self.comments.remove(self.comment(number))
                return 204, None
        raise ApiError(404, {"message": "Not Found"})

    def headers(self) -> dict[str, str]:
        return {"Link": self._link} if getattr(self, "_link", "") else {}

    def paged(self, request: Request, rows: list[Any]) -> list[Any]:
        asked = int(request.first("per_page") or 30)
        size, number = min(asked, self.page, 100), int(request.first("page") or 1)
        more = number * size < len(rows)
        self._link = (
            f'<{self.endpoint}{request.path}?per_page={asked}&page={number + 1}>; rel="next"'
            if more
            else ""
        )
        return rows[(number - 1) * size : number * size]

    @staticmethod
    def allow(token: Token, what: str, *scopes: str) -> None:
        if not token.may(what, *scopes):
            raise ApiError(403, {"message": "Resource not accessible by integration"})

    def known(self, number: str) -> None:
        if not number.isdigit() or int(number) not in self.pulls:
            raise ApiError(404, {"message": "Not Found"})

    def comment(self, number: str) -> dict[str, Any]:
        row = next((row for row in self.comments if str(row["id"]) == number), None)
        if row is None:
            raise ApiError(404, {"message": "Not Found"})
        return row

    @staticmethod
    def text(request: Request) -> str:
        body = request.body
        if (
            not isinstance(body, dict)
            or set(body) != {"body"}
            or not isinstance(body["body"], str)
            or not body["body"]
        ):
            raise ApiError(422, {"message": "Validation Failed"})
        if len(body["body"]) > MOST_CHARACTERS:
            raise ApiError(
                422, {"message": f"Body is too long (maximum is {MOST_CHARACTERS} characters)"}
            )
        return body["body"]

    @staticmethod
    def comment_json(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if key != "number"}

    def pull_json(self, pull: Pull) -> dict[str, Any]:
        return {
            "number": pull.number,
            "state": "closed" if pull.merged else "open",
            "merged_at": "2026-11-24T12:00:00Z" if pull.merged else None,
            # While a pull request is open this is GitHub's test merge, which is on no branch.
            "merge_commit_sha": pull.merge_commit or "f" * 40,
            "base": {"ref": pull.base},
            "head": {"sha": pull.head, "repo": {"full_name": pull.fork or self.repository}},
        }
