"""Answers that are the same on every machine.

What a model writes depends on which kernels computed. Held to one of these schemas it has no
choice, so a test can count on how long an answer is and on what is in it.
"""

from typing import Any

Schema = dict[str, Any]

ENDLESS: Schema = {"type": "array", "items": {"const": 7}, "minItems": 1000, "maxItems": 1000}


def only(text: str) -> Schema:
    """The answer is `text`, as JSON."""
    return {"const": text}


CITING: Schema = only(" ".join(f"[{n}]" for n in range(1, 13)))  # passages of documents
