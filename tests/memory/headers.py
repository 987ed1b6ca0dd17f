"""Model headers for tests, and their bills: values, no files."""

from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from deepseek_r1.core.events import Bill
from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.memory.plan import ProcessOverhead, plan

GIB = 1 << 30
OVERHEAD = ProcessOverhead(window_mib=150.0, slow_f16=False)


def billed(model: ModelHeader, chosen: LoadSettings) -> Bill:
    """The planned bill beside a window of 150 MiB."""
    return plan(model, chosen, OVERHEAD).bill


def header(
    *,
    weights_bytes: int = GIB,
    vocabulary: int = 151_936,
    blocks: int = 28,
    embedding: int = 1536,
    feed_forward: int = 8960,
    heads: int = 12,
    heads_kv: int = 2,
    head: int = 128,
    value: int | None = None,
    context_trained: int = 131_072,
    architecture: str = "qwen2",
    **metadata: int,
) -> ModelHeader:
    """A header of R1-Distill-Qwen-1.5B's shape by default."""
    tensor = TensorInfo("token_embd.weight", (weights_bytes,), "Q8_0", weights_bytes)
    keys = {f"{architecture}.{key.replace('__', '.')}": n for key, n in metadata.items()}
    return ModelHeader(
        path=Path("model.gguf"),
        parts=(Path("model.gguf"),),
        file_bytes=weights_bytes,
        version=3,
        architecture=architecture,
        name="A model",
        metadata=keys,
        tensors=(tensor,),
        template=None,
        vocabulary=vocabulary,
        context_trained=context_trained,
        blocks=blocks,
        embedding=embedding,
        feed_forward=feed_forward,
        heads=heads,
        heads_kv=heads_kv,
        key_length=head,
        value_length=value or head,
        experts=metadata.get("expert_count", 0),
        quantisation="Q4_K_M",
        parameters=1_777_000_000,
        has_output=True,
        tokenizer_model="gpt2",
        tokenizer_pre="qwen2",
    )


def streamable(blocks: int, matrix_bytes: int, embedding_bytes: int = 64 << 20) -> ModelHeader:
    """A header with tensors that may stream: seven matrices in each block, in the usual sizes."""
    sizes = {
        "attn_q": 1, "attn_k": 1, "attn_v": 1, "attn_output": 1,
        "ffn_gate": 4, "ffn_up": 4, "ffn_down": 4,
    }  # fmt: skip
    tensors = [
        TensorInfo(f"blk.{block}.{name}.weight", (64, 64), "Q4_K", share * matrix_bytes)
        for block in range(blocks)
        for name, share in sizes.items()
    ]
    tensors += [
        TensorInfo(name, (64, 64), "Q6_K", embedding_bytes)
        for name in ("token_embd.weight", "output.weight")
    ]
    return replace(header(blocks=blocks), tensors=tuple(tensors))


streamable_headers = st.builds(
    streamable,
    blocks=st.integers(1, 40),
    matrix_bytes=st.integers(1 << 12, 16 << 20),
    embedding_bytes=st.integers(1 << 12, 256 << 20),
)
headers = st.builds(
    header,
    weights_bytes=st.integers(1, 400 * GIB),
    vocabulary=st.integers(1, 300_000),
    blocks=st.integers(1, 128),
    embedding=st.integers(64, 16_384),
    feed_forward=st.integers(0, 65_536),
    heads=st.integers(1, 128),
    heads_kv=st.integers(1, 128),
    head=st.sampled_from([32, 64, 128, 192, 256]),
    value=st.sampled_from([None, 128, 512]),
)
load_settings = st.builds(
    LoadSettings,
    memory_budget=st.integers(256, 100_000),
    context_length=st.integers(256, 131_072),
    micro_batch=st.integers(16, 2048),
    kv_type=st.sampled_from(KVType),
    swap_enabled=st.booleans(),
    chunk_size_kib=st.integers(64, 8192),
    enable_chunk_loading=st.booleans(),
)
