"""One HTTP client for the providers of REST APIs: bearer token, total deadline, retries, complete
pages, typed answers, and every failure one of the provider errors.

A provider describes its vendor by a `Dialect`, and each answer that it reads by a pydantic model
(`Answer`). What does not fit its model is `Transient`: an answer that cannot be understood is
unknown, never empty.

`failures.py` has the table of what a status means; besides it,

| an answer          | error       | temporary | fate of a write |
|--------------------|-------------|-----------|-----------------|
| no connection      | `Transient` | yes       | did nothing     |
| lost, cut, no JSON | `Transient` | yes       | unknown         |
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any

import requests

from cloudsync import __version__
from cloudsync.provider.answers import Model, Nothing, at, printable
from cloudsync.provider.answers import NotUnderstood as NotUnderstood
from cloudsync.provider.answers import understood as understood
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import AuthError, ProviderError, Transient
from cloudsync.provider.failures import Failure as Failure
from cloudsync.provider.failures import by_status
from cloudsync.provider.retry import bounded, repeated, seconds_left, seconds_of
from cloudsync.provider.settings import SecretError, SecretRef
from cloudsync.provider.transport import lost, session
from cloudsync.rules.frozen import dataclass

CALL_SECONDS = 30.0
MAX_PAGES = 400
_LONGEST_MESSAGE = 200


@dataclass(frozen=True, slots=True)
class Paging:
    """How a vendor cuts lists into pages. Fields of the answer are given as dotted paths."""

    size: int
    """Items asked for on one page."""
    next: str = ""
    """The field with the number or the address of the next page; null or missing on the last."""
    last: str = ""
    """The field with the number of the last page, for vendors without `next`."""
    token: str = ""
    """The field with an opaque token for the next page, which is sent as `page_parameter`; null or
    empty on the last page. Then the first page is asked for without it."""
    token_on_last: bool = True
    """Whether the last page has that field too, so that an answer without it is cut short."""
    total: str = ""
    """The field with the number of all items, if the vendor counts them."""
    page_parameter: str = "page"
    size_parameter: str = "per_page"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is a vendor's own in HTTP."""

    vendor: str
    """The vendor's name, for messages."""
    paging: Paging
    judge: Callable[[Failure], ProviderError | None] = lambda _: None
    """The error for a code that means something else than its status says; None: by the status."""
    code: str = "error.code"
    """The field of an error's answer with its code, as a dotted path."""
    message: str = "error.message"
    """The field with its message."""
    did_nothing: frozenset[int] = frozenset({503})
    """Statuses of 500 and above after which a write surely took no effect, so that it is
    repeated."""
    once: bool = False
    """Whether the vendor does a write once however often it is sent, by the id of the request that
    every write then carries: it is repeated although its fate is unknown."""
    rate: tuple[str, str] = ("RateLimit-Remaining", "RateLimit-Limit")
    """The headers with the calls left and allowed."""
    means: Mapping[str, int] = field(default_factory=dict)
    """By the vendor's error code, the status whose error it is, if that is not the answer's own:
    `{"token_readonly": 403, "locked": 503}`."""
    advice: Mapping[str | int, str] = field(default_factory=dict)
    """By the vendor's error code, or by status, what to add to the message for the person who must
    act."""
    from_headers: Mapping[str, str] = field(default_factory=dict)
    """By field of an answer, the header that it is taken from, for a vendor that says the version
    of an object there: `{"etag": "ETag"}`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of an account."""

    method: str
    path: str
    query: Mapping[str, Any] | None = None
    body: Mapping[str, Any] | None = None
    """As JSON; None sends none."""
    headers: Mapping[str, str] | None = None
    reads: bool = False
    """Whether it writes nothing, whatever its method."""
    seconds: float | None = None
    """How long the answer may take; None: `CALL_SECONDS`."""

    @property
    def what(self) -> str:
        """The call, for people: `POST /firewalls`."""
        return f"{self.method} {self.path}"


class Rest:
    """One account of a REST API. Its connections are closed with the last reference to it."""

    def __init__(
        self,
        account: Account,
        endpoint: str,
        credentials: SecretRef | requests.Session,
        dialect: Dialect,
    ) -> None:
        """`endpoint`: the base URL, without a slash at its end. `credentials`: a token, or a
        session that has others and is `secured`. Raises `AuthError` if the token cannot be had."""
        self.account, self.dialect = account, dialect
        self.rate: tuple[int, int] | None = None
        """Calls left and allowed, as the last answer said."""
        self._endpoint = endpoint
        if isinstance(credentials, SecretRef):
            credentials = session(token_of(account, credentials))
        self._session = credentials
        self._session.headers["User-Agent"] = f"cloudsync/{__version__}"
        weakref.finalize(self, self._session.close).atexit = False

    def get(self, path: str, model: type[Model], query: Mapping[str, Any] | None = None) -> Model:
        """A read, repeated while that may help. Raises `ProviderError`."""
        call = Call("GET", path, query, reads=True)
        return understood(call.what, self._repeated(call), model)

    def ask(
        self,
        path: str,
        model: type[Model],
        body: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Model:
        """A question that the vendor wants as a POST and that writes nothing: repeated as a read
        is. `seconds`: how long one answer may take. Raises `ProviderError`."""
        call = Call("POST", path, body=body, reads=True, seconds=seconds)
        return understood(call.what, self._repeated(call), model)

    def write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        model: type[Model],
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Model:
        """A write, with headers of its own such as `If-Match`; repeated only if it surely did
        nothing (or `Dialect.once`). `body`: None sends none. Raises `ProviderError`, with
        `fate_unknown` if it is; a `Conflict` is never repeated, since the core plans again."""
        call = Call(method, path, query, body, headers)
        return understood(call.what, self._repeated(call), model, write=True)

    def pages(
        self,
        path: str,
        name: str,
        model: type[Model],
        query: Mapping[str, Any] | None = None,
    ) -> list[Model]:
        """Every item of the list in the field `name`. A page that is missing, or a count that does
        not fit, is an error: a part is never taken for the whole."""
        paging, what = self.dialect.paging, f"GET {path}"
        items: list[Any] = []
        total: object = None
        for answer in self.answers(path, query):
            listed = answer.get(name)
            if not isinstance(listed, list):
                raise Transient(f"{what}: an answer without {name}")
            items += listed
            total = at(answer, paging.total) if paging.total else None
            read = f"{len(items)} of {'?' if total is None else total}"
            self.account.progress(f"{self.account.name}: reading {name}, {read}")
        if total is not None and total != len(items):
            raise Transient(
                f"{what}: {len(items)} of {total} {name} arrived; the list changed while "
                f"it was read, or is cut short"
            )
        return [understood(what, item, model) for item in items]

    def answers(
        self, path: str, query: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The pages of a list one by one, each a whole answer: for a vendor whose pages are no
        plain lists. Raises `ProviderError`; there is no end before the last page."""
        paging, what = self.dialect.paging, f"GET {path}"
        page: int | str | None = None if paging.token else 1
        for _ in range(MAX_PAGES):
            numbers = {paging.page_parameter: page, paging.size_parameter: paging.size}
            answer = self._repeated(Call("GET", path, {**(query or {}), **numbers}, reads=True))
            if not _counted(paging, answer):
                raise Transient(f"{what}: an answer without its page numbers")
            yield answer
            following = _following(paging, answer, page)
            if following is None:
                return
            if following == page:
                raise Transient(f"{what}: the same page was named twice")
            page = following
        raise Transient(f"{what}: more than {MAX_PAGES} pages")

    def probe(self, path: str) -> None:
        """Ask for one item of a list, to learn whether it may be read. Raises `ProviderError`."""
        paging = self.dialect.paging
        first = {} if paging.token else {paging.page_parameter: 1}
        self.get(path, Nothing, {**first, paging.size_parameter: 1})

    def _repeated(self, call: Call) -> dict[str, Any]:
        return repeated(
            lambda: self._sent(call),
            deadline=self.account.deadline,
            write=not call.reads,
            once=self.dialect.once,
        )

    def _sent(self, call: Call) -> dict[str, Any]:
        what, write = call.what, not call.reads
        seconds = min(call.seconds or CALL_SECONDS, seconds_left(self.account.deadline, what))
        try:
            answer = bounded(
                lambda: self._session.request(
                    call.method,
                    f"{self._endpoint}{call.path}",
                    params=dict(call.query or {}),
                    json=None if call.body is None else dict(call.body),
                    headers=dict(call.headers or {}),
                    timeout=seconds,
                ),
                seconds,
            )
        except (requests.RequestException, TimeoutError) as error:
            raise lost(what, error, "the answer broke off", write=write) from None
        left_, most = (answer.headers.get(header, "") for header in self.dialect.rate)
        if left_.isdecimal() and most.isdecimal():
            self.rate = int(left_), int(most)
        body = _json(answer)
        if not 200 <= answer.status_code < 300:
            raise self._failed(what, answer, body, write=write)
        wanted = self.dialect.from_headers.items()
        more = {name: answer.headers[key] for name, key in wanted if key in answer.headers}
        if answer.status_code == 204 or (write and not answer.content):
            return more
        if not isinstance(body, dict):
            raise Transient(f"{what}: an answer that is not a JSON object", fate_unknown=write)
        return body | more

    def _failed(
        self, what: str, answer: requests.Response, body: object, *, write: bool
    ) -> ProviderError:
        dialect, status = self.dialect, answer.status_code
        code = printable(str(at(body, dialect.code) or status))[:60]
        message = at(body, dialect.message) or answer.reason
        failure = Failure(
            what,
            dialect.means.get(code, status),
            code,
            printable(str(message))[:_LONGEST_MESSAGE],
            write,
            seconds_of(answer.headers.get("Retry-After", "")),
            dialect.advice.get(code) or dialect.advice.get(status, ""),
            body,
        )
        return dialect.judge(failure) or by_status(failure, dialect.did_nothing)


def token_of(account: Account, reference: SecretRef) -> str:
    """The secret behind a reference. Raises `AuthError`, as every provider error without the
    secret in it."""
    try:
        return reference.resolve(account.base).get_secret_value()
    except SecretError as error:
        raise AuthError(f"no token for the account {account.name}: {error}") from None


def _following(
    paging: Paging, answer: Mapping[str, Any], page: int | str | None
) -> int | str | None:
    """The number, or the token, of the next page; None on the last one."""
    if paging.token:
        token = at(answer, paging.token)
        return None if token in (None, "") else str(token)
    page = int(page or 1)
    if paging.last:
        return page + 1 if page < at(answer, paging.last) else None
    following = at(answer, paging.next)
    if not following:
        return None
    return following if isinstance(following, int) and following > page else page + 1


def _counted(paging: Paging, answer: Mapping[str, Any]) -> bool:
    """Whether the numbers that tell a whole list from a part of it are there. A vendor may say
    null for a count that it does not know."""
    if paging.last and not isinstance(at(answer, paging.last), int):
        return False
    if paging.token and paging.token_on_last and not _has(answer, paging.token, str):
        return False
    return not paging.total or _has(answer, paging.total, int)


def _has(answer: Mapping[str, Any], path: str, kind: type) -> bool:
    """Whether a field is there, with a value of that kind or null."""
    parent, _, key = path.rpartition(".")
    holder = at(answer, parent) if parent else answer
    return isinstance(holder, dict) and key in holder and isinstance(holder[key], kind | None)


def _json(answer: requests.Response) -> object:
    try:
        return answer.json()
    except ValueError:
        return None
