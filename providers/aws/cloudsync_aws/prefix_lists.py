"""Managed prefix lists: AWS's own lists of networks, which a rule may name as its source.

https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cloudsync.provider.contract import Kept
from cloudsync.provider.descriptions import OUR_MARK
from cloudsync.provider.errors import NotFound, ProviderError
from cloudsync.rules import NOTHING
from cloudsync.rules.networks import ANY, NetworkSet
from cloudsync_aws.answers import Answer, understood
from cloudsync_aws.client import Api
from cloudsync_aws.permissions import Other, Permission, network


@dataclass(slots=True)
class PrefixLists:
    """Those of one account and region; each is read once."""

    api: Api
    _networks: dict[str, NetworkSet | ProviderError] = field(default_factory=dict)
    _weights: dict[str, int] = field(default_factory=dict)

    def weights(self, ids: Iterable[str]) -> Mapping[str, int]:
        """What a rule with such a source costs of a group's quota: `MaxEntries`, not 1. Lists that
        AWS does not show (another account's) are missing. Raises `ProviderError`."""
        missing = set(ids) - self._weights.keys()
        described = self.api.listed("DescribeManagedPrefixLists", {"prefix-list-id": missing})
        self._weights |= understood("prefix lists", _weight, described)
        return self._weights

    def networks(self, list_id: str) -> NetworkSet | ProviderError:
        """The networks of a list; the error if it cannot be read (another account's, a missing
        permission)."""
        if list_id not in self._networks:
            try:
                entries = self.api.pages("GetManagedPrefixListEntries", {"PrefixListId": list_id})
                networks = understood("prefix lists", lambda e: network(e["Cidr"]), entries)
                self._networks[list_id] = NetworkSet.union(networks)
            except ProviderError as error:
                self._networks[list_id] = error
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
            list_id, weight = other.prefix_list, weights.get(other.prefix_list, 1)
            ours = list_id in asked or other.description.endswith(OUR_MARK)
            networks = self.networks(list_id) if list_id and ours else None
            if isinstance(networks, NetworkSet):
                rule = other.selector.rule(networks) if networks else None
                own.append(Permission(other.selector, 4, list_id, rule, other.description, weight))
            else:
                foreign.append(replace(other, weight=weight))
        return tuple(own), tuple(foreign)

    def kept(self, other: Other) -> Kept:
        """A rule of others that is not about networks, with what it lets in if that is known."""
        networks = self.networks(other.prefix_list) if other.prefix_list else None
        lets_in = other.lets_in(networks) if isinstance(networks, NetworkSet) else NOTHING
        return Kept(other.summary, other.lets_in(ANY), other.source, lets_in)


def _weight(answer: Answer) -> tuple[str, int]:
    return answer["PrefixListId"], answer.get("MaxEntries") or 1
