"""Managed prefix lists: AWS's own lists of networks, which a rule may name as its source.

https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cloudsync.provider.contract import Kept
from cloudsync.provider.descriptions import OUR_MARK
from cloudsync.provider.errors import NotFound, ProviderError
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import ANY, NetworkSet
from cloudsync_aws.client import Api
from cloudsync_aws.permissions import Other, Permission, network

ENTRIES = 100  # the most GetManagedPrefixListEntries gives at once
VALUES = 200  # values a filter


@dataclass(slots=True)
class PrefixLists:
    """Those of one account and region; each is read once."""

    api: Api
    _networks: dict[str, NetworkSet | ProviderError] = field(default_factory=dict)
    _weights: dict[str, int] = field(default_factory=dict)

    def weights(self, ids: Iterable[str]) -> Mapping[str, int]:
        """What a rule with such a source costs of a group's quota: `MaxEntries`, not 1. Lists that
        AWS does not show (another account's) are missing. Raises `ProviderError`."""
        missing = sorted(set(ids) - self._weights.keys())
        for start in range(0, len(missing), VALUES):
            values = missing[start : start + VALUES]
            parameters = {"Filters": [{"Name": "prefix-list-id", "Values": values}]}
            described = self.api.pages("DescribeManagedPrefixLists", "PrefixLists", parameters)
            for prefix_list in described:
                weight = int(prefix_list.get("MaxEntries") or 1)
                self._weights[str(prefix_list["PrefixListId"])] = weight
        return self._weights

    def networks(self, list_id: str) -> NetworkSet | ProviderError:
        """The networks of a list; the error if it cannot be read (another account's, a missing
        permission)."""
        if list_id not in self._networks:
            self._networks[list_id] = self._read(list_id)
        return self._networks[list_id]

    def asked(self, ids: Sequence[str]) -> Mapping[str, NetworkSet]:
        """The networks of lists that the configuration names. Raises `ProviderError` if one of them
        cannot be read."""
        shown = self.weights(ids)
        asked: dict[str, NetworkSet] = {}
        for list_id in ids:
            if list_id not in shown:
                region = self.api.settings.region
                raise NotFound(f"the account has no prefix list {list_id} in {region}")
            networks = self.networks(list_id)
            if isinstance(networks, ProviderError):
                raise networks
            asked[list_id] = networks
        return asked

    def sorted_out(
        self, others: Sequence[Other], asked: Sequence[str]
    ) -> tuple[tuple[Permission, ...], tuple[Other, ...]]:
        """The rules by prefix lists that the configuration names or cloudsync made, as permissions,
        and all other rules that are not about networks, weighed. Raises `ProviderError`."""
        weights = self.weights(other.prefix_list for other in others if other.prefix_list)
        own: list[Permission] = []
        foreign: list[Other] = []
        for other in others:
            weight = weights.get(other.prefix_list or "", 1)
            networks = self._of_own(other, asked)
            if networks is None:
                foreign.append(replace(other, weight=weight))
                continue
            own.append(
                Permission(
                    other.protocol,
                    other.first,
                    other.last,
                    4,
                    other.prefix_list or "",
                    other.meaning(networks) if networks else None,
                    other.description,
                    weight,
                )
            )
        return tuple(own), tuple(foreign)

    def kept(self, other: Other) -> Kept:
        """A rule of others that is not about networks, with what it lets in if that is known."""
        everywhere = other.meaning(ANY)
        reaches = RuleSet.of((everywhere,) if everywhere is not None else ())
        networks = self.networks(other.prefix_list) if other.prefix_list else None
        let_in = other.meaning(networks) if isinstance(networks, NetworkSet) and networks else None
        return Kept(
            other.summary,
            reaches,
            other.source,
            RuleSet.of((let_in,) if let_in is not None else ()),
        )

    def _of_own(self, other: Other, asked: Sequence[str]) -> NetworkSet | None:
        """The networks of a rule that is asked for or ours; None if it is neither, or its list
        cannot be read any more."""
        if other.prefix_list is None:
            return None
        if other.prefix_list not in asked and not other.description.endswith(OUR_MARK):
            return None
        networks = self.networks(other.prefix_list)
        return networks if isinstance(networks, NetworkSet) else None

    def _read(self, list_id: str) -> NetworkSet | ProviderError:
        parameters = {"PrefixListId": list_id, "MaxResults": ENTRIES}
        try:
            entries = self.api.pages("GetManagedPrefixListEntries", "Entries", parameters)
            return NetworkSet.union(network(str(entry["Cidr"])) for entry in entries)
        except ProviderError as error:
            return error
