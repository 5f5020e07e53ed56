"""Neutron and Nova through the sessions of openstacksdk, without its retries: one call is one
request, every failure one of the provider errors.

openstacksdk finds the cloud (clouds.yaml, `OS_*`), logs in and keeps the token; requests go out
through its own adapter, and answers are read by the models of `answers`. Its resource layer is not
used: it pages and repeats by itself, and asks for versions first.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests
from keystoneauth1 import exceptions as ks
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import BaseIdentityPlugin

from cloudsync.provider.answers import understood
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    NotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.retry import retried, seconds_of
from cloudsync.provider.transport import lost
from cloudsync_openstack.answers import Answer
from cloudsync_openstack.login import opened
from cloudsync_openstack.rules import plain
from cloudsync_openstack.settings import OpenStackAccount

Model = TypeVar("Model", bound=Answer)
_QUOTA = ("OverQuota", "QuotaExceeded")


class NotAllowed(AuthError):
    """The credentials are good, and a role is missing."""


class Api:
    """One project's login. Raises `AuthError` if there are no credentials."""

    def __init__(self, account: Account, settings: OpenStackAccount) -> None:
        self.account, self.settings = account, settings
        self._session, self._network, self._compute = opened(account, settings)
        self._project: str | None = settings.project_id
        self._renewing = threading.Lock()
        weakref.finalize(self, self._session.session.close).atexit = False

    @property
    def project(self) -> str:
        """The id of the project that the login is for. Raises `ProviderError`."""
        if self._project is None:
            identity = self._login(self._session.get_project_id)
            if not identity:
                raise AuthError(
                    f"the login of the account {self.account.name} is for no project: set "
                    "project_id or project_name in clouds.yaml (OS_PROJECT_ID, OS_PROJECT_NAME)"
                )
            self._project = str(identity)
        return self._project

    @property
    def has_compute(self) -> bool:
        """Whether the catalog has Nova, which knows servers by name. Raises `ProviderError`."""
        return self._compute is not None and self._endpoint(self._compute) is not None

    def list(self, path: str, key: str, model: type[Model], **query: str) -> tuple[Model, ...]:
        """Every item of a list of Neutron's, page after page, repeated while that may help. Raises
        `ProviderError`."""
        return self._pages(self._network_call, f"/v2.0/{path}", key, model, query)

    def servers(self, model: type[Model]) -> tuple[Model, ...]:
        """Every server that Nova lists for the project."""
        return self._pages(self._compute_call, "/servers", "servers", model, {})

    def get(self, path: str, model: type[Model]) -> Model:
        """One answer of Neutron's. Raises `ProviderError`."""
        answer = self._read(self._network_call, f"/v2.0/{path}", {})
        return understood(f"GET {path}", answer, model)

    def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        if_revision: int | None = None,
        idempotent: bool = False,
    ) -> Any:
        """A write, repeated only if Neutron certainly did nothing, or if it is `idempotent`. Raises
        `ProviderError`, with `fate_unknown` if nobody knows whether it took effect."""
        headers = {} if if_revision is None else {"If-Match": f"revision_number={if_revision}"}

        def call() -> Any:
            return self._network_call(method, f"/v2.0/{path}", json=body, headers=headers)

        return retried(
            call,
            deadline=self.account.deadline,
            safe=lambda error: (
                error.temporary
                and not isinstance(error, Conflict)
                and (idempotent or not error.fate_unknown)
            ),
        )

    def roles(self) -> frozenset[str] | None:
        """The roles of the login, lower case; None if no login says so. Raises `ProviderError`."""
        auth = self._session.auth
        if not isinstance(auth, BaseIdentityPlugin):
            return None
        access = self._login(lambda: auth.get_access(self._session))
        return frozenset(str(role).lower() for role in access.role_names)

    def _pages(
        self,
        call: Callable[..., Any],
        path: str,
        key: str,
        model: type[Model],
        query: Mapping[str, str],
    ) -> tuple[Model, ...]:
        items: dict[str, Model] = {}
        more = dict(query)
        while True:
            answer = self._read(call, path, more)
            if not isinstance(answer, dict) or not isinstance(answer.get(key), list):
                raise Transient(f"GET {path}: an answer without {key}")
            page = [understood(f"GET {path}", item, model) for item in answer[key]]
            for item in page:
                # A marker that is gone starts the list again: measured on Neutron 29.
                if (id_ := str(getattr(item, "id", len(items)))) in items:
                    raise Transient(f"GET {path}: the list changed while its pages were read")
                items[id_] = item
            marker = _next_marker(answer.get(f"{key}_links"))
            if marker is None:
                return tuple(items.values())
            if not page:
                raise Transient(f"GET {path}: the pages do not end")
            more |= marker
            self.account.progress(f"{self.account.name}: {path}, {len(items)} so far")

    def _read(self, call: Callable[..., Any], path: str, query: Mapping[str, str]) -> Any:
        return retried(
            lambda: call("GET", path, params=dict(query)),
            deadline=self.account.deadline,
            safe=lambda error: error.temporary,
        )

    def _network_call(self, method: str, path: str, **more: Any) -> Any:
        return self._call(self._network, method, path, **more)

    def _compute_call(self, method: str, path: str, **more: Any) -> Any:
        if self._compute is None:
            raise Unsupported("an anonymous account has no compute service")
        return self._call(self._compute, method, path, **more)

    def _call(self, service: Adapter, method: str, path: str, **more: Any) -> Any:
        """One request; its JSON, or None for an answer without content."""
        what, write = f"{method} {path}", method != "GET"
        if time.monotonic() >= self.account.deadline:
            raise Transient(f"{what}: the run's deadline is reached")
        token, url = self._login(self._session.get_token), self._base(service)
        url += path.removeprefix("/v2.0") if url.endswith("/v2.0") else path
        response = self._sent(what, method, url, more)
        if response.status_code == 401 and self._renewed(token):
            response = self._sent(what, method, url, more)
        if not 200 <= response.status_code < 300:
            raise mapped(what, response, write=write)
        if response.status_code == 204 or not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise Transient(f"{what}: an answer that cannot be read", fate_unknown=write) from None

    def _sent(self, what: str, method: str, url: str, more: Mapping[str, Any]) -> requests.Response:
        write = method != "GET"
        options: dict[str, Any] = {"raise_exc": False, "redirect": False, "log": False}
        try:
            return self._session.request(url, method, allow_reauth=False, **options, **more)
        except ks.ClientException as error:
            # keystoneauth raises its own error while it handles the one of requests.
            reason = error.__context__ if isinstance(error.__context__, Exception) else error
            raise lost(what, reason, "the request failed", write=write) from None
        except requests.RequestException as error:
            raise lost(what, error, "the answer broke off", write=write) from None

    def _renewed(self, token: str | None) -> bool:
        """Whether there is another token than the one that was not accepted. Calls run in parallel:
        only the first of them to see it expire logs in again."""
        with self._renewing:
            if self._login(self._session.get_token) != token:
                return True
            return self._session.invalidate() and self._login(self._session.get_token) != token

    def _base(self, service: Adapter) -> str:
        """The service's URL. Raises `ProviderError`."""
        endpoint = self._endpoint(service)
        if endpoint is None:
            raise AuthError(
                f"the cloud of the account {self.account.name} has no {service.service_type} "
                "service in its catalog"
                + (f" for the region {self.settings.region}" if self.settings.region else "")
            )
        return endpoint.rstrip("/")

    def _endpoint(self, service: Adapter) -> str | None:
        """None if the catalog does not have the service."""

        def discovered() -> str | None:
            try:
                return service.get_endpoint()
            except (ks.EndpointNotFound, ks.EmptyCatalog):
                return None

        endpoint = self._login(discovered)
        return None if endpoint is None else str(endpoint)

    def _login(self, call: Callable[[], Any]) -> Any:
        def once() -> Any:
            try:
                return call()
            except ks.ClientException as error:
                raise self._no_login(error) from None
            except requests.RequestException:
                raise Transient(f"the login of {self.account.name}: the answer broke off") from None

        return retried(once, deadline=self.account.deadline, safe=lambda error: error.temporary)

    def _no_login(self, error: ks.ClientException) -> ProviderError:
        """Keystone's refusal as one line; its own text may hold what was sent."""
        of = f"the account {self.account.name}"
        if isinstance(error, ks.Unauthorized):
            return AuthError(f"Keystone does not accept the credentials of {of}")
        if isinstance(error, ks.InvalidResponse) and error.response.is_redirect:
            return Unsupported(f"the login of {of}: Keystone redirects elsewhere; correct auth_url")
        if isinstance(error, ks.ConnectTimeout):
            return Transient(f"the login of {of}: no answer in time")
        if isinstance(error, ks.ConnectFailure | ks.SSLError):
            return Transient(f"the login of {of}: Keystone cannot be reached")
        status = getattr(error, "http_status", None) or 0
        if status == 429:
            return RateLimited(f"the login of {of}: too many requests")
        if status >= 500 or isinstance(error, ks.DiscoveryFailure | ks.InvalidResponse):
            return Transient(f"the login of {of}: Keystone has no usable answer")
        return AuthError(f"the login of {of} failed: {type(error).__name__}")


def mapped(what: str, response: requests.Response, *, write: bool) -> ProviderError:
    """Neutron's and Nova's errors (`{"NeutronError": {"type": …, "message": …}}`) as provider
    errors."""
    status = response.status_code
    type_, message = _error_of(response)
    text = f"{what}: {status} {type_}{': ' if message else ''}{message}".rstrip()
    hint = seconds_of(response.headers.get("Retry-After", ""))
    if status in (413, 429):
        return RateLimited(text, retry_after=hint)
    if status == 401:
        return AuthError(f"{what}: the cloud does not accept the credentials any more (401)")
    if status == 403:
        return NotAllowed(
            f"{what}: the login may not do that ({type_ or 403}); docs/providers/openstack.md has "
            "the roles it needs"
        )
    if type_ in _QUOTA:
        return QuotaExceeded(text)
    if status == 404:
        return NotFound(text)
    if status in (409, 412):
        return Conflict(f"{text} (something else changed it meanwhile)")
    if status >= 500:
        return Transient(text, fate_unknown=write)
    if 300 <= status < 400:
        return Unsupported(f"{what}: the endpoint redirects elsewhere; configure where it leads to")
    return Unsupported(text)


def _error_of(response: requests.Response) -> tuple[str, str]:
    """The type and the message of an error, short and printable."""
    try:
        answer = response.json()
        inner = next(iter(answer.values())) if isinstance(answer, dict) and answer else None
    except ValueError:
        return "", ""
    if isinstance(inner, str):
        return "", plain(inner)[:200]
    if not isinstance(inner, dict):
        return "", ""
    return plain(str(inner.get("type", "")))[:80], plain(str(inner.get("message", "")))[:200]


def _next_marker(links: Any) -> dict[str, str] | None:
    """The query of the next page. Only the query of the link is used: the token goes nowhere
    else."""
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "next":
            query = parse_qs(urlsplit(str(link.get("href", ""))).query)
            return {key: query[key][0] for key in ("limit", "marker") if key in query}
    return None
