"""The process that renders chat templates: `python -m deepseek_r1.engine.prompt.template_renderer`.

A template is rendered as the `transformers` library does (trim_blocks, lstrip_blocks, loop
controls, tojson, raise_exception, strftime_now), in Jinja's immutable sandbox. It can keep one call
of C busy for hours, where no check written in Python is reached. So the system itself limits this
process: its memory, and the processor's time of each request, after which it is killed.

A frame is four bytes of length, big-endian, then JSON; `core.frames` would need pydantic. A request
is `{"source", "calls", "language"}`, its reply a list of `[outcome, text]`.
Only the standard library and Jinja are imported here: the process is part of the memory budget.
"""

import contextlib
import errno
import gc
import json
import os
import signal
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from jinja2 import Template, Undefined
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from deepseek_r1.core.i18n import current_language, tr, use_language
from deepseek_r1.core.process_lock import lock_without_files
from deepseek_r1.core.processes import ChildKind

# What a request may take beyond the process's own memory; the bill has all of it (`memory.plan`).
MEMORY_BYTES = 2 << 20
SOURCE_BYTES = 256  # for each character of the template: published ones take 2 MiB and up to 225
CONTENT_BYTES = 32  # for each byte of the request: texts of four bytes a character take 26
CPU_SECONDS = 2.5  # of one request
BASE_CHARACTERS = 256 * 1024  # that a prompt may have beyond the contents
MESSAGE_CHARACTERS = 1024  # for each message
CONTENT_COPIES = 16  # how often a prompt may repeat the contents
_DETAIL_CHARACTERS = 300
_LENGTH = struct.Struct(">I")

# Jinja compiles code when it reports an error, and where that code cannot be allocated, CPython may
# raise SystemError: "<built-in function compile> returned NULL without setting an exception".
OUT_OF_MEMORY_ERRORS = (MemoryError, SystemError)


def main() -> None:
    """Serve requests until the owner closes the pipe."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not reach the owner as a frame
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    lock_without_files(ChildKind.TEMPLATES.value.lock)
    gc.freeze()
    try:
        _serve(source, sink)
    except OUT_OF_MEMORY_ERRORS:  # the next request gets a new process with all of its memory
        os._exit(errno.ENOMEM)
    os._exit(0)


def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    own_bytes = _address_space_bytes()
    with contextlib.suppress(BrokenPipeError):
        while _answer(source, sink, own_bytes):
            pass  # what a request took is free before the next one comes


def _answer(source: BinaryIO, sink: BinaryIO, own_bytes: int) -> bool:
    """Answer the next request; False where none comes any more."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return False
    (size,) = _LENGTH.unpack(head)
    _limit_memory(own_bytes, CONTENT_BYTES * size)
    if len(body := source.read(size)) < size:
        return False
    request = json.loads(body)
    if request["language"] != current_language():
        use_language(request["language"])
    _limit_memory(own_bytes, CONTENT_BYTES * size + SOURCE_BYTES * len(request["source"]))
    with _limited_time():
        results = render_calls(request["source"], request["calls"])
    _write(sink, results)
    if any(outcome != "text" for outcome, _text in results):
        gc.collect()  # what a template has filled is in cycles with its exception's frames
    return True


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    """Let the system kill this process after `CPU_SECONDS`, whatever its interpreter does.

    Windows has no such signal: the owner's deadline and its job object replace it.
    """
    if sys.platform == "win32":
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def _address_space_bytes() -> int:
    """The size of this process's address space; 0 where its limit is not set here."""
    if sys.platform != "linux":  # macOS does not enforce it; there and on Windows the owner does
        return 0
    import resource  # noqa: PLC0415 - not on Windows

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _limit_memory(own_bytes: int, more_bytes: int) -> None:
    """Limit the address space to the process's own, what any request may need, and `more_bytes`.

    Its own is that of the start: what an earlier template has left would be allowed again.
    """
    if not own_bytes:
        return
    import resource  # noqa: PLC0415 - not on Windows

    most = own_bytes + MEMORY_BYTES + more_bytes
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(
        resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )


def _write(sink: BinaryIO, value: Any) -> None:
    try:
        body = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # lone surrogates, which JSON's escapes carry
        body = json.dumps(value).encode()
    sink.write(_LENGTH.pack(len(body)) + body)
    sink.flush()


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}`, which marks an answer for training: only its text."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own form

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _RefusalError(Exception):
    """The template refuses the conversation."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """The environment that `transformers` renders with."""

    intercepted_binops = frozenset({"**"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
        )
        self.filters["tojson"] = _to_json
        self.globals |= {
            "tools": None,
            "documents": None,
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
        }

    def call_binop(self, _context: Context, operator: str, _left: Any, _right: Any) -> NoReturn:
        """Refuse powers: no chat template needs one, and few digits of it take hours."""
        raise SecurityError(tr("the template uses the operator {sign}", sign=operator))

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Refuse a template that reaches for Python's internals; Jinja would write nothing."""
        raise SecurityError(f"{attribute!r} of {type(obj).__name__!r} is unsafe.")


def render_calls(source: str, calls: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Render `source` once for each of `calls`, the variables of a rendering.

    Each result is "text" and the text; or "refused" (by `raise_exception`) or "failed", and the
    reason. Raises one of `OUT_OF_MEMORY_ERRORS` where the process's memory does not suffice.
    """
    try:
        template = _compiled(source)
    except OUT_OF_MEMORY_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - the template is foreign: any error is its own
        return [("failed", _describe(error))] * len(calls)
    return [_render(template, variables) for variables in calls]


@lru_cache(maxsize=1)  # others are freed: their memory would be missing for this one
def _compiled(source: str) -> Template:
    return _Sandbox().from_string(source)


def _render(template: Template, variables: Mapping[str, Any]) -> tuple[str, str]:
    """Some templates write the arguments of a call as JSON; others expect JSON's text."""
    parsed = [_with_parsed_arguments(message) for message in variables["messages"]]
    outcome, text = _render_once(template, {**variables, "messages": parsed})
    if outcome == "failed" and parsed != variables["messages"]:
        return _render_once(template, variables)
    return outcome, text


def _with_parsed_arguments(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if not message.get("tool_calls"):
        return message
    calls = []
    for call in message["tool_calls"]:
        arguments = call["function"]["arguments"]
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
        calls.append({**call, "function": {**call["function"], "arguments": arguments}})
    return {**message, "tool_calls": calls}


def _render_once(template: Template, variables: Mapping[str, Any]) -> tuple[str, str]:
    messages = variables["messages"]
    try:
        length = sum(len(str(message)) for message in messages)
        text = template.render(variables)
    except _RefusalError as error:
        detail = tr("The template reports: {detail}", detail=str(error)[:_DETAIL_CHARACTERS])
        return "refused", detail
    except OUT_OF_MEMORY_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - the template is foreign: any error is its own
        return "failed", _describe(error)
    if len(text) > BASE_CHARACTERS + MESSAGE_CHARACTERS * len(messages) + CONTENT_COPIES * length:
        reason = tr("the template writes too much")
        return "failed", tr("It exceeds the limits: {detail}.", detail=reason)
    return "text", text


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    """Implement the filter `tojson` as chat templates expect it: no HTML or ASCII escapes."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    """Report an error, for templates that refuse a conversation."""
    raise _RefusalError(message)


def _strftime_now(pattern: str) -> str:
    """Return the date, for templates that contain it."""
    return time.strftime(pattern[:64])


def _describe(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"[:_DETAIL_CHARACTERS].rstrip()
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


if __name__ == "__main__":
    main()
