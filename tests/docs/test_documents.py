"""The reference says what the code says, and every page that a page links to is there."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.core.processes import ChildKind

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_in_step_with_the_code():
    check = [sys.executable, str(ROOT / "installer/reference.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_option_stands_in_the_reference_of_its_command():
    page = (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8")
    generate = page.split("## `deepseek-r1 generate")[1].split("\n## ")[0]
    published = ["--memory-budget", "--swap-enabled", "--cache-strategy", "--enable-chunk-loading"]
    for option in [*published, "--batch-size", "--json-schema"]:
        assert f"`{option}`" in generate


def test_files_that_pages_name_exist():
    """In `docs/measurements` those of `bench`: others there have done their work."""
    files = [
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in ("app", "bench", "tests", "installer")
        for path in (ROOT / folder).rglob("*.*")
    ]
    missing = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/guides/**/*.md")]:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"`([\w/.-]+\.(?:py|sh|hpp|cpp))(?:::\w+)?`", text)
        named += re.findall(r"\b(?:bench|tests|installer)/[\w/.-]+\.(?:py|sh)\b", text)
        missing += [
            f"{page.name}: {name}"
            for name in named
            if not any(file.endswith(f"/{name}") for file in files)
        ]
    for page in ROOT.glob("docs/measurements/*.md"):
        commands = re.findall(r"(?<!/)\bbench/[\w/]+\.py\b", page.read_text(encoding="utf-8"))
        missing += [f"{page.name}: {name}" for name in commands if f"/{name}" not in files]
    assert missing == []


@pytest.mark.skipif(sys.platform == "win32", reason="some measure with Unix's `resource`")
def test_every_command_of_bench_finds_what_it_imports(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))  # one sets what OpenMP reads
    monkeypatch.setattr(sys, "path", list(sys.path))
    for command in sorted([*ROOT.glob("bench/*.py"), *ROOT.glob("bench/campaign/*.py")]):
        importlib.import_module(".".join(command.relative_to(ROOT).with_suffix("").parts))


def test_links_between_the_documents_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    missing = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                missing.append(f"{page.name}: {target}")
    assert missing == []


def test_links_to_a_heading_lead_to_one_on_that_page():
    missing = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
        for target, anchor in links:
            if "://" not in target and anchor not in anchors(
                page.parent / target if target else page
            ):
                missing.append(f"{page.name}: {target}#{anchor}")
    assert missing == []


def anchors(page: Path) -> set[str]:
    """What GitHub names the headings of a page: letters, digits and hyphens, in lower case."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_the_walks_through_the_code_name_files_that_exist():
    text = (ROOT / "docs/walks.md").read_text(encoding="utf-8")
    steps = re.findall(r"^1\. `([^`]+)`", text, flags=re.MULTILINE)
    assert len(steps) > 60
    assert [step for step in steps if not (ROOT / "app" / step).is_file()] == []


def test_the_seam_names_the_pinned_version():
    page = (ROOT / "docs/seam.md").read_text(encoding="utf-8")
    pinned = re.findall(
        r'"llama-cpp-python==([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    assert pinned != []
    assert [version for version in pinned if f"llama-cpp-python {version}" not in page] == []


KEEPS = {
    "connects": "connections",
    "serves": "its socket",
    "starts_children": "child processes",
    "everything": "everything",
}


def test_the_page_on_security_lists_every_child_process_and_what_its_lock_leaves():
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    listed = {
        found["module"]: found["keeps"]
        for found in re.finditer(
            r"^\|[^|]*\(`(?P<module>[\w.]+)`\)[^|]*\|[^|]*\| (?P<keeps>[^|]*) \|",
            page,
            re.MULTILINE,
        )
    }
    for kind in ChildKind:
        words = [word for name, word in KEEPS.items() if getattr(kind.value.lock, name)]
        assert listed.pop(kind.value.module) == (", ".join(words) or "nothing")
    assert listed == {}
