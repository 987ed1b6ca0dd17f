"""Reads the model's shape and checks that its weights fit it.

llama.cpp checks much of this itself and reports it. Here is what it asserts instead, which aborts
the process (`llama_model_base::load_hparams`, the graph builders, ggml's operators), and the shape
that memory plans need.
"""

import re
from collections.abc import Mapping

from deepseek_r1.core.errors import TrainedTooShort
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import Container, TensorInfo
from deepseek_r1.formats.ggml_types import F32
from deepseek_r1.formats.header import ModelShape
from deepseek_r1.formats.llama_names import PLAIN

MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
MAX_WIDTH = 1 << 20
LEAST_CONTEXT, MAX_CONTEXT = 16, 1 << 30  # a shorter one holds no chat template
_SCALINGS = ("none", "linear", "yarn", "longrope")
_BLOCK = re.compile(r"blk\.(\d{1,9})\.")


def read_shape(file: Container, architecture: str) -> ModelShape:
    """Read the sizes; checks that they are in range and consistent with each other."""
    prefix = f"{architecture}."
    blocks = file.number(prefix + "block_count", 1, MAX_LAYERS)
    embedding = file.number(prefix + "embedding_length", 1, MAX_WIDTH)
    heads = file.largest(prefix + "attention.head_count", 1, MAX_WIDTH, blocks, 1)
    heads_kv = file.largest(prefix + "attention.head_count_kv", 1, heads, blocks, heads)
    if heads % heads_kv:
        raise file.damaged(tr("{heads} heads cannot share {kv}", heads=heads, kv=heads_kv))
    trained = file.number(prefix + "context_length", 1, MAX_CONTEXT)
    if trained < LEAST_CONTEXT:
        raise TrainedTooShort(path=str(file.path), trained=trained, least=LEAST_CONTEXT)
    head = embedding // heads
    shape = ModelShape(
        context_trained=trained,
        blocks=blocks,
        embedding=embedding,
        feed_forward=file.largest(prefix + "feed_forward_length", 0, MAX_WIDTH, blocks, 0),
        heads=heads,
        heads_kv=heads_kv,
        key_length=file.number(prefix + "attention.key_length", 1, MAX_WIDTH, head),
        value_length=file.number(
            prefix + "attention.value_length", 1, MAX_WIDTH, embedding // heads
        ),
        experts=file.number(prefix + "expert_count", 0, MAX_EXPERTS, 0),
    )
    if shape.key_length < 1 or shape.value_length < 1:
        raise file.wrong_value(prefix + "attention.head_count", heads)
    file.number(prefix + "nextn_predict_layers", 0, blocks - 1, 0)
    _check_experts(file, architecture, shape)
    _check_rope(file, architecture, shape)
    return shape


def _check_experts(file: Container, architecture: str, shape: ModelShape) -> None:
    name = f"{architecture}.expert_used_count"
    used = file.largest(name, 0, max(shape.experts, 0), shape.blocks, 0)
    if shape.experts and not used:
        raise file.damaged(tr("the key {key} is missing", key=name))
    groups_key = f"{architecture}.expert_group_count"
    groups = file.number(groups_key, 0, max(0, shape.experts - 1), 0)
    if groups > 1:
        file.number(f"{architecture}.expert_group_used_count", 1, groups - 1)
        if shape.experts % groups:
            raise file.wrong_value(groups_key, groups)


def _check_rope(file: Container, architecture: str, shape: ModelShape) -> None:
    """Check the keys for positions: the graph builder asserts what the loader does not check."""
    scaling = file.text(f"{architecture}.rope.scaling.type")
    if scaling is not None and scaling not in _SCALINGS:
        raise file.wrong_value(f"{architecture}.rope.scaling.type", scaling[:40])
    rotated_key = f"{architecture}.rope.dimension_count"
    rotated = file.number(rotated_key, 2, shape.key_length, shape.key_length)
    plain = architecture in PLAIN
    if rotated % 2 or (plain and not rotated == shape.key_length == shape.value_length):
        raise file.wrong_value(rotated_key, rotated)
    file.real(f"{architecture}.attention.layer_norm_rms_epsilon", 0.0, 1.0)
    file.real(f"{architecture}.attention.layer_norm_epsilon", 0.0, 1.0)
    file.real(f"{architecture}.rope.freq_base", 1e-3, 1e12)
    file.real(f"{architecture}.rope.scaling.factor", 0.0, 1e6)


def check_weights(
    file: Container, tensors: Mapping[str, TensorInfo], shape: ModelShape, tokens: int
) -> None:
    """Check that the weights of every block exist and have the shape that the keys give."""
    architecture = file.text("general.architecture") or ""
    embedding = tensors.get("token_embd.weight")
    if embedding is None:
        raise file.damaged(tr("the tensor {name} is missing", name="token_embd.weight"))
    if embedding.shape != (shape.embedding, tokens):
        raise file.damaged(tr("the tensor {name} has an impossible shape", name=embedding.name))
    _check_blocks(file, tensors, shape)
    for tensor in tensors.values():
        _check_type(file, tensor)
    if architecture in PLAIN:
        _check_plain(file, tensors, shape)


def _check_blocks(file: Container, tensors: Mapping[str, TensorInfo], shape: ModelShape) -> None:
    found = {int(match[1]) for name in tensors if (match := _BLOCK.match(name))}
    missing = set(range(shape.blocks)) - found
    if missing:
        raise file.damaged(tr("block {n} has no weights", n=min(missing)))
    if len(found) > shape.blocks:
        raise file.damaged(tr("it has more blocks than it says"))


def _check_type(file: Container, tensor: TensorInfo) -> None:
    """Check that matrices have a type for products, and norms and biases the type F32."""
    vector = all(size == 1 for size in tensor.shape[1:])
    scales = vector and tensor.name.endswith(("norm.weight", ".bias"))
    scales = scales or tensor.name == "token_types.weight"  # of BERT, added to each token
    numbers = tensor.name.endswith("ffn_gate_tid2eid.weight")  # DeepSeek's table of integers
    if not (numbers or tensor.kind.multiplies) or (scales and tensor.kind is not F32):
        raise file.unsuited(tensor.name, tensor.type_name)


def _check_plain(file: Container, tensors: Mapping[str, TensorInfo], shape: ModelShape) -> None:
    width = shape.embedding
    query, key = shape.heads * shape.key_length, shape.heads_kv * shape.key_length
    wanted: dict[str, tuple[int, ...]] = {"output_norm.weight": (width,)}
    for number in range(shape.blocks):
        block = f"blk.{number}"
        wanted[f"{block}.attn_norm.weight"] = (width,)
        wanted[f"{block}.attn_output.weight"] = (query, width)
        wanted[f"{block}.ffn_norm.weight"] = (width,)
        if f"{block}.attn_qkv.weight" in tensors:
            wanted[f"{block}.attn_qkv.weight"] = (width, query + 2 * key)
        else:
            wanted[f"{block}.attn_q.weight"] = (width, query)
            wanted[f"{block}.attn_k.weight"] = (width, key)
            wanted[f"{block}.attn_v.weight"] = (width, key)
        if not shape.experts:
            wanted[f"{block}.ffn_up.weight"] = (width, shape.feed_forward)
            wanted[f"{block}.ffn_down.weight"] = (shape.feed_forward, width)
    for name, size in wanted.items():
        tensor = tensors.get(name)
        if tensor is None:
            raise file.damaged(tr("the tensor {name} is missing", name=name))
        if tensor.shape != size:
            raise file.damaged(tr("the tensor {name} has an impossible shape", name=name))
