"""One mutant: where it is, what it makes of the file, and why it is a mistake."""

import ast
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple


class DriftError(Exception):
    """An entry of a list no longer fits its file; the message says which, and what to mend."""


# One file has many mutants.


@lru_cache(16)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


class _Part(NamedTuple):
    """A statement of a file, or of a class's body: its lines, and how deep it is indented."""

    start: int
    end: int
    indent: str

    def alone(self, source: str, end: int) -> ast.Module:
        """It alone, between two others, as it is in its file. Raises SyntaxError."""
        lines, fence = source[self.start : end], f"{self.indent}pass\n"
        tree = ast.parse(f"{'class _:' if self.indent else ''}\n{fence}{lines}{fence}")
        if lines[-1:] != "\n" or (self.indent and len(tree.body) != 1):
            raise SyntaxError("what follows belongs to it")
        return tree


@lru_cache(16)
def _parts(source: str) -> list[_Part]:
    """Small ones first."""
    ends = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    tops = _parsed(source).body
    members = [member for top in tops if isinstance(top, ast.ClassDef) for member in top.body]
    return [
        _Part(ends[_first_line(node) - 1], ends[node.end_lineno or -1], " " * node.col_offset)
        for node in (*members, *tops)
    ]


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _same(one: Any, other: Any, line: int) -> bool:
    """Whether two programs are the same. Before this line they are, which need not be looked at."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(_same(a, b, line) for a, b in zip(one, other, strict=True))
    if not isinstance(one, ast.AST):
        return bool(one == other)
    if getattr(one, "end_lineno", line) == getattr(other, "end_lineno", line) < line:
        return True
    return all(_same(getattr(one, name, None), getattr(other, name, None), line) for name in one._fields)


@dataclass(frozen=True, slots=True)
class Mutant:
    """In ``file``, ``old`` becomes ``new``.

    ``old`` occurs once, in the whole file or in the function or class that ``at`` names (``Worker._seen``).
    ``why`` says what goes wrong then. ``equivalent`` instead says why nothing does that anybody could see.
    """

    file: str
    old: str
    new: str
    why: str = ""
    at: str = ""
    equivalent: str = ""

    def __str__(self) -> str:
        place = f"{self.file} {self.at}".strip()
        return f"{place}: {' '.join(self.old.split())} -> {' '.join(self.new.split()) or 'nothing'}"

    def text(self, tree: Path) -> str:
        """The file with it. Raises DriftError if it does not fit, or what it makes is no other program."""
        path = tree / self.file
        if not path.is_file():
            raise DriftError(f"{self}: there is no such file")
        source = path.read_text()
        start, end = self._place(source) if self.at else (0, len(source))
        found = source.count(self.old, start, end)
        if found != 1:
            raise DriftError(f"{self}: the old text occurs {found} times there")
        at = source.index(self.old, start)
        text = source[:at] + self.new + source[at + len(self.old) :]
        self._check(source, text, at)
        return text

    def line(self, tree: Path) -> int:
        """Where it begins, from 1. Raises DriftError."""
        source, text = (tree / self.file).read_text(), self.text(tree)
        same = next(at for at, (a, b) in enumerate(zip(source, text + "\0", strict=False)) if a != b)
        return source.count("\n", 0, same) + 1

    def _place(self, source: str) -> tuple[int, int]:
        """Where the function or class begins and ends."""
        node: ast.AST = _parsed(source)
        for name in self.at.split("."):
            found = [n for n in ast.iter_child_nodes(node) if getattr(n, "name", None) == name]
            if len(found) != 1:
                raise DriftError(f"{self}: {name} occurs {len(found)} times there")
            node = found[0]
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        assert node.end_lineno is not None
        lines = source.splitlines(keepends=True)
        first = _first_line(node) - 1
        return sum(map(len, lines[:first])), sum(map(len, lines[: node.end_lineno]))

    def _check(self, source: str, text: str, at: int) -> None:
        if bool(self.why) == bool(self.equivalent):
            raise DriftError(f"{self}: it needs a reason why it is a mistake, or one why it is none")
        try:
            same = self._changes_nothing(source, text, at)
        except SyntaxError as error:
            raise DriftError(f"{self}: what it makes is no Python: {error}") from None
        if same:
            raise DriftError(f"{self}: what it makes is the same program")

    def _changes_nothing(self, source: str, text: str, at: int) -> bool:
        """Whether it is the same program. Raises SyntaxError.

        The statement it is in tells, if it is one still: to parse the whole file for each takes much longer.
        """
        for part in _parts(source):
            if part.start <= at and at + len(self.old) <= part.end:
                with suppress(SyntaxError):
                    changed = part.alone(text, part.end + len(text) - len(source))
                    return _same(part.alone(source, part.end), changed, 0)
                break
        return _same(_parsed(source), ast.parse(text), source.count("\n", 0, at) + 1)
