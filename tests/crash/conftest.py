from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.crash.zygote import Zygote


@pytest.fixture(scope="session")
def zygotes() -> Iterator[Callable[[str], Zygote]]:
    """One zygote for each provider's SDK, started when it is first asked for."""
    started: dict[str, Zygote] = {}

    def of(provider: str) -> Zygote:
        if provider not in started:
            started[provider] = Zygote((provider,)).__enter__()
        return started[provider]

    yield of
    for one in started.values():
        one.__exit__()
