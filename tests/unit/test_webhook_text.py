"""The sentence of a webhook in a chat: names in it are strangers' words."""

from __future__ import annotations

import pytest

from cloudsync.notify.webhook import _for_chat


@pytest.mark.parametrize(
    "words",
    [
        "<!channel>",
        "<https://evil.example/login|Grafana>",
        "<@U012AB3CD>",
        "&lt;!here&gt;",
        "@here",
    ],
)
def test_a_chat_service_carries_nothing_out(words: str) -> None:
    """Slack's and Mattermost's rule: `&`, `<` and `>` are escaped."""
    shown = _for_chat(f"a label: cloudsync.{words}")
    assert not {"<", ">"} & set(shown)
    assert "@here" not in shown
    assert (
        shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("\u200b", "")
        == f"a label: cloudsync.{words}"
    )
