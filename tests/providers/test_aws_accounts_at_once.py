"""Many accounts opened side by side share one reading of AWS's models."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

import cloudsync_aws.client
from cloudsync.provider.contract import Account, silent
from cloudsync_aws import provider


def test_sixteen_accounts_at_once_parse_each_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()
    load_file = JSONFileLoader.load_file

    def counted(self: JSONFileLoader, path: str) -> Any:
        answer = load_file(self, path)
        if answer is not None and "/ec2/" in path:
            read[path.rpartition("/")[2]] += 1
        return answer

    monkeypatch.setattr(JSONFileLoader, "load_file", counted)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    cloudsync_aws.client._models.cache_clear()
    settings = provider.account_settings(region="eu-central-1", endpoint="http://127.0.0.1:9")

    def opened(number: int) -> object:
        account = Account(f"a{number}", settings, Path(), time.monotonic() + 30, silent)
        return provider.open_reader(account)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(opened, range(16)))
    assert read["service-2"] == 1
    assert set(read.values()) == {1}
