"""The catalogue's data: complete, well formed, and true where truth can be computed."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from deepseek_r1.catalogue import known_models as module
from deepseek_r1.catalogue.known_models import (
    CATALOGUE_FILE,
    Catalogue,
    KnownFile,
    KnownModel,
    catalogue,
    draft_for_file,
    family_of,
    find_draft,
    known_models,
)
from deepseek_r1.core.paths import catalogue_dir
from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.formats.ggml_types import FILE_TYPES, TYPES_BY_NAME
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.formats.llama_names import CHAT
from deepseek_r1.memory.cost_model import kv_cache_bytes, layers_of, token_weights_bytes
from deepseek_r1.memory.plan import ProcessOverhead, plan
from deepseek_r1.weights.residency import expert_layers
from support.real_models import r1_header

R1 = [model for model in known_models() if model.family == "deepseek-r1"]
FILES = [(model, file) for model in known_models() for file in model.files]
R1_FILES = [(model, file) for model in R1 for file in model.files]
IDS = [file.file for _, file in FILES]
# Bits per weight of a quantisation, of a model whose embedding and output are its own tensors.
BITS = {"Q3_K_M": (3.9, 4.3), "Q4_K_M": (4.7, 5.1), "Q5_K_M": (5.6, 5.9), "Q6_K": (6.5, 6.7)}
BITS |= {"Q8_0": (8.4, 8.6)}
OTHER_BITS = {"Q1_0": (1.1, 1.2), "Q2_0_g64": (2.2, 2.3), "MXFP4": (4.5, 4.7), "Q4_0": (4.4, 5.0)}
OTHER_BITS |= {"Q4_K_S": (4.5, 5.0)}


def test_the_models_it_is_all_about_are_there() -> None:
    assert {model.id for model in R1} == {
        "deepseek-r1-distill-qwen-1.5b",
        "deepseek-r1-distill-qwen-7b",
        "deepseek-r1-distill-qwen-14b",
        "deepseek-r1-distill-llama-8b",
        "deepseek-r1-0528-qwen3-8b",
    }


def test_every_model_has_its_quantisations_smallest_first() -> None:
    for model in known_models():
        if model in R1:
            assert [f.quantisation for f in model.files] == [*BITS], model.id
        sizes = [file.size_bytes for file in model.files]
        assert sizes == sorted(sizes)


def test_models_are_in_order_of_size() -> None:
    sizes = [model.parameters for model in known_models()]
    assert sizes == sorted(sizes)


def test_names_and_checksums_are_unique() -> None:
    for values in (
        [model.id for model in known_models()],
        [model.name for model in known_models()],
        [file.file for _, file in FILES],
        [file.sha256 for _, file in FILES if file.sha256],
    ):
        assert len(values) == len(set(values))


@pytest.mark.parametrize(("model", "file"), FILES, ids=IDS)
def test_a_file_is_what_its_name_says(model: KnownModel, file: KnownFile) -> None:
    if model in R1:
        assert file.file == f"{model.name}-{file.quantisation}.gguf"
    assert file.file.removesuffix(".gguf").endswith(file.quantisation)
    assert file.quantisation.removesuffix("_g64") in FILE_TYPES.values()
    least, most = (BITS | OTHER_BITS)[file.quantisation]
    assert least <= file.size_bytes * 8 / model.parameters <= most + 0.6 * model.tied
    assert file.size_exact or "computed" in file.note or "rounded" in file.note


@pytest.mark.parametrize(("model", "file"), FILES, ids=IDS)
def test_sources_are_https_at_a_known_place(model: KnownModel, file: KnownFile) -> None:
    sources = model.sources(file)
    assert [*sources][:2] == ["Hugging Face", "hf-mirror"]
    for url in sources.values():
        parts = urlsplit(url)
        assert parts.scheme == "https"
        assert parts.hostname in {"huggingface.co", "hf-mirror.com", "modelscope.cn"}
        assert parts.path.endswith("/" + file.file)
        assert not parts.query
        assert "{" not in url


def test_every_checksum_is_of_one_revision() -> None:
    """A branch moves, and then the checksum is wrong: only a commit will do."""
    for _, file in R1_FILES:
        assert file.revision is not None
        assert len(file.revision) == 40
        assert set(file.revision) <= set("0123456789abcdef")
    assert not [file for _, file in FILES if file.sha256 and file.revision is None]


def test_most_models_can_be_had_in_china_twice() -> None:
    assert sum(model.repository_modelscope is not None for model in known_models()) >= 4


def test_every_model_says_what_it_is_for_and_belongs_to_a_family() -> None:
    for model in known_models():
        assert {"en", "zh_CN"} == set(model.purpose)
        assert model.purpose["en"].endswith(".")
        assert model.scores
        assert family_of(model).sampling or model.family in ("smallthinker", "bonsai", "minicpm5")
        assert (model.base == "") == (model.base_licence is None)


def test_a_model_that_the_installed_engine_is_too_old_for_is_not_listed(monkeypatch):
    assert "minicpm5-2b" in {model.id for model in known_models()}
    monkeypatch.setattr(module, "installed_engine", lambda: "0.3.9")
    listed = {model.id for model in known_models()}
    assert "minicpm5-2b" not in listed, "it would write garbage"
    assert "deepseek-r1-distill-qwen-1.5b" in listed


def test_the_models_to_choose_from_are_in_the_catalogue_for_each_budget() -> None:
    known = {model.id for model in known_models()}
    assert [choice.memory_gb for choice in catalogue().choices] == [2, 4, 8]
    for choice in catalogue().choices:
        ids = (*choice.first, *choice.also, *choice.experimental)
        assert len(set(ids)) == len(ids)
        assert set(ids) <= known
        assert len(choice.first) <= 2


def test_an_outline_of_a_mixture_reads_its_experts_one_by_one() -> None:
    (model,) = (each for each in known_models() if each.id == "qwen3-30b-a3b-thinking-2507")
    header = model.header(model.files[0])
    (layer, *_) = expert_layers(header)
    assert (layer.experts, layer.used) == (128, 8)
    assert 0.05 < token_weights_bytes(header) / header.file_bytes < 0.15, "3.3B of 30.5B"
    assert sum(each.nbytes for each in header.tensors) == pytest.approx(header.file_bytes, rel=1e-5)


@pytest.mark.parametrize(
    ("model_id", "kib_a_token", "state_mib"),
    [
        ("qwen3.5-2b", 12, 19.3),
        ("qwen3.5-4b", 32, 50),
        ("qwen3.5-9b", 32, 50),
        ("ling-3.0-tiny", 7, 19),
    ],
)
def test_an_outline_of_a_hybrid_has_cells_in_some_layers_and_a_state_in_the_others(
    model_id: str, kib_a_token: int, state_mib: int
) -> None:
    (model,) = (each for each in known_models() if each.id == model_id)
    header = model.header(model.files[0])
    kv = kv_cache_bytes(header, LoadSettings(context_length=4096, kv_type=KVType.F16)) / 4096
    assert kv == pytest.approx(kib_a_token * 1024, rel=0.05)
    assert layers_of(header).state_bytes / 2**20 == pytest.approx(state_mib, rel=0.06)


DENSE = [model for model in known_models() if model.architecture in ("llama", "qwen2", "qwen3")]


@pytest.mark.parametrize("model", DENSE, ids=lambda model: model.id)
def test_a_shape_gives_the_published_number_of_parameters(model: KnownModel) -> None:
    """Weights per block by the shape, against the number the model is published with."""
    shape = model.shape
    query, key = shape.heads * shape.key_length, shape.heads_kv * shape.key_length
    block = shape.embedding * (2 * query + 2 * key + 3 * shape.feed_forward + 2)
    block += {"qwen2": query + 2 * key, "qwen3": 2 * shape.key_length}.get(model.architecture, 0)
    tables = 1 if model.tied else 2
    total = shape.blocks * block + shape.embedding * (tables * model.vocabulary + 1)
    assert abs(total - model.parameters) < 1000
    assert model.architecture in CHAT


@pytest.mark.parametrize("kv_type", [KVType.F16, KVType.Q8_0, KVType.Q4_0])
@pytest.mark.parametrize("model", DENSE, ids=lambda model: model.id)
def test_the_bill_is_made_of_the_shape(model: KnownModel, kv_type: KVType) -> None:
    file = model.files[-1]
    settings = LoadSettings(context_length=4096, kv_type=kv_type)
    bill = plan(model.header(file), settings, ProcessOverhead(packs=False)).bill
    mib = {line.name: line.planned_mib for line in bill.lines}
    kind = TYPES_BY_NAME[kv_type.name]
    values = 4096 * model.shape.heads_kv * (model.shape.key_length + model.shape.value_length)
    assert mib["kv_cache"] == pytest.approx(model.shape.blocks * kind.nbytes(values) / 2**20)
    assert mib["weights"] == pytest.approx(file.size_bytes / 2**20)
    assert mib["compute"] > 0


def test_the_7b_entry_agrees_with_the_real_file_s_header(tmp_path: Path) -> None:
    model = next(each for each in known_models() if each.id == "deepseek-r1-distill-qwen-7b")
    file = next(each for each in model.files if each.quantisation == "Q4_K_M")
    path = tmp_path / file.file
    with path.open("wb") as out:
        out.write(r1_header().read_bytes())
        out.truncate(file.size_bytes)
    header, ours = read_header(path), model.header(file)
    assert header.file_bytes == ours.file_bytes
    for field in ("architecture", "vocabulary", "blocks", "embedding", "feed_forward", "heads",
                  "heads_kv", "key_length", "value_length", "context_trained", "parameters",
                  "quantisation", "has_output"):  # fmt: skip
        assert getattr(header, field) == getattr(ours, field), field


@pytest.mark.parametrize(("place", "value"), [
    ("sha256", "ABC"), ("size_bytes", 0), ("file", "../../etc/passwd"), ("file", "C:\\model.gguf"),
    ("file", "model.exe"), ("surprise", 1),
])  # fmt: skip
def test_wrong_data_is_refused(place: str, value: object) -> None:
    data = json.loads((catalogue_dir() / CATALOGUE_FILE).read_text(encoding="utf-8"))
    data["models"][0]["files"][0][place] = value
    with pytest.raises(ValidationError):
        Catalogue.model_validate(data)


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf", True),
        ("deepseek-r1-distill-qwen-14b-IQ2_XS.gguf", True),
        ("DeepSeek-R1-Distill-Qwen-7B.gguf", True),
        ("DeepSeek-R1-Distill-Qwen-70B-Q4_K_M.gguf", False),
        ("DeepSeek-R1-Distill-Llama-8B-Q4_K_M.gguf", False),
        ("DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf", False),
        ("model.gguf", False),
    ],
)
def test_a_file_s_draft_model_is_found_by_its_name(file: str, fits: bool) -> None:
    draft = draft_for_file(file)
    assert (draft is not None) == fits
    if draft is not None:
        assert draft in (find_draft(draft.id), find_draft(draft.file))


def test_the_draft_models_of_the_models_are_in_the_catalogue() -> None:
    assert {model.draft for model in known_models()} - {None} <= {
        draft.id for draft in catalogue().drafts
    }
