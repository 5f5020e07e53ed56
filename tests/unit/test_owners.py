"""Who else manages a firewall, by its tags and name."""

from __future__ import annotations

import pytest

from cloudsync.provider.owners import owners_of


@pytest.mark.parametrize(
    ("tags", "name", "owners"),
    [
        ({"aws:cloudformation:stack-name": "shop"}, "", ("the CloudFormation stack shop",)),
        ({"kubernetes.io/cluster/prod": "owned"}, "", ("the Kubernetes cluster prod",)),
        ({"elbv2.k8s.aws/cluster": "prod"}, "", ("the Kubernetes cluster prod",)),
        ({"k8s:1a2b": ""}, "", ("the Kubernetes cluster 1a2b",)),
        ({"Terraform": "true"}, "", ("Terraform",)),
        ({"provisioner": "terraform"}, "", ("Terraform",)),
        ({"managed-by": "Pulumi"}, "", ("Pulumi",)),
        ({"terraform": ""}, "", ("Terraform",)),
        ({}, "k8s-1a2b-worker", ("a Kubernetes cluster",)),
        ({"team": "terraform"}, "web", ()),
        ({"env": "prod", "Name": "k8s docs"}, "kubernetes-docs", ()),
    ],
)
def test_tags_and_names_tell_who_else_manages_it(
    tags: dict[str, str], name: str, owners: tuple[str, ...]
) -> None:
    assert owners_of(tags, name) == owners
