"""Prints results to standard output and everything else to standard error."""

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_, tr

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_CODE_PAGE = re.compile(r"cp\d+|mbcs|gbk|gb2312|gb18030|big5", re.IGNORECASE)
# Text from models and files must not move the cursor, retitle the terminal or set the clipboard.
_CONTROLS = {n: None for n in (*range(32), *range(127, 160)) if chr(n) not in "\n\t"}


def prepare_streams() -> None:
    """Replace standard streams that are closed, and use UTF-8 where a pipe has a code page.

    A closed input is an empty one; what a closed error stream would get is lost. Python takes the
    code page of Windows, which has no Chinese in Europe or America. A user's PYTHONIOENCODING is
    respected, and on other systems the locale, which is the user's choice too.
    """
    nothing = Path(os.devnull)
    sys.stdin = sys.stdin or nothing.open(encoding="utf-8")
    sys.stderr = sys.stderr or nothing.open("w", encoding="utf-8")
    if isinstance(sys.stdin, io.TextIOWrapper):  # bytes of another encoding are U+FFFD later
        sys.stdin.reconfigure(errors="surrogateescape")
    if os.environ.get("PYTHONIOENCODING"):
        return
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or stream.isatty():
            continue
        if _CODE_PAGE.fullmatch(stream.encoding):
            stream.reconfigure(encoding="utf-8", errors="replace")


class StandardOutputUnwritable(R1Error):
    """Standard output is closed, or takes no more. Raised by `result`, `result_json`, `answer`."""

    what = N_("The output cannot be written.")
    why = N_("{detail}")
    todo = N_("Let the output go to a terminal, or to a file on a drive with room for it.")
    exit_code = 1


def result(text: str) -> None:
    """Print a line of the result, without control characters."""
    _write(_encodable(without_controls(text), sys.stdout) + "\n")


def result_json(value: dict[str, Any]) -> None:
    """Print the result as one JSON object, escaped unless the output is Unicode."""
    _write(json.dumps(value, ensure_ascii=not _unicode(sys.stdout)) + "\n")


def answer(text: str) -> None:
    """Print a piece of the model's answer; on a terminal without control characters."""
    shown = without_controls(text) if sys.stdout and sys.stdout.isatty() else text
    _write(_encodable(shown, sys.stdout))


def _write(text: str) -> None:
    if sys.stdout is None:
        raise StandardOutputUnwritable(detail=tr("It is closed."))
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has left, which is no fault
        raise
    except OSError as error:
        # What is buffered would be written again, and fail again, when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StandardOutputUnwritable(detail=f"{error.strerror}.") from error


def thinking(text: str) -> None:
    """Print a piece of the model's thinking, dimmed, if standard error is a terminal."""
    _to_terminal(text, dim=True)


def note(text: str) -> None:
    """Print a remark on standard error, without control characters."""
    shown = _encodable(without_controls(text), sys.stderr)
    print(shown, file=sys.stderr, flush=True)  # noqa: T201


def aside(text: str, *, dim: bool = False) -> None:
    """Print a remark, perhaps dimmed, if standard error is a terminal."""
    _to_terminal(text, dim=dim, after="\n")


def error(problem: R1Error) -> None:
    """Print an error on standard error: what happened, why, and what to do."""
    what, *rest = [sentence for sentence in problem.sentences() if sentence] or [""]
    note(tr("Error: {what}", what=what))
    for sentence in rest:
        note(sentence)


def status(text: str, *, dim: bool = False) -> None:
    """Print a line that the next status replaces, on a terminal only. An empty text clears it."""
    _to_terminal(text, before="\r\x1b[K", dim=dim)


def without_controls(text: str) -> str:
    """Returns `text` without control characters other than line feeds and tabs."""
    return text.translate(_CONTROLS)


def cell(text: str) -> str:
    """Returns `text` for a table: on one line, without control characters."""
    return " ".join(without_controls(text).split())


def _to_terminal(text: str, *, before: str = "", after: str = "", dim: bool) -> None:
    if sys.stderr.isatty():
        shown = _encodable(without_controls(text), sys.stderr)
        sys.stderr.write(f"{before}{_DIM}{shown}{_PLAIN}{after}" if dim else before + shown + after)
        sys.stderr.flush()


def _unicode(stream: Any) -> bool:
    encoding: str | None = getattr(
        stream, "encoding", None
    )  # None: a stream of texts, as rich's is
    return encoding is None or encoding.lower().replace("-", "").startswith("utf")


def _encodable(text: str, stream: Any) -> str:
    """Returns `text` with characters replaced that the stream's encoding does not have."""
    if _unicode(stream):
        return text
    return text.encode(stream.encoding, errors="replace").decode(stream.encoding)
