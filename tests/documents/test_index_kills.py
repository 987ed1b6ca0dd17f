"""An index whose process is killed while it writes has whole documents and goes on.

`R1_KILL_ROUNDS` (20): a long campaign is the same test with a larger number.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepseek_r1.documents.document import Block, Document, Place
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.passages import passages

ROUNDS = int(os.environ.get("R1_KILL_ROUNDS", "20"))
DOCUMENTS = 3 * ROUNDS
ADDING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from documents.test_index_kills import DOCUMENTS, made
from deepseek_r1.documents.index import DocumentIndex
index = DocumentIndex(Path(sys.argv[1]))
there = {each.sha256 for each in index.documents()}
newest = max((int(each) for each in there), default=0)
print("ready", flush=True)
for number in range(max(newest - 5, 0), DOCUMENTS):
    if made(number).sha256 not in there:
        index.add(made(number))
    if number % 5 == 0:
        index.remove(made(number).sha256)
"""


def made(number: int) -> Document:
    """A document of some 36 passages, or of more than are written at once."""
    count = 40_000 if number % 4 == 0 else 4_000
    words = [f"word{n * number % 5003}" for n in range(count)]
    blocks = (Block(" ".join(words[at : at + 500]), Place(page=at)) for at in range(0, count, 500))
    return Document(f"{number}.txt", f"{number:064}", "text", None, tuple(blocks))


@pytest.mark.slow
def test_documents_are_whole_or_missing_after_each_kill(tmp_path: Path):
    path, chance = tmp_path / "documents.db", random.Random(ROUNDS)
    command = [sys.executable, "-c", ADDING, str(path), str(Path(__file__).parents[1])]
    before = 0
    for _ in range(ROUNDS):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as adding:
            assert adding.stdout is not None
            assert adding.stdout.readline() == b"ready\n"
            time.sleep(chance.random() * 0.4)
            adding.send_signal(signal.SIGKILL)
        index = DocumentIndex(path)
        there = index.documents()
        kept = sum(int(each.name.removesuffix(".txt")) % 5 > 0 for each in there)
        assert kept >= before, "what was there is there"
        before = kept
        for known in there:
            document = made(int(known.name.removesuffix(".txt")))
            assert index.passages(known.sha256) == list(passages(document))
        index.close()
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            db.execute("INSERT INTO terms (terms) VALUES ('integrity-check')")
    subprocess.run(command, check=True, capture_output=True)
    index = DocumentIndex(path)
    assert len(index.documents()) == DOCUMENTS * 4 // 5
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT DISTINCT id >> 24 FROM passages UNION SELECT id FROM documents")
        assert len(rows.fetchall()) == DOCUMENTS * 4 // 5, "nothing is left of the others"
    assert index.search("word7", [f"{7:064}"])
