"""Names follow docs/glossary.md: one word for one thing, one class of a name, no private words."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"

# Module names that several packages share, each with its reason.
SHARED_MODULE_NAMES = {
    "errors": "each package that raises errors of its own keeps them in a module of this name",
    "controller": "every feature of the window has one",
    "presenter": "every feature of the window has one",
    "feature": "every feature of the window has one",
}

BANNED_WORDS = frozenset(
    """
    homes home pens pen desk wires wire took told tell tells says said say heard hear hears
    lend lent lends borrow loan loans room behind half life ink catch forgive forgets breathe saw
    heed seat sit stand mourn bury greet greeting wish wishes keeper arrival arrivals spoken speak
    judge judgement words
    """.split()  # noqa: SIM905 - a list of words reads best as a text
)

BANNED_OPENINGS = ("What", "How", "Of", "That")


@cache
def sources() -> list[tuple[Path, ast.Module]]:
    return [
        (path.relative_to(APP), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(APP.rglob("*.py"))
    ]


def words_of(identifier: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    text = re.sub(r"r1_?desk", "", identifier, flags=re.IGNORECASE)
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)}


def defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that the module defines: classes, functions, parameters, variables, fields."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if not is_qt_override(node):
                    yield node.lineno, node.name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno if hasattr(node, "lineno") else 0, name


def is_qt_override(node: ast.AST) -> bool:
    """True for a virtual method of Qt, whose name is Qt's."""
    name = getattr(node, "name", "")
    return isinstance(node, ast.FunctionDef) and bool(re.match(r"[a-z]+[A-Z]", name))


def test_a_class_is_defined_once():
    places = defaultdict(list)
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path}:{node.lineno}")
    assert {name: at for name, at in places.items() if len(at) > 1} == {}


def test_a_module_name_is_used_in_one_package():
    places = defaultdict(list)
    for path, _tree in sources():
        if path.stem not in ("__init__", "__main__"):
            places[path.stem].append(str(path.parent))
    shared = {name: at for name, at in places.items() if len(at) > 1}
    assert len(SHARED_MODULE_NAMES) <= 10
    assert {name: at for name, at in shared.items() if name not in SHARED_MODULE_NAMES} == {}
    assert SHARED_MODULE_NAMES.keys() <= shared.keys(), "an exception that nothing needs"


def test_no_identifier_has_a_private_word():
    found = []
    for path, tree in sources():
        found += [f"{path}: {path.stem}" for _ in [0] if words_of(path.stem) & BANNED_WORDS]
        found += [
            f"{path}:{line}: {name}"
            for line, name in defined_names(tree)
            if words_of(name) & BANNED_WORDS
        ]
    assert found == []


def test_public_docstrings_begin_with_what_a_thing_is_or_does():
    found = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                continue
            text = ast.get_docstring(node) or ""
            name = getattr(node, "name", path.stem)
            private = name.startswith("_") and not name.startswith("__")
            if not private and text.split(" ")[0].rstrip(",:") in BANNED_OPENINGS:
                found.append(f"{path}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}")
    assert found == []


def test_the_checks_themselves_find_what_they_look_for():
    tree = ast.parse("class PenHolder:\n    def saw(self, in_room): self._half = 1")
    names = [name for _line, name in defined_names(tree) if words_of(name) & BANNED_WORDS]
    assert sorted(names) == ["PenHolder", "_half", "in_room", "saw"]
    assert words_of("r1desk_version") == {"version"}
    assert words_of("KVCacheHome") == {"kv", "cache", "home"}


def test_each_test_file_has_a_name_of_its_own():
    """Two of one name cannot be collected by one process."""
    counts = Counter(path.name for path in (APP.parent / "tests").rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == []
