"""Reads a page of console blocks as steps, and compares the output with what the page says.

In a block a line that begins with a prompt is a command, and the lines below it are the expected output:

    zk1# hostname           a shell on that host
    m1@zk1# zkCli.sh        opens the terminal m1 on that host; it stays open until `quit`
    m1> ls /                typed into that terminal
    m1>                     nothing is typed: what has come by itself

``...`` stands for anything: the rest of a line after a space, a part of it, or any number of lines. Blank
lines do not count. A number in the name of a task (task-0000000012) is an example: from then on it means the
first name that appeared in its place.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

LANGUAGE = "console"
_PROMPT = re.compile(
    r"(?P<terminal>[a-z]\w*)(?:@(?P<host>\w+)(?=#))?(?P<kind>[#>])(?: (?P<command>\S.*))?", re.ASCII
)
_TASK = re.compile(r"task-\d{10}")
_HOLE = re.compile(r"(^|\s)\.\.\.$|\.\.\.|task-\d{10}")


class PageError(ValueError):
    """The page cannot be read as steps."""


class DifferenceError(AssertionError):
    """What was seen is not what the page says."""


@dataclass(frozen=True)
class Step:
    """One command, or one look, and the expected output."""

    line: int  # of the page, from 1
    terminal: str | None  # None: a shell, for this command alone
    host: str | None  # where to open the terminal, or the shell's; None: the terminal is open
    command: str  # empty: only look
    expected: tuple[str, ...]


def fences(page: str) -> list[tuple[int, str, list[str]]]:
    """The fenced blocks: line of the fence (from 1), language, lines. Raises PageError if one has no end."""
    found: list[tuple[int, str, list[str]]] = []
    inside = False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
            if inside:
                found.append((number, line[3:].strip(), []))
        elif inside:
            found[-1][2].append(line)
    if inside:
        raise PageError(f"line {found[-1][0]}: the block has no end; close it with ```")
    return found


def steps(page: str) -> list[Step]:
    """The steps of all console blocks, in order. Raises PageError for a line that cannot be understood."""
    return [
        step
        for start, language, lines in fences(page)
        if language == LANGUAGE
        for step in _block(start, lines)
    ]


def _block(start: int, lines: list[str]) -> list[Step]:
    prompts = [(at, match) for at, line in enumerate(lines) if (match := _PROMPT.fullmatch(line))]
    if not prompts or prompts[0][0] > 0:
        raise PageError(f"line {start + 1}: the block has to begin with a prompt, such as zk1# or m1>")
    ends = [at for at, _ in prompts[1:]] + [len(lines)]
    found = []
    for (at, match), end in zip(prompts, ends, strict=True):
        terminal, host, command = match["terminal"], match["host"], match["command"] or ""
        shell = match["kind"] == "#"
        if shell and not command:
            raise PageError(f"line {start + 1 + at}: a command is missing behind {lines[at]}")
        seen = tuple(line.rstrip() for line in lines[at + 1 : end] if line.strip())
        if shell and not host:
            terminal, host = None, match["terminal"]
        found.append(Step(start + 1 + at, terminal, host, command, seen))
    return found


class Names:
    """The names of the page's tasks here."""

    def __init__(self) -> None:
        self._here: dict[str, str] = {}

    def command(self, command: str) -> str:
        """The command with the names of the tasks here."""
        return _TASK.sub(lambda match: self._here.get(match[0], match[0]), command)

    def matches(self, expected: tuple[str, ...], seen: str) -> bool:
        """Whether the output is as expected; remembers task names that appear for the first time."""
        new: dict[str, str] = {}
        pattern = "".join(self._line(line, new) for line in expected)
        match = re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(seen)))
        if match:
            self._here |= {name: match[group] for name, group in new.items()}
        return match is not None

    def _line(self, line: str, new: dict[str, str]) -> str:
        if line.strip() == "...":
            return r"(?:.*\n)*?"
        found, at = "", 0
        for hole in _HOLE.finditer(line):
            found += _text(line[at : hole.start()]) + self._hole(hole, new)
            at = hole.end()
        return found + _text(line[at:]) + r"\n"

    def _hole(self, hole: re.Match[str], new: dict[str, str]) -> str:
        name = hole[0]
        if name == "...":
            return ".*"
        if name.endswith("..."):
            return r"(?:\s.*)?"
        if name in self._here:
            return re.escape(self._here[name])
        if name in new:
            return f"(?P={new[name]})"
        new[name] = name.replace("-", "_")
        return rf"(?P<{new[name]}>task-\d{{10}})"


def _text(text: str) -> str:
    """As it stands there. Between columns, where several blanks are, there may be more or fewer."""
    return re.sub(r"(?:\\ ){2,}", r"\\ +", re.escape(text))


def difference(page: Path, step: Step, seen: str) -> DifferenceError:
    """The step, and a diff of the page and the output."""
    diff = difflib.ndiff(step.expected, _lines(seen))
    what = step.command or "(what comes by itself)"
    legend = f"{page.name}:{step.line}: {step.terminal or step.host}: {what}\n- the page says, + was seen"
    return DifferenceError("\n".join([legend, *(line.rstrip("\n") for line in diff if line[0] != "?")]))


def _lines(seen: str) -> list[str]:
    return [line.rstrip() for line in seen.splitlines() if line.strip()]
