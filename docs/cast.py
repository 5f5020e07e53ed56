"""Records the casts of the documentation: a terminal as an animated SVG, of real runs.

`python docs/cast.py` in a checkout with the development dependencies. Without animation, on paper
and for readers who want less motion, a cast is its last frame.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

sys.path.insert(0, str(Path(__file__).parent))
from demo_world import shop

DOCS = Path(__file__).parent
COLUMNS, ROWS = 84, 26
_CHARACTER, _LINE, _MARGIN = 8.4, 18, 14
_TYPING, _READING = 0.04, 2.6
"""Seconds for a character that is typed, and for a screen that is read."""
_STYLE = """text{font:14px ui-monospace,Menlo,Consolas,monospace;white-space:pre;fill:#d8dee9}
.f{visibility:hidden}.last{visibility:visible}
@media (prefers-reduced-motion:no-preference){%s}
@keyframes a{0%%,100%%{visibility:visible}}
"""


class Frame(NamedTuple):
    """A screen, and how long it stands."""

    lines: tuple[Text, ...]
    seconds: float


FIRST_HOUR = (
    ("config", "check"),
    ("plan",),
    ("apply", "--auto-approve", "--allow-attach", "web", "-q"),
    ("plan",),
    ("explain", "5432"),
    ("audit", "--fail-on", "none"),
)


def first_hour() -> Iterator[Frame]:
    """From a configuration to a firewall that is in step, and what is left to mend."""
    with shop(COLUMNS) as machine:
        screen: list[Text] = []
        for words in FIRST_HOUR:
            command = "cloudsync " + " ".join(words)
            screen = [*screen, Text("")] if screen else []
            for end in range(4, len(command) + 1, 4):
                yield Frame(_shown([*screen, _prompt(command[:end] + "█")]), 4 * _TYPING)
            screen.append(_prompt(command))
            yield Frame(_shown(screen), 0.4)
            printed = machine.types(*words).rstrip("\n")
            for paragraph in re.split(r"(?<=\n)\n(?=\S)", printed) if printed else []:
                screen += list(Text.from_ansi(paragraph).split("\n"))
                yield Frame(_shown(screen), _READING)


def _prompt(command: str) -> Text:
    return Text.assemble(("$ ", "bold green"), command)


def _shown(screen: list[Text]) -> tuple[Text, ...]:
    """The part of the screen that fits, as a terminal scrolls."""
    return tuple(screen[-ROWS:])


def svg(frames: list[Frame], title: str) -> str:
    """All frames one over the other; one is visible at a time."""
    total = sum(frame.seconds for frame in frames)
    rules, groups, begun = [], [], 0.0
    for number, frame in enumerate(frames):
        start, end = 100 * begun / total, 100 * (begun + frame.seconds) / total
        begun += frame.seconds
        rules.append(
            f"#f{number}{{animation:k{number} {total:.1f}s step-end infinite}}"
            f"@keyframes k{number}{{0%{{visibility:hidden}}{start:.3f}%{{visibility:visible}}"
            f"{end:.3f}%{{visibility:hidden}}}}"
            if number
            else (
                f"#f0{{animation:k0 {total:.1f}s step-end infinite}}"
                f"@keyframes k0{{0%{{visibility:visible}}{end:.3f}%{{visibility:hidden}}}}"
            )
        )
        kind = "f last" if number == len(frames) - 1 else "f"
        groups.append(f'<g id="f{number}" class="{kind}">{"".join(_lines(frame))}</g>')
    width = round(COLUMNS * _CHARACTER + 2 * _MARGIN)
    height = ROWS * _LINE + 2 * _MARGIN
    style = _STYLE % "".join(rules)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(title)}"><title>{html.escape(title)}</title>'
        f'<style>{style}</style><rect width="100%" height="100%" rx="8" fill="#16181d"/>'
        f"{''.join(groups)}</svg>\n"
    )


def _lines(frame: Frame) -> Iterator[str]:
    for number, line in enumerate(frame.lines):
        if not line.plain.strip():
            continue
        y = _MARGIN + (number + 1) * _LINE - 4
        yield f'<text x="{_MARGIN}" y="{y}" xml:space="preserve">{"".join(_spans(line))}</text>'


def _spans(line: Text) -> Iterator[str]:
    position = 0
    content = line.plain
    for span in sorted(line.spans, key=lambda span: span.start):
        if span.start < position:
            continue
        yield html.escape(content[position : span.start])
        yield (
            f"<tspan{_attributes(str(span.style))}>"
            f"{html.escape(content[span.start : span.end])}</tspan>"
        )
        position = span.end
    yield html.escape(content[position:])


_COLOURS = {
    "red": "#ff8f9f", "green": "#8fdba6", "yellow": "#f0cf6b", "blue": "#93cdf5",
    "magenta": "#d9b3ff", "cyan": "#7fdbd9",
}  # fmt: skip


def _attributes(style: str) -> str:
    words = style.split()
    colour = next(
        (
            _COLOURS[w.removeprefix("bright_")]
            for w in words
            if w.removeprefix("bright_") in _COLOURS
        ),
        "",
    )
    fill = colour or ("#8b93a1" if "dim" in words else "")
    return (f' fill="{fill}"' if fill else "") + (' font-weight="700"' if "bold" in words else "")


def main() -> None:
    """Write `docs/first-hour.svg`."""
    title = "The first hour: check the configuration, plan, apply, explain a port, audit"
    (DOCS / "first-hour.svg").write_text(svg(list(first_hour()), title))


if __name__ == "__main__":
    main()
