"""Exports conversations as HTML or PDF."""

import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import TypeVar

import shiboken6

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import tr
from r1desk.chat.formulas.formula_service import WaitingFormulas
from r1desk.chat.text.block_splitter import BlockSplitter, MarkdownBlock
from r1desk.chat.values.duration import duration_text
from r1desk.conversations.html_writer import HtmlWriter
from r1desk.conversations.pdf_writer import PDF_SUFFIX, PdfWriter
from r1desk.platform.background_thread import ask_in_background
from r1desk.store import ChatMessage, StoreWork
from r1desk.store.archive import write_export
from r1desk.store.store_bridge import StoreBridge

Result = TypeVar("Result")
Writer = HtmlWriter | PdfWriter
_STEP = 2_000  # characters of Markdown that are parsed at once

# The interpreter runs one thread at a time: after so much work the window's thread gets its turn.
_TURN_S = 0.004
_PAUSE_S = 0.001


class _Cancelled(Exception):
    """No file is to be written."""


class ConversationExport:
    """One export, in a thread of its own, which reads one conversation at a time from the store.

    The end of a PDF takes 0.1 ms for every different glyph in it, at once: too long for the
    window's thread. Fonts are each thread's own in Qt: whatever touches a document is done there.
    """

    def __init__(self, store: StoreBridge, file: Path, conversation_ids: Sequence[int]) -> None:
        """`conversation_ids` are all outside the trash where none is named."""
        self._store, self._file, self._chosen = store, file, conversation_ids
        self._cancelled, self._ended = Event(), Event()
        self._formulas: WaitingFormulas | None = None
        self._turn_began = 0.0

    async def written(self) -> bool:
        """Write; False where it was cancelled. Raises the R1Error that prevents it."""
        try:
            await ask_in_background(self._written)
        except GeneratorExit:  # nobody waits for it any more
            self.cancel()
            raise
        except R1Error:
            if not self._cancelled.is_set():
                raise
        return not self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()
        if (formulas := self._formulas) is not None:
            formulas.close()

    def close(self) -> None:
        """Write nothing, and wait until the thread touches Qt no more."""
        self.cancel()
        self._ended.wait()

    # ---- the thread

    def _written(self) -> None:
        formulas = self._formulas = WaitingFormulas()
        try:
            self._write(formulas)
        except _Cancelled:
            pass
        finally:
            self._formulas = None
            formulas.close()
            shiboken6.delete(formulas)
            self._ended.set()

    def _write(self, formulas: WaitingFormulas) -> None:
        chosen = self._chosen or self._read(
            lambda store: [info.id for info in store.conversations.infos()]
        )

        writer = self._writer(formulas, self._title_of(chosen[0]) if len(chosen) == 1 else "")
        try:
            for key in chosen:
                writer.begin_conversation(self._title_of(key))
                for message in self._messages_of(key):
                    self._write_message(writer, message)
            self._pause()
        finally:
            writer.close()  # a painter must end before the document it draws on goes
        write_export(self._file, writer.document())

    def _title_of(self, key: int) -> str:
        return self._read(lambda store: store.conversations.get(key).title)

    def _messages_of(self, key: int) -> list[ChatMessage]:
        return self._read(lambda store: store.messages.path(key))

    def _read(self, work: StoreWork[Result]) -> Result:
        self._pause()
        return self._store.run(work)

    def _writer(self, formulas: WaitingFormulas, title: str) -> Writer:
        if self._file.suffix.lower() == PDF_SUFFIX:
            return PdfWriter(formulas, self._pause, title or tr("All chats"))
        return HtmlWriter(formulas, self._pause)

    def _write_message(self, writer: Writer, message: ChatMessage) -> None:
        self._pause()
        writer.add_author(_author_of(message))
        if not message.is_answer:
            for attachment in message.attachments:
                label = tr("Attached file: {label}", label=attachment.name)
                writer.add_attachment(label, attachment.content)
            writer.add_question(message.content)
            return
        if message.thinking.strip():
            writer.begin_thinking(_thinking_label(message))
            self._write_markdown(writer, message.thinking)
            writer.end_thinking()
        self._write_markdown(writer, message.content)
        if message.sources is not None:
            sources = message.sources
            answer = message.content
            writer.add_attachment(sources.summary(answer), sources.text(answer))

    def _write_markdown(self, writer: Writer, source: str) -> None:
        splitter = BlockSplitter()
        for start in range(0, len(source), _STEP):
            self._write_blocks(writer, splitter.feed(source[start : start + _STEP]))
        self._write_blocks(writer, splitter.finish())

    def _write_blocks(self, writer: Writer, blocks: list[MarkdownBlock]) -> None:
        self._pause()
        for block in blocks:
            writer.add_block(block)
            self._pause()

    def _pause(self) -> None:
        """Give the window's thread its turn now and then. Raises _Cancelled."""
        if self._cancelled.is_set():
            raise _Cancelled
        if time.perf_counter() - self._turn_began > _TURN_S:
            time.sleep(_PAUSE_S)
            self._turn_began = time.perf_counter()


def _author_of(message: ChatMessage) -> str:
    if not message.is_answer:
        return tr("You")
    name = message.model_name or tr("Answer")
    return tr("{name} (edited)", name=name) if message.edited else name


def _thinking_label(message: ChatMessage) -> str:
    if not message.thinking_s:
        return tr("Thinking")
    return tr("Thought for {duration}", duration=duration_text(message.thinking_s))
