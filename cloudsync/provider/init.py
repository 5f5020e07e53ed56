"""What a provider tells `cloudsync init`: how its credentials are usually given, what it has to
ask, and the tables it needs.

A plugin that has nothing to offer here leaves out the attribute `starter`; it is then not offered.
Credentials are looked for by name only: no value of a variable and no content of a file is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cloudsync.provider.contract import Account
from cloudsync.rules.frozen import dataclass

Answers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Credential:
    """One way to give credentials: a variable (or `X_FILE` beside it), or a file below the home
    folder."""

    variable: str | None = None
    file: str | None = None

    @property
    def name(self) -> str:
        return self.variable if self.variable is not None else f"~/{self.file}"

    def is_there(self, environ: Mapping[str, str]) -> bool:
        """Whether it is given here; says nothing of whether it is right."""
        if self.variable is not None:
            return bool(environ.get(self.variable) or environ.get(f"{self.variable}_FILE"))
        home = environ.get("HOME")
        return bool(home and self.file and (Path(home) / self.file).is_file())


def credentials(*places: str) -> tuple[Credential, ...]:
    """Ways to give credentials, the usual first: names of variables, files as `~/.aws/config`."""
    return tuple(
        Credential(file=place.removeprefix("~/")) if place.startswith("~/") else Credential(place)
        for place in places
    )


@dataclass(frozen=True, slots=True)
class Question:
    """`variables`: whose value is the default (none of them a secret). `pattern`: what an answer is
    made of, said by `hint`."""

    key: str
    text: str
    pattern: str
    hint: str
    default: str | None = None
    variables: tuple[str, ...] = ()
    chooses_machines: bool = False
    """The answer names machines: those that the credentials see are listed before it is asked."""

    def suggested(self, environ: Mapping[str, str]) -> str | None:
        """The default; None where the question must be answered."""
        suggestions = (
            environ[name]
            for name in self.variables
            if name in environ and re.fullmatch(self.pattern, environ[name])
        )
        return next(suggestions, self.default)

    def problem(self, answer: str) -> str | None:
        """What is wrong with an answer."""
        return None if re.fullmatch(self.pattern, answer) else f"must be {self.hint}"


@dataclass(frozen=True, slots=True)
class VisibleMachine:
    """A machine that the credentials see, as a choice for the question that `chooses_machines`."""

    name: str
    answer: str
    """What to answer to choose it: its name, its tags, the network it is in; empty if it cannot be
    chosen as it is (a machine without tags, say)."""
    addresses: tuple[str, ...] = ()
    """Its addresses, public ones first; also what tells that it is the machine this runs on."""
    detail: str = ""
    """What else tells it from others, in a few words: where it is, what is on it."""


@dataclass(frozen=True, slots=True)
class Starter:
    """`account` and `firewall` make the lines of the two tables, below their headers, out of the
    answers and the credential found."""

    title: str
    account: Callable[[Answers, str | None], list[str]]
    firewall: Callable[[Answers], list[str]]
    credentials: tuple[Credential, ...] = ()
    questions: tuple[Question, ...] = ()
    first_apply: Callable[[Answers], str | None] = lambda _: None
    """The option that the first apply has to be given, with NAME for the firewall: `--adopt
    NAME`."""
    machines: Callable[[Account], Sequence[VisibleMachine]] | None = None
    """Lists the machines that the account's credentials see; reads only. Raises `ProviderError`.
    None if the provider has no machines to choose from."""
    works_here: Callable[[Mapping[str, str]], bool] = lambda _: False
    """Whether it works on this machine as it is, without credentials. It is then suggested where no
    cloud's credentials are."""
    later: tuple[tuple[str, str], ...] = ()
    """What comes after the first apply: what to type, and why."""

    def detected(self, environ: Mapping[str, str]) -> str | None:
        """The name of the first credential that is there."""
        return next(
            (credential.name for credential in self.credentials if credential.is_there(environ)),
            None,
        )


def by_sdk(*lines: str) -> Callable[[Answers, str | None], list[str]]:
    """`Starter.account` of a vendor whose SDK finds credentials by itself. `lines`: of the table,
    with the answers as `{key}`."""

    def account(answers: Answers, _: str | None) -> list[str]:
        *others, last = (line.format_map(answers) for line in lines)
        comment = "credentials come by the SDK's own chain; none of them are stored here"
        return [*others, noted(last, comment)]

    return account


def token_starter(
    vendor: str,
    machine: str,
    variables: tuple[str, ...],
    machines: Callable[[Account], Sequence[VisibleMachine]],
    *,
    comment: str = "the name of the variable, never the token",
    other_ways: tuple[str, ...] = (),
) -> Starter:
    """The starter of a vendor that is reached by a token and whose firewall names the machines it
    is attached to.

    `machine`: the vendor's word (`server`); the key of the firewall's table is its plural.
    `variables`: those that the token is usually in. `comment`: what stands behind the token's key.
    `other_ways`: lines for a firewall that names no machine yet (`# tags = ["web"]`).
    """
    key = f"{machine}s"

    def account(_: Answers, credential: str | None) -> list[str]:
        return [noted(f'token = {{ env = "{credential or variables[0]}" }}', comment)]

    def firewall(answers: Answers) -> list[str]:
        if names := answers[key]:
            return [noted(f"{key} = {words(names)}", "attached to these; only ever added")]
        example = noted(f'# {key} = ["web-1"]', f"names or ids of {key} to attach it to")
        return [example, *other_ways]

    wording = f"{key.capitalize()} to put under the firewall, with commas (none: attach later)"
    asked = Question(key, wording, NAMES, "names or ids with commas", "", chooses_machines=True)
    return Starter(
        title=vendor,
        account=account,
        firewall=firewall,
        credentials=credentials(*variables),
        questions=(asked,),
        machines=machines,
        first_apply=lambda answers: "--allow-attach NAME" if answers[key] else None,
    )


def noted(line: str, comment: str) -> str:
    """A line of TOML with its comment, in the column where all of them stand."""
    return f"{line:<36} # {comment}"


def words(answer: str) -> str:
    """A comma-separated answer as a TOML list of texts."""
    return "[" + ", ".join(f'"{word}"' for word in answer.replace(" ", "").split(",") if word) + "]"


NAMES = r"[A-Za-z0-9._:-]+( *, *[A-Za-z0-9._:-]+)*|"
"""The pattern of a list of names with commas between them, or nothing."""
