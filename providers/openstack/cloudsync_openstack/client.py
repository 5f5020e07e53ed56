"""Neutron and Nova through the sessions of openstacksdk, without its retries: one call is one
request, every failure one of the provider errors.

openstacksdk finds the cloud (clouds.yaml, `OS_*`), logs in and keeps the token; requests go out
through its own adapter, and answers are read by the models of `answers`. Its resource layer is not
used: it pages and repeats by itself, and asks for versions first.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from keystoneauth1 import exceptions as ks
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import BaseIdentityPlugin

from cloudsync.provider.answers import Model, at, printable, understood
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import AuthError, ProviderError, RateLimited, Transient, Unsupported
from cloudsync.provider.failures import Failure, by_status
from cloudsync.provider.retry import repeated, seconds_left, seconds_of
from cloudsync.provider.transport import lost
from cloudsync_openstack.answers import Server
from cloudsync_openstack.login import opened
from cloudsync_openstack.settings import OpenStackAccount

_MEANS: Mapping[str | int, int] = {"OverQuota": 507, "QuotaExceeded": 507, 413: 429}
"""By Neutron's type of an error, or by status, the status that says what it means."""
_CHANGED = "something else changed it meanwhile"
_ADVICE: Mapping[int, str] = {
    401: "the cloud does not accept the credentials any more",
    403: "docs/providers/openstack.md has the roles the login needs",
    409: _CHANGED,
    412: _CHANGED,
}


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

    def list(self, path: str, model: type[Model], **query: str) -> tuple[Model, ...]:
        """Every item of a list of Neutron's, page after page, repeated while that may help. Raises
        `ProviderError`."""
        return self._pages(self._network, f"/v2.0/{path}", model, query)

    def servers(self) -> tuple[Server, ...] | None:
        """Every server of the project; None if the catalog has no Nova, which knows servers by
        name. Raises `ProviderError`."""
        if self._compute is None or self._endpoint(self._compute) is None:
            return None
        return self._pages(self._compute, "/servers", Server, {})

    def get(self, path: str, key: str, model: type[Model]) -> Model:
        """What an answer of Neutron's has in the field `key`. Raises `ProviderError`."""
        answer = self._read(self._network, f"/v2.0/{path}", {})
        return understood(f"GET {path}", at(answer, key), model)

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
        return repeated(
            lambda: self._call(self._network, method, f"/v2.0/{path}", json=body, headers=headers),
            deadline=self.account.deadline,
            write=True,
            once=idempotent,
        )

    def roles(self) -> frozenset[str] | None:
        """The roles of the login, lower case; None if no login says so. Raises `ProviderError`."""
        auth = self._session.auth
        if not isinstance(auth, BaseIdentityPlugin):
            return None
        access = self._login(lambda: auth.get_access(self._session))
        return frozenset(str(role).lower() for role in access.role_names)

    def _pages(
        self, service: Adapter, path: str, model: type[Model], query: Mapping[str, str]
    ) -> tuple[Model, ...]:
        key = path.rpartition("/")[2].replace("-", "_")
        items: dict[str, Model] = {}
        more = dict(query)
        while True:
            answer = self._read(service, path, more)
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

    def _read(self, service: Adapter, path: str, query: Mapping[str, str]) -> Any:
        return repeated(
            lambda: self._call(service, "GET", path, params=dict(query)),
            deadline=self.account.deadline,
            write=False,
        )

    def _call(self, service: Adapter, method: str, path: str, **more: Any) -> Any:
        """One request; its JSON, or None for an answer without content."""
        what, write = f"{method} {path}", method != "GET"
        seconds_left(self.account.deadline, what)
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
        def attempt() -> Any:
            try:
                return call()
            except ks.ClientException as error:
                raise self._no_login(error) from None
            except requests.RequestException:
                raise Transient(f"the login of {self.account.name}: the answer broke off") from None

        return repeated(attempt, deadline=self.account.deadline, write=False)

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
    if status < 400:
        return Unsupported(f"{what}: the endpoint redirects elsewhere; configure where it leads to")
    type_, message = _error_of(response)
    means = _MEANS.get(type_) or _MEANS.get(status, status)
    hint = seconds_of(response.headers.get("Retry-After", ""))
    code = f"{status} {type_}".rstrip()
    return by_status(Failure(what, means, code, message, write, hint, _ADVICE.get(means, "")))


def _error_of(response: requests.Response) -> tuple[str, str]:
    """The type and the message of an error, short and printable."""
    try:
        answer = response.json()
    except ValueError:
        answer = None
    inner = next(iter(answer.values()), None) if isinstance(answer, dict) else None
    message = inner if isinstance(inner, str) else at(inner, "message")
    text = str(message or response.reason or "no reason is given")
    return printable(str(at(inner, "type") or ""))[:80], printable(text)[:200]


def _next_marker(links: Any) -> dict[str, str] | None:
    """The query of the next page. Only the query of the link is used: the token goes nowhere
    else."""
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "next":
            query = parse_qs(urlsplit(str(link.get("href", ""))).query)
            return {key: query[key][0] for key in ("limit", "marker") if key in query}
    return None
