"""The one comment of a pull request: found by a hidden first line, updated in place, and the
approval that a merge gives. `markdown` writes the text that people read in it.

The first line names the configuration and a seal: a hash over repository, pull request,
configuration and the digest of the change set that the comment shows. Copied to another pull
request it fits nothing there. With a secret of the plan's and the apply's job (the input
`approval-secret`) nobody else can make one, not even a workflow that writes as the same user.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import field

from cloudsync.action.github import Comment, GitHub, GitHubError
from cloudsync.rules.frozen import dataclass

MOST_BYTES = 60_000
"""GitHub takes 65,536 characters; bytes are never fewer than characters, and the rest is room for
the state line."""
USED = "used"
"""In place of a seal: what the comment shows was applied, and is approved no second time."""
_MARKER = re.compile(
    rf"<!-- cloudsync v1 key=([0-9a-f]{{16}}) seal=([0-9a-f]{{64}}|none|{USED}) -->"
)
_STATE = "<!-- cloudsync state -->"
_STATE_ENDS = "<!-- end of cloudsync state -->"
_LOOKS = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a comment belongs: one pull request, one configuration of the repository."""

    repository: str
    """`owner/name`."""
    pull_request: int
    """Its number."""
    label: str
    """Tells configurations apart."""
    secret: str | None = field(default=None, repr=False)
    """What signs the hidden mark; None: unsigned."""

    @property
    def key(self) -> str:
        return hashlib.sha256(self.label.encode()).hexdigest()[:16]

    def seal(self, digest: str) -> str:
        """What the comment holds of the digest it shows."""
        text = f"{self.repository}#{self.pull_request}\n{self.label}\n{digest}".encode()
        if self.secret is None:
            return hashlib.sha256(text).hexdigest()
        return hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()


def body(place: Place, digest: str | None, markdown: str) -> str:
    """The whole comment. `digest`: of the change set that `markdown` shows; None where nothing may
    be applied because of it."""
    seal = place.seal(digest) if digest is not None else "none"
    return f"<!-- cloudsync v1 key={place.key} seal={seal} -->\n" + cut(
        markdown, MOST_BYTES, "the job summary has all of it"
    )


def cut(markdown: str, most: int, where: str) -> str:
    """`markdown` in at most `most` bytes of UTF-8, cut between lines, with a note that says so and
    `where` the rest is."""
    if len(markdown.encode()) <= most:
        return markdown
    note = f"\n\n> ✂️ **Cut here: it is too long for this place; {where}.**\n"
    room = most - len(note.encode()) - len("\n\n</details>")
    kept: list[str] = []
    for line in markdown.splitlines():
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    text = "\n".join(kept)
    if text.count("<details>") > text.count("</details>"):
        text += "\n\n</details>"
    return text + note


def ours(github: GitHub, place: Place, author: str) -> list[Comment]:
    """The comments of this place that the token's own user wrote; others may hold the same first
    line, and count for nothing."""
    return [
        comment
        for comment in github.comments(place.pull_request)
        if comment.author == author and _key(comment) == place.key
    ]


def put(github: GitHub, place: Place, text: str) -> Comment:
    """Write the comment: over the one that is there, or a new one; a second one (of two runs at
    once) goes."""
    author = github.user()
    for look in range(_LOOKS):
        there = ours(github, place, author)
        if there:
            for surplus in there[1:]:
                github.delete_comment(surplus)
            return there[0] if there[0].body == text else github.update_comment(there[0], text)
        try:
            return github.create_comment(place.pull_request, text)
        except GitHubError as error:
            if not error.fate_unknown or look == _LOOKS - 1:
                raise
    raise AssertionError("the last look returns or raises")


def shown(comments: list[Comment]) -> str | None:
    """The seal that a merge approved, or `USED`; None if no comment has one, or two say different
    things."""
    seals = {match[2] for comment in comments if (match := _MARKER.match(comment.body)) is not None}
    return seals.pop() if len(seals) == 1 and "none" not in seals else None


def with_state(comment: Comment, state: str, *, used: bool = False) -> str:
    """The comment's text with the line about what became of it on top, instead of an older such
    line. The seal stays the first line. `used`: its changes were applied; a run that is started
    again approves them no second time."""
    seal, _, rest = comment.body.partition("\n")
    if used and (match := _MARKER.match(seal)) is not None:
        seal = f"<!-- cloudsync v1 key={match[1]} seal={USED} -->"
    before, begins, after = rest.partition(f"{_STATE}\n")
    if begins and not before:
        _, _, rest = after.partition(f"\n{_STATE_ENDS}\n\n")
    return "\n".join((seal, *state_block(state), "", rest))


def state_block(state: str) -> tuple[str, ...]:
    """The lines on top of a comment: what a merge would do, and later what became of it."""
    return _STATE, state, _STATE_ENDS


def fits(markdown: str) -> bool:
    """Whether a comment can show all of it: a merge approves only what could be read."""
    return len(markdown.encode()) <= MOST_BYTES


def _key(comment: Comment) -> str | None:
    match = _MARKER.match(comment.body)
    return match[1] if match is not None else None
