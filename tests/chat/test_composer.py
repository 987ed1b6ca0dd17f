"""The composer: what sends, what does not, and what a large paste does."""

import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, QMimeData, QObject, Qt
from PySide6.QtGui import QInputMethodEvent, QPaintEvent
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from r1desk.chat.composer.composer import Composer
from r1desk.chat.text.attachment_chip import AttachmentChip, Chip
from r1desk.chat.values.intents import EditLastQuestion, Intent, SaveDraft, Send, StopAnswer
from r1desk.store.prompt_store import SavedPrompt


@pytest.fixture
def composer(qtbot: QtBot) -> Iterator[Composer]:
    window = QWidget()
    window.resize(700, 400)
    qtbot.addWidget(window)
    composer = Composer(window)
    composer.resize(700, 60)
    window.show()
    yield composer
    window.close()


@pytest.fixture
def field(composer: Composer) -> QPlainTextEdit:
    return composer.findChild(QPlainTextEdit)


@pytest.fixture
def asked(composer: Composer) -> list[Intent]:
    """What the composer asked for, without the drafts."""
    told: list[Intent] = []
    composer.requested.connect(
        lambda intent: None if isinstance(intent, SaveDraft) else told.append(intent)
    )
    return told


class WholePaints(QObject):
    """Sees when all of a widget is painted, not only what lies below a child."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.seen = False
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QPaintEvent):
            self.seen |= event.rect() == watched.rect()
        return False


def test_enter_sends_and_empties_the_box_but_not_of_blanks(composer, field, asked, qtbot):
    qtbot.keyClicks(field, "hello")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert asked == [Send("hello")]
    assert composer.text() == ""
    qtbot.keyClicks(field, "   ")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert asked == [Send("hello")]
    assert composer.text() == "   "


def test_the_frame_follows_the_keyboard(composer, field, qtbot):
    other = QToolButton(composer.window())
    other.show()
    qtbot.waitActive(composer.window())
    painted = WholePaints(composer)
    field.setFocus()
    QApplication.processEvents()
    for widget in (other, field):
        painted.seen = False
        widget.setFocus()
        qtbot.waitUntil(lambda: painted.seen)


def test_shift_enter_breaks_the_line(composer, field, asked, qtbot):
    qtbot.keyClicks(field, "a")
    qtbot.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert asked == []
    qtbot.keyClicks(field, "b")
    assert composer.text() == "a\nb"


def test_enter_while_a_word_is_composed_does_not_send(composer, field, asked, qtbot):
    QApplication.sendEvent(field, QInputMethodEvent("ni hao", []))
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert asked == []
    done = QInputMethodEvent("", [])
    done.setCommitString("你好")
    QApplication.sendEvent(field, done)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert asked == [Send("你好")]


def hints(composer) -> list[str]:
    labels = [each for each in composer.findChildren(QLabel) if each.isVisible()]
    return [each.text() for each in labels]


def test_a_message_for_a_file_that_is_being_read_is_sent_behind_it(composer, field, asked, qtbot):
    """Enter did nothing, and had to be pressed again."""
    composer.set_chips([Chip("scan.pdf")], attached=False, reading=True)
    qtbot.keyClicks(field, "What does it say?")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert "It is sent once the file is read." in hints(composer)
    assert asked == []
    for _ in range(2):  # the draft has another file, and one less is being read
        composer.set_chips([Chip("scan.pdf")], attached=True, reading=False)
    qtbot.waitUntil(lambda: asked == [Send("What does it say?")])
    qtbot.wait(20)
    assert "It is sent once the file is read." not in hints(composer)


@pytest.mark.parametrize("reading", [True, False])
def test_enter_with_files_alone_asks_for_a_question(reading, composer, field, asked, qtbot):
    composer.set_chips([Chip("scan.pdf")], attached=not reading, reading=reading)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert "Write a question first: a file alone is not sent." in hints(composer)
    qtbot.keyClicks(field, "W")
    assert "Write a question first: a file alone is not sent." not in hints(composer)
    assert asked == []


@pytest.mark.parametrize("change", ["typed", "escape", "file gone"])
def test_what_changes_while_a_file_is_read_is_not_sent(change, composer, field, asked, qtbot):
    composer.set_chips([Chip("a.pdf")], attached=False, reading=True)
    qtbot.keyClicks(field, "What does it say")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    if change == "typed":
        qtbot.keyClicks(field, "?")
    elif change == "escape":
        qtbot.keyClick(field, Qt.Key.Key_Escape)
    else:
        composer.keep()
    composer.set_chips([Chip("a.pdf")], attached=change != "file gone", reading=False)
    qtbot.wait(50)
    assert asked == []
    assert composer.text().startswith("What does it say")


def test_the_button_stops_while_busy(composer, field, asked, qtbot):
    composer.set_text("next")
    composer.set_state(busy=True)
    stop = next(b for b in composer.findChildren(QToolButton) if b.accessibleName() == "Stop")
    stop.click()
    qtbot.keyClick(field, Qt.Key.Key_Escape)
    assert asked == [StopAnswer(), StopAnswer()]
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert asked[2:] == [Send("next")]  # Enter queues


def test_the_hint_stays_in_view_while_something_is_typed(composer, field, qtbot):
    composer.set_state(hint="Press Enter to queue")
    assert field.placeholderText() == "Press Enter to queue"
    qtbot.keyClicks(field, "next")
    label = next(label for label in composer.findChildren(QLabel) if label.isVisible())
    assert label.text() == "Press Enter to queue"
    composer.set_state()
    assert not label.isVisible()


def test_a_reason_keeps_from_sending_and_not_from_writing(composer, field, asked, qtbot):
    composer.set_state(reason="No model is loaded")
    qtbot.keyClicks(field, "hello")
    send = next(b for b in composer.findChildren(QToolButton) if b.accessibleName() == "Send")
    assert not send.isEnabled()
    assert send.toolTip() == "No model is loaded"
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert asked == []
    composer.set_state()
    assert send.isEnabled()


def test_the_draft_is_told_once_after_a_pause(composer, field, qtbot):
    told: list[str] = []
    composer.requested.connect(lambda intent: told.append(intent.text))
    composer._draft_timer.setInterval(60_000)  # so that no busy machine takes longer to type
    qtbot.keyClicks(field, "hello")
    assert told == []
    composer._draft_timer.setInterval(100)  # begun anew
    qtbot.waitUntil(lambda: told == ["hello"])
    composer.set_text("restored")
    qtbot.wait(300)
    assert told == ["hello"]


def test_up_in_the_empty_box_edits_the_last_message(composer, field, asked, qtbot):
    qtbot.keyClick(field, Qt.Key.Key_Up)
    assert asked == [EditLastQuestion()]
    qtbot.keyClicks(field, "x")
    qtbot.keyClick(field, Qt.Key.Key_Up)
    assert asked == [EditLastQuestion()]


def test_it_grows_to_eight_lines(composer: Composer, field: QPlainTextEdit, qtbot: QtBot) -> None:
    heights = []
    for lines in (1, 4, 8, 30):
        composer.set_text("\n".join(["line"] * lines))
        heights.append(field.height())
    assert heights[0] < heights[1] < heights[2] == heights[3]


@pytest.mark.quiet
@pytest.mark.parametrize("text", ["x" * 1_500_000, "长" * 500_000, "a line\n" * 200_000])
def test_a_huge_paste_is_kept_exactly_and_at_once(text, composer, field, asked, qtbot):
    data = QMimeData()
    data.setText(text)
    started = time.thread_time()
    field.insertFromMimeData(data)
    qtbot.wait(1)
    composer.resize(500, 60)
    qtbot.keyClicks(field, "what is this?")
    assert time.thread_time() - started < 0.5
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert asked == [Send(f"what is this?\n\n{text}")]
    composer.set_text(text)  # a draft
    assert composer.text() == text


def test_a_pasted_text_is_a_chip_like_a_file_and_can_be_removed(composer, field, qtbot):
    data = QMimeData()
    data.setText("y" * 30_000)
    field.insertFromMimeData(data)
    chip = next(each for each in composer.findChildren(AttachmentChip) if each.isVisible())
    assert chip.open_button.text() == "Pasted text · 30,000 characters"
    chip.buttons[0].click()
    assert composer.text() == ""
    assert not chip.isVisible()


def test_rich_text_is_pasted_as_plain(composer: Composer, field: QPlainTextEdit) -> None:
    data = QMimeData()
    data.setHtml("<img src='file:///etc/passwd'><b>x</b>")
    data.setText("x")
    field.insertFromMimeData(data)
    assert composer.text() == "x"


@pytest.mark.parametrize("slash", ["/", "、"])
def test_the_fields_of_a_prompt_are_filled_in_by_tab_and_none_is_forgotten(
    composer: Composer, field: QPlainTextEdit, asked: list[Intent], qtbot: QtBot, slash: str
) -> None:
    content = "🙂 Say {{text}} in {{the language}}, {{语气}}, not {{ x }}."
    composer.prompts = (SavedPrompt(name="Say", content=content),)
    typed = QInputMethodEvent()
    typed.setCommitString(slash)
    with qtbot.waitSignal(composer.editor.slash_typed):
        QApplication.sendEvent(field, typed) if slash == "、" else qtbot.keyClicks(field, slash)
    composer.prompt_entries()[0].run()
    for key, text in (("", "hi"), (Qt.Key.Key_Tab, ""), (Qt.Key.Key_Tab, ""), ("", "polite")):
        qtbot.keyClick(field, key) if key else qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Backtab)
    assert field.textCursor().selectedText() == "{{the language}}"
    field.moveCursor(field.textCursor().MoveOperation.End)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert not asked
    hints = [label.text() for label in composer.findChildren(QLabel) if label.isVisible()]
    assert "{{the language}} is still empty. Press Enter again to send it anyway." in hints
    qtbot.keyClicks(field, "French")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert asked == [Send("🙂 Say hi in French, polite, not {{ x }}.")]
