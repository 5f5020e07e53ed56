"""What a process that forks for each command has loaded: whatever a command would import, compile
or build when it first needs it."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import BaseModel

NOT_LOADED = ("cloudsync.testing", "cloudsync.action.__main__", "cloudsync.__main__")


def load_command() -> None:
    """All modules of the command, of the GitHub Action and of the plugins, which import no SDK."""
    import cloudsync
    from cloudsync.provider import registry

    for module in pkgutil.walk_packages(cloudsync.__path__, "cloudsync."):
        if not module.name.startswith(NOT_LOADED):
            importlib.import_module(module.name)
    for name in registry.names():
        registry.load(name)


def complete_classes() -> None:
    """The models of what is read from outside, and the methods of frozen dataclasses
    (`cloudsync.rules.frozen`), which both are made at their first use."""
    models: list[type[BaseModel]] = [BaseModel]
    while models:
        for model in models.pop().__subclasses__():
            models.append(model)
            if model.__module__.startswith("cloudsync") and not model.__pydantic_complete__:
                model.model_rebuild()
    for name, module in sys.modules.items():
        if name.startswith("cloudsync"):
            for value in vars(module).values():
                if isinstance(value, type) and hasattr(value, "__frozen_fields__"):
                    for member in ("__init__", "__eq__", "__hash__", "__dataclass_fields__"):
                        getattr(value, member)


def load_ec2() -> None:
    """What an EC2 client reads when it is made."""
    import boto3
    from botocore.loaders import JSONFileLoader

    JSONFileLoader.load_file = read_once()
    boto3.Session(region_name="eu-central-1").client(
        "ec2", aws_access_key_id="a", aws_secret_access_key="b"
    )


def read_once() -> Callable[[Any, str], Any]:
    """For botocore's `JSONFileLoader.load_file`: every client reads EC2's description again, for
    half a second; here it is read once."""
    from botocore.loaders import JSONFileLoader

    plain = JSONFileLoader.load_file
    read = cache(lambda path: plain(JSONFileLoader(), path))
    return lambda _, path: read(path)
