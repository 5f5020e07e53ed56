"""The client knows the operations that the provider calls, and no others."""

from __future__ import annotations

import ast
from pathlib import Path

from botocore.loaders import Loader

import cloudsync_aws
from cloudsync_aws.client import OPERATIONS


def test_every_operation_the_provider_names_is_known_to_its_client() -> None:
    every = Loader().load_service_model("ec2", "service-2")["operations"].keys()
    named = {
        node.value
        for path in Path(cloudsync_aws.__file__).parent.glob("*.py")
        if path.name != "client.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert named & every == OPERATIONS
