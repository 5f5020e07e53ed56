"""Examples of every command: what people type, and what for. `--help`, the reference page and the
manual pages show them from here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """One command line."""

    typed: str
    """As it is typed; a test parses it."""
    why: str
    """What for, as a phrase."""


_INDENT = 2
_CONTINUED = " \\"
EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "plan": (
        Example("cloudsync plan", "what an apply would change, and why"),
        Example("cloudsync plan -v", "also rules of others, notes and API steps"),
        Example("cloudsync plan --out plan.json", "a plan to review, and to apply as it is"),
        Example("cloudsync plan --detailed-exitcode --quiet", "in a script: 2 if changes wait"),
    ),
    "apply": (
        Example("cloudsync apply", "shows the plan and asks"),
        Example("cloudsync apply --allow-attach web", "the first time: puts it on the machine"),
        Example("cloudsync apply --auto-approve --quiet", "from cron or a timer"),
        Example("cloudsync apply plan.json", "exactly what was reviewed, or nothing"),
        Example("cloudsync apply --shard 0/4 --auto-approve", "a quarter of the firewalls"),
        Example("cloudsync apply --now --allow-close 20", "closes at once, up to 20 rules"),
    ),
    "watch": (
        Example("cloudsync watch", "follows the engine's events until Ctrl-C"),
        Example(
            "cloudsync watch --listen 127.0.0.1:9741", "also serves the status page and /metrics"
        ),
        Example("cloudsync watch --interval 1m", "also looks every minute"),
    ),
    "publish": (
        Example("cloudsync publish", "this machine's containers, into the store"),
        Example("cloudsync publish --every 1m", "again and again, as a service"),
    ),
    "status": (
        Example("cloudsync status", "every open port, for whom, since when"),
        Example("cloudsync status --firewall web", "of one firewall"),
        Example("cloudsync status --output json", "for a script"),
    ),
    "doctor": (
        Example("cloudsync doctor", "checks everything, with a cure for each line"),
        Example("cloudsync doctor --quiet", "only what deserves a look"),
    ),
    "history": (
        Example("cloudsync history", "the last applies"),
        Example("cloudsync history last", "the last one in full, with ways back"),
        Example("cloudsync history 7c1", "the one whose id begins with 7c1, in full"),
        Example("cloudsync history --host web-1 --since 2d", "of the firewalls that it feeds"),
        Example("cloudsync history --all -n 100", "also runs that changed nothing"),
    ),
    "release": (Example("cloudsync release web", "its rules stay; cloudsync lets go of it"),),
    "discover": (
        Example("cloudsync discover", "what the containers here need; no configuration"),
        Example("cloudsync discover --output json", "the same for a script"),
    ),
    "explain": (
        Example("cloudsync explain 8080", "why 8080/tcp is open, or is not"),
        Example("cloudsync explain 443/udp --firewall web", "of one firewall"),
    ),
    "exposure": (
        Example("cloudsync exposure", "what the Internet reaches, over all firewalls"),
        Example("cloudsync exposure --output json", "the same for a script"),
    ),
    "observe": (
        Example("cloudsync observe", "what the machine's firewall would stop, and what is unused"),
        Example("cloudsync observe --firewall web-1-host", "of one firewall"),
    ),
    "confirm": (
        Example("cloudsync confirm", "from a second login, while a change is on trial"),
        Example("cloudsync confirm --firewall web-1-host", "of one firewall"),
    ),
    "report": (
        Example("cloudsync report --out status.html", "one page to keep or to send"),
        Example("cloudsync report --output json", "the same for a script"),
    ),
    "audit": (
        Example("cloudsync audit", "this machine; no configuration needed"),
        Example("cloudsync audit --compose .", "the Compose files here, before they run"),
        Example("cloudsync audit --output sarif --out audit.sarif", "for a code-scanning service"),
        Example("cloudsync audit --root /mnt/copy", "files from a copy of a machine"),
    ),
    "check-access": (
        Example("cloudsync check-access", "are the credentials good for an apply?"),
        Example("cloudsync check-access --for plan", "is a read-only token enough?"),
    ),
    "config check": (
        Example("cloudsync config check", "what is wrong, with line and column"),
        Example("cloudsync config check -c fleet.toml", "of another file"),
    ),
    "config show": (
        Example("cloudsync config show", "with every default; secrets stay references"),
    ),
    "config schema": (Example("cloudsync config schema >cloudsync.schema.json", "for an editor"),),
    "init": (
        Example("cloudsync init", "asks, writes cloudsync.toml, shows the plan"),
        Example("cloudsync init --no-input --provider hetzner --set servers=web-1", "asks nothing"),
        Example("cloudsync init --ports 443,51820/udp", "for a machine without an engine"),
    ),
    "completion": (
        Example('eval "$(cloudsync completion bash)"', "in ~/.bashrc"),
        Example('eval "$(cloudsync completion zsh)"', "in ~/.zshrc, after compinit"),
        Example("cloudsync completion fish >~/.config/fish/completions/cloudsync.fish", "for fish"),
    ),
    "providers": (
        Example("cloudsync providers", "the clouds, and what each can do"),
        Example("cloudsync providers -v", "with links to the vendors' pages"),
        Example("cloudsync providers --check hetzner", "whether a plugin is whole"),
        Example("cloudsync providers --new brook", "writes a provider that passes the suite"),
    ),
}
"""By the words that follow `cloudsync`."""


def epilog(command: str, width: int) -> str:
    """The examples as click shows them at the end of `--help`, `width` columns wide; empty if there
    are none. A line of a shell that is too long is continued, so that it can still be pasted."""
    examples = EXAMPLES.get(command, ())
    lines = [line for example in examples for line in _lines(example, width)]
    return "\n".join(("\b", "Examples:", *lines)) if lines else ""


def _lines(example: Example, width: int) -> Iterator[str]:
    room = width - _INDENT - len(_CONTINUED)
    typed = textwrap.wrap(
        example.typed,
        room,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    for number, line in enumerate(typed):
        yield f"  {line}{'' if number == len(typed) - 1 else _CONTINUED}"
    yield from (f"      {line}" for line in textwrap.wrap(example.why, width - 3 * _INDENT))
