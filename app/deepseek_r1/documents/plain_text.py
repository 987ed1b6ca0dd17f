"""Text, Markdown and tables of text (CSV): decoded and cut into blocks."""

import codecs
import csv
import io
import re

from deepseek_r1.documents.block_writer import BlockWriter

_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile(b"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH_PAIR = re.compile(b"[\xa1-\xfe][\xa1-\xfe]")  # a Chinese character of GB 2312
_HIGH = re.compile(b"[\x80-\xff]")
_CHARSET = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)=[\"' ]*([\w-]{2,20})", re.I
)
# Of the web; Python has others, which run a small language or undo a compression.
_WEB = ("utf-8", "iso-", "windows-", "gb", "big5", "euc-", "shift-jis", "koi8-", "macintosh")
_BETWEEN = re.compile(r"\n\n(?=[^\n])")  # further empty lines stay with the block before them
_HEADING = re.compile(r"#{1,6} +(\S.*)")
_FENCE = re.compile(r" {0,3}(```|~~~)")
# The end of a full line of Chinese or Japanese that goes on: it would divide words.
_BROKEN_CHINESE = re.compile(
    r"(?<=[\u3000-\u9fff\uff00-\uffef]{15})(?<![。！？：])\n(?=[\u3040-\u9fff])"
)
# A log or a list has no empty lines: up to 3,000 characters of whole lines, or one longer line.
_LONG = re.compile(r"(?s)(.{1,3000}(?=\n|\Z)|[^\n]+)\n?")


def with_joined_chinese(text: str) -> str:
    """The text of a page, in which full lines of Chinese go on without a line's end."""
    return _BROKEN_CHINESE.sub("", text)


def decoded(data: bytes, declared: str = "") -> str | None:
    """`data` as text with plain newlines; None where it is none.

    UTF-8, what a byte order mark announces or the file has `declared`, GB 18030, and Windows-1252
    for Western text.
    """
    encodings = [name for mark, name in _BOMS if data.startswith(mark)][:1]
    if not encodings:
        if len(_CONTROLS.findall(data)) * 1000 > len(data) or b"\0" in data:
            return None
        # Chinese has its high bytes in pairs; in Western text an accent stands among plain letters.
        in_pairs = 4 * len(_HIGH_PAIR.findall(data)) > len(_HIGH.findall(data))
        guessed = "gb18030" if in_pairs else "cp1252"
        encodings = ["utf-8", *filter(None, [declared]), guessed]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return None


def decoded_page(data: bytes) -> str | None:
    """HTML, whose head may declare the encoding."""
    found = _CHARSET.search(data[:4096])
    declared = found[1].decode().lower().replace("_", "-") if found else ""
    return decoded(data, declared if declared.startswith(_WEB) else "")


def write_text(text: str, writer: BlockWriter, *, is_markdown: bool = False) -> None:
    """Blocks between empty lines, with the number of their first line.

    Joined again they are `text`, but for an empty line within what has none for long.
    """
    writer.line, fence = 1, ""
    for paragraph in _BETWEEN.split(text):
        for piece in _LONG.findall(paragraph):
            for line in piece.split("\n") if is_markdown else ():
                if fenced := _FENCE.match(line):
                    fence = "" if fence == fenced[1] else fence or fenced[1]
                elif not fence and (heading := _HEADING.match(line)):
                    writer.set_heading(heading[1].rstrip(" ").rstrip("#"))
            writer.put(piece)
            writer.line += piece.count("\n") + 1
        writer.line += 1 + (not paragraph)  # the file may begin with two line ends


def write_table(text: str, writer: BlockWriter) -> None:
    """One block for each row of CSV, whose first line tells the delimiter. Raises csv.Error."""
    delimiter = max(",;\t|", key=text.partition("\n")[0].count)
    for writer.row, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1):
        writer.put_row(row)
