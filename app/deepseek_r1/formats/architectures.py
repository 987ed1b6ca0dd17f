"""The model families that this application can chat with.

They are named as `general.architecture` names them, a subset of `llama-arch.cpp` of the llama.cpp
inside llama-cpp-python 0.3.36. Not included: encoders and embedders (bert, t5encoder, …), vision
and sound towers (clip, wavtokenizer-dec, …), diffusion models (llada, dream, …) and drafting heads.
"""

from __future__ import annotations

from typing import Final

# Families whose blocks are attention and a feed-forward network, with the standard weight names.
PLAIN: Final = frozenset({"llama", "qwen2", "qwen3", "qwen2moe", "qwen3moe", "smollm3", "mistral3"})

# fmt: off
CHAT: Final = PLAIN | frozenset({
    "afmoe", "apertus", "arcee", "arctic", "baichuan", "bailingmoe", "bailingmoe2", "bitnet",
    "chatglm", "cohere2", "cohere2moe", "command-r", "dbrx", "deci", "deepseek", "deepseek2",
    "deepseek32", "deepseek4", "dots1", "ernie4_5", "ernie4_5-moe", "exaone", "exaone-moe",
    "exaone4", "falcon", "falcon-h1", "gemma", "gemma2", "gemma3", "gemma3n", "gemma4",
    "glm-dsa", "glm4", "glm4moe", "gpt-oss", "gptneox", "granite", "granitehybrid", "granitemoe",
    "grok", "grovemoe", "hunyuan-dense", "hunyuan-moe", "internlm2", "jais", "jais2", "jamba",
    "kimi-linear", "lfm2", "lfm2moe", "llama4", "maincoder", "mellum", "mimo2", "minicpm",
    "minicpm3", "minimax-m2", "mistral4", "mpt", "nemotron", "nemotron_h", "nemotron_h_moe",
    "olmo", "olmo2", "olmoe", "openelm", "orion", "pangu-embedded", "phi2", "phi3", "phimoe",
    "plm", "qwen", "qwen2vl", "qwen35", "qwen35moe", "qwen3next", "qwen3vl", "qwen3vlmoe",
    "seed_oss", "smallthinker", "stablelm", "starcoder2", "step35", "xverse",
})
# fmt: on

# The tokenizers of those families; llama.cpp knows more, for encoders and experiments.
TOKENIZERS: Final = frozenset({"llama", "gpt2", "gemma4"})
