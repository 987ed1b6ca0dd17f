"""Files that are attached: one that is refused leaves the others; what the model reads of them."""

from __future__ import annotations

from pathlib import Path

from r1desk.chat.answers.attachment_reader import read_attachments
from r1desk.chat.values.prompt import estimated_tokens, with_attachments
from r1desk.store import Attachment


def test_what_is_refused_leaves_the_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text\n", encoding="utf-8")
    refused, read = read_attachments([tmp_path / "missing.pdf", tmp_path / "notes.txt"])
    assert "missing.pdf could not be read." in refused.text()
    assert read == Attachment("notes.txt", "text\n")


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
