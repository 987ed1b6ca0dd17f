#!/usr/bin/env python3
"""Write `gpt2.npz` and `gpt2.json` of tests/legacy: a small GPT-2, and what comes out of it.

Neither torch nor transformers is among this project's dependencies. In an environment of its own:

    python -m venv /tmp/reference && /tmp/reference/bin/pip install torch transformers numpy
    /tmp/reference/bin/python bench/reference/make_gpt2.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))
from support.ggml_files import gpt2_weights

HEADS, NEW_TOKENS = 4, 24
PROMPTS = {"words": [104, 101, 108, 256, 257, 32], "one": [65], "bytes": list(range(40, 72))}


def model_of(weights: dict[str, np.ndarray]) -> transformers.GPT2LMHeadModel:
    vocab, width = weights["model/wte"].shape
    config = transformers.GPT2Config(
        vocab_size=vocab,
        n_positions=weights["model/wpe"].shape[0],
        n_embd=width,
        n_layer=sum(name.endswith("ln_1/g") for name in weights),
        n_head=HEADS,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    state = {}
    for name, values in weights.items():
        parts = name.split("/")[1:]
        key = ".".join(["transformer", *parts])
        key = key.replace("transformer.h", "transformer.h.") if parts[0][0] == "h" else key
        if parts[-1] in "gb":
            key = f"{key[:-1]}{'weight' if parts[-1] == 'g' else 'bias'}"
        elif parts[-1] == "w":  # Conv1D keeps its matrices as (in, out)
            key = f"{key[:-1]}weight"
        else:
            key = f"{key}.weight"
        turned = values.T if parts[-1] == "w" else values
        state[key] = torch.from_numpy(np.ascontiguousarray(turned))
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert all("lm_head" in key or ".attn.bias" in key for key in missing), missing
    model.tie_weights()
    return model


def greedy(model: transformers.GPT2LMHeadModel, prompt: list[int]) -> tuple[list[int], float]:
    """The tokens, and the least lead that a chosen one had over the second best."""
    tokens, least = list(prompt), float("inf")
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            logits = model(torch.tensor([tokens])).logits[0, -1]
            best = torch.topk(logits, 2)
            least = min(least, float(best.values[0] - best.values[1]))
            tokens.append(int(best.indices[0]))
    return tokens[len(prompt) :], least


def main() -> None:
    weights = gpt2_weights()
    model = model_of(weights)
    cases = []
    for name, prompt in PROMPTS.items():
        tokens, lead = greedy(model, prompt)
        cases.append({"name": name, "prompt": prompt, "tokens": tokens, "least_lead": lead})
        print(name, tokens, f"least lead {lead:.3f}")
    np.savez_compressed(TESTS / "legacy" / "gpt2.npz", **weights)
    made_with = {"torch": torch.__version__, "transformers": transformers.__version__}
    reference = {"made_with": made_with, "heads": HEADS, "cases": cases}
    (TESTS / "legacy" / "gpt2.json").write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
