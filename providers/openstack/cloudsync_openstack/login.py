"""The login as openstacksdk finds it (clouds.yaml, `OS_*`), and the session that all requests of an
account go through."""

from __future__ import annotations

import warnings
from typing import Any

from keystoneauth1 import exceptions as ks
from keystoneauth1.adapter import Adapter
from keystoneauth1.noauth import NoAuth
from keystoneauth1.session import Session

from cloudsync import __version__
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import AuthError
from cloudsync.provider.transport import session_until
from cloudsync_openstack.settings import OpenStackAccount

CALL_SECONDS = 30.0
_AGENT = f"cloudsync/{__version__}"


def opened(account: Account, settings: OpenStackAccount) -> tuple[Session, Adapter, Adapter | None]:
    """A session and the two services. Raises `AuthError`."""
    if settings.anonymous:
        headers = {
            "X-Project-Id": settings.project_id or "",
            "X-User-Id": "cloudsync",
            "X-Roles": "member,reader",
        }
        session = _session(account, auth=NoAuth(), additional_headers=headers)
        return session, Adapter(session, "network", endpoint_override=settings.endpoint), None
    region = _configured(account, settings)
    verify, cert = region.get_requests_verify_args()
    session = _session(account, auth=region.get_auth(), verify=verify, cert=cert)

    def service(name: str, override: str | None) -> Adapter:
        return Adapter(
            session,
            name,
            interface=region.get_interface(name),
            region_name=region.get_region_name(name),
            endpoint_override=override or region.get_endpoint(name),
        )

    return session, service("network", settings.endpoint), service("compute", None)


def _session(account: Account, **options: Any) -> Session:
    """keystoneauth over a session of ours, so that its own requests (login, discovery) also end at
    the deadline, send nothing of ~/.netrc, and follow no redirect, which could lead the password
    elsewhere."""
    ours = session_until(account.deadline, CALL_SECONDS)
    return Session(session=ours, redirect=False, user_agent=_AGENT, **options)


def _configured(account: Account, settings: OpenStackAccount) -> Any:
    """The cloud as openstacksdk finds it. Its own messages may hold values, and are not
    repeated."""
    from openstack.config import OpenStackConfig
    from openstack.exceptions import ConfigException

    of = f"the account {account.name}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            configuration = OpenStackConfig(app_name="cloudsync", app_version=__version__)
            for cloud in configuration.cloud_config["clouds"].values():
                if isinstance(cloud, dict):  # the file may have an empty entry
                    _without_fetched_profile(cloud)
            return configuration.get_one(cloud=settings.cloud, region_name=settings.region)
    except ks.MissingRequiredOptions as error:
        missing = ", ".join(sorted(str(option.name) for option in error.options))
        raise AuthError(
            f"the OpenStack credentials of {of} are incomplete: {missing} is missing (clouds.yaml, "
            "or the OS_* variables)"
        ) from None
    except ConfigException:
        named = f"the cloud {settings.cloud!r}" if settings.cloud else "a cloud"
        raise AuthError(
            f"no OpenStack credentials for {of}: clouds.yaml does not have {named}"
            + (f" with the region {settings.region!r}" if settings.region else "")
            + ", and the OS_* variables do not say one"
        ) from None
    except (ks.ClientException, OSError, ValueError, TypeError) as error:
        raise AuthError(
            f"the OpenStack credentials of {of} cannot be read: {type(error).__name__}"
        ) from None


def _without_fetched_profile(cloud: dict[str, Any]) -> None:
    """Forget a vendor profile that openstacksdk would fetch from an address (its own `ovh` and
    `vexxhost` too), with ~/.netrc and at any time: what is fetched does not decide where a
    password goes, and openstacksdk 4.22 makes no use of it at the first call either."""
    from openstack.config.vendors import get_profile

    for key in ("profile", "cloud"):
        profile = str(cloud.get(key) or "")
        is_fetched = "//" in profile or "//" in str((get_profile(profile) or {}).get("profile"))
        if is_fetched:
            del cloud[key]
