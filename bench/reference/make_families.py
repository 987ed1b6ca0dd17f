"""Small models of each family with what `transformers` computes for them: the converter's truth.

    python3.11 -m venv /tmp/ref && /tmp/ref/bin/pip install torch transformers safetensors
    /tmp/ref/bin/python bench/reference/make_families.py FOLDER

Run by an interpreter that has torch and transformers, never by the product's. Each model becomes a
folder as the hub has it (config.json, tokenizer.json, model.safetensors, …) with two more files:
`logits.npy`, of every position of one sequence, and `tokens.json`, the tokens of hard strings.
Everything is seeded, so the same versions give the same files.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers as t
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    processors,
    trainers,
)
from tokenizers import pre_tokenizers as pre

TESTS = Path(__file__).resolve().parents[2] / "tests"
HARD = (TESTS / "convert" / "hard_strings.json").read_text(encoding="utf-8")
WIDTH, HEADS, HEADS_KV, BLOCKS, FEED_FORWARD = 32, 4, 2, 2, 64
MERGES = 160

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
ALPHABETS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ"
    "-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK"
    "-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-"
    "𐳲𑢠-𑣟𞤀-𞥃"
)
PATTERNS = {
    "qwen": [f"{CONTRACTIONS}|{LETTERS}|\\p{{N}}|{REST}"],
    "llama3": [f"{CONTRACTIONS}|{LETTERS}|\\p{{N}}{{1,3}}|{REST}"],
    "deepseek-v3": [  # with line ends themselves, as in the published file
        r"\p{N}{1,3}",
        "[一-龥\u3040-ゟ゠-ヿ]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"""
        "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
        "\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    ],
    "deepseek-llm": [
        "[\r\n]",
        f"\\s?[{ALPHABETS}]+",
        r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+$",
        "[一-龥\u0800-一가-\ud7ff]+",
    ],
}
R1_BEGIN, R1_END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"


def tokenizer(style: str, specials: list[str], plain: list[str], begin: str | None) -> Tokenizer:
    """A byte-level BPE tokenizer of the real structure, trained on the hard strings."""
    made = Tokenizer(models.BPE(ignore_merges=style == "llama3"))
    if style == "qwen":
        made.normalizer = normalizers.NFC()
    steps = [pre.Split(Regex(each), "isolated") for each in PATTERNS[style]]
    if style == "deepseek-llm":
        steps.append(pre.Digits(individual_digits=True))
    steps.append(pre.ByteLevel(add_prefix_space=False, use_regex=False))
    made.pre_tokenizer = pre.Sequence(steps)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + MERGES, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(json.loads(HARD) * 4, trainer)
    made.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in specials])
    made.add_tokens([AddedToken(each, special=False, normalized=False) for each in plain])
    if begin:
        number = made.token_to_id(begin)
        made.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, number)]
        )
    return made


def shared(vocabulary: int) -> dict[str, object]:
    """What every small model has."""
    return {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS_KV,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
    }


LATENT = {
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": HEADS,
    "moe_intermediate_size": 32,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 0.707,
    "mscale_all_dim": 0.707,
}


def make_models(vocabulary: dict[str, int]) -> dict[str, t.PreTrainedModel]:
    """The models, with random weights."""
    llama3 = {
        "rope_type": "llama3",
        "rope_theta": 50000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    v3 = {"q_lora_rank": 24, "n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5}
    v3 |= {"rope_parameters": YARN | {"mscale": 1.0, "mscale_all_dim": 1.0}}
    v2 = {"q_lora_rank": None, "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0}
    v2 |= {"topk_method": "greedy", "norm_topk_prob": False, "rope_parameters": YARN}
    stretched = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}
    stretched |= {"original_max_position_embeddings": 64, "attention_factor": 1.0}
    experts = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    experts |= {"norm_topk_prob": True, "head_dim": 16}
    common = {name: shared(count) for name, count in vocabulary.items()}
    return {
        "qwen2": t.Qwen2ForCausalLM(t.Qwen2Config(**common["qwen2"])),
        "qwen3": t.Qwen3ForCausalLM(
            t.Qwen3Config(**common["qwen3"], head_dim=16, rope_parameters=stretched)
        ),
        "qwen3moe": t.Qwen3MoeForCausalLM(t.Qwen3MoeConfig(**common["qwen3moe"], **experts)),
        "llama": t.LlamaForCausalLM(
            t.LlamaConfig(**common["llama"], rope_parameters=llama3, attention_bias=True)
        ),
        "deepseek_v2": t.DeepseekV2ForCausalLM(
            t.DeepseekV2Config(**(common["deepseek_v2"] | LATENT | v2))
        ),
        "deepseek_v3": t.DeepseekV3ForCausalLM(
            t.DeepseekV3Config(**(common["deepseek_v3"] | LATENT | v3))
        ),
    }


def make_tokenizers() -> dict[str, tuple[Tokenizer, str | None, str]]:
    """Tokenizer, begin token and end token of each model."""
    qwen = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    llama = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    r1, roles = [R1_BEGIN, R1_END], ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"]
    return {
        "qwen2": (tokenizer("qwen", [*r1, *qwen], roles, R1_BEGIN), R1_BEGIN, R1_END),
        "qwen3": (tokenizer("qwen", qwen, ["<think>", "</think>"], None), None, "<|im_end|>"),
        "qwen3moe": (tokenizer("qwen", qwen, [], None), None, "<|im_end|>"),
        "llama": (tokenizer("llama3", llama, [], llama[0]), llama[0], llama[1]),
        "deepseek_v2": (tokenizer("deepseek-llm", r1, [], R1_BEGIN), R1_BEGIN, R1_END),
        "deepseek_v3": (tokenizer("deepseek-v3", r1, roles, R1_BEGIN), R1_BEGIN, R1_END),
    }


def randomise(model: t.PreTrainedModel, seed: int) -> None:
    """Weights large enough that every part shows in the logits, exact in bfloat16."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if not tensor.dtype.is_floating_point or "inv_freq" in name:
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if "norm" in name:
                values = 1 + 0.2 * noise
            elif "e_score_correction_bias" in name:
                values = 0.1 * noise
            else:
                values = noise * (0.7 if tensor.dim() == 1 else 1.5 / tensor.shape[-1] ** 0.5)
            tensor.copy_(values.to(torch.bfloat16).to(torch.float32))


def write(folder: Path, name: str, model: t.PreTrainedModel, seed: int, made: tuple) -> None:
    """One model's folder."""
    words, begin, end = made
    randomise(model, seed)
    model.eval()
    fast = t.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token=begin, eos_token=end, clean_up_tokenization_spaces=False
    )
    fast.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    strings = json.loads(HARD)
    ids = [fast(each)["input_ids"] for each in strings]
    sequence = torch.randint(0, words.get_vocab_size(), (1, 96), generator=torch.manual_seed(seed))
    with torch.no_grad():
        logits = model(sequence).logits[0].float().numpy()
    shutil.rmtree(folder, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    fast.save_pretrained(folder)
    # One logit in eight, drawn at random for each position, tells the same and takes less room.
    columns = np.random.default_rng(seed).integers(0, logits.shape[1], (len(logits), 48))
    np.savez_compressed(
        folder / "logits.npz",
        tokens=sequence[0].numpy().astype(np.int32),
        columns=columns.astype(np.int32),
        logits=np.take_along_axis(logits, columns, 1),
    )
    (folder / "tokens.json").write_text(json.dumps(ids), encoding="utf-8")
    print(name, sum(each.stat().st_size for each in folder.iterdir()) // 1024, "KiB")


def main() -> None:
    """Make all of them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--seed", type=int, default=7)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    words = make_tokenizers()
    sizes = {name: made[0].get_vocab_size() + 2 for name, made in words.items()}
    for name, model in make_models(sizes).items():
        write(chosen.folder / name, name, model, chosen.seed, words[name])


if __name__ == "__main__":
    main()
