"""Cuts a document into passages, and names the words by which they are found."""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from typing import Final

from deepseek_r1.documents.document import BETWEEN_BLOCKS, Document, Passage, Place

PASSAGE_TOKENS: Final = 200
_MOST_TOKENS: Final = 270  # of a block that is not cut
_HEADING_TOKENS: Final = 100  # so many before a heading, and it begins a passage
_PART = re.compile(r".{16,1000}?(?:[.!?]\s+|[。！？；]+\s*|\n\s*|\Z)|.{1,1000}", re.DOTALL)

# Characters of scripts without spaces: Thai and its neighbours, kana, Han, Hangul.
UNSPACED: Final = (
    "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{UNSPACED}]+")
_MOST_TERMS: Final = 2_000  # of a question that are searched: each is counted first
_JOINED = re.compile(r"\w+(?:[-./_:+@]\w+)*")
_WORD = re.compile(r"[^\W_]+")
_CONTENT = re.compile(r"\d+(?:[.:/-]\d+)*|[^\W\d_]+")
_THOUSANDS = re.compile(r"(?<=\d)[,\u202f'](?=\d{3})")
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|e)$")
# Words of questions, which say nothing about where an answer stands.
_ASKING = frozenset(
    """a about am an and any are as at be been by can could did do does for from has have how i in
    is it its my of on or that the this to was what when where which who why will with
    you""".split()  # noqa: SIM905 - a list of words reads best as a text
)
_ASKED = re.compile(
    "为什么|有没有|是不是|能不能|什么|怎么样|怎么|怎样|如何|哪[些个里儿种]?|多少|多久|几个|[吗呢吧的了把被]"
)
# Words that join others, which say nothing about what an answer has in common with a passage.
_JOINING = frozenset("after because into may must shall should would".split())  # noqa: SIM905
_JOINED_BY = re.compile("没有|可以|因为|所以|应该|需要|无法|提供|根据")
# Words that speak to whoever answers: what has no others is not about a document.
_ADDRESSING = frozenset(
    """again answer continue evening explain give go good hello help helps hey hi last longer lot
    make me morning much no ok okay our please right say show shorter simpler so sure tell thank
    thanks today translate us very we words write wrong yes your""".split()  # noqa: SIM905
)
_ADDRESSED = re.compile(
    "关于|[一两二三几这那哪有][个张本封段首条篇点些位种只句]|有[多几]|你好|谢谢|感谢|早上好|晚上好|上一个|上面|刚才|回答|一遍|一下|继续|翻译成?|解释|简单|确定|不对|错的|帮助|今天|"
    "短一?点|[请你再写讲说用给做更很非常是这]"
)
# Words for what was spoken of before: a question that names nothing else follows from another.
_REFERRING = frozenset(
    """above also and another before but else first former he her his if it last latter less more
    next not one ones or other others previous same second she their them then there these they
    third those too""".split()  # noqa: SIM905
)
_REFERRED = re.compile(
    "[这那]样|另[外一]?[个种]?|其[他它]|别的|[那这]个?|第[一二三四]个?|前[者面]|后者|[他她它]们?|还有|更多|多[讲说]?一?[点些]|"
    "如果|不是|呢"
)
# A wish for a text of its own, which names all that it wants.
_TASK = re.compile(
    r"\W*(?:(?:please|now|can you|could you|can i|i|you|have|want|us|me) )*(?:compose|continue|"
    r"convert|draft|draw|give|invent|make|play|recommend|solve|suggest|tell|translate|write)\b|"
    "(?:请|再|现在|你|可以|能|帮我|给我|给|和我|替我)*"
    r"(?:写(?=[一两三几个首篇封段])|编(?=[一个段])|讲(?=[一两个])|列(?=[一个出])|画|翻译|推荐|建议|玩|续|解方程)"
)
_SUM = re.compile(
    r"\d(?:\s*[+*x×÷^=]|\s[-/]|\s?(?:times|plus|minus|divided by|乘以?|加上?|减去?|除以))"
    r"\s*\d+(?:\s*等于)?"
)
_NUMBER = re.compile(r"\d+")
_TRANSLATE = re.compile(r"\btranslate\b|翻译|译成")
_BEGINS_TEXT = re.compile(r"[:\"“]")
_OF_ALL = re.compile(
    r"\b(?:summar|overview|outline\b|gist\b|(?:main|key) points?\b|tl;?dr\b)|\babout\W*\Z|"
    "总结|概括|概述|摘要|大意|要点|主要内容|讲了?什么|说了?什么"
)


def estimated_tokens(text: str) -> int:
    """About how many tokens a model makes of this text, without a model."""
    unspaced = len(text) - len(_UNSPACED.sub("", text)) if not text.isascii() else 0
    return round(unspaced * 0.7 + (len(text) - unspaced) * 0.25)


def passages(document: Document) -> Iterator[Passage]:
    """Cut a document into passages of about 200 tokens, in order.

    Each lies on one page and in one sheet. Together they have the whole text but for the blank
    lines between blocks: `start` and `end` are offsets in `document.text()`.
    """
    text, start, place, tokens = "", 0, Place(), 0
    headings, of_document = tuple[int, ...](), (document.sha256, document.name)
    between, number = "", 0  # blank text, of which no passage consists
    for at, part, where, is_heading in _pieces(document):
        if not part.strip():
            between += part
            continue
        length = estimated_tokens(part) or 1  # a million short lines are few passages
        if text and not _is_next(place, where, tokens, length):
            yield Passage(*of_document, number, place, text, start, start + len(text), headings)
            text, number = "", number + 1
        if not text:
            between, start, place, tokens, headings = "", at, where, 0, ()
        headings += (len(text + between),) * is_heading
        text, between, tokens = text + between + part, "", tokens + length
    if text:
        yield Passage(*of_document, number, place, text, start, start + len(text), headings)


def _is_next(first: Place, place: Place, tokens: int, more: int) -> bool:
    """Whether a passage of `tokens`, which begins at `first`, goes on at `place` with `more`."""
    if (first.page, first.sheet, first.sure) != (place.page, place.sheet, place.sure):
        return False
    headed = first.heading != place.heading and tokens >= _HEADING_TOKENS
    return not headed and tokens + more / 2 <= PASSAGE_TOKENS


def _pieces(document: Document) -> Iterator[tuple[int, str, Place, bool]]:
    """The blocks, of long ones their sentences, and what is between; which begins as a heading."""
    at = 0
    for block in document.blocks:
        place = block.place
        long = estimated_tokens(block.text) > _MOST_TOKENS
        is_heading = bool(place.heading) and _first_line(block.text) == place.heading
        for part in _PART.findall(block.text) if long else [block.text]:
            yield at, part, place, is_heading
            is_heading = False
            at += len(part)
            if place.line is not None:
                place = replace(place, line=place.line + part.count("\n"))
        yield at, BETWEEN_BLOCKS, place, False
        at += len(BETWEEN_BLOCKS)


def _first_line(text: str) -> str:
    return " ".join(text.partition("\n")[0].split())


def indexed_terms(text: str, *more: str) -> str:
    """The terms of a text for FTS5: words, and pairs of characters of scripts without spaces."""
    whole = unicodedata.normalize("NFKC", "\n".join([text, *more]))
    if whole.isascii():
        return whole
    pairs = (pair for run in _UNSPACED.findall(whole) for pair in character_pairs(run))
    return f"{_UNSPACED.sub(' ', whole)} {' '.join(pairs)}"


def character_pairs(run: str) -> list[str]:
    """The pairs of neighbours in a run of characters without spaces; of one the character."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


def question_terms(question: str) -> Iterable[str]:
    """The words of a question that a passage may have, each as an expression of FTS5."""
    text = unicodedata.normalize("NFKC", question).lower()
    found = _terms(_ASKED.sub(" ", text), _ASKING) or _terms(text)
    return list(dict.fromkeys(found))[:_MOST_TERMS]


def named_terms(question: str) -> Iterable[str]:
    """Those of a question's terms that name what it is about; none for "Thanks!" or "Why?"."""
    text = unicodedata.normalize("NFKC", question).lower()
    text = _ADDRESSED.sub(" ", _ASKED.sub(" ", text))
    return list(dict.fromkeys(_terms(text, _ASKING | _ADDRESSING)))[:_MOST_TERMS]


def content_terms(text: str) -> set[str]:
    """The words of a text without their endings, its numbers, and pairs of unspaced characters.

    Words that only ask, join or refer are left out.
    """
    plain = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).casefold())
    runs = _UNSPACED.findall(_JOINED_BY.sub(" ", _ASKED.sub(" ", plain)))
    latin = set(_CONTENT.findall(_UNSPACED.sub(" ", plain))) - _ASKING - _REFERRING - _JOINING
    return {_stem(word) for word in latin} | {pair for run in runs for pair in character_pairs(run)}


def _stem(word: str) -> str:
    """Of English and many other languages: baked, bakes and baking are one word."""
    stem = _ENDING.sub("", word)
    doubled = stem[-2:-1] == stem[-1:] and stem[-1:].isalpha()
    return stem[:-1] if doubled else stem


def is_of_all(question: str) -> bool:
    """Whether a question is about documents as a whole, like "Summarise this"."""
    return bool(_OF_ALL.search(unicodedata.normalize("NFKC", question).lower()))


def follows(question: str) -> bool:
    """Whether a question names nothing of its own, like "Why?" or "And the other one?"."""
    text = unicodedata.normalize("NFKC", question).lower()
    own = _REFERRED.sub(" ", text)
    refers = own != text or not _REFERRING.isdisjoint(_WORD.findall(text))
    if not refers and _terms(_ASKED.sub(" ", text), _ASKING - {"you"}):
        return False
    own = _ADDRESSED.sub(" ", _ASKED.sub(" ", own))
    return not _terms(own, _ASKING | _ADDRESSING | _REFERRING)


def brings_its_text(question: str) -> bool:
    """Whether a message has all that it is about, like "Translate: It rains." or "2 + 2?"."""
    text = unicodedata.normalize("NFKC", question).lower()
    rest = _SUM.sub(" ", text)
    is_sum = rest != text and not named_terms(_NUMBER.sub(" ", rest))
    return is_sum or any(
        found is not None and _BEGINS_TEXT.search(line, found.end())
        for line in text.splitlines()
        for found in [_TRANSLATE.search(line)]
    )


def is_task(question: str) -> bool:
    """Whether a message wishes for a text, like "Write a story about a dragon."."""
    return bool(_TASK.match(unicodedata.normalize("NFKC", question).lower()))


def _terms(text: str, without: Container[str] = ()) -> list[str]:
    found = []
    for joined in _JOINED.findall(_UNSPACED.sub(" ", text)):
        terms = _WORD.findall(joined)
        found += [f'"{joined}"'] * (len(terms) > 1)  # as a phrase too
        found += [f'"{word}"' for word in terms if word not in without]
    runs = _UNSPACED.findall(text)
    pairs = [pair for run in runs for pair in character_pairs(run) if len(run) > 1]
    return found + ([f'"{pair}"' for pair in pairs] or [f'"{run}" *' for run in runs])
