"""boto3 without its own retries: one call is one request, every failure one of the provider errors,
all of it within a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore import exceptions as aws
from botocore import xform_name
from botocore.config import Config
from botocore.loaders import create_loader
from botocore.parsers import ResponseParserError
from botocore.session import Session as BotocoreSession

from cloudsync import __version__
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
from cloudsync_aws.permissions import plain
from cloudsync_aws.settings import AwsAccount

CONNECT_SECONDS = 5
READ_SECONDS = 15
_THROTTLED = (
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "Client.RequestLimitExceeded",
)
_CREDENTIALS = {
    "AuthFailure": "AWS does not accept the credentials",
    "InvalidClientTokenId": "AWS does not know the access key",
    "SignatureDoesNotMatch": "the secret access key does not fit the access key",
    "UnrecognizedClientException": "AWS does not know the access key",
    "IncompleteSignature": "the credentials are incomplete",
    "MissingAuthenticationToken": "the credentials are incomplete",
    "ExpiredToken": "the credentials are expired; get new ones",
    "ExpiredTokenException": "the credentials are expired; get new ones",
    "RequestExpired": "AWS says the request is too old: is this machine's clock right?",
    "OptInRequired": "the account has no access to this region or service",
    "AccessDenied": "AWS does not allow these credentials in",
    "PendingVerification": "the account is not verified yet",
    "Blocked": "the account is blocked",
}
_MOVED = (
    "InvalidPermission.Duplicate",
    "InvalidPermission.NotFound",
    "InvalidSecurityGroupRuleId.NotFound",
    "InvalidGroup.Duplicate",
    "IncorrectState",
)
_GONE = (
    "InvalidGroup.NotFound",
    "InvalidGroupId.Malformed",
    "InvalidVpcID.NotFound",
    "InvalidVpcId.NotFound",
    "InvalidSecurityGroupID.NotFound",
)
_QUOTA = (
    "RulesPerSecurityGroupLimitExceeded",
    "SecurityGroupLimitExceeded",
    "SecurityGroupsPerInterfaceLimitExceeded",
    "TagLimitExceeded",
)


class NotAllowed(AuthError):
    """The credentials are good, and a permission is missing."""


class WouldWork(ProviderError):
    """A dry run that would have been carried out."""


class Api:
    """One account in one region. Raises `AuthError` where the credentials cannot be had."""

    def __init__(self, account: Account) -> None:
        if not isinstance(account.settings, AwsAccount):
            raise TypeError(f"settings of another provider for the account {account.name}")
        self.account, self.settings = account, account.settings
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=max(1.0, min(READ_SECONDS, account.deadline - time.monotonic())),
            # boto3 would repeat writes whose answer was lost; only the shared policy repeats, and
            # knows which calls are safe.
            retries={"mode": "standard", "total_max_attempts": 1},
            user_agent_extra=f"cloudsync/{__version__}",
        )
        try:
            self._client: Any = _session(self.settings).client(
                "ec2", endpoint_url=self.settings.endpoint, config=config
            )
        except (aws.BotoCoreError, OSError, ValueError) as error:
            raise self._no_credentials(error) from None

    def read(self, operation: str, parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
        """A read whose answer has a list `name`, repeated while that may help. Raises
        `ProviderError`."""

        def once() -> dict[str, Any]:
            answer = self._call(operation, parameters, write=False)
            # boto3 takes a page of a proxy, which may be XML too, for an answer with nothing in it.
            if not isinstance(answer.get(name), list):
                raise Transient(f"{operation}: an answer without {name}")
            return answer

        return retried(once, deadline=self.account.deadline, safe=lambda error: error.temporary)

    def write(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A write, repeated only where AWS says that it did nothing. Raises `ProviderError`, with
        `fate_unknown` where it is."""

        def once() -> dict[str, Any]:
            answer = self._call(operation, parameters, write=True)
            # Every answer of EC2 names its request; a page of a proxy, which boto3 takes for an
            # empty answer, does not.
            if answer.get("Return") is not True and not answer.get("ResponseMetadata", {}).get(
                "RequestId"
            ):
                raise Transient(
                    f"{operation}: an answer that does not say it was done", fate_unknown=True
                )
            return answer

        return retried(
            once,
            deadline=self.account.deadline,
            safe=lambda error: (
                error.temporary and not error.fate_unknown and not isinstance(error, Conflict)
            ),
        )

    def dry_run(self, operation: str, parameters: Mapping[str, Any]) -> None:
        """Ask whether it would be allowed; nothing is done. Raises `ProviderError`, `AuthError`
        where it is not allowed."""

        def once() -> None:
            try:
                self._call(operation, {**parameters, "DryRun": True}, write=False)
            except WouldWork:
                return
            raise Transient(f"{operation}: a dry run was answered as if it were none")

        retried(once, deadline=self.account.deadline, safe=lambda error: error.temporary)

    def pages(
        self, operation: str, name: str, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Every item of a list; AWS may page whether it was asked to or not."""
        items: list[dict[str, Any]] = []
        seen: set[str] = set()
        more = dict(parameters)
        while True:
            answer = self.read(operation, more, name)
            items += answer[name]
            token = answer.get("NextToken")
            if not token:
                return items
            if token in seen:
                raise Transient(f"{operation}: the pages do not end")
            seen.add(token)
            more["NextToken"] = token
            self.account.progress(f"{self.account.name}: {operation}, {len(items)} so far")

    def _call(
        self, operation: str, parameters: Mapping[str, Any], *, write: bool
    ) -> dict[str, Any]:
        if self.account.deadline - time.monotonic() <= 0:
            raise Transient(f"{operation}: the run's deadline is reached")
        try:
            answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**parameters)
        except aws.ClientError as error:
            raise mapped(operation, error, write=write) from None
        except (
            aws.ConnectTimeoutError,
            aws.EndpointConnectionError,
            aws.ProxyConnectionError,
        ) as error:
            raise Transient(f"{operation}: {self._where(error)} cannot be reached") from None
        except aws.ReadTimeoutError:
            raise Transient(f"{operation}: no answer in time", fate_unknown=write) from None
        except (aws.SSLError, aws.HTTPClientError):
            raise Transient(f"{operation}: the connection failed", fate_unknown=write) from None
        except (aws.ResponseStreamingError, aws.IncompleteReadError):
            raise Transient(f"{operation}: the answer broke off", fate_unknown=write) from None
        except (aws.ParamValidationError, aws.UnknownServiceError) as error:
            raise Unsupported(f"{operation}: {type(error).__name__}") from None
        except (aws.BotoCoreError, OSError) as error:
            raise self._no_credentials(error) from None
        except (ResponseParserError, ValueError):
            raise Transient(
                f"{operation}: an answer that cannot be read", fate_unknown=write
            ) from None
        return answer

    def _no_credentials(self, error: Exception) -> ProviderError:
        """Every way the SDK's credential chain fails (a missing web-identity file is a plain
        OSError), as one line."""
        of = f"the account {self.account.name}"
        if isinstance(error, aws.NoCredentialsError):
            return AuthError(
                f"no AWS credentials for {of}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a"
                " profile, or a role"
            )
        if isinstance(error, aws.PartialCredentialsError):
            return AuthError(
                f"the AWS credentials for {of} are incomplete:"
                f" {error.kwargs.get('cred_var', 'a part')} is missing"
            )
        if isinstance(error, aws.ProfileNotFound):
            return AuthError(
                f"the profile {self.settings.profile!r} of {of} is not in the AWS configuration of"
                " this user"
            )
        if isinstance(error, aws.NoRegionError):
            return AuthError(f"{of} has no region")
        if isinstance(error, FileNotFoundError):
            return AuthError(
                f"a credential file of {of} does not exist (AWS_WEB_IDENTITY_TOKEN_FILE?)"
            )
        if isinstance(
            error, aws.EndpointConnectionError | aws.ConnectionError | aws.HTTPClientError
        ):
            return Transient(
                f"the AWS credentials for {of} could not be fetched: the connection failed"
            )
        return AuthError(f"the AWS credentials for {of} cannot be had: {type(error).__name__}")

    def _where(self, error: Exception) -> str:
        return str(getattr(error, "kwargs", {}).get("endpoint_url", "AWS")).split("?")[0][:120]


_reading_models = threading.Lock()


def _models() -> Any:
    """botocore's reader of its models of the API, with those of EC2 read: to parse them takes a
    tenth of a second and 10 MiB. Accounts are opened side by side, so the first of them holds the
    others up; else each would parse its own."""
    with _reading_models:
        return _read_models()


@cache
def _read_models() -> Any:
    loader = create_loader()
    for name in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("ec2", name, api_version=None)
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data(name)
    return loader


def _session(settings: AwsAccount) -> Any:
    """A session of its own, so that credentials are looked up again, on models that are read
    once."""
    core, models = BotocoreSession(), _models()
    core.register_component("data_loader", models)
    session = boto3.Session(
        profile_name=settings.profile, region_name=settings.region, botocore_session=core
    )
    models.search_paths[:] = dict.fromkeys(
        models.search_paths
    )  # boto3 adds its own folder, each time
    return session


def mapped(operation: str, error: aws.ClientError, *, write: bool) -> ProviderError:
    """AWS's error codes
    (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html) as provider
    errors."""
    details = error.response.get("Error", {})
    code, message = (
        str(details.get("Code", "unknown")),
        plain(str(details.get("Message", "")))[:200],
    )
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = f"{operation}: {plain(code)[:80]}: {message}"
    if code in _THROTTLED or status == 429:
        hint = str(
            error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
        )
        return RateLimited(text, retry_after=seconds_of(hint))
    if code == "DryRunOperation":
        return WouldWork(text)
    if code in ("UnauthorizedOperation", "AccessDeniedException"):
        return NotAllowed(
            f"the credentials may not do ec2:{operation} ({plain(code)}); the policy in"
            " docs/providers/aws.md allows it"
        )
    if code in _CREDENTIALS:
        return AuthError(f"{operation}: {_CREDENTIALS[code]} ({code})")
    if code in _MOVED:
        return Conflict(f"{text} (somebody else changed the group meanwhile)")
    if code in _QUOTA:
        return QuotaExceeded(text)
    if code in _GONE or status == 404:
        return NotFound(text)
    if status == 401:
        return AuthError(text)
    if status >= 500 or code in (
        "InternalError",
        "InternalFailure",
        "Unavailable",
        "ServiceUnavailable",
    ):
        return Transient(text, fate_unknown=write)
    if status == 403:
        return AuthError(text)
    if status == 409:
        return Conflict(text)
    return Unsupported(text)
