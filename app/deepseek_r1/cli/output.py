"""Where words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.words import tr

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
# A model's text must not move the cursor, retitle the window or write to the clipboard.
_CONTROLS = {n: None for n in (*range(32), *range(127, 160)) if chr(n) not in "\n\t"}


def result(text: str) -> None:
    """A line of the result."""
    print(_encodable(text, sys.stdout), flush=True)  # noqa: T201 - this is where printing lives


def result_json(value: dict[str, Any]) -> None:
    """The result as one JSON object. Escaped where the output is not Unicode."""
    print(json.dumps(value, ensure_ascii=not _unicode(sys.stdout)), flush=True)  # noqa: T201


def answer(text: str) -> None:
    """A piece of the model's answer, as it is; on a terminal without control characters."""
    shown = text.translate(_CONTROLS) if sys.stdout.isatty() else text
    sys.stdout.write(_encodable(shown, sys.stdout))
    sys.stdout.flush()


def thinking(text: str) -> None:
    """A piece of the model's thinking: dimmed, for those who watch. Not written into a file."""
    if sys.stderr.isatty():
        shown = _encodable(text.translate(_CONTROLS), sys.stderr)
        sys.stderr.write(f"{_DIM}{shown}{_PLAIN}")
        sys.stderr.flush()


def note(text: str) -> None:
    """A remark on the side."""
    print(_encodable(text, sys.stderr), file=sys.stderr, flush=True)  # noqa: T201


def aside(text: str) -> None:
    """A remark for those who watch: on a terminal only."""
    if sys.stderr.isatty():
        note(text)


def dimmed(text: str) -> str:
    """The text for a terminal's standard error, less bright."""
    return f"{_DIM}{text}{_PLAIN}" if sys.stderr.isatty() else text


def error(problem: R1Error) -> None:
    """What happened, why, and what to do, one line each."""
    what, *rest = [sentence for sentence in problem.sentences() if sentence] or [""]
    note(tr("Error: {what}", what=what))
    for sentence in rest:
        note(sentence)


def status(text: str) -> None:
    """A line that the next status replaces, on a terminal only. An empty one clears it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{_encodable(text, sys.stderr)}")
        sys.stderr.flush()


def _unicode(stream: Any) -> bool:
    return str(stream.encoding or "").lower().replace("-", "").startswith("utf")


def _encodable(text: str, stream: Any) -> str:
    """`text` without what the stream's encoding cannot express."""
    if _unicode(stream):
        return text
    encoding = stream.encoding or "ascii"
    return text.encode(encoding, errors="replace").decode(encoding)
