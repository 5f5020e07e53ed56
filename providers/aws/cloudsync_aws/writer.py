"""Writing: one call a step; the answer says what was done, and a rule AWS did not know is a
conflict, not a success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudsync.provider.contract import Step
from cloudsync.provider.errors import Conflict, NotFound, ProviderError, Transient
from cloudsync.provider.retry import retried
from cloudsync.rules.frozen import dataclass
from cloudsync_aws.client import Api
from cloudsync_aws.native import Change


@dataclass(frozen=True, slots=True)
class AwsWriter:
    """Writes to one account and region."""

    api: Api

    def run(self, step: Step) -> None:
        """One step. AWS's answer is the proof that it was accepted: reads may lag behind it (see
        `lag_seconds`), and the engine waits for them. Raises `ProviderError`."""
        change = step.native
        if not isinstance(change, Change):
            raise ProviderError("this step was not made by the provider aws")
        answer = self.api.write(change.operation, change.parameters)
        # In a default VPC a rule that is not there is no error: it comes back here, and the others
        # are gone.
        if answer.get("UnknownIpPermissions"):
            raise Conflict(
                f"{step.summary}: some of them were not there (somebody else changed the group"
                " meanwhile)"
            )
        if change.rules:
            self._authorize_new(str(answer.get("GroupId")), change.rules)

    def _authorize_new(self, group_id: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """EC2 is eventually consistent: a group that was just created may not be known everywhere
        yet."""
        parameters = {"GroupId": group_id, "IpPermissions": rules}
        try:
            retried(
                lambda: self.api.write("AuthorizeSecurityGroupIngress", parameters),
                deadline=self.api.account.deadline,
                safe=lambda error: isinstance(error, NotFound),
            )
        except NotFound as error:
            raise Transient(error.message) from None
