"""Documents are cut into passages, found by a question's words, and kept whole or not at all."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deepseek_r1.core.errors import DocumentIndexDamaged, DocumentIndexFailed
from deepseek_r1.documents.document import Block, Document, Place, RecognisedPage, WordBox
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.passages import passages

_WORDS = "The ferry leaves the harbour at seven and returns with the tide before supper. "


def make(*blocks: tuple[str, Place], name: str = "a.pdf", sha: str = "a") -> Document:
    return Document(name, sha * 64, "pdf", None, tuple(Block(*block) for block in blocks))


def pages(*texts: str, name: str = "a.pdf", sha: str = "a") -> Document:
    return make(*((text, Place(page=n)) for n, text in enumerate(texts, 1)), name=name, sha=sha)


def test_passages_have_the_whole_text_and_their_offsets():
    document = pages(_WORDS * 40, "second page", "海上升明月。" * 300, "")
    found = list(passages(document))
    text = document.text()
    assert [text[each.start : each.end] for each in found] == [each.text for each in found]
    covered = "".join(each.text for each in found)
    assert covered.replace("\n", "") == text.replace("\n", "")
    assert [each.number for each in found] == list(range(len(found)))


def test_a_passage_lies_on_one_page_and_is_of_about_200_tokens():
    found = list(passages(pages(_WORDS * 60, "short", _WORDS * 5)))
    assert {each.place.page for each in found} == {1, 2, 3}
    of_first = [each for each in found if each.place.page == 1]
    assert len(of_first) == 6
    assert all(600 < len(each.text) < 1000 for each in of_first)


def test_a_long_block_of_lines_tells_each_passage_its_line():
    lines = "\n".join(f"value_{n} = compute(value_{n - 1}, other)" for n in range(200))
    found = list(passages(make((lines, Place(line=1)))))
    for each in found:
        first = each.text.split(" ")[0]
        assert first == f"value_{(each.place.line or 0) - 1}"


@pytest.fixture
def index() -> DocumentIndex:
    return DocumentIndex()


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("Which harbour floods?", 4),  # other forms of its words
        ("怎么压缩模型？", 2),
        ("税", 3),
        ("内存", 1),
        ("ＧＰＵ", 3),
    ],
)
def test_a_page_is_found_by_forms_of_a_word_and_in_chinese_without_a_dictionary(
    index, question, page
):
    chinese = ("内存预算是一个数字。", "量化可以压缩模型。", "所得税要在四月交，GPU 免税。")
    index.add(pages(*chinese, "The harbours were flooded.", "Prices of bread."))
    assert index.search(question, ["a" * 64])[0].place.page == page


def test_each_page_is_found_once_and_all_that_is_on_it_counts(index):
    other = "Prices of bread and of butter rose again that year. " * 18
    index.add(
        pages("ferry " * 200 + _WORDS * 30, f"A ferry. {other}", f"ferry ferry {other}A ferry.")
    )
    found = index.search("ferry", ["a" * 64], 3)
    assert sorted(each.place.page for each in found) == [1, 2, 3]
    assert found[0].place.page == 1


def test_words_that_only_ask_find_nothing_where_there_are_others(index):
    index.add(pages("为什么要这样？什么时候？怎么办？有没有吗？", "轮船在七点离开港口。"))
    found = index.search("轮船为什么有没有离开？", ["a" * 64])
    assert [each.place.page for each in found] == [2]
    assert index.search("为什么？", ["a" * 64])[0].place.page == 1


def test_only_the_asked_documents_are_searched(index):
    index.add(pages("apples and pears", sha="a"))
    index.add(pages("apples and plums", name="b.pdf", sha="b"))
    assert {each.name for each in index.search("apples", ["b" * 64])} == {"b.pdf"}
    assert index.search("apples", []) == []
    assert index.search("?!", ["a" * 64]) == []


@pytest.mark.parametrize("question", ['"', "a AND (", "NEAR(x", "text:", "col : *", "it's -x ^y"])
def test_no_question_is_a_syntax_error(index, question):
    index.add(pages("some text"))
    index.search(question, ["a" * 64])


def test_what_was_added_comes_back(index):
    document = pages(_WORDS * 30, "你好，世界。", _WORDS)
    index.add(document, path="/somewhere/a.pdf", modified_ns=5)
    assert index.passages(document.sha256) == list(passages(document))
    (known,) = index.documents()
    assert (known.name, known.path, known.modified_ns) == ("a.pdf", "/somewhere/a.pdf", 5)
    middle = index.passages(document.sha256)[1]
    assert [each.number for each in index.neighbours(middle)] == [0, 2]


def test_the_outline_is_the_headings(index):
    blocks = [(_WORDS * 10, Place(heading=name)) for name in ("One", "One", "Two")]
    index.add(make(*blocks))
    assert index.outline("a" * 64) == ["One", "Two"]


def test_a_removed_document_leaves_nothing(tmp_path):
    index = DocumentIndex(tmp_path / "documents.db")
    index.add(pages("The secret is xyzzyplugh. 秘密是芝麻开门。"))
    index.add(pages("something else", sha="b"))
    index.remove("a" * 64)
    assert index.search("xyzzyplugh 芝麻开门", ["a" * 64, "b" * 64]) == []
    assert index.passages("a" * 64) == []
    index.close()
    content = (tmp_path / "documents.db").read_bytes()
    assert b"secret" not in content
    assert "芝麻".encode() not in content


class _Gated(Iterable[Block]):
    """More passages than are written at once; the last one comes after `gate` was called."""

    def __init__(self, gate: Callable[[], object]) -> None:
        self._gate = gate

    def __iter__(self) -> Iterator[Block]:
        for page in range(1, 1000):
            yield Block(_WORDS * 9, Place(page=page))
        self._gate()
        yield Block("the end", Place(page=1000))


@pytest.mark.parametrize("file", [None, "documents.db"])
def test_a_short_document_need_not_wait_for_a_long_one(tmp_path, file):
    index, short_is_there = DocumentIndex(file and tmp_path / file), threading.Event()
    gated = _Gated(lambda: short_is_there.wait(60))
    long = Document("long.pdf", "a" * 64, "pdf", None, gated)
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(index.add, long)
        index.add(pages("oranges", sha="b"))
        assert index.search("oranges", ["b" * 64])
        assert index.document("a" * 64) is None, "it is not whole"
        assert not adding.done()
        short_is_there.set()
        adding.result()
    assert index.passages("a" * 64) == list(passages(long))


def test_a_document_that_another_process_takes_for_left_behind_is_added_again(tmp_path):
    opened: list[DocumentIndex] = []

    def open_once() -> None:
        if not opened:
            opened.append(DocumentIndex(tmp_path / "documents.db"))
            opened[0].remove("b" * 64)

    index = DocumentIndex(tmp_path / "documents.db")
    document = Document("long.pdf", "a" * 64, "pdf", None, _Gated(open_once))
    index.add(document)
    assert index.passages("a" * 64) == list(passages(document))
    assert [each.sha256 for each in opened[0].documents()] == ["a" * 64]


def test_a_damaged_file_is_deleted_and_said(tmp_path):
    path = tmp_path / "documents.db"
    path.write_bytes(b"no database at all" * 1000)
    index = DocumentIndex(path)
    with pytest.raises(DocumentIndexDamaged):
        index.documents()
    index.add(pages("apples"))
    assert index.search("apples", ["a" * 64])
    assert [each.name for each in tmp_path.iterdir()] == ["documents.db"]


def test_a_text_that_is_none_any_more_is_damage(tmp_path):
    path = tmp_path / "documents.db"
    index = DocumentIndex(path)
    index.add(pages("apples"))
    index.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE passages SET text = CAST(X'ff' AS TEXT)")
    with pytest.raises(DocumentIndexDamaged):
        index.passages("a" * 64)
    index.add(pages("apples"))
    assert index.passages("a" * 64)


def test_an_index_from_before_words_had_places_keeps_its_texts(tmp_path):
    old = DocumentIndex(tmp_path / "documents.db")
    old.add(pages("The ferry sails.", "It returns."))
    old.close()
    with sqlite3.connect(tmp_path / "documents.db") as db:
        db.execute("DROP TABLE recognised")
        db.execute("DROP TABLE files")
        db.execute("PRAGMA user_version = 1")
    db.close()
    index, word = DocumentIndex(tmp_path / "documents.db"), WordBox("gate", 0.9, 0, 0, 1, 1)
    assert [each.text for each in index.passages("a" * 64)] == ["The ferry sails.", "It returns."]
    assert not index.recognised("a" * 64, 1).boxes
    scan = Block("gate", Place(page=2, sure=0.9), RecognisedPage(1, (word,)))
    index.add(Document("b.pdf", "b" * 64, "pdf", 2, (scan,)))
    assert index.recognised("b" * 64, 2) == RecognisedPage(1, (word,))
    assert index.passages("b" * 64)[0].place.sure == 0.9


def test_a_file_that_is_nowhere_else_is_kept_with_its_text_and_goes_with_it(tmp_path):
    index = DocumentIndex(tmp_path / "documents.db")
    index.add(pages("Gate 45."), data=b"picture" * 99)
    assert index.file("a" * 64) == b"picture" * 99
    assert index.file("b" * 64) == b""
    index.remove("a" * 64)
    assert index.file("a" * 64) == b""
    assert b"picture" not in (tmp_path / "documents.db").read_bytes()


def test_an_index_of_another_version_is_made_anew(tmp_path):
    path = tmp_path / "documents.db"
    index = DocumentIndex(path)
    index.add(pages("apples"))
    index.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    assert DocumentIndex(path).documents() == []


def test_the_file_is_the_users_alone(tmp_path: Path):
    DocumentIndex(tmp_path / "deep" / "documents.db").documents()
    assert (tmp_path / "deep" / "documents.db").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DocumentIndexFailed):
        DocumentIndex(tmp_path / "file" / "documents.db").documents()


def test_an_index_without_a_file_keeps_what_it_has_when_the_disk_is_full(index):
    index.add(document := pages("Oak and stone."))
    with index._used() as db:
        db.execute("PRAGMA max_page_count = 100")
    with pytest.raises(DocumentIndexFailed, match="the permissions of the temporary folder"):
        index.add(other := pages(_WORDS * 9000, sha="b"))
    assert list(index.added) == [document.sha256]
    assert index.document(other.sha256) is None
    assert index.search("stone", index.added)


def test_what_an_index_without_a_file_has_lost_is_said_and_added_again(index):
    index.add(document := pages("Oak and stone."))
    index._connection.close()
    with pytest.raises(DocumentIndexDamaged):
        index.documents()
    assert index.document(document.sha256) is None
    assert document.sha256 not in index.added
