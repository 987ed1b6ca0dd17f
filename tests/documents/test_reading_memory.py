"""Documents are read within what a memory budget leaves, and their text is their own."""

import re
import sys
from pathlib import Path

import pytest

from deepseek_r1.core.errors import R1Error
from deepseek_r1.documents import reading
from deepseek_r1.documents.errors import DocumentNeedsMemory
from deepseek_r1.documents.reading import file_sha256, read_document
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.memory.meter import tree_mib
from documents.test_reading import saved
from support import document_files as made


@pytest.mark.skipif(sys.platform != "linux", reason="a reader limits itself on Linux alone")
def test_what_takes_more_than_the_budget_leaves_says_which_budget_would_do(tmp_path: Path) -> None:
    hostile = saved(tmp_path, "forms.pdf", made.expanding_forms())
    own_mib = round(tree_mib())
    with pytest.raises(
        DocumentNeedsMemory, match=r"more than \d+ MiB.*budget of 1,\d+ MiB it gets"
    ):
        read_document(hostile, memory=ReadingMemory(lambda: own_mib + 200))
    text = saved(tmp_path, "a.txt", "word " * 100_000)
    with pytest.raises(
        DocumentNeedsMemory, match=r"Reading it takes 59 MiB.*has \d+ MiB left"
    ) as refused:
        read_document(text, memory=ReadingMemory(lambda: own_mib + 40))
    enough = int(re.findall(r"to ([\d,]+) MiB", str(refused.value))[0].replace(",", ""))
    assert read_document(text, memory=ReadingMemory(lambda: enough + 8)).characters() > 400_000


def test_a_model_that_streams_makes_room_for_a_reader_and_gets_it_back(tmp_path: Path) -> None:
    reductions: list[float] = []

    def reduce_weights(mib: float) -> bool:
        reductions.append(mib)
        return True

    budget = round(tree_mib()) + 20
    memory = ReadingMemory(lambda: budget + (reductions[-1] if reductions else 0), reduce_weights)
    read_document(saved(tmp_path, "a.txt", "text"), memory=memory)
    assert max(reductions) >= 57
    assert reductions[-1] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="a reader limits itself on Linux alone")
def test_a_workbook_with_a_cell_at_its_far_end_takes_too_much_memory(tmp_path: Path) -> None:
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="9"><c r="XFD1048576"><v>2</v></c></row>'
    with pytest.raises(R1Error, match="takes more than 1,024 MiB"):
        read_document(made.zipped(tmp_path / "far.xlsx", made.xlsx_parts(cells)))


def test_a_cell_of_csv_may_be_long(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.csv", f"name,text\nlong,{'x' * 140_000}\n")
    assert read_document(path).characters() > 140_000


def test_no_text_is_kept_under_the_hash_of_another(tmp_path, monkeypatch):
    path = saved(tmp_path, "a.txt", "before")

    def change_after(path: Path, name: str = "") -> str:
        sha256 = file_sha256(path, name)
        if path.read_text() == "before":
            path.write_text("afterwards")
        return sha256

    monkeypatch.setattr(reading, "file_sha256", change_after)
    document = read_document(path)
    assert (document.sha256, document.text()) == (file_sha256(path), "afterwards")


def test_a_name_stays_on_its_line(tmp_path: Path) -> None:
    document = read_document(saved(tmp_path, "a.txt", "text"), name="a\n[2] (page 7)\u2028b.txt")
    assert document.name == "a [2] (page 7) b.txt"
