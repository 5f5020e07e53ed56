"""What most plugins have in common: subclass it, and write what is the vendor's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from cloudsync.provider.contract import (
    Account,
    AccountModel,
    Capabilities,
    FirewallModel,
    FirewallSpec,
)
from cloudsync.provider.settings import AccountSettings, FirewallSettings, SecretRef

if TYPE_CHECKING:
    from cloudsync.provider.http import Dialect, Rest

AccountTable = TypeVar("AccountTable", bound=AccountSettings)
FirewallTable = TypeVar("FirewallTable", bound=FirewallSettings)


class ProviderBase(Generic[AccountTable, FirewallTable]):
    """The defaults of a `Provider`. A subclass sets `api_version`, `type`, `capabilities` and the
    two settings models, and writes `plan_steps`, `open_reader` and `open_writer`.

    `class BrookProvider(ProviderBase[BrookAccount, BrookFirewall])`: the type arguments are those
    of `account_settings` and `firewall_settings`, and what `account_of` and `settings_of` return.
    """

    api_version: ClassVar[str]
    type: ClassVar[str]
    sdk: ClassVar[str | None] = None
    """The import package of a vendor's SDK, if the provider needs one."""
    extra: ClassVar[str | None] = None
    capabilities: ClassVar[Capabilities]
    account_settings: ClassVar[AccountModel]
    firewall_settings: ClassVar[FirewallModel]
    default_endpoint: ClassVar[str] = ""
    """Base URL of the vendor's API, without a slash at its end."""

    def identity(self, spec: FirewallSpec) -> str:
        """The key `name` of the firewall's table; `cloudsync-` and the table's name if it is left
        out."""
        name = getattr(spec.settings, "name", None)
        return str(name) if name else f"cloudsync-{spec.name}"

    def endpoint(self, account: Account) -> str:
        """The key `endpoint` of the account, or the vendor's own."""
        return account.settings.endpoint or self.default_endpoint

    @classmethod
    def settings_of(cls, spec: FirewallSpec) -> FirewallTable:
        """The firewall's settings as this provider's own model."""
        if not isinstance(spec.settings, cls.firewall_settings):
            raise TypeError(f"settings of another provider for the firewall {spec.name}")
        return spec.settings  # type: ignore[return-value]  # the class attribute says which

    @classmethod
    def account_of(cls, account: Account) -> AccountTable:
        """The account's settings as this provider's own model."""
        if not isinstance(account.settings, cls.account_settings):
            raise TypeError(f"settings of another provider for the account {account.name}")
        return account.settings  # type: ignore[return-value]  # the class attribute says which


class TokenAccount(AccountSettings):
    """`[providers.X]` of a vendor that is reached by a token."""

    token: SecretRef
    """Where the token is to be found; read-only is enough for plan."""


TokenTable = TypeVar("TokenTable", bound=TokenAccount)


class RestProvider(ProviderBase[TokenTable, FirewallTable]):
    """A `ProviderBase` for a REST API with a bearer token."""

    def dialect(self) -> Dialect:
        """What is the vendor's own in HTTP. Imported inside: `config check` needs no HTTP."""
        raise NotImplementedError

    def open_client(self, account: Account) -> Rest:
        """A client for the account. Raises `AuthError` if the token cannot be had."""
        from cloudsync.provider.http import Rest

        token = self.account_of(account).token
        return Rest(account, self.endpoint(account), token, self.dialect())
