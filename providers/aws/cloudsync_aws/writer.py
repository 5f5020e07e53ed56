"""Writing: one call a step; the answer says what was done, and a rule AWS did not know is a
conflict, not a success."""

from __future__ import annotations

from typing import Any

from cloudsync.frozen import dataclass
from cloudsync.provider.contract import Step
from cloudsync.provider.errors import Conflict, NotFound, ProviderError, Transient
from cloudsync.provider.retry import retried
from cloudsync_aws.client import Api
from cloudsync_aws.native import (
    FIREWALL,
    HOSTS,
    OWNER,
    Change,
    tags_of,
)
from cloudsync_aws.permissions import request

DESCRIPTION = "managed by cloudsync"


class NotThereYet(Transient):
    """EC2 is eventually consistent: a group that was just created may not be known everywhere
    yet."""


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
        if change.verb == "mark" and change.marker is not None:
            self.api.write(
                "CreateTags", {"Resources": [change.group_id], "Tags": tags_of(change.marker)}
            )
        elif change.verb == "unmark":
            # Keys alone: a value would have to fit for the tag to go.
            self.api.write(
                "DeleteTags",
                {
                    "Resources": [change.group_id],
                    "Tags": [{"Key": key} for key in (OWNER, FIREWALL, HOSTS)],
                },
            )
        elif change.verb == "revoke":
            self._revoke(step, change)
        elif change.create is not None:
            self._create(change, *change.create)
        else:
            self._authorize(change, change.group_id)

    def _create(self, change: Change, name: str, vpc: str) -> None:
        parameters: dict[str, Any] = {"GroupName": name, "Description": DESCRIPTION, "VpcId": vpc}
        if change.marker is not None:
            parameters["TagSpecifications"] = [
                {"ResourceType": "security-group", "Tags": tags_of(change.marker)}
            ]
        group_id = self.api.write("CreateSecurityGroup", parameters).get("GroupId")

        def authorize() -> None:
            try:
                self._authorize(change, group_id)
            except NotFound as error:
                raise NotThereYet(error.message) from None

        retried(
            authorize,
            deadline=self.api.account.deadline,
            safe=lambda error: isinstance(error, NotThereYet),
        )

    def _authorize(self, change: Change, group_id: object) -> None:
        permissions = request(change.permissions, change.descriptions)
        if not permissions:
            return
        answer = self.api.write(
            "AuthorizeSecurityGroupIngress", {"GroupId": group_id, "IpPermissions": permissions}
        )
        if answer.get("Return") is False:
            raise ProviderError("AWS did not say that it added the rules", fate_unknown=True)

    def _revoke(self, step: Step, change: Change) -> None:
        parameters = {"GroupId": change.group_id, "IpPermissions": request(change.permissions)}
        answer = self.api.write("RevokeSecurityGroupIngress", parameters)
        # In a default VPC a rule that is not there is no error: it comes back here, and the others
        # are gone.
        if answer.get("UnknownIpPermissions"):
            raise Conflict(
                f"{step.summary}: some of them were not there (somebody else changed the group"
                " meanwhile)"
            )
