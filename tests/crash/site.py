"""One vendor, one configuration and the command typed beside it; and the laws held to every state
the vendor went through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from cloudsync.provider.marker import Marker, host_digest
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.testing import Stage
from cloudsync.testing.language import meant, spelled
from cloudsync.testing.run import hold_to_the_laws
from tests.crash.zygote import Child, Zygote

NAME, OWNER, SSH = "web", "shop", "tcp/22"
CODES = {0, 1, 2, 3, 4, 5, 6, 75}
"""How a run that was not killed may end."""
SHORTEST_SECRET = 8


@dataclass
class Site:
    """`wants`: what the configuration asks for beside SSH. `attach`: it names a machine. `host`:
    keys of its `[hosts.X]` table. `patient`: its runs wait for answers as long as a user's do, as
    do all that follow the mishap: on a busy machine a short wait would end for no fault."""

    zygote: Zygote
    stage: Stage
    folder: Path
    wants: tuple[str, ...] = ()
    attach: bool = False
    host_name: str = "web-1"
    host: Mapping[str, Any] = field(default_factory=lambda: {"ports": ["22/tcp"]})
    policy: Mapping[str, Any] = field(default_factory=dict)
    patient: bool = False
    deadline: str = "8s"
    words: tuple[str, ...] = ("apply", "--auto-approve", "--allow-close", "1000")

    @property
    def marker(self) -> Marker:
        return Marker(OWNER, NAME, host_digest([self.host_name]))

    @property
    def wanted(self) -> RuleSet:
        return meant(SSH, *self.wants)

    @property
    def now(self) -> RuleSet:
        """What the vendor lets in; nothing where there is no firewall."""
        return self.stage.lets_in(NAME) or NOTHING

    @property
    def attached(self) -> bool:
        """Whether the machine that the configuration names is under the firewall."""
        return (
            self.attach and self.stage.lets_in(NAME) is not None and self.stage.attached(NAME) > 0
        )

    def has(self, *rules: str, mine: bool = True) -> None:
        """The firewall is there; without `mine` nobody's mark is on it."""
        self.stage.put(NAME, [spelled(one) for one in rules], self.marker if mine else None)

    def by_hand(self, *rules: str) -> None:
        """Somebody changes it to these."""
        self.stage.edit(NAME, [spelled(one) for one in rules])

    def configure(self, state: str = "state") -> Path:
        """Write the configuration file."""
        firewall: dict[str, Any] = {
            "provider": "vendor",
            "hosts": [self.host_name],
            **self.stage.settings(NAME),
        }
        firewall["allow"] = [_allow(one) for one in self.wants]
        if self.attach:
            firewall |= self.stage.attaching(NAME)
        document = {
            "version": 1,
            "owner": OWNER,
            "state": f"file://{self.folder}/{state}",
            "ssh": {"ports": [22], "sources": ["any"]},
            "policy": {"expose": "published", "grace": "0s", "max_close": 1000, **self.policy},
            "run": {
                "deadline": "60s" if self.patient else self.deadline,
                "host_timeout": "10s" if self.patient else "2s",
            },
            "providers": {"vendor": {"type": self.stage.type, **self.stage.account}},
            "hosts": {self.host_name: dict(self.host)},
            "firewalls": {NAME: firewall},
        }
        path, text = self.folder / "cloudsync.toml", tomli_w.dumps(document)
        if not path.exists() or path.read_text() != text:  # other runs may be reading it
            path.write_text(text)
        return path

    def start(self, *words: str, **more: Any) -> Child:
        """Type it; it runs beside the test."""
        return self.started([*words, "-c", str(self.configure())], **more)

    def started(self, words: Sequence[str], **more: Any) -> Child:
        """A run with a configuration of its own."""
        return self.zygote.start(
            words, self.folder, self.stage.environment, patient=self.patient, **more
        )

    def types(self, *words: str, **more: Any) -> Child:
        """Type it and wait for its end."""
        child = self.start(*words, **more)
        child.wait()
        assert_tidy(self, child)
        return child

    def types_unharmed(self, *words: str) -> Child:
        """Type it where nothing befalls the run, nor any after it: they wait for answers as long as
        a user's do."""
        self.patient = True
        words = (*words, "-c", str(self.configure()))
        child = self.zygote.normal_run(words, self.folder, self.stage.environment)
        assert_tidy(self, child)
        return child

    def apply(self, *words: str, **more: Any) -> Child:
        """What the site's run is."""
        return self.types(*(words or self.words), **more)

    def is_finished(self) -> None:
        """The next normal run ends in the desired state, and after it there is nothing to do."""
        before, seen = self.now, len(self.stage.history(NAME))
        finishing = self.types_unharmed(*self.words)
        assert finishing.code == 0, f"the next run ended with {finishing.code}:\n{finishing.output}"
        hold_to_the_laws(before, self.wanted, list(self.stage.history(NAME))[seen:])
        self.is_done()

    def is_done(self) -> None:
        """The desired state is there, and there is nothing to do."""
        assert self.now == self.wanted, (
            f"beyond: {self.now - self.wanted}, missing: {self.wanted - self.now}"
        )
        assert self.attached is self.attach
        written = self.stage.writes()
        idle = self.types_unharmed("plan", "--detailed-exitcode")
        assert idle.code == 0, f"the plan after it is not empty ({idle.code}):\n{idle.output}"
        assert self.stage.writes() == written
        assert list(self.stage.sound()) == []


def assert_tidy(site: Site, child: Child) -> None:
    """No traceback, no bug of a plugin, no secret."""
    text = child.output
    for word in (
        "Traceback",
        "internal error",
        "provider plugin",
        *site.stage.environment.values(),
    ):
        assert len(word) < SHORTEST_SECRET or word not in text, f"{word!r} in the output:\n{text}"
    assert child.code is not None
    assert child.code < 0 or child.code in CODES, f"it ended with {child.code}:\n{text}"


def _allow(text: str) -> dict[str, Sequence[str]]:
    one = spelled(text)
    return {"ports": [f"{one.ports}/{one.protocol}"], "sources": list(one.sources)}
