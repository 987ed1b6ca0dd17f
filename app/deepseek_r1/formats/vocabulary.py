"""Reads what the vocabulary says, and checks that the engine can use it: on some it would abort.

Each check stands for one that `llama-vocab.cpp` asserts, or throws outside of its own handler.
"""

from typing import Final

from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import MAX_TOKENS, Container
from deepseek_r1.formats.cursor import printable
from deepseek_r1.formats.llama_names import EMBEDDING, EMBEDDING_TOKENIZERS, TOKENIZERS, WORD_SPLITS

MAX_TOKEN_BYTES = 64 << 10
TOKENS: Final = "tokenizer.ggml.tokens"
MERGES: Final = "tokenizer.ggml.merges"
# Used unless the file says otherwise, as in `llama_vocab::impl::load`.
_DEFAULT_IDS = {
    "llama": (1, 2), "gpt2": (11, 11), "gemma4": (None, None), "bert": (101, None), "t5": (None, 1),
}  # fmt: skip
# Tokens that identify the family of a model's chat format.
KNOWN: Final = frozenset(
    {
        "<|im_start|>", "<|im_end|>", "<｜User｜>", "<｜Assistant｜>", "<think>",
        "<|start_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>",
        "<|user|>", "<|assistant|>", "<|end|>", "<|start_of_role|>", "<|end_of_role|>", "[INST]",
        "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
    }
)  # fmt: skip


def check_vocabulary(file: Container) -> int:
    """Check the vocabulary; returns the number of its tokens."""
    model = file.text("tokenizer.ggml.model")
    if model is None:
        raise file.damaged(tr("the key {key} is missing", key="tokenizer.ggml.model"))
    embedding = file.text("general.architecture") in EMBEDDING
    if model not in (EMBEDDING_TOKENIZERS if embedding else TOKENIZERS):
        raise file.unknown(_tokenizer(model))
    tokens = file.array(TOKENS, "str")
    if tokens is None:
        raise file.damaged(tr("the key {key} is missing", key=TOKENS))
    if not 1 <= tokens.length <= MAX_TOKENS:
        raise file.damaged(tr("a list has {count} entries", count=tokens.length))
    _check_lengths(file, tokens.length)
    seen = _check_texts(file, file.tokens)
    if model == "llama":
        _check_bytes(file, seen)
    elif (
        not embedding
        and file.array(MERGES, "str") is None
        and file.text("tokenizer.ggml.pre") != "kimi-k2"
    ):
        raise file.damaged(tr("the key {key} is missing", key=MERGES))  # Kimi's tokens are the list
    split = file.text("tokenizer.ggml.pre") if model == "gpt2" else None
    if split and split not in WORD_SPLITS:
        raise file.unknown(_tokenizer(split))
    _check_special(file, model, tokens.length)
    return tokens.length


def _tokenizer(name: str) -> str:
    return tr("Its tokenizer is “{name}”, which this version does not know.", name=printable(name))


def _check_lengths(file: Container, count: int) -> None:
    """Check the lists of scores and types, which are indexed by token."""
    for key, kinds in (
        ("tokenizer.ggml.scores", ("f32", "i32")),
        ("tokenizer.ggml.token_type", ("i32",)),
    ):
        array = file.array(key, *kinds)
        if array is not None and array.length != count:
            raise file.damaged(tr("the key {key} does not fit the vocabulary", key=key))


def _check_texts(file: Container, tokens: list[bytes]) -> set[bytes]:
    """Check that no token occurs twice in the engine.

    There, texts end at a NUL and empty ones get a number.
    """
    seen = {
        token.partition(b"\0")[0] or b"[EMPTY_%d]" % number for number, token in enumerate(tokens)
    }
    if len(seen) != len(tokens):
        raise file.damaged(tr("its vocabulary holds a token twice"))
    if max(map(len, seen)) > MAX_TOKEN_BYTES:
        raise file.damaged(tr("a text has {size} bytes", size=max(map(len, seen))))
    return seen


def _check_bytes(file: Container, seen: set[bytes]) -> None:
    """Check that each of the 256 bytes has a token, for text that no other token covers."""
    for byte in range(256):
        if b"<0x%02X>" % byte not in seen and bytes([byte]) not in seen:
            raise file.damaged(tr("its vocabulary has no token for the byte {byte}", byte=byte))


def _check_special(file: Container, model: str, count: int) -> None:
    """Check that the begin and end tokens exist where the engine adds them."""
    defaults = dict(zip(("bos", "eos"), _DEFAULT_IDS[model], strict=True))
    if file.text("tokenizer.ggml.pre") in ("chatglm-bpe", "glm4", "glm5"):
        defaults["bos"] = None
    for name, default in defaults.items():
        key = f"tokenizer.ggml.{name}_token_id"
        usable = default is not None and default < count
        if key in file:
            file.number(key, 0, count - 1)
        elif file.flag(f"tokenizer.ggml.add_{name}_token") and not usable:
            raise file.damaged(tr("the key {key} is missing", key=key))


def chat_markers(file: Container) -> frozenset[str]:
    """Return the known markers that the vocabulary has."""
    wanted = {marker.encode("utf-8"): marker for marker in KNOWN}
    return frozenset(wanted[token] for token in file.tokens if token in wanted)


def end_text(file: Container) -> str:
    """Return the text of the token that ends an answer; empty where the file does not name one."""
    count = len(file.tokens)
    if not count or "tokenizer.ggml.eos_token_id" not in file:
        return ""
    token = file.number("tokenizer.ggml.eos_token_id", 0, count - 1)
    return file.tokens[token].decode("utf-8", "replace")
