"""Tests beside other tests wait until only a hang can be the reason (`tests/support/patience.py`).

What measures time is marked `quiet`: it has the machine to itself.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PATIENT_S = 25
CLOCKS = {"monotonic", "perf_counter"}
WAITS = {"communicate", "get", "join", "result", "run", "wait", "wait_procs"}
WAITS_MS = {"waitActive", "waitCallback", "waitExposed", "waitSignal", "waitSignals", "waitUntil"}
LET_PASS = {"qtbot", "reply"}  # their `wait` is a time that passes, and nothing is expected of it


def loud_tests() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Every test that may run beside others."""
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not any(is_quiet_mark(each) for each in tree.body):
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    quiet = any("mark.quiet" in ast.unparse(mark) for mark in node.decorator_list)
                    yield from [] if quiet else [(path.relative_to(TESTS), node)]


def is_quiet_mark(node: ast.stmt) -> bool:
    text = ast.unparse(node) if isinstance(node, ast.Assign) else ""
    return text.startswith("pytestmark") and "mark.quiet" in text


def is_short(node: ast.expr, most: float) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and 0 < node.value < most
    )


def called(node: ast.AST) -> str:
    match node:
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return name
        case _:
            return ""


def receiver(node: ast.Call) -> str:
    match node.func:
        case ast.Attribute(value=ast.Name(id=name)):
            return name
        case _:
            return ""


def is_impatient(node: ast.AST) -> bool:
    match node:
        case ast.Compare():
            reads_clock = any(called(each) in CLOCKS for each in ast.walk(node))
            return reads_clock and any(is_short(each, PATIENT_S) for each in node.comparators)
        case ast.Call() if called(node) in WAITS_MS:
            timeouts = [each.value for each in node.keywords if each.arg == "timeout"]
            return any(is_short(each, 1000 * PATIENT_S) for each in timeouts)
        case ast.Call() if called(node) in WAITS and receiver(node) not in LET_PASS:
            timeouts = [
                each.value for each in node.keywords if each.arg in {"timeout", "timeout_s"}
            ]
            limits = timeouts + (
                node.args[:1] if called(node) in {"join", "result", "wait"} else []
            )
            return any(is_short(each, PATIENT_S) for each in limits)
        case _:
            return False


def test_a_test_beside_others_fails_for_no_want_of_time() -> None:
    found = [
        f"{path}:{node.lineno} {test.name}"
        for path, test in loud_tests()
        for node in ast.walk(test)
        if is_impatient(node)
    ]
    assert found == [], "wait with support/patience.py, or mark the test `quiet`"
