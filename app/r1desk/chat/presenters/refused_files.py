"""Files that could not be read, in one notice."""

from functools import partial

from PySide6.QtGui import QGuiApplication

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import join_sentences, tr, trn
from deepseek_r1.documents.errors import OCR_COMMAND, DocumentIsPicture
from r1desk.widgets.notice_bar import Notice, NoticeBar

_MOST_LISTED = 8


class RefusedFiles:
    """Shows why files were refused, a line for each."""

    def __init__(self, notices: NoticeBar, topic: str) -> None:
        """All of this `topic` of notices is one notice."""
        self._notices, self._topic = notices, topic
        self._reports: list[ErrorReport] = []

    def add(self, report: ErrorReport) -> None:
        """Show a refusal beside those before it."""
        self._reports = [*(each for each in self._reports if each != report), report]
        self._notices.withdraw(self._topic)
        actions = {}
        if any(isinstance(each.error, DocumentIsPicture) for each in self._reports):
            copy = partial(QGuiApplication.clipboard().setText, OCR_COMMAND)
            actions = {tr("Copy the command"): copy}
        notice = Notice(self._text(), actions=actions, topic=self._topic)
        self._notices.show_notice(notice)

    def clear(self) -> None:
        """Show none any more."""
        self._reports = []
        self._notices.withdraw(self._topic)

    def _text(self) -> str:
        count = len(self._reports)
        if count == 1:
            return self._reports[0].text()
        title = trn("{n:,} file was not attached:", "{n:,} files were not attached:", count)
        shown = self._reports[:_MOST_LISTED]
        lines = [f"• {_reason(each)}" for each in shown]
        if more := count - len(shown):
            lines.append(tr("… and {n:,} more", n=more))
        return "\n".join([title, *lines])


def _reason(report: ErrorReport) -> str:
    text, name = join_sentences(report.error.sentences()[:2]), str(report.facts.get("name", ""))
    return text if name in text else f"{name}: {text}"
