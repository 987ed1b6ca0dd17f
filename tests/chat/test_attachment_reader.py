"""Files from anywhere: text of every usual encoding is read, all else refused with a sentence."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from deepseek_r1.core.errors import R1Error
from r1desk.chat.answers.attachment_reader import (
    MAX_BYTES,
    AttachmentEmpty,
    AttachmentNotRead,
    AttachmentNotText,
    AttachmentTooLarge,
    read_attachment,
)
from r1desk.chat.values.prompt import estimated_tokens, with_attachments
from r1desk.store import Attachment

CHINESE = "埃拉托斯特尼筛法\n是一种算法，其步骤如下。\n"


@pytest.mark.parametrize(("data", "text"), [
    (CHINESE.encode(), CHINESE), (CHINESE.encode("utf-8-sig"), CHINESE),
    (CHINESE.encode("utf-16"), CHINESE), (b"\xfe\xff" + CHINESE.encode("utf-16-be"), CHINESE),
    (CHINESE.encode("utf-32"), CHINESE), (CHINESE.encode("gb18030"), CHINESE),
    ("name;价格\n苹果;3\n".encode("gb18030"), "name;价格\n苹果;3\n"),
    ("Grüße aus Köln, für 3 €\n".encode("cp1252"), "Grüße aus Köln, für 3 €\n"),
    (b"a\r\nb\rc\n", "a\nb\nc\n"), (b"\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[0m\n"),
])  # fmt: skip
def test_text_is_decoded(tmp_path: Path, data: bytes, text: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(data)
    assert read_attachment(file) == Attachment("notes.txt", text)


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01\x00",
        b"PK\x03\x04" + bytes(64),
        random.Random(1).randbytes(5_000),
        b"\xff\xfe\x00\xd8",  # half a character of UTF-16
    ],
)
def test_a_file_that_is_not_text_is_refused_with_a_sentence(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "thing.bin"
    file.write_bytes(data)
    with pytest.raises(AttachmentNotText) as refused:
        read_attachment(file)
    assert "thing.bin is not a text file." in str(refused.value)


@pytest.mark.parametrize(("data", "said"), [
    (b"%PDF-1.4\nplain letters\n", "notes.txt is not a text file."),
    (b"{\\rtf1\\ansi Hello}", "notes.txt is not a text file."),
    (b"\x89PNG\r\n\x1a\n" + bytes(2 * MAX_BYTES), "A picture cannot be attached."),
])  # fmt: skip
def test_documents_and_pictures_are_known_by_their_beginning(
    tmp_path: Path, data: bytes, said: str
) -> None:
    (tmp_path / "notes.txt").write_bytes(data)
    with pytest.raises(R1Error) as refused:
        read_attachment(tmp_path / "notes.txt")
    assert said in str(refused.value)


def test_the_size_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.txt"
    with file.open("wb") as sparse:
        sparse.truncate(2**40 if os.name == "posix" else 2**28)  # elsewhere it is not sparse
    with pytest.raises(AttachmentTooLarge):
        read_attachment(file)
    file.write_bytes(b"a" * MAX_BYTES)
    assert len(read_attachment(file).content) == MAX_BYTES


def test_folders_pipes_and_missing_files_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(R1Error):
        read_attachment(tmp_path)
    with pytest.raises(AttachmentNotRead):
        read_attachment(tmp_path / "missing.txt")
    (tmp_path / "empty.txt").write_bytes(b" \n")
    with pytest.raises(AttachmentEmpty):
        read_attachment(tmp_path / "empty.txt")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.txt")
        with pytest.raises(AttachmentNotText):
            read_attachment(tmp_path / "pipe.txt")


def test_the_model_reads_the_files_before_the_question() -> None:
    files = [Attachment("a.csv", "x,y\n1,2\n"), Attachment("b.md", "# B")]
    assert with_attachments("Which is larger?", files) == (
        "[file name]: a.csv\n[file content begin]\nx,y\n1,2\n[file content end]\n"
        "[file name]: b.md\n[file content begin]\n# B\n[file content end]\nWhich is larger?"
    )
    assert with_attachments("Alone", ()) == "Alone"


def test_an_estimate_counts_chinese_characters_as_more() -> None:
    assert 200 < estimated_tokens("word " * 200) < 400
    assert 400 < estimated_tokens("汉字" * 300) < 600
