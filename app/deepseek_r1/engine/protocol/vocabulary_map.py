"""Translates tokens between a target's vocabulary and its draft model's.

The vocabularies of one family are mostly the same list, but not quite: the ids from 151,643 on have
other names in R1's than in Qwen2.5's, and rows that only pad the matrix mean nothing. So texts are
compared token by token. Where nearly all ids have the same text, the pair fits: both cut text into
the same tokens. The other tokens are matched by their texts. A token without a match is never
drafted, and a fixed token stands for it where the draft model reads it.
"""

import re
from array import array
from collections.abc import Sequence

from deepseek_r1.core.errors import DraftUnfit
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.header import ModelHeader

UNMAPPED = -1
_LEAST_SHARE = 0.9  # of the target's tokens that have to be the same
_PADDING = re.compile(rb"\[PAD\d+\]|<\|?(unused|reserved|dummy|extra)[^<>]*>", re.IGNORECASE)


class VocabularyMap:
    """The translation in both directions. Raises DraftUnfit for vocabularies of two families."""

    def __init__(
        self, target: Sequence[bytes], draft: Sequence[bytes], *, target_name: str, draft_name: str
    ) -> None:
        """`target` and `draft` are the texts of all tokens, in the order of their ids."""
        ids = {text: token for token, text in enumerate(target) if not _PADDING.fullmatch(text)}
        self.to_target = array("i", (ids.get(text, UNMAPPED) for text in draft))
        """The target's token for each of the draft model's; UNMAPPED where it has none."""
        same = sum(one == other for one, other in zip(target, draft, strict=False))
        if same < _LEAST_SHARE * len(ids):
            detail = tr(
                "{share:.0%} of the model's {count:,} tokens are the same in the draft model.",
                share=same / max(1, len(ids)),
                count=len(ids),
            )
            raise DraftUnfit(draft=draft_name, model=target_name, detail=detail)
        substitute = next(token for token, to in enumerate(self.to_target) if to != UNMAPPED)
        self.to_draft = array("i", [substitute] * len(target))
        """The draft model's token for each of the target's; a fixed one where it has none."""
        for token, to in enumerate(self.to_target):
            if to != UNMAPPED:
                self.to_draft[to] = token

    @property
    def address(self) -> int:
        """The address of `to_target`."""
        return self.to_target.buffer_info()[0]


def compared_vocabularies(target: ModelHeader, draft: ModelHeader) -> VocabularyMap:
    """Compare the vocabularies in two models' files. Raises DraftUnfit, ModelRefused."""
    texts = [read_container(each.parts[0]).tokens for each in (target, draft)]
    return VocabularyMap(*texts, target_name=target.name, draft_name=draft.name)
