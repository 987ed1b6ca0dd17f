"""Foreign text that grows, and what reads it: files, forms, exports, messages and answers."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from deepseek_r1.core.errors import R1Error
from deepseek_r1.documents.block_writer import BlockWriter
from deepseek_r1.documents.document import Block, Document
from deepseek_r1.documents.markup_text import OFFICE, MarkupText
from deepseek_r1.documents.passages import indexed_terms, passages, question_terms
from deepseek_r1.documents.plain_text import decoded, decoded_page, write_table, write_text


@dataclass(frozen=True)
class Growing:
    """What is read, by what, and up to how many characters it is tried."""

    name: str
    make: Callable[[int], str]
    read: Callable[[str], object]
    most: int = 1 << 18


def _writer() -> BlockWriter:
    return BlockWriter("a", lambda _blocks: None)


def _markdown(text: str) -> None:
    write_text(text, _writer(), is_markdown=True)


def _page(text: str) -> None:
    MarkupText(_writer()).write(text)


def _table(text: str) -> None:
    with suppress(Exception):  # a field may be too long
        write_table(text, _writer())


def _repeat(unit: str, start: str = "", end: str = "") -> Callable[[int], str]:
    return lambda n: start + unit * (n // len(unit)) + end


def _document(text: str) -> None:
    blocks: list[Block] = []
    write_text(text, BlockWriter("a", blocks.extend))
    for part in passages(Document("0", "a", "text", None, tuple(blocks))):
        indexed_terms(part.text, part.place.heading, part.name)


_PAGES = (
    "<a ", "<!--", "<?", "</", "<![CDATA[", "<!", "<", "&", "&#9", "<script>", "<title>", "<p>x",
    "<b a=", "<b a='\" ", "<td>x", "<td><p>x", "<tr>", "<table>", "<table><tr><td>", "<pre>\n",
    "--!", " ", "<style", "<svg>", "</p>", "<p/>", "<!-->", "<!---", "<br>", "a='",
)  # fmt: skip
_LINES = (
    "# a ", "#", "# ", " ", "\n", "\n\n", "# x\n", "```\n", "~~~", "a\n", "a\n\n", "。", ". ", "\r",
    "\t", "\u2028", "* ", "> ", "[", "|", "a|", "-\n",
)  # fmt: skip
_CELLS = (",", '"', '""', '",', "\n", "a\n", ";", '"\n"', "'", "\t")
_WORDS = ("a ", "a-", "_", "-", "中", "么", "a中", "\u0e01", ".", "为什么")


def documents() -> list[Growing]:
    """Files that become documents."""
    cases = [Growing(f"page {each}", _repeat(each), _page) for each in _PAGES]
    cases += [Growing(f"page <x {each}", _repeat(each, "<x "), _page) for each in _PAGES]
    cases += [Growing(f"page cell {each}", _repeat(each, "<tr><td>"), _page) for each in _PAGES]
    for each in _LINES:
        for start, end in (("", ""), ("# a", "x"), ("```\n", ""), ("# ", "")):
            name = f"markdown {start!r} {each!r} {end!r}"
            cases.append(Growing(name, _repeat(each, start, end), _markdown))
        cases.append(Growing(f"text {each!r}", _repeat(each), _document))
        cases.append(Growing(f"bytes {each!r}", _repeat(each), lambda text: decoded(text.encode())))
    cases += [Growing(f"table {each!r}", _repeat(each), _table) for each in _CELLS]
    head = _repeat(" ", "<meta ")
    cases.append(Growing("page's head", head, lambda text: decoded_page(text.encode())))
    for each in _WORDS:
        cases.append(Growing(f"question {each}", _repeat(each), lambda t: list(question_terms(t))))
        cases.append(Growing(f"document {each}", _repeat(each), _document))
    cases.append(Growing("office cells", lambda n: "x" * n, _office))
    return cases


def _office(text: str) -> None:
    walk = MarkupText(_writer(), OFFICE, "t")
    walk.start("tr", {})
    walk.start("tc", {})
    for _ in text:
        walk.start("p", {})
        walk.start("t", {})
        walk.text("x")
        walk.end("t")
        walk.end("p")


def requests() -> list[Growing]:
    """Bodies of requests to the server."""
    from deepseek_r1.engine.output.schema import schema_grammar  # noqa: PLC0415
    from deepseek_r1.server.api_requests import ChatRequest, CompletionRequest  # noqa: PLC0415
    from deepseek_r1.server.file_uploads import form_parts  # noqa: PLC0415

    kind = "multipart/form-data; boundary=x"

    def form(text: str) -> None:
        with suppress(R1Error, Exception):
            form_parts(kind, text.encode())

    def bounded(boundary: str) -> None:
        with suppress(Exception):
            form_parts(f"multipart/form-data; boundary={boundary}", b"-" * 200_000)

    def chat(text: str) -> None:
        with suppress(Exception):
            body = ChatRequest.model_validate(json.loads(text))
            body.prompt()
            body.answer_schema()
            body.chat_sampling(100)

    def completion(text: str) -> None:
        with suppress(Exception):
            CompletionRequest.model_validate(json.loads(text)).prompts()

    def schema(text: str) -> None:
        with suppress(Exception):
            schema_grammar(text)

    def listed(item: str, start: str, end: str) -> Callable[[int], str]:
        return lambda n: start + ",".join([item] * max(1, n // (len(item) + 1))) + end

    messages = '{"messages":['
    one = '{"role":"user","content":"a"}'
    several = '{"role":"user","content":['
    head = "--x\r\nContent-Disposition: form-data; "
    units = ('name="x"', ' name="', "name=", "\r\n\r\n", "--x", "--x\r\n", "-", "\r", ";", '"')
    cases = [Growing(f"form {each!r}", _repeat(each, head), form) for each in units]
    cases += [
        Growing("boundary", lambda n: "-" * n + "a", bounded, 60_000),
        Growing("messages", listed(one, messages, "]}"), chat),
        Growing("parts", listed('{"type":"text","text":"a"}', messages + several, "]}]}"), chat),
        Growing("tools", listed("{}", '{"tools":[', "]," + messages[1:] + one + "]}"), chat),
        Growing("fields", lambda n: "{" + ",".join(f'"{i}":0' for i in range(n // 8)) + "}", chat),
        Growing("depth", lambda n: "[" * (n // 2) + "]" * (n // 2), chat),
        Growing("digits", lambda n: '{"messages":' + "1" * n + "}", chat),
        Growing("tokens", listed("1", '{"prompt":[', "]}"), completion),
        Growing("prompts", listed('"a"', '{"prompt":[', "]}"), completion),
        Growing("escapes", lambda n: '{"prompt":"' + "\\u0041" * (n // 6) + '"}', completion),
        Growing("schema any of", listed('{"type":"null"}', '{"anyOf":[', "]}"), schema),
        Growing("schema enum", listed('"a"', '{"enum":[', "]}"), schema),
        Growing(
            "schema object",
            lambda n: json.dumps({
                "type": "object",
                "properties": {str(i): {"type": "null"} for i in range(n // 20)},
                "required": [str(i) for i in range(n // 20)],
            }),
            schema,
        ),
        Growing(
            "schema optional",
            lambda n: json.dumps({
                "type": "object",
                "properties": {str(i): {"type": "null"} for i in range(n // 20)},
            }),
            schema,
        ),
        Growing(
            "schema references",
            lambda n: json.dumps({
                "$defs": {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(n // 30)},
                "$ref": "#/$defs/0",
            }),
            schema,
        ),
    ]  # fmt: skip
    return cases


def answers() -> list[Growing]:
    """What a model may write."""
    from deepseek_r1.engine.output.reasoning import ReasoningSplitter, StopMatcher  # noqa: PLC0415
    from deepseek_r1.engine.output.repetition import RepetitionDetector  # noqa: PLC0415

    def thinking(text: str, size: int = 3) -> None:
        parser = ReasoningSplitter(thinking_open=True)
        for at in range(0, len(text), size):
            parser.feed(text[at : at + size])
        parser.finish()

    def stops(text: str) -> None:
        matcher = StopMatcher(["\n\n\nx", "aaab"])
        for at in range(0, len(text), 3):
            matcher.feed(text[at : at + 3])

    def repeats(text: str) -> None:
        detector = RepetitionDetector()
        for each in text:
            detector.observe([ord(each)], each.encode())

    units = ("<", "<think>", "</think>", "<thi", "\n", "\n\n\n", "aaa", "a\n", " ", "</thin")
    return [
        Growing(f"{name} {each!r}", _repeat(each), read, 200_000)
        for name, read in (("thinking", thinking), ("stops", stops), ("repetition", repeats))
        for each in units
    ]


def window_texts() -> list[Growing]:
    """What a message in the window may be, up to where it is drawn."""
    from r1desk.chat.formulas.formula_text import readable  # noqa: PLC0415
    from r1desk.chat.text import display_text  # noqa: PLC0415
    from r1desk.chat.text.block_splitter import BlockSplitter  # noqa: PLC0415
    from r1desk.chat.text.typed_text import TypedSplitter  # noqa: PLC0415
    from r1desk.store import stored_text  # noqa: PLC0415

    def split(text: str, size: int, kind: type[BlockSplitter] = BlockSplitter) -> None:
        splitter = kind()
        for at in range(0, len(text), size):
            splitter.feed(text[at : at + size])
        splitter.finish()

    def shown(text: str) -> None:
        display_text.prose(text)
        display_text.code(text)
        display_text.clipped(text)
        display_text.unbroken(text)
        stored_text.title_from(text)
        stored_text.one_line(text)
        readable(text)

    units = (
        "[", "![", "*a ", "**", "_", "`", "``a", "```\n", "~~~", "$", "$$", "$=", "\\(", "\\[", "<",
        "<br ", "> ", "- ", "1. ", "# ", "| a ", "|-", "a\n", "\n", " ", "https://a.b/", "http://!",
        "http://a)", ")", "&", "\\", "\\begin{a}", "\\boxed{", "√{+", "\\frac{a}{", "^{", "a ", "!",
        "[a](", "[a]: b\n", "~~", "==", "\t", "* * ", "]", "](", "<!--", "a@b.", "x" * 99 + " ",
    )  # fmt: skip
    whole = partial(split, size=1 << 30)
    typed = partial(split, size=4_000, kind=TypedSplitter)
    cases = [Growing(f"shown {each!r}", _repeat(each), shown, 200_000) for each in units]
    for name, read, most in (
        ("message", whole, 60_000), ("streamed", partial(split, size=200), 60_000),
        ("typed", typed, 100_000),
    ):  # fmt: skip
        cases += [Growing(f"{name} {each!r}", _repeat(each), read, most) for each in units]
    return cases
