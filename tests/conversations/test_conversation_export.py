"""HTML and PDF of conversations: whole, safe, with formulas, and without holding the window up."""

import gc
import itertools
import re
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest
import shiboken6
from PySide6.QtCore import QObject
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core import child_call
from deepseek_r1.core.errors import R1Error
from r1desk.chat.formulas import formula_service
from r1desk.chat.formulas.formula_service import WaitingFormulas
from r1desk.conversations.conversation_export import ConversationExport, Writer
from r1desk.conversations.pdf_writer import PdfWriter
from r1desk.platform.tasks import Tasks
from r1desk.store import Attachment, ChatMessage, Store, StoreThread
from r1desk.store.store_bridge import StoreBridge
from support.answer_corpus import answers
from support.awaiting import result_of
from support.patience import PATIENCE_S
from window.stall_meter import StallMeter

HOSTILE = """<script>alert(1)</script> <img src=x onerror=alert(2)> & "quotes"

[click](javascript:alert(3)) [bank.example](https://evil.example/x) ![pic](https://evil.example/p.png)

| a<b> | `<b>` |
|:--|--:|
| </table><script>x</script> | \\(<\\) |

```"><script>
</code></pre><script>alert(4)</script>
```

\\(\\text{</svg><script>alert(5)</script>}\\)
"""


class Tags(HTMLParser):
    """The elements of a page, its text, and its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[StoreBridge]:
    thread = StoreThread(tmp_path / "conversations.db")
    bridge = StoreBridge(thread)
    yield bridge
    bridge.close()
    thread.close()


def conversation(*pairs: tuple[str, str], thinking: str = "", attachments: tuple = ()):
    def work(store: Store) -> int:
        key = store.conversations.create().id
        parent = None
        for question, text in pairs:
            asked = store.messages.append_user(key, question, parent, attachments)
            answer = store.messages.begin_answer(key, asked.id, "R1 1.5B")
            parent = store.messages.finish_answer(answer.id, text, thinking, 4.0).id
        return key

    return work


def stored(bridge: StoreBridge, *works: object) -> list[int]:
    return [result_of(bridge.ask(work)) for work in works]


async def written(export: ConversationExport) -> None:
    await export.written()


def exported(bridge, file, chosen=None):
    try:
        assert result_of(ConversationExport(bridge, file, chosen).written())
    except R1Error as refused:
        return refused.report()
    return None


def page_of(bridge: StoreBridge, folder: Path, *works: object) -> Tags:
    """The web page of all conversations, which these are."""
    stored(bridge, *works)
    assert exported(bridge, folder / "all.html") is None
    return Tags((folder / "all.html").read_text(encoding="utf-8"))


def test_a_page_has_the_shown_branch_with_formulas_code_and_files(qtbot, bridge, tmp_path):
    answer = (
        "So \\(x^2=4\\), and\n\n\\[\\frac{a}{b}\\]\n\n- one\n- **two**\n\n"
        "| n | m |\n|--|--|\n| 1 | 2 |\n\n```python\ndef f(): return 1  # one\n```\n"
    )
    work = conversation(
        ("解方程 x²=4?", answer),
        thinking="Let me *see*.",
        attachments=(Attachment("a.csv", "x,y"),),
    )
    page = page_of(bridge, tmp_path, work)
    assert page.tags.count("svg") == 2
    assert {"table", "ul", "strong", "pre", "details", "em"} <= set(page.tags)
    for text in ("解方程 x²=4?", "R1 1.5B", "Let me ", "a.csv", "x,y", "def", "\\(x^2=4\\)"):
        assert text in page.text
    assert ("class", "k") in page.attributes  # the code is coloured


def test_a_page_runs_nothing_and_loads_nothing(qtbot, bridge, tmp_path):
    files = (Attachment("<script>.txt", "</pre><script>alert(6)</script>"),)
    hostile = conversation((HOSTILE, HOSTILE), thinking=HOSTILE, attachments=files)
    page = page_of(bridge, tmp_path, hostile)
    assert not {"script", "img", "iframe", "object", "link"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    addresses = {value for name, value in page.attributes if name == "href"}
    assert addresses == {"https://evil.example/x"}
    assert "alert(1)" in page.text  # as text
    assert "(evil.example)" in page.text  # the link's text names another host


def test_all_conversations_are_one_page_with_a_table_of_contents(qtbot, bridge, tmp_path):
    works = conversation(("First?", "1")), conversation(("Second?", "2"))
    page = page_of(bridge, tmp_path, *works)
    assert {("href", "#c0"), ("href", "#c1"), ("id", "c0"), ("id", "c1")} <= set(page.attributes)


def test_a_pdf_has_as_many_pages_as_the_text_needs(qtbot, bridge, tmp_path):
    long = "\n\n".join(f"Paragraph {n} with \\(x_{{{n}}}^2\\) and 中文。" for n in range(200))
    keys = stored(
        bridge,
        conversation(("Short?", "Yes.")),
        conversation(("Long?", long + "\n\n```\n" + "code\n" * 150 + "```\n"), thinking=long),
    )
    pages = []
    for key in keys:
        file = tmp_path / f"{key}.pdf"
        assert exported(bridge, file, [key]) is None
        data = file.read_bytes()
        assert data.startswith(b"%PDF-")
        pages.append(len(re.findall(rb"/Type\s*/Page\b", data)))
    assert pages[0] == 1
    assert pages[1] > 10


@pytest.fixture
def in_the_middle(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when an export has written 20 messages; it goes on once it is cancelled."""
    reached, written = threading.Event(), itertools.count()
    write = ConversationExport._write_message

    def write_or_wait(export: ConversationExport, writer: Writer, message: ChatMessage) -> None:
        if next(written) == 20:
            reached.set()
            assert export._cancelled.wait(PATIENCE_S)
        write(export, writer, message)

    monkeypatch.setattr(ConversationExport, "_write_message", write_or_wait)
    return reached


@pytest.mark.parametrize("suffix", ["html", "pdf"])
def test_an_export_is_cancelled_in_the_middle_of_a_conversation(
    qtbot, bridge, tmp_path, in_the_middle, suffix
):
    pairs = [(f"Question {n}?", text) for n, text in enumerate(answers()[:60])]
    stored(bridge, conversation(*pairs))
    export = ConversationExport(bridge, file := tmp_path / f"all.{suffix}", ())
    threading.Thread(target=lambda: (in_the_middle.wait(PATIENCE_S), export.cancel())).start()
    assert not result_of(export.written())
    assert not file.exists()


def test_a_pdf_that_is_cancelled_leaves_no_text_to_another_thread(qapp: QApplication) -> None:
    def documents() -> set[int]:
        found = (each for each in gc.get_objects() if type(each) is QTextDocument)
        return {id(each) for each in found if shiboken6.isValid(each)}

    def pause() -> None:
        raise InterruptedError

    before, writer = documents(), PdfWriter(WaitingFormulas(), pause, "")
    with pytest.raises(InterruptedError) as kept:  # its frames keep the text
        writer.add_question("Hello")
    writer.close()
    assert documents() <= before
    assert kept.value


def test_a_formula_that_never_comes_does_not_hold_the_closing_window_up(
    qtbot: QtBot, bridge: StoreBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(formula_service, "_START_S", 600)
    monkeypatch.setattr(child_call, "child_command", lambda _kind: silent)
    stored(bridge, conversation(("Pythagoras?", "\\(a^2+b^2\\)")))
    owner = QObject()
    export = ConversationExport(bridge, tmp_path / "all.html", ())
    Tasks(owner).start(written(export))
    qtbot.waitUntil(lambda: export._formulas is not None)
    qtbot.wait(300)
    export.close()
    assert not (tmp_path / "all.html").exists()


def test_an_export_that_nobody_awaits_any_more_leaves_no_file_and_no_thread(
    qtbot: QtBot, bridge: StoreBridge, tmp_path: Path, in_the_middle: threading.Event
) -> None:
    pairs = [(f"Question {n}?", text) for n, text in enumerate(answers()[:60])]
    stored(bridge, conversation(*pairs))
    before = psutil.Process().num_threads()
    file, owner = tmp_path / "all.pdf", QObject()
    (tasks := Tasks(owner)).start(written(ConversationExport(bridge, file, ())))
    qtbot.waitUntil(in_the_middle.is_set)
    tasks.close()
    qtbot.waitUntil(lambda: psutil.Process().num_threads() <= before)
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_named(qtbot, bridge, tmp_path):
    stored(bridge, conversation(("q", "a")))
    for suffix in ("html", "pdf"):
        report = exported(bridge, tmp_path / "no" / f"folder.{suffix}")
        assert report is not None
        assert report.code == "ArchiveNotWritten"


@pytest.mark.quiet
@pytest.mark.parametrize("suffix", ["html", "pdf"])
def test_an_export_never_holds_the_window_up(qtbot, bridge, tmp_path, suffix):
    pairs = [(f"Question {n}?", text) for n, text in enumerate(answers()[:60])]
    chinese = [chr(0x4E00 + 7 * n) for n in range(2_000)]
    pairs.append(("Chinese?", "\n\n".join("".join(chinese[n::20]) for n in range(20))))
    stored(bridge, conversation(*pairs))
    exported(bridge, tmp_path / f"warm.{suffix}")  # imports, fonts
    # Other work makes a step longer, never shorter.
    assert any(longest_stall(qtbot, bridge, tmp_path / f"{n}.{suffix}") < 0.05 for n in range(5))


def longest_stall(qtbot: QtBot, bridge: StoreBridge, path: Path) -> float:
    """Seconds for which an export of everything kept the event loop away."""
    meter = StallMeter()
    assert exported(bridge, path) is None
    meter.stop()
    return meter.worst_s
