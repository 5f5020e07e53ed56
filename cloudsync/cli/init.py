"""`cloudsync init`."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudsync.cli.asking import Asker
from cloudsync.cli.login import restore_login
from cloudsync.cli.shared import ConfigProblems, Shell, common, log
from cloudsync.cli.terminal import echo
from cloudsync.config import init_file as first_run
from cloudsync.render.escape import plain
from cloudsync.rules.frozen import dataclass

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.model.ports import Discovery
    from cloudsync.provider.init import Starter, VisibleMachine

_ENGINE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Given:
    """What the flags say; None for what is asked, or found."""

    provider: str | None
    owner: str | None
    host: str | None
    engine: str | None
    ports: str | None
    ssh_port: str | None
    ssh_source: str | None
    expose: str | None
    settings: tuple[str, ...]
    no_input: bool
    no_plan: bool


@dataclass(frozen=True, slots=True)
class _Provider:
    """The provider that was chosen."""

    kind: str
    starter: Starter
    extra: list[str]
    """Lines for further keys of the account's table."""


@click.command("init")
@click.option(
    "--provider",
    metavar="TYPE",
    help="aws, digitalocean, gcp, hetzner, host, local, openstack, or a plugin's.",
)
@click.option(
    "--owner", metavar="NAME", help="Who owns the firewalls; written into the marker of each."
)
@click.option(
    "--host",
    metavar="NAME",
    help="The name of the machine with the containers, in the configuration.",
)
@click.option(
    "--engine",
    metavar="URL",
    help="The container engine; without it the one the docker command would use.",
)
@click.option(
    "--ports", metavar="LIST", help="A static list of ports (443,51820/udp) instead of an engine."
)
@click.option("--ssh-port", metavar="PORT", help="The port of SSH.")
@click.option(
    "--ssh-source", metavar="LIST", help="Who may reach SSH: any, or networks with commas."
)
@click.option(
    "--expose",
    metavar="HOW",
    help="published (every published port) or labelled (only where a label asks).",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help=(
        "The answer to a provider's question, or a key of its account's table such as endpoint "
        "(repeatable); --no-input lists those that it needs."
    ),
)
@click.option("--no-input", is_flag=True, help="Ask nothing: flags and defaults only.")
@click.option("--no-plan", is_flag=True, help="Do not show what plan would do.")
@common
def command(shell: Shell, **options: Any) -> int:
    """Write a first configuration, with comments, and show what plan would do with it.

    Asks a few questions, or takes the flags. Writes cloudsync.toml (or the file of --config), and
    never over a file that is there. Credentials are looked for by the names of their variables and
    files, and no value of them is shown or written. On a terminal those of the chosen provider are
    used to list the machines they see; nothing is changed there.
    """
    given = _Given(**options)
    path = Path(shell.config or "cloudsync.toml")
    if path.exists() or path.is_symlink():
        raise click.UsageError(
            f"{plain(str(path))} exists already, and is never overwritten; --config FILE names"
            " another"
        )
    if given.engine is not None and given.ports is not None:
        raise click.UsageError("--engine and --ports exclude each other")
    ask = Asker(interactive=not given.no_input and sys.stdin.isatty())
    endpoint = None if given.ports is not None else _engine(shell, given.engine)
    kind, starter = _provider(shell, ask, given.provider)
    answers, extra = _settings(given.settings, kind, starter)
    answers, chosen = _answers(shell, ask, _Provider(kind, starter, extra), answers)
    machine = socket.gethostname()
    named = ask.text(
        "Name of the machine with the containers",
        "--host",
        given.host,
        first_run.host_of(chosen or machine),
        first_run.name_problem,
    )
    made = first_run.FirstRun(
        owner=ask.text(
            "Owner, written into every firewall",
            "--owner",
            given.owner,
            first_run.owner_of(machine),
            first_run.owner_problem,
        ),
        host=named,
        firewall_name=first_run.firewall_of(named),
        provider=kind,
        engine=endpoint,
        ports=() if endpoint is not None else _ports(ask, given.ports),
        ssh_port=int(
            ask.text("Port of SSH", "--ssh-port", given.ssh_port, _ssh_port(), _port_problem)
        ),
        ssh_sources=first_run.split(
            ask.text(
                "Who may reach SSH (any, or networks with commas)",
                "--ssh-source",
                given.ssh_source,
                "any",
                first_run.sources_problem,
            )
        ),
        expose=ask.text(
            "Open every published port (published), or only where a label asks (labelled)",
            "--expose",
            given.expose,
            "published",
            lambda text: (
                None if text in ("published", "labelled") else "must be published or labelled"
            ),
        ),
        account=(*starter.account(answers, starter.detected(os.environ)), *extra),
        firewall=tuple(starter.firewall(answers)),
    )
    _check(path, made.text())
    try:
        first_run.write(path, made.text())
    except FileExistsError:
        raise click.UsageError(
            f"{plain(str(path))} was created meanwhile, and is not overwritten"
        ) from None
    except OSError as error:
        raise click.UsageError(f"{plain(str(path))} cannot be written: {error.strerror}") from None
    echo("")
    _say(shell, f"Written: {plain(str(path))}")
    if not given.no_plan:
        _plan(shell, path)
    _next(
        shell,
        kind,
        starter,
        (starter.first_apply(answers) or "").replace("NAME", made.firewall_name),
    )
    return 0


def _engine(shell: Shell, given: str | None) -> str | None:
    """The engine that answers, or the one named; None where there is none and ports must be
    listed."""
    from cloudsync.config.engines import engine_problem
    from cloudsync.model.ports import Failed, LabelScope
    from cloudsync.sources.docker.endpoint import EndpointError, docker_endpoint
    from cloudsync.sources.docker.engine import read_engine

    if given is not None and (problem := engine_problem(given)) is not None:
        raise click.UsageError(f"--engine {problem}")
    try:
        endpoint = given or docker_endpoint(os.environ)
    except EndpointError as error:
        log.warning("engine: %s", plain(str(error)))
        return None
    discovery = read_engine(
        "this machine",
        endpoint,
        LabelScope({}, frozenset()),
        timeout=_ENGINE_SECONDS,
        concurrency=16,
    )
    if isinstance(discovery, Failed):
        log.warning("engine: %s could not be read: %s", plain(endpoint), plain(discovery.reason))
        return given
    _say(shell, f"engine: {plain(endpoint)}, {_needs(discovery)}")
    return endpoint


def _needs(discovery: Discovery) -> str:
    from cloudsync.model.ports import Failed
    from cloudsync.render.words import port_list
    from cloudsync.rules import Rule
    from cloudsync.rules.networks import ANY

    if isinstance(discovery, Failed) or not discovery.required:
        return "whose containers need no public port now"
    ports = sorted({(port.protocol, port.first, port.last) for port in discovery.required})
    rules = [Rule.of(protocol, f"{first}-{last}", ANY) for protocol, first, last in ports]
    return f"whose containers publish {port_list(rules, 8)}"


def _provider(shell: Shell, ask: Asker, given: str | None) -> tuple[str, Starter]:
    """The provider by its type: the first whose credentials are there is suggested."""
    from cloudsync.provider import registry
    from cloudsync.render.blocks import Row, Table

    starters: dict[str, Starter] = {}
    for name in registry.names():
        try:
            starter = getattr(registry.load(name), "starter", None)
        except registry.PluginError as error:
            log.warning("note: %s", plain(str(error)))
            continue
        if starter is not None:
            starters[name] = starter
    credentials = {
        name: place
        for name, starter in starters.items()
        if (place := starter.detected(os.environ)) is not None
    }
    where = ", ".join(f"{name} ({place})" for name, place in credentials.items())
    asks = ask.interactive and given is None
    if not (asks and credentials):  # the table below names them
        _say(shell, f"credentials: {where or 'none of the usual ones are here'}")
    if asks:
        rows = [
            (
                name,
                starter.title + (f" (found: {credentials[name]})" if name in credentials else ""),
            )
            for name, starter in starters.items()
        ]
        shell.print([Table(tuple(Row(cells) for cells in rows))])
    default = next(iter(credentials), None) or _without_credentials(
        starters, interactive=ask.interactive
    )

    def problem(text: str) -> str | None:
        return None if text in starters else f"must be one of {', '.join(starters)}"

    kind = ask.text("Where the firewall is, one of these", "--provider", given, default, problem)
    return kind, starters[kind]


def _without_credentials(starters: Mapping[str, Starter], *, interactive: bool) -> str | None:
    """What to suggest then. A machine's own firewall is nothing to begin with unasked."""
    works = (name for name, starter in starters.items() if starter.works_here(os.environ))
    here = next(works, None) if interactive else None
    return here or ("local" if "local" in starters else None)


def _settings(
    given: tuple[str, ...], kind: str, starter: Starter
) -> tuple[dict[str, str], list[str]]:
    """The answers given by flags, and lines for further keys of the account's table."""
    from cloudsync.provider import registry

    keys = [question.key for question in starter.questions]
    further = [
        name for name in registry.load(kind).account_settings.model_fields if name not in keys
    ]
    answers, lines = {}, []
    for setting in given:
        key, equals, value = setting.partition("=")
        if not equals or key not in (*keys, *further):
            raise click.UsageError(
                "--set takes KEY=VALUE, and of this provider the keys "
                f"{', '.join((*keys, *further))}"
            )
        if key in keys:
            answers[key] = value
        else:
            lines.append(f"{key} = {value if value in ('true', 'false') else json.dumps(value)}")
    return answers, lines


def _answers(
    shell: Shell, ask: Asker, chosen: _Provider, given: Mapping[str, str]
) -> tuple[dict[str, str], str | None]:
    """What the provider's questions are answered with, and the name of the machine that was
    chosen, if it is exactly one."""
    from cloudsync.cli import visible

    if not ask.interactive:
        _all_at_once(chosen.starter, given)
    answers: dict[str, str] = {}
    machines: Sequence[VisibleMachine] = ()
    named: str | None = None
    for question in chosen.starter.questions:
        suggested = question.suggested(os.environ)
        if question.chooses_machines and ask.interactive and question.key not in given:
            machines = _machines(shell, chosen, answers)
            answer = visible.suggestion(machines)
            if answer is not None and question.problem(answer) is None:
                suggested = answer
        answers[question.key] = ask.text(
            question.text,
            f"--set {question.key}=…",
            given.get(question.key),
            suggested,
            question.problem,
        )
        if question.chooses_machines:
            named = visible.chosen(machines, answers[question.key])
    return answers, named


def _machines(
    shell: Shell, chosen: _Provider, answers: Mapping[str, str]
) -> Sequence[VisibleMachine]:
    """Show the machines that the credentials see; none if they cannot be listed."""
    from cloudsync.cli import visible
    from cloudsync.provider import registry
    from cloudsync.provider.errors import ProviderError

    starter = chosen.starter
    if starter.machines is None:
        return ()
    table = [*starter.account(answers, starter.detected(os.environ)), *chosen.extra]
    try:
        machines = visible.machines_of(registry.load(chosen.kind), starter, table, shell.progress)
    except ProviderError as error:
        log.warning("note: %s", visible.not_listed(error))
        return ()
    shell.print(visible.screen(machines))
    return machines


def _all_at_once(starter: Starter, given: Mapping[str, str]) -> None:
    """Without a person to ask, every answer that is missing is named in one message, with what it
    is and which others there are."""
    missing = [
        question
        for question in starter.questions
        if question.key not in given and question.suggested(os.environ) is None
    ]
    if not missing:
        return
    others = [question for question in starter.questions if question not in missing]
    lines = [f"there is no terminal to ask on, so {starter.title} needs:"]
    lines += [f"  --set {question.key}=…   {question.text}" for question in missing]
    if others:
        lines.append("and takes, if the default does not fit:")
        lines += [f"  --set {question.key}=…   {question.text}" for question in others]
    raise click.UsageError("\n".join(lines))


def _ports(ask: Asker, given: str | None) -> tuple[str, ...]:
    question = "No engine is read here. Which ports does the machine need (443, 51820/udp)"
    default = None if ask.interactive else given
    if not ask.interactive and given is None:
        raise click.UsageError("no engine could be read: --engine URL or --ports LIST is needed")
    return first_run.split(ask.text(question, "--ports", given, default, first_run.ports_problem))


def _ssh_port() -> str:
    """The port this very session came in by, where it is one over SSH."""
    restore_login(os.environ)
    words = os.environ.get("SSH_CONNECTION", "").split()
    return words[3] if len(words) == 4 and _port_problem(words[3]) is None else "22"


def _port_problem(text: str) -> str | None:
    return (
        None
        if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535
        else "must be a port, 1-65535"
    )


def _check(path: Path, text: str) -> None:
    """The text is loaded as a configuration before it is written: what init writes passes `config
    check`."""
    from cloudsync.config import ConfigError, load

    try:
        with tempfile.TemporaryDirectory(prefix="cloudsync-init-") as folder:
            draft = Path(folder) / "cloudsync.toml"
            draft.write_text(text, encoding="utf-8")
            load(draft, name=str(path))
    except ConfigError as error:
        raise ConfigProblems(
            ["nothing was written:", *(str(problem) for problem in error.problems)]
        ) from None


def _say(shell: Shell, text: str) -> None:
    """One paragraph, as wide as the terminal."""
    from cloudsync.render.blocks import Line

    shell.print([Line(text)])


def _plan(shell: Shell, path: Path) -> None:
    from cloudsync.config import load
    from cloudsync.reconcile import run as reconcile
    from cloudsync.render.text import plan as text
    from cloudsync.state import StateError

    configuration: Configuration = load(path, name=str(path))
    echo("\n$ cloudsync plan\n")
    try:
        shell.print(text(reconcile.plan(configuration, reconcile.Options(), shell.progress).plan))
    except StateError as error:
        _say(shell, f"it cannot be planned yet: {plain(str(error))}")


def _next(shell: Shell, kind: str, starter: Starter, option: str) -> None:
    from cloudsync.provider import registry
    from cloudsync.render.blocks import Line, Row, Table

    config = f" -c {plain(shell.config)}" if shell.config else ""
    rows = [
        (f"cloudsync plan{config}", "again, whenever you like: it writes nothing"),
        (f"cloudsync apply{config} {option}".rstrip(), "shows it, and asks before it does it"),
    ]
    if starter.credentials and starter.detected(os.environ) is None:
        names = ", ".join(credential.name for credential in starter.credentials)
        rows.insert(0, ("set up its credentials", f"none of {names} were found here"))
    if (lacking := registry.sdk_missing(registry.load(kind))) is not None:
        rows.insert(0, ("install its library", lacking))
    rows += [
        (words + config if words.startswith("cloudsync ") else words, why)
        for words, why in starter.later
    ]
    rows.append(
        (f"cloudsync doctor{config}", "checks the installation, and says what keeps it in step")
    )
    echo("")
    shell.print(
        [Line("Next:", "title"), Table(tuple(Row((left, f"# {right}")) for left, right in rows))]
    )
