"""Recognises the text of a picture: lines are found, straightened, read one by one, and ordered.

The order is that of a person: columns one after the other, rows of a table whole.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
from PIL import Image

from deepseek_r1.documents.document import DOUBTFUL, WordBox
from deepseek_r1.documents.pictures import DETECTION, RECOGNITION, models_folder
from deepseek_r1.ocr.text_boxes import TextBox, text_boxes, word_spans

_LEAST_SIDE, _MOST_SIDE = 736, 1_280  # pixels of what the first model sees, in steps of 32
_MOST_AREA: Final = _MOST_SIDE * 900  # of A4; it takes most of the memory
_STEP: Final = 32
_LINE_HEIGHT: Final = 48  # pixels; of the second model
_MOST_WIDTH: Final = 3_200
_LEAST_WIDTH: Final = 16
_SURE: Final = 0.5  # what is less sure is no text
_PROBED: Final = 5  # lines that show which way up a page is
_THREADS: Final = 2
_CELL_GAP: Final = 1.5  # heights of a line between two cells of a row
_GUTTER_GAP: Final = 0.8  # heights of a line between two columns
_PROSE: Final = 10.0  # heights of a line in the length of one in a column
_LEAST_LINES: Final = 3  # of a column
_MOST_SPANNING: Final = 0.25  # of the lines: headings and pictures' captions over both columns


@dataclass(frozen=True, slots=True)
class RecognisedLine:
    """A line of text in a picture, and how sure it is, from 0 to 1."""

    text: str
    confidence: float
    box: TextBox
    boxes: tuple[WordBox, ...] = ()


def recognised(
    picture: Image.Image, alive: Callable[[], object]
) -> tuple[list[RecognisedLine], int]:
    """The lines of an RGB picture, unordered, and by how many quarters to the left it is upright.

    They are in pixels of the upright one. `alive` is called after each line.
    """
    boxes, quarters = _found(picture), 0
    if _lies_on_its_side(boxes):
        picture, quarters = picture.transpose(Image.Transpose.ROTATE_90), 1
        boxes = _found(picture)
    lines = list(_read(picture, boxes, alive))
    longest = sorted(lines, key=lambda line: -line.box.width)[:_PROBED]
    if lines and _sureness(longest) < DOUBTFUL:
        upside_down = [replace(each.box, angle=each.box.angle + math.pi) for each in longest]
        if _sureness(list(_read(picture, upside_down, alive))) > _sureness(longest):
            picture, quarters = picture.transpose(Image.Transpose.ROTATE_180), quarters + 2
            lines = list(_read(picture, _found(picture), alive))
    sure = [line for line in lines if line.confidence >= _SURE and _has_letters(line.text)]
    return sure, quarters


@cache
def _session(name: str) -> onnxruntime.InferenceSession:
    folder = models_folder()
    if folder is None:
        raise ModuleNotFoundError("rapidocr")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.enable_cpu_mem_arena = False  # it never gives memory back
    options.enable_mem_pattern = False  # sizes differ from line to line
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(folder / name, options)


@cache
def _characters() -> tuple[str, ...]:
    """By the model's numbers; 0 is no character."""
    metadata = _session(RECOGNITION).get_modelmeta().custom_metadata_map
    return ("", *metadata["character"].split("\n"), " ")


def load_models() -> None:
    """Load what recognises, which is used until the process ends. Raises MemoryError."""
    with _memory_errors():
        _characters()
        _session(DETECTION)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Models and shapes are ours: where onnxruntime fails, it has no memory."""
    try:
        yield
    except (RuntimeException, Fail) as problem:
        raise MemoryError from problem


def _scores(name: str, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    with _memory_errors():
        (scores,) = _session(name).run(None, {"x": pixels})
    return np.asarray(scores[0])


def _found(picture: Image.Image) -> list[TextBox]:
    width, height = picture.size
    factor = max(1.0, _LEAST_SIDE / min(width, height))
    factor = min(factor, _MOST_SIDE / max(width, height), math.sqrt(_MOST_AREA / width / height))
    seen = _stepped(width * factor), _stepped(height * factor)
    pixels = _pixels(picture.resize(seen, Image.Resampling.BILINEAR))
    (probability,) = _scores(DETECTION, pixels)
    across, down = width / seen[0], height / seen[1]
    boxes = text_boxes(probability)
    return [replace(box.scaled(down), x=box.x * across, width=box.width * across) for box in boxes]


def _stepped(side: float) -> int:
    return max(_STEP, round(side / _STEP) * _STEP)


def _lies_on_its_side(boxes: Iterable[TextBox]) -> bool:
    long = [box for box in boxes if box.width > 3 * box.height]
    turned = sum(box.width for box in long if abs(box.angle) > math.pi / 4)
    return turned > sum(box.width for box in long) / 2


def _read(
    picture: Image.Image, boxes: Iterable[TextBox], alive: Callable[[], object]
) -> Iterator[RecognisedLine]:
    for box in boxes:
        width = round(box.width * _LINE_HEIGHT / box.height)
        size = min(max(width, _LEAST_WIDTH), _MOST_WIDTH), _LINE_HEIGHT
        method, resampling = Image.Transform.QUAD, Image.Resampling.BICUBIC
        line = picture.transform(size, method, box.corners(), resampling)
        text, scores, places = _decoded(_scores(RECOGNITION, _pixels(line)))
        if text.strip():
            spans = word_spans(text, scores, places)
            placed = tuple(_placed(span, box, picture.size) for span in spans)
            yield RecognisedLine(text.strip(), sum(scores) / len(scores), box, placed)
        alive()


def _placed(word: tuple[str, float, float, float], box: TextBox, size: tuple[int, int]) -> WordBox:
    """A word in a picture of this size: upright, also where its line is turned a little."""
    text, sure, begin, end = word
    part = box.part(begin, end).corners()
    sides = (
        round(min(max(side / of, 0.0), 1.0), 4)
        for choose in (min, max)
        for side, of in zip((choose(part[::2]), choose(part[1::2])), size, strict=True)
    )
    return WordBox(text, round(sure, 3), *sides)


def _pixels(picture: Image.Image) -> NDArray[np.float32]:
    """As the models take them: one picture, three colours, blue first, from -1 to 1."""
    values = np.asarray(picture, dtype=np.float32)[:, :, ::-1] / 127.5 - 1
    return np.ascontiguousarray(values.transpose(2, 0, 1))[np.newaxis]


def _decoded(scores: NDArray[np.float32]) -> tuple[str, list[float], list[float]]:
    """The text of one line's scores (places, characters); how sure and where each character is.

    Connectionist temporal classification: of neighbours that are equal one counts.
    """
    best = scores.argmax(axis=1)
    (counts,) = np.nonzero((best > 0) & (best != np.concatenate(([0], best[:-1]))))
    characters = _characters()
    text = "".join(characters[number] for number in best[counts])
    places = (counts + 0.5) / len(best)
    return text, scores.max(axis=1)[counts].tolist(), places.tolist()


def _has_letters(text: str) -> bool:
    """Edges in photographs are read as signs."""
    return any(character.isalnum() for character in text)


def _sureness(lines: list[RecognisedLine]) -> float:
    return sum(line.confidence for line in lines) / max(1, len(lines))


@dataclass(frozen=True, slots=True)
class _Span:
    """A line in a page that is not skewed, and its sides in pixels."""

    line: RecognisedLine
    left: float
    right: float
    top: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def ordered_text(lines: Iterable[RecognisedLine]) -> tuple[str, list[WordBox]]:
    """The text of a page: a line for each row, cells of a row divided by " | "; and its words."""
    lines = list(lines)
    angle = median(each.box.angle for each in lines) if lines else 0.0
    rows = _ordered([_span(each, angle) for each in lines])
    boxes = [word for row in rows for span in row for word in span.line.boxes]
    return "\n".join(map(_row, rows)), boxes


def _span(line: RecognisedLine, angle: float) -> _Span:
    box, cos, sin = line.box, math.cos(angle), math.sin(angle)
    x, y = box.x * cos + box.y * sin, box.y * cos - box.x * sin
    across, down = box.width / 2, box.height / 2
    return _Span(line, x - across, x + across, y - down, y + down)


def _ordered(spans: list[_Span]) -> list[list[_Span]]:
    """The rows, each from left to right."""
    gutter = _gutter(spans)
    if gutter is None:
        return _rows(spans)
    rows: list[list[_Span]] = []
    left: list[_Span] = []
    right: list[_Span] = []
    for span in sorted(spans, key=lambda each: each.middle):
        if span.right <= gutter:
            left.append(span)
        elif span.left >= gutter:
            right.append(span)
        else:
            rows += [*_ordered(left), *_ordered(right), [span]]
            left, right = [], []
    return rows + _ordered(left) + _ordered(right)


def _gutter(spans: list[_Span]) -> float | None:
    """A place between two columns of prose; None where there is one column, or a table."""
    if len(spans) < 2 * _LEAST_LINES:
        return None
    height = median(each.height for each in spans)
    best, least = None, len(spans) * _MOST_SPANNING
    for right in sorted({each.right for each in spans}):
        place = right + _GUTTER_GAP * height / 2
        before = [each for each in spans if each.right <= place]
        after = [each for each in spans if each.left >= place]
        crossing = len(spans) - len(before) - len(after)
        if crossing < least and _is_prose(before, height) and _is_prose(after, height):
            best, least = place, crossing
    return best


def _is_prose(spans: list[_Span], height: float) -> bool:
    long = [each for each in spans if each.right - each.left > _PROSE * height]
    return len(long) >= max(_LEAST_LINES, len(spans) / 2)


def _rows(spans: list[_Span]) -> list[list[_Span]]:
    rows: list[list[_Span]] = []
    for span in sorted(spans, key=lambda each: each.middle):
        last = rows[-1] if rows else []
        if last and span.middle < max(each.bottom for each in last) - span.height / 4:
            last.append(span)
        else:
            rows.append([span])
    return [sorted(row, key=lambda each: each.left) for row in rows]


def _row(spans: list[_Span]) -> str:
    text = spans[0].line.text
    for before, span in pairwise(spans):
        is_cell = span.left - before.right > _CELL_GAP * span.height
        text += f"{' | ' if is_cell else ' '}{span.line.text}"
    return text
