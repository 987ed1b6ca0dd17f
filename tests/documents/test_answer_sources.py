"""Which passages an answer is from, which sentence of them, and what it cites itself."""

import time

import pytest

from deepseek_r1.documents.document import Passage, Place, Source
from deepseek_r1.documents.sources import best_sentence, citations, claims, has_text, listed

LEASE = (
    "The lease of the bakery ends on 31 March 2031. The rent is 2,480 euros a month.",
    "Heating is paid by the tenant. Noise is allowed from six in the morning.",
    "The janitor waters the plants in the yard and keeps the keys of the cellar.",
    "猫粮放在厨房的柜子里。邻居王阿姨每天早上喂猫。",
    "出发时间是五月三号，从上海虹桥站坐高铁。",
)


def sent(*texts: str) -> list[Source]:
    return [
        Source(n, Passage("a", "a.txt", n, Place(), text, 0, 1)) for n, text in enumerate(texts, 1)
    ]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("It burned [1].", [("[1]", True)]),
        ("It burned [1][3].", [("[1]", True), ("[3]", False)]),
        ("Both [1, 2].", [("1", True), ("2", True)]),
        ("烧毁了【2】。", [("【2】", True)]),
        ("`a[1]` and ```\nb[2]\n``` and [1](http://x) [x] []", []),
    ],
)
def test_a_citation_is_known_or_made_up(answer, found):
    sent = {1, 2}
    seen = [(answer[start:end], number in sent) for start, end, number in citations(answer)]
    assert seen == found


def test_the_sentence_that_is_cited_is_the_one_with_most_words_of_the_claim():
    text = "The rules are old. Version 3.5 of\nthe tower opens at nine. Gate 7 is red.\n• Bob."
    answer = (
        "First. The tower, version 3.5, opens [1]. Nobody knows. Gate 7 is red [2, 1]. 门卫在[3]。"
    )
    assert claims(answer, 2) == "Gate 7 is red"
    assert claims(answer, 1) == "The tower, version 3.5, opens Gate 7 is red"
    assert (claims(answer, 3), claims(answer, 4)) == ("门卫在", "")
    assert best_sentence(text, "The tower, version 3.5, opens") == (
        "Version 3.5 of\nthe tower opens at nine."
    )
    assert best_sentence(text, claims(answer, 2)) == "Gate 7 is red."
    assert best_sentence(text, "zebra") == text


def test_a_copied_passage_is_marked_where_its_number_stands_before_it():
    text = "Null has a history. I call it my mistake of a billion dollars. It was easy to make."
    answer = "Its inventor said:\n\n[5] (The Option Enum)\nI call it my mistake.\n\nSo it is.\n[6]"
    assert best_sentence(text, claims(answer, 5)).startswith("I call it my mistake")
    assert claims(answer, 6) == "So it is."


@pytest.mark.parametrize(
    ("question", "answer", "numbers"),
    [
        ("What is the rent?", "It is 2480 euros a month.", [1]),
        ("who waters the plants?", "the janitor does that", [3]),
        ("谁喂猫？", "邻居王阿姨喂它。", [4]),
        ("几点出发？", "五月三号出发。", [5]),
        ("Is noise allowed at seven?", "Yes.", [2]),
        ("What is the rent?", "The rent is 2,480 euros [2].", [1, 2]),
        ("How tall is the tower?", "Nobody knows.", []),
    ],
)
def test_a_passage_that_carries_the_answer_is_listed_first_and_no_other(question, answer, numbers):
    assert [each.n for each in listed(answer, sent(*LEASE), question)] == numbers


def test_what_is_cited_is_listed_with_a_mark():
    found = listed("The janitor [3] or the tenant [2], [9].", sent(*LEASE))
    assert {each.n: each.cited for each in found} == {3: True, 2: True}


@pytest.mark.parametrize(
    ("text", "answer", "question", "sentence"),
    [
        (LEASE[1] + " " + LEASE[0], "", "When does the lease end?", "lease of the bakery ends"),
        ("\n".join(f"Field {n}\nvalue {n * 37}" for n in range(40)), "It is 481", "", "value 481"),
    ],
)
def test_one_sentence_is_marked_by_the_question_alone_and_in_a_form_too(
    text, answer, question, sentence
):
    found = best_sentence(text, answer, question)
    assert sentence in found
    assert len(found) < 60


@pytest.mark.parametrize(
    ("answer", "has"),
    [("[1] [2]", False), ("【3】。", False), ("[5]. [1]", False), ("Yes [1]", True)],
)
def test_an_answer_of_citations_alone_has_no_words(answer, has):
    assert has_text(answer) is has


@pytest.mark.quiet
@pytest.mark.slow
def test_the_sources_of_a_very_long_answer_are_found_at_once():
    texts = [
        f"Chapter {n}. " + f"The ship number {n} carried corn to port {n}. " * 20 for n in range(40)
    ]
    answer = "The ship number 7 carried many different things to the port. " * 600
    began = time.perf_counter()
    assert listed(answer, sent(*texts), "What did ship 7 carry?")
    assert time.perf_counter() - began < 0.1
