"""A mixture of experts cut out of the starter model, whose router looks at real hidden states.

The neurons of each feed-forward are divided into groups of those with similar gates, as in Zhang
et al., "MoEfication", 2022; a group is an expert. An expert's line in the router is the mean of
its gates: it is chosen for tokens that would make its neurons speak. What the model says suffers;
which experts it chooses follows the text, as in a model that was trained so.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize

from support.split import copy_keys

EXPERTS, USED = 32, 8
Matrix = np.ndarray
_POWER_STEPS = 12
_WIDTH = "llama.feed_forward_length"


def upcycled(starter: Path, path: Path) -> Path:
    """Write the mixture of `starter`, a dense `llama` model, to `path`."""
    reader = gguf.GGUFReader(starter)
    writer = gguf.GGUFWriter(path, "llama")
    copy_keys(reader, writer, leave_out=_WIDTH)
    width = reader.fields[_WIDTH].contents()
    writer.add_feed_forward_length(width // EXPERTS)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(USED)
    blocks: dict[str, dict[str, Matrix]] = {}
    for tensor in reader.tensors:
        block, _, kind = tensor.name.rpartition(".ffn_")
        if kind in ("gate.weight", "up.weight", "down.weight"):
            values = dequantize(tensor.data, tensor.tensor_type)
            blocks.setdefault(block, {})[kind.partition(".")[0]] = values
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for block, parts in blocks.items():
        _add_experts(writer, block, parts["gate"], parts["up"], parts["down"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_experts(
    writer: gguf.GGUFWriter, block: str, gate: Matrix, up: Matrix, down: Matrix
) -> None:
    groups = _halved(gate / np.linalg.norm(gate, axis=1, keepdims=True), EXPERTS)
    lines = np.stack([gate[group].mean(axis=0) for group in groups])
    # Small, so that the chosen experts have about the same say; their sum is that of the dense one.
    lines *= 0.02 / np.linalg.norm(lines, axis=1, keepdims=True)
    writer.add_tensor(f"{block}.ffn_gate_inp.weight", lines.astype(np.float32))
    for kind, slices in (
        ("gate", [gate[group] for group in groups]),
        ("up", [up[group] for group in groups]),
        ("down", [down[:, group] * USED for group in groups]),
    ):
        writer.add_tensor(f"{block}.ffn_{kind}_exps.weight", np.stack(slices).astype(np.float16))


def _halved(rows: Matrix, parts: int) -> list[Matrix]:
    """Equal groups of similar rows: again and again cut at the median of the widest direction."""
    groups = [np.arange(len(rows))]
    while len(groups) < parts:
        halves = []
        for group in groups:
            centred = rows[group] - rows[group].mean(axis=0)
            widest = centred[0]
            for _ in range(_POWER_STEPS):
                widest = centred.T @ (centred @ widest)
                widest /= np.linalg.norm(widest)
            order = group[np.argsort(centred @ widest, kind="stable")]
            halves += np.array_split(order, 2)
        groups = halves
    return groups
