#!/usr/bin/env python3
"""Keep the translation catalogues in step with the texts in the code.

    python installer/translations.py            # collect, merge, compile; list what is missing
    python installer/translations.py --check    # fail if a text is missing or a file is stale

Texts are marked `tr("…")` or `N_("…")`.
Translators edit the .po files; the .mo files are what runs.
"""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "resources" / "translations"
LANGUAGES = ("zh_CN",)
MARKS = {"tr", "N_"}
HEADER = """\
# The words of R1 Desk in another language.
# installer/translations.py collects the texts; only the translations are edited here.
"""
# Fields that say something: no dates, so that equal content is an equal file, and no addresses.
FIELDS = (
    "Project-Id-Version",
    "Language",
    "Plural-Forms",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
)


def main() -> int:
    """Update or check every language; the exit status is 1 where something is left to do."""
    check = "--check" in sys.argv[1:]
    template = collect()
    return max(update(language, template, check=check) for language in LANGUAGES)


def collect() -> Catalog:
    """All marked texts of the application, with the files they stand in."""
    template = Catalog(fuzzy=False)
    for file in sorted((ROOT / "app").rglob("*.py")):
        place = file.relative_to(ROOT).as_posix()
        for text in marked(ast.parse(file.read_bytes())):
            template.add(text, locations=[(place, 0)])
    return template


def marked(tree: ast.AST) -> list[str]:
    """The texts given to `MARKS`, also inside f-strings, which Babel's own extractor passes by."""
    firsts = [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in MARKS
        and node.args
    ]
    constants = [first.value for first in firsts if isinstance(first, ast.Constant)]
    return [text for text in constants if isinstance(text, str) and text]


def update(language: str, template: Catalog, *, check: bool) -> int:
    """Merge the texts into one language's files; say what is not translated."""
    folder = FOLDER / language / "LC_MESSAGES"
    po, mo = folder / "r1desk.po", folder / "r1desk.mo"
    folder.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(locale=language, fuzzy=False)
    if po.exists():
        with po.open("rb") as old:
            catalog = read_po(old, locale=language)
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    missing = [m.id for m in catalog if m.id and (not m.string or m.fuzzy)]
    changed = store(po, as_po(catalog), check=check) | store(mo, as_mo(catalog), check=check)
    for text in missing:
        print(f"{language}: not translated: {text!r}")
    if check and changed:
        print(f"{language}: out of step with the code; run installer/translations.py")
    return int(bool(missing) or (check and changed))


def as_po(catalog: Catalog) -> bytes:
    """The catalogue for translators, under a header of ours."""
    catalog.header_comment = HEADER
    out = io.BytesIO()
    write_po(
        out,
        catalog,
        width=100,
        omit_header=False,
        sort_output=True,
        include_lineno=False,
        ignore_obsolete=True,
    )
    head, *entries = out.getvalue().decode().split("\n\n")
    kept = [line for line in map(_header_line, head.splitlines()) if line]
    return "\n\n".join(["\n".join(kept), *entries]).encode()


def _header_line(line: str) -> str:
    """A line of the header as we keep it, empty where we do not."""
    if not line.startswith('"'):
        return line
    field, _, _ = line.strip('"').partition(":")
    if field == "Project-Id-Version":
        return r'"Project-Id-Version: r1desk\n"'
    return line if field in FIELDS else ""


def as_mo(catalog: Catalog) -> bytes:
    """The catalogue as the running program reads it."""
    out = io.BytesIO()
    write_mo(out, read_po(io.BytesIO(as_po(catalog)), locale=catalog.locale))
    return out.getvalue()


def store(file: Path, content: bytes, *, check: bool) -> bool:
    """Write unless only checking; returns whether the content is new."""
    changed = not file.exists() or file.read_bytes() != content
    if changed and not check:
        file.write_bytes(content)
    return changed


if __name__ == "__main__":
    sys.exit(main())
