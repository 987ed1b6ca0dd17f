"""The names that the llama.cpp inside llama-cpp-python 0.3.36 knows, and what it does with them.

A file with another name would fail to load, so it is refused by that name. Read from llama.cpp's
`llama-arch.cpp` and `llama-vocab.cpp`; `tests/formats/test_llama_names.py` asks the library.
"""

from typing import Final

# Families whose blocks are attention and a feed-forward network, with the standard weight names.
PLAIN: Final = frozenset({"llama", "qwen2", "qwen3", "qwen2moe", "qwen3moe", "smollm3", "mistral3"})

# fmt: off
# All families to chat with, as `general.architecture` names them.
CHAT: Final = PLAIN | frozenset({
    "afmoe", "apertus", "arcee", "arctic", "baichuan", "bailingmoe", "bailingmoe2", "bailingmoe3",
    "bitnet", "chatglm", "cohere2", "cohere2moe", "command-r", "dbrx", "deci", "deepseek",
    "deepseek2", "deepseek32", "deepseek4", "dots1", "ernie4_5", "ernie4_5-moe", "exaone",
    "exaone-moe", "exaone4", "falcon", "falcon-h1", "gemma", "gemma2", "gemma3", "gemma3n",
    "gemma4", "glm-dsa", "glm4", "glm4moe", "gpt-oss", "gptneox", "granite", "granitehybrid",
    "granitemoe", "grok", "grovemoe", "hunyuan-dense", "hunyuan-moe", "internlm2", "jais",
    "jais2", "jamba", "kimi-linear", "lfm2", "lfm2moe", "llama4", "maincoder", "mellum", "mimo2",
    "minicpm", "minicpm3", "minimax-m2", "mistral4", "mpt", "nemotron", "nemotron_h",
    "nemotron_h_moe", "olmo", "olmo2", "olmoe", "openelm", "orion", "pangu-embedded", "phi2",
    "phi3", "phimoe", "plm", "qwen", "qwen2vl", "qwen35", "qwen35moe", "qwen3next", "qwen3vl",
    "qwen3vlmoe", "seed_oss", "smallthinker", "stablelm", "starcoder2", "step35", "xverse",
})

# Families of embedding models that are offered for searching documents.
EMBEDDING: Final = frozenset({"bert"})

# Those that it knows and this application does not use: other encoders and embedders, towers for
# pictures and sound, diffusion models, drafting heads, purely recurrent models, and untried ones.
NOT_CHAT: Final = frozenset({
    "arwkv7", "bloom", "chameleon", "clip", "codeshell", "cogvlm", "deepseek2-ocr",
    "dflash", "dots3note", "dream", "eagle3", "eurobert", "gemma-embedding", "gemma4-assistant",
    "glm5-next", "gpt2", "gptj", "granite_swa", "graniteswitch", "hrm_text", "hunyuan_vl",
    "hy_v3", "hy_v4", "jina-bert-v2", "jina-bert-v3", "kimi-k3", "laguna", "llada", "llada-moe",
    "llama-embed", "mamba", "mamba2", "maple", "minimax-01", "minimax-m3", "modern-bert",
    "muse-glimmer", "nanbeige", "neo-bert", "nomic-bert", "nomic-bert-moe", "paddleocr", "plamo",
    "plamo2", "plamo3", "pockettts", "qwen3tts", "qwen4exp", "refact", "rnd1", "rwkv6",
    "rwkv6qwen2", "rwkv7", "spark2_5", "starcoder", "t5", "t5encoder", "talkie",
    "wavtokenizer-dec",
})

# `tokenizer.ggml.model` of chat models and of embedding models; it knows more, for experiments.
TOKENIZERS: Final = frozenset({"llama", "gpt2", "gemma4"})
EMBEDDING_TOKENIZERS: Final = frozenset({"bert", "t5"})

# `tokenizer.ggml.pre`, how the tokenizer "gpt2" cuts a text into words.
WORD_SPLITS: Final = frozenset({
    "a.x-4.0", "afmoe", "bailingmoe", "bailingmoe2", "bloom", "chameleon", "chatglm-bpe",
    "codeshell", "cohere2moe", "command-r", "dbrx", "deepseek-coder", "deepseek-llm",
    "deepseek-r1-qwen", "deepseek-v3", "default", "exaone", "exaone-moe", "exaone4", "f2llmv2",
    "falcon", "falcon-h1", "falcon3", "gemma4", "gigachat", "glm4", "glm5", "gpt-2", "gpt-4o",
    "gpt3-finnish", "granite-docling", "granite-embed-multi-311m", "granite-embed-multi-97m",
    "grok-2", "hunyuan", "hunyuan-dense", "hy_v4", "jais", "jais-2", "jina-de", "jina-es",
    "jina-v1-en", "jina-v2-code", "jina-v2-de", "jina-v2-es", "jina-v5-nano", "joyai-llm",
    "kanana2", "kimi-k2", "kormo", "laguna", "lfm2", "llada-moe", "llama-bpe", "llama-v3",
    "llama3", "llama4", "megrez", "mellum", "mellum2", "midm-2.0", "minerva-7b", "minicpm5",
    "minimax-m2", "modern-bert", "mpt", "olmo", "phi-2", "pixtral", "poro-chat", "qwen2",
    "qwen35", "refact", "roberta-bpe", "sarvam-moe", "seed-coder", "smaug-bpe", "smollm",
    "solar-open", "spark2_5", "stablelm2", "starcoder", "superbpe", "talkie", "tekken",
    "tiny_aya", "trillion", "ufakzeka", "viking", "whitespace", "youtu",
})
# fmt: on
