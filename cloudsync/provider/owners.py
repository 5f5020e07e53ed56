"""Who else manages a firewall, as far as its tags, labels and name tell.

Such a firewall can be adopted, but then two programs change it in turn; the plan says so before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_STACK = "aws:cloudformation:stack-name"
_CLUSTER = re.compile(r"(?:kubernetes\.io/cluster/|k8s:)(.+)")
_CLUSTER_KEYS = frozenset(
    {"elbv2.k8s.aws/cluster", "eks:cluster-name", "aws:eks:cluster-name", "k8s-cluster"}
)
_KEYS = frozenset(
    {
        "terraform",
        "provisioner",
        "managed-by",
        "managedby",
        "managed_by",
        "pulumi",
        "provisioned-by",
    }
)
_PROGRAMS: Mapping[str, str] = {
    "terraform": "Terraform",
    "opentofu": "OpenTofu",
    "pulumi": "Pulumi",
    "ansible": "Ansible",
    "cdk": "AWS CDK",
    "crossplane": "Crossplane",
    "cloudformation": "CloudFormation",
}
_CLUSTER_NAME = re.compile(r"k8s-.+-(?:worker|public-access|nodes?)|gke-.+|k3s(?:-.+)?")


def owners_of(tags: Mapping[str, str], name: str = "") -> tuple[str, ...]:
    """Phrases such as `the CloudFormation stack shop`, each once. `tags`: labels or tags; a vendor
    whose tags are only words gives them with empty values. `name`: the firewall's own."""
    return tuple(dict.fromkeys((*_by_tags(tags), *_by_name(name))))


def _by_tags(tags: Mapping[str, str]) -> Iterator[str]:
    for key, value in tags.items():
        if key == _STACK:
            yield f"the CloudFormation stack {value}"
        elif (cluster := _CLUSTER.fullmatch(key)) is not None:
            yield f"the Kubernetes cluster {cluster[1]}"
        elif key.lower() in _CLUSTER_KEYS:
            yield f"the Kubernetes cluster {value}".strip()
        elif key.lower() in _KEYS or not value:
            words = re.split(r"[^a-z]+", f"{key} {value}".lower())
            yield from (program for word, program in _PROGRAMS.items() if word in words)


def _by_name(name: str) -> Iterator[str]:
    if _CLUSTER_NAME.fullmatch(name):
        yield "a Kubernetes cluster"
