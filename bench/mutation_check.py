"""Breaks one place of the code at a time and says whether tests notice.

    .venv/bin/python bench/mutation_check.py --seed 28 --count 40

Half of the places are in `deepseek_r1`, half in `r1desk`. For each, the test files run that name
its module or what it defines, those with most names first, until one test fails. A place that
stays alive may be caught by a test that names neither: `--tests tests` runs all files. Run it in a
clean clone: a killed run leaves the broken line behind.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FILES: Final = 12  # run for each place
_OPPOSITES: Final = {
    ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_INVERSES: Final = {ast.Add: "-", ast.Sub: "+", ast.Mult: "//"}


@dataclass(frozen=True)
class Place:
    """A piece of a line, and what is written in its stead."""

    file: Path
    line: int  # from 1
    column: int  # in bytes of UTF-8
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} {self.old} -> {self.new}"

    def broken(self, text: str) -> str:
        """The file's text with this place broken."""
        lines = text.splitlines(keepends=True)
        line, old = lines[self.line - 1].encode(), self.old.encode()
        end = self.column + len(old)
        lines[self.line - 1] = (line[: self.column] + self.new.encode() + line[end:]).decode()
        return "".join(lines)


def places(file: Path) -> Iterator[Place]:
    """All places of a file that can be broken."""
    text = file.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        target, new = _broken(node, text)
        if target is not None and target.lineno == target.end_lineno:
            old = ast.get_source_segment(text, target) or ""
            yield Place(file, target.lineno, target.col_offset, old, new)


def _broken(node: ast.AST, text: str) -> tuple[ast.expr | ast.stmt | None, str]:
    def source(part: ast.expr) -> str:
        return f"({ast.get_source_segment(text, part)})"

    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return node, f"{source(left)} {_OPPOSITES[type(operator)]} {source(right)}"
        case ast.BoolOp(op=operator, values=[first, second]):
            word = "or" if isinstance(operator, ast.And) else "and"
            return node, f"{source(first)} {word} {source(second)}"
        case ast.If(test=ast.Name() | ast.Call() | ast.Attribute() as test):
            return test, f"(not {source(test)})"
        case ast.Return(value=value) if value and not isinstance(value, ast.Constant):
            return node, "return None"
        case ast.Expr(value=ast.Call()):
            return node, "pass"
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() as operator, right=right):
            return node, f"{source(left)} {_INVERSES[type(operator)]} {source(right)}"
    return None, ""


def chosen(seed: int, count: int) -> list[Place]:
    """The places of a seed. Systems that this is not have none."""
    found: list[Place] = []
    for package in ("deepseek_r1", "r1desk"):
        files = sorted((ROOT / "app" / package).rglob("*.py"))
        here = [file for file in files if not re.search(r"windows|macos|/platform/", str(file))]
        every = [place for file in here for place in places(file)]
        found += random.Random(seed).sample(every, count // 2)
    return found


def tests_of(file: Path) -> list[str]:
    """The test files that name a module or what it defines, those with most names first."""
    module = ".".join(file.relative_to(ROOT / "app").with_suffix("").parts)
    defined = ast.parse(file.read_text(encoding="utf-8")).body
    names = [each.name for each in defined if isinstance(each, ast.ClassDef | ast.FunctionDef)]
    score: list[tuple[int, str]] = []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        body = test.read_text(encoding="utf-8")
        points = 5 * body.count(module)
        points += sum(bool(re.search(rf"\b{name}\b", body)) for name in names)
        if points:
            score.append((-points, str(test)))
    return [name for _, name in sorted(score)][:FILES]


def first_failure(tests: list[str]) -> str:
    """The test that fails first; empty where none does."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=90"]
    done = subprocess.run([*command, *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    named = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return named[1] if named else "" if done.returncode in (0, 5) else "the collection"


def main() -> None:
    """Print a line for each place, then how many were caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=28)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--tests", nargs="*", help="in place of those that name the module")
    given = parser.parse_args()
    caught = 0
    for place in chosen(given.seed, given.count):
        text = place.file.read_text(encoding="utf-8")
        tests = given.tests or tests_of(place.file)
        try:
            place.file.write_text(place.broken(text), encoding="utf-8")
            failed = first_failure(tests) if tests else ""
        finally:
            place.file.write_text(text, encoding="utf-8")
        caught += bool(failed)
        print(f"{place}: {failed or 'ALIVE'}", flush=True)
    print(f"{caught} of {given.count} caught")


if __name__ == "__main__":
    main()
