"""The shortest script: `floor_gcp.py create|no-op|write COUNT PORT,PORT,…` at GCP_ENDPOINT, in the
project p."""

import os
import sys

from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1

options = {
    "credentials": AnonymousCredentials(),
    "client_options": {"api_endpoint": os.environ["GCP_ENDPOINT"]},
}
firewalls, operations = (
    compute_v1.FirewallsClient(**options),
    compute_v1.GlobalOperationsClient(**options),
)
mode, count, ports = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")


def rule(name: str) -> compute_v1.Firewall:
    return compute_v1.Firewall(
        name=name,
        network="global/networks/default",
        direction="INGRESS",
        priority=900,
        allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=ports)],
        source_ranges=["0.0.0.0/0"],
        target_tags=["web"],
    )


def wait(started: list[compute_v1.Operation]) -> None:
    for operation in started:
        while operation.status != compute_v1.Operation.Status.DONE:
            operation = operations.wait(project="p", operation=operation.name)


if mode == "create":
    wait(
        [
            firewalls.insert_unary(project="p", firewall_resource=rule(f"bench-{number}"))
            for number in range(count)
        ]
    )
    sys.exit()
found = list(firewalls.list(request={"project": "p", "max_results": 500}))
if mode == "write":
    wait(
        [
            firewalls.update_unary(project="p", firewall=one.name, firewall_resource=rule(one.name))
            for one in found
        ]
    )
    found = list(firewalls.list(request={"project": "p", "max_results": 500}))
for one in found:
    assert set(one.allowed[0].ports) == set(ports), one.name
