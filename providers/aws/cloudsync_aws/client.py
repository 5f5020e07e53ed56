"""boto3 without its own retries: one call is one request, every failure one of the provider errors,
all of it within a deadline."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Mapping
from functools import cache, partial
from typing import Any

import boto3
from botocore import exceptions as aws
from botocore import xform_name
from botocore.config import Config
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError
from botocore.session import Session as BotocoreSession

from cloudsync import __version__
from cloudsync.provider.answers import Model, understood
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import AuthError, ProviderError, Transient, Unsupported
from cloudsync.provider.failures import Failure, by_status
from cloudsync.provider.retry import bounded, repeated, seconds_left, seconds_of
from cloudsync_aws.permissions import plain
from cloudsync_aws.settings import AwsAccount

CONNECT_SECONDS = 5
READ_SECONDS = 15
CALL_SECONDS = 30.0
"""How long a whole answer may take."""
VALUES = 200
"""Values that a filter takes."""
_LISTS = {
    "DescribeInstances": ("Reservations", {"MaxResults": 1000}),
    "DescribeManagedPrefixLists": ("PrefixLists", {}),
    "DescribeSecurityGroups": ("SecurityGroups", {"MaxResults": 1000}),
    "GetManagedPrefixListEntries": ("Entries", {"MaxResults": 100}),
}
"""By the operation, the field of its answer that has the list, and how many items a page is asked
to have; without that AWS sends all of them, or chooses."""
_CODES = (
    ("AuthFailure", 401, "AWS does not accept the credentials"),
    ("InvalidClientTokenId|UnrecognizedClientException", 401, "AWS does not know the access key"),
    ("SignatureDoesNotMatch", 401, "the secret access key does not fit the access key"),
    ("IncompleteSignature|MissingAuthenticationToken", 401, "the credentials are incomplete"),
    ("ExpiredToken(Exception)?", 401, "the credentials are expired; get new ones"),
    ("RequestExpired", 401, "AWS says the request is too old: is this machine's clock right?"),
    ("OptInRequired", 401, "the account has no access to this region or service"),
    ("AccessDenied", 401, "AWS does not allow these credentials in"),
    ("PendingVerification", 401, "the account is not verified yet"),
    ("Blocked", 401, "the account is blocked"),
    (
        "UnauthorizedOperation|AccessDeniedException",
        403,
        "the credentials may not do ec2:{}; the policy in docs/providers/aws.md allows it",
    ),
    (r"(Client\.)?RequestLimitExceeded|Throttling(Exception)?|TooManyRequestsException", 429, ""),
    (r".+\.Duplicate|Invalid(Permission|SecurityGroupRuleId)\.NotFound|IncorrectState", 409, ""),
    (r".+\.NotFound|InvalidGroupId\.Malformed", 404, ""),
    (r".+LimitExceeded", 507, ""),
    (r"Internal(Error|Failure)|(Service)?Unavailable", 500, ""),
)
"""AWS's error codes, the status that says what they mean, since EC2 answers most of them with 400,
and what is wrong if AWS's own message does not say it to a user; the first that matches.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
# What botocore's parser raises for XML of another shape than the operation's.
_UNREADABLE = (ResponseParserError, AttributeError, KeyError, TypeError, ValueError)
_UNSENT = (aws.ConnectTimeoutError, aws.EndpointConnectionError, aws.ProxyConnectionError)
_LOST: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((aws.ReadTimeoutError, TimeoutError), "no answer in time"),
    ((aws.ResponseStreamingError, aws.IncompleteReadError), "the answer broke off"),
    ((aws.HTTPClientError,), "the connection failed"),
    (_UNREADABLE, "an answer that cannot be read"),
)
"""How a call ends whose answer did not come or cannot be used: the first that fits."""
_NO_CREDENTIALS: Mapping[type[Exception], str] = {
    aws.NoCredentialsError: (
        "no AWS credentials for {account}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a"
        " profile, or a role"
    ),
    aws.PartialCredentialsError: (
        "the AWS credentials for {account} are incomplete: {cred_var} is missing"
    ),
    aws.ProfileNotFound: (
        "the profile {profile!r} of {account} is not in the AWS configuration of this user"
    ),
    FileNotFoundError: (
        "a credential file of {account} does not exist (AWS_WEB_IDENTITY_TOKEN_FILE?)"
    ),
    Exception: "the AWS credentials for {account} cannot be had: {kind}",
}
"""Every way the SDK's credential chain fails (a missing web-identity file is a plain OSError), as
a line, with what the SDK's error says; the first that fits."""


class WouldWork(ProviderError):
    """A dry run that would have been carried out."""


class Api:
    """One account in one region. Raises `AuthError` if the credentials cannot be had."""

    def __init__(self, account: Account, settings: AwsAccount) -> None:
        self.account, self.settings = account, settings
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=max(1.0, min(READ_SECONDS, account.deadline - time.monotonic())),
            # boto3 would repeat writes whose answer was lost; only the shared policy repeats, and
            # knows which calls are safe.
            retries={"mode": "standard", "total_max_attempts": 1},
            user_agent_extra=f"cloudsync/{__version__}",
        )
        try:
            self._client = _client_of(settings, config)
        except (aws.BotoCoreError, OSError, ValueError) as error:
            raise self._no_credentials(error) from None
        self._calling = threading.local()
        # Not a method: the client would hold this object, and its connections wait to be collected.
        self._client.meta.events.register("before-send.ec2", partial(_refuse_late, self._calling))

    def listed(
        self, operation: str, model: type[Model], filters: Mapping[str, Collection[str | None]]
    ) -> list[Model]:
        """Every item that has one of the values of each filter. The first filter may have more
        values than a call takes; without any there is no call. Raises `ProviderError`."""
        (name, values), *others = filters.items()
        wanted = sorted(filter(None, values))
        items: list[Model] = []
        for start in range(0, len(wanted), VALUES):
            chosen = ((name, wanted[start : start + VALUES]), *others)
            parameters = [{"Name": name, "Values": list(some)} for name, some in chosen]
            items += self.pages(operation, model, {"Filters": parameters})
        return items

    def pages(
        self, operation: str, model: type[Model], parameters: Mapping[str, Any]
    ) -> list[Model]:
        """Every item of a list; AWS may page whether it was asked to or not. Raises
        `ProviderError`."""
        name, size = _LISTS[operation]
        page = {**parameters, **size}
        items: list[Model] = []
        tokens: set[str] = set()
        while True:
            answer = self._repeated(operation, page, lists=name)
            items += (understood(operation, item, model) for item in answer[name])
            token = answer.get("NextToken")
            if not token:
                return items
            if token in tokens:
                raise Transient(f"{operation}: the pages do not end")
            tokens.add(token)
            page["NextToken"] = token
            self.account.progress(f"{self.account.name}: {operation}, {len(items)} so far")

    def write(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A write, repeated only if AWS says that it did nothing. Raises `ProviderError`, with
        `fate_unknown` if it is."""
        return self._repeated(operation, parameters, write=True)

    def dry_run(self, operation: str, parameters: Mapping[str, Any]) -> None:
        """Ask whether it would be allowed; nothing is done. Raises `ProviderError`: `WouldWork`
        if it is allowed, `Forbidden` if it is not."""
        self._repeated(operation, {**parameters, "DryRun": True})

    def _repeated(
        self, operation: str, parameters: Mapping[str, Any], *, write: bool = False, lists: str = ""
    ) -> dict[str, Any]:
        """The answer; `lists`: the field of it that must be a list. Raises `ProviderError`."""
        return repeated(
            lambda: self._call(operation, parameters, write, lists),
            deadline=self.account.deadline,
            write=write,
        )

    def _call(
        self, operation: str, parameters: Mapping[str, Any], write: bool, lists: str
    ) -> dict[str, Any]:
        seconds = min(CALL_SECONDS, seconds_left(self.account.deadline, operation))
        until, call = time.monotonic() + seconds, getattr(self._client, xform_name(operation))

        def send() -> dict[str, Any]:
            self._calling.until = until
            answer: dict[str, Any] = call(**parameters)
            return answer

        try:
            answer = bounded(send, seconds)
        except aws.ClientError as error:
            raise mapped(operation, error, write=write) from None
        except (aws.BotoCoreError, OSError, *_UNREADABLE) as error:
            raise self._failed(operation, error, write=write) from None
        # boto3 takes a page of a proxy, which may be XML too, for an answer with nothing in it. A
        # real one has its list, and that of a write names its request.
        if lists and not isinstance(answer.get(lists), list):
            raise Transient(f"{operation}: an answer without {lists}")
        request = answer.get("ResponseMetadata", {}).get("RequestId")
        if write and not answer.get("Return", request):
            raise Transient(
                f"{operation}: an answer that does not say it was done", fate_unknown=True
            )
        return answer

    def _failed(self, operation: str, error: Exception, *, write: bool) -> ProviderError:
        """A call that got no answer of AWS."""
        if isinstance(error, _UNSENT):
            url = str(getattr(error, "kwargs", {}).get("endpoint_url", "AWS"))
            return Transient(f"{operation}: {url.split('?')[0][:120]} cannot be reached")
        if isinstance(error, aws.ParamValidationError | aws.UnknownServiceError):
            return Unsupported(f"{operation}: {type(error).__name__}")
        for kinds, what in _LOST:
            if isinstance(error, kinds):
                return Transient(f"{operation}: {what}", fate_unknown=write)
        return self._no_credentials(error)

    def _no_credentials(self, error: Exception) -> ProviderError:
        """Why the SDK's credential chain ended in nothing."""
        account = f"the account {self.account.name}"
        if isinstance(error, aws.ConnectionError | aws.HTTPClientError):
            return Transient(
                f"the AWS credentials for {account} could not be fetched: the connection failed"
            )
        text = next(text for kind, text in _NO_CREDENTIALS.items() if isinstance(error, kind))
        details = {**getattr(error, "kwargs", {}), "account": account, "kind": type(error).__name__}
        return AuthError(text.format_map(details))


def _refuse_late(calling: threading.local, **_: object) -> None:
    """A call that was given up is not sent, though the credentials for it have come at last."""
    if time.monotonic() > calling.until:
        raise TimeoutError


_opening = threading.Lock()


@cache
def _models() -> Any:
    """One reader for all accounts, which keeps what it read: to parse the models of EC2 takes a
    tenth of a second and 10 MiB."""
    return Loader()


def _client_of(settings: AwsAccount, config: Config) -> Any:
    """A client on a session of its own, so that credentials are looked up again, with models that
    are read once: accounts are opened in parallel, and the first of them holds the others up."""
    core = BotocoreSession()
    core.register_component("data_loader", _models())
    session = boto3.Session(
        profile_name=settings.profile, region_name=settings.region, botocore_session=core
    )
    session.get_credentials()  # may ask over the network, which holds nobody up
    with _opening:
        # boto3 adds its own folder, each time.
        _models().search_paths[:] = dict.fromkeys(_models().search_paths)
        return session.client("ec2", endpoint_url=settings.endpoint, config=config)


def mapped(operation: str, error: aws.ClientError, *, write: bool) -> ProviderError:
    """An error that AWS answered, as a provider error."""
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code = plain(str(details.get("Code", "unknown")))[:80]
    if code == "DryRunOperation":
        return WouldWork(f"{operation}: {code}")
    known = ((status, text) for codes, status, text in _CODES if re.fullmatch(codes, code))
    status, problem = next(known, (int(metadata.get("HTTPStatusCode", 0)), ""))
    message = problem.format(operation) or plain(str(details.get("Message", "")))[:200]
    hint = seconds_of(str(metadata.get("HTTPHeaders", {}).get("retry-after", "")))
    advice = "somebody else changed the group meanwhile" if status == 409 else ""
    return by_status(Failure(operation, status, code, message, write, hint, advice))
