"""A file that a user chooses as a chat template is read, or refused with the reason."""

from pathlib import Path

import pytest

from deepseek_r1.core.errors import TemplateFileUnusable
from deepseek_r1.formats.template_file import MAX_SOURCE_CHARACTERS, read_template_file


def test_the_source_is_the_text_of_the_file_without_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_bytes("\ufeff{{ messages[0].content }}。\r\n".encode())
    assert read_template_file(path) == "{{ messages[0].content }}。\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR{{", "not in UTF-8"),
        (b"", "no place for messages"),
        (b"Dear model, please answer.", "no place for messages"),
        (b"{" * (MAX_SOURCE_CHARACTERS + 1), "more than 65,536 characters"),
    ],
    ids=["picture", "empty", "letter", "too long"],
)
def test_what_is_no_template_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "wrong.jinja"
    path.write_bytes(content)
    with pytest.raises(TemplateFileUnusable, match=reason) as caught:
        read_template_file(path)
    assert "wrong.jinja cannot be used" in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.jinja", tmp_path, tmp_path / "\0"):
        with pytest.raises(TemplateFileUnusable):
            read_template_file(path)
