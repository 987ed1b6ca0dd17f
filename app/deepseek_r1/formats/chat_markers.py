"""The tokens of a vocabulary that identify the family of a model's chat format."""

from __future__ import annotations

from typing import Final

from deepseek_r1.formats.container import Container
from deepseek_r1.formats.metadata import Metadata

KNOWN: Final = frozenset(
    {
        "<|im_start|>", "<|im_end|>", "<｜User｜>", "<｜Assistant｜>", "<think>",
        "<|start_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>",
        "<|user|>", "<|assistant|>", "<|end|>", "<|start_of_role|>", "<|end_of_role|>", "[INST]",
        "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
    }
)  # fmt: skip


def chat_markers(file: Container) -> frozenset[str]:
    """Return the known markers that the vocabulary has."""
    wanted = {marker.encode("utf-8"): marker for marker in KNOWN}
    return frozenset(wanted[token] for token in file.tokens if token in wanted)


def end_text(file: Container) -> str:
    """Return the text of the token that ends an answer; empty where the file does not name one."""
    keys = Metadata(file)
    count = len(file.tokens)
    if not count or "tokenizer.ggml.eos_token_id" not in keys:
        return ""
    token = keys.number("tokenizer.ggml.eos_token_id", 0, count - 1)
    return file.tokens[token].decode("utf-8", "replace")
