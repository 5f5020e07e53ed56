"""Managed prefix lists: AWS's own lists of networks, which a rule may name as its source.

https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from cloudsync.provider.answers import networks_of
from cloudsync.provider.errors import NotFound, ProviderError, Transient
from cloudsync.provider.once import once
from cloudsync.rules import NetworkSet
from cloudsync_aws.answers import Entry, Lists, PrefixList
from cloudsync_aws.client import Api


class PrefixLists:
    """Those of one account and region; each is read once."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._networks = once(partial(_read, api))
        self._weights: dict[str, int] = {}

    def weights(self, ids: Iterable[str]) -> Mapping[str, int]:
        """What a rule with such a source costs of a group's quota: `MaxEntries`, not 1. Lists that
        AWS does not show (another account's) are missing. Raises `ProviderError`."""
        missing = {"prefix-list-id": set(ids) - self._weights.keys()}
        for shown in self.api.listed("DescribeManagedPrefixLists", PrefixList, missing):
            self._weights[shown.prefix_list_id] = shown.max_entries
        return self._weights

    def networks(self, ids: Iterable[str]) -> Lists:
        """The networks of lists; the error for one that cannot be read (another account's, a
        missing permission)."""
        return {list_id: self._tried(list_id) for list_id in sorted(set(ids))}

    def asked(self, ids: Sequence[str]) -> Mapping[str, NetworkSet]:
        """The networks of lists that the configuration names. Raises `ProviderError` if one of them
        cannot be read."""
        shown = self.weights(ids)
        asked: dict[str, NetworkSet] = {}
        for list_id in ids:
            if list_id not in shown:
                region = self.api.settings.region
                raise NotFound(f"the account has no prefix list {list_id} in {region}")
            asked[list_id] = self._networks(list_id)
        return asked

    def _tried(self, list_id: str) -> NetworkSet | ProviderError:
        try:
            return self._networks(list_id)
        except ProviderError as error:
            return error


def _read(api: Api, list_id: str) -> NetworkSet:
    operation = "GetManagedPrefixListEntries"
    entries = api.pages(operation, Entry, {"PrefixListId": list_id})
    try:
        return networks_of(entry.cidr for entry in entries)
    except ValueError:
        raise Transient(f"{operation}: networks that cannot be understood") from None
