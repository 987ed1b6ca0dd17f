#!/usr/bin/env python3
"""Keep the translation catalogues in step with the texts in the code.

    python installer/translations.py            # collect, merge, compile; list what is missing
    python installer/translations.py --check    # fail if a text is missing or a file is stale
    python installer/translations.py --list     # each text with its place and its translation

Texts are marked `tr("…")` or `N_("…")`; `trn("…", "…", n)` or `Nn_("…", "…")` where a number
decides the form.
Translators edit the .po files; the .mo files are what runs.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "resources" / "translations"
LANGUAGES = ("zh_CN",)
MARKS = {"tr", "N_"}
PLURAL_MARKS = {"trn", "Nn_"}
HEADER = """\
# The words of R1 Desk in another language.
# installer/translations.py collects the texts; only the translations are edited here.
"""
# No dates and no versions, so that equal content is an equal file.
FIELDS = """\
Project-Id-Version: r1desk
Language: {language}
Plural-Forms: {plural}
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit
"""


class Words(Catalog):
    """A language's texts. Babel's own header would differ from minute to minute."""

    def __init__(self, language: str, old: Iterable[Message]) -> None:
        super().__init__(locale=language, header_comment=HEADER, fuzzy=False)
        for message in old:
            if message.id:
                self.add(message.id, message.string, flags=message.flags)

    def __iter__(self) -> Iterator[Message]:
        header = FIELDS.format(language=self.locale_identifier, plural=self.plural_forms)
        yield Message("", header)
        yield from list(super().__iter__())[1:]


def main() -> int:
    """Update or check every language. Returns 1 if something is left to do."""
    check = "--check" in sys.argv[1:]
    template = collect()
    if "--list" in sys.argv[1:]:
        print("\n".join(listed(template)))
        return 0
    return max(update(language, template, check=check) for language in LANGUAGES)


def collect() -> Catalog:
    """Returns all marked texts of the application, with their files."""
    template = Catalog(fuzzy=False)
    for file in sorted((ROOT / "app").rglob("*.py")):
        place = file.relative_to(ROOT).as_posix()
        for text in marked(ast.parse(file.read_bytes())):
            template.add(text, locations=[(place, 0)])
    return template


def marked(tree: ast.AST) -> list[str | tuple[str, str]]:
    """Returns the texts given to the marks, also in f-strings, which Babel's extractor skips.

    Those with a number are pairs: one, many.
    """
    found: list[str | tuple[str, str]] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        values = [each.value if isinstance(each, ast.Constant) else None for each in node.args]
        match node.func.id, values:
            case name, [str(text), *_] if name in MARKS and text:
                found.append(text)
            case name, [str(one), str(many), *_] if name in PLURAL_MARKS:
                found.append((one, many))
    return found


def listed(template: Catalog) -> Iterator[str]:
    """Yields a line for each text, by its first place: place, English, then each language."""
    known = [read_po(io.BytesIO(file.read_bytes())) for file in sorted(FOLDER.rglob("*.po"))]
    by_place = sorted(((m.locations[0][0], m.id) for m in template if m.id), key=str)
    for place, text in by_place:
        found = [catalog.get(text if isinstance(text, str) else text[0]) for catalog in known]
        texts = [text, *(m.string for m in found if m is not None)]
        shown = [" / ".join((t,) if isinstance(t, str) else t) for t in texts]
        yield "\t".join((place, *shown)).replace("\n", "\\n")


def update(language: str, template: Catalog, *, check: bool) -> int:
    """Merge the texts into one language's files, and print the ones that are not translated."""
    folder = FOLDER / language / "LC_MESSAGES"
    po, mo = folder / "r1desk.po", folder / "r1desk.mo"
    folder.mkdir(parents=True, exist_ok=True)
    old = read_po(io.BytesIO(po.read_bytes()), locale=language) if po.exists() else ()
    catalog = Words(language, old)
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    missing = [m.id for m in catalog if m.id and (not any(forms(m)) or m.fuzzy)]
    changed = store(po, as_po(catalog), check=check) | store(mo, as_mo(catalog), check=check)
    for text in missing:
        print(f"{language}: not translated: {text!r}")
    if check and changed:
        print(f"{language}: out of step with the code; run installer/translations.py")
    return int(bool(missing) or (check and changed))


def forms(message: Message) -> tuple[str, ...]:
    """Returns the translations of a message, one for each plural form; none of a new text."""
    string = message.string
    return (string,) if isinstance(string, str) else tuple(string or ())


def as_po(catalog: Words) -> bytes:
    """Returns the catalogue for translators."""
    out = io.BytesIO()
    write_po(out, catalog, width=100, sort_output=True, include_lineno=False, ignore_obsolete=True)
    return out.getvalue()


def as_mo(catalog: Words) -> bytes:
    """Returns the catalogue that the running program reads."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def store(file: Path, content: bytes, *, check: bool) -> bool:
    """Write unless only checking; returns whether the content is new."""
    changed = not file.exists() or file.read_bytes() != content
    if changed and not check:
        file.write_bytes(content)
    return changed


if __name__ == "__main__":
    sys.exit(main())
