"""Reads a Hugging Face folder as a source: config.json, tokenizer.json and *.safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deepseek_r1.convert.errors import (
    FeatureUnknown,
    SourceDamaged,
    SourceIsPickle,
    SourceMissing,
    TokenizerUnknown,
)
from deepseek_r1.convert.hf.config import (
    MAX_INDEX_BYTES,
    MAX_TOKENIZER_BYTES,
    Config,
    Json,
    read_capped,
    read_json,
)
from deepseek_r1.convert.hf.families import describe
from deepseek_r1.convert.hf.tensor_files import StoredTensor, Weights, read_tensor_table
from deepseek_r1.convert.hf.tokenizer import TokenizerFiles, vocabulary_keys
from deepseek_r1.convert.key_values import KeyValue, name_of, parameter_label, text
from deepseek_r1.convert.source_tensors import ModelSource, SourceTensor
from deepseek_r1.core.i18n import tr

PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
MAX_FILES: Final = 1000
MAX_TEMPLATE_BYTES: Final = 1 << 20
_INDEX: Final = "model.safetensors.index.json"
_SINGLE: Final = "model.safetensors"


def read_folder(path: Path) -> ModelSource:
    """Returns the model in the folder `path`. Raises the source errors of `convert.errors`."""
    config_path = _inside(path, "config.json")
    if not config_path.is_file():
        raise SourceMissing(
            path=str(path), detail=tr("There is no {name} in it.", name="config.json")
        )
    values = read_json(config_path)
    weights_paths = _weights_paths(path)
    stored: dict[str, StoredTensor] = {}
    for each in weights_paths:
        for tensor in read_tensor_table(each):
            if tensor.name in stored:
                detail = tr("the tensor {name} is there twice", name=tensor.name)
                raise SourceDamaged(path=str(each), detail=detail)
            stored[tensor.name] = tensor
    weights = Weights(stored, set())
    description = describe(Config(values, config_path), weights)
    _require_all_used(weights, description.blocks)
    files = _tokenizer_files(path, values)
    vocabulary, remarks = vocabulary_keys(files, description.vocabulary)
    keys = (
        *_general_keys(path, description.architecture, description.tensors),
        *description.keys,
        *vocabulary,
    )
    return ModelSource(
        path=path,
        architecture=description.architecture,
        blocks=description.blocks,
        keys=keys,
        tensors=description.tensors,
        files=(config_path, files.path, *weights_paths),
        remarks=(*description.remarks, *remarks),
    )


def _weights_paths(folder: Path) -> list[Path]:
    index = _inside(folder, _INDEX)
    if index.is_file():
        names = read_json(index, MAX_INDEX_BYTES).get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise SourceDamaged(path=str(index), detail=tr("it names no files"))
        files = sorted(set(names.values()))
        if len(files) > MAX_FILES:
            detail = tr("it names {count} files", count=len(files))
            raise SourceDamaged(path=str(index), detail=detail)
        return [_listed(folder, index, name) for name in files]
    if _inside(folder, _SINGLE).is_file():
        return [_inside(folder, _SINGLE)]
    pickles = sorted(each for each in folder.iterdir() if each.suffix.lower() in PICKLES)
    if pickles:
        raise SourceIsPickle(path=str(pickles[0]))
    detail = tr("There is no {name} in it.", name=_SINGLE)
    raise SourceMissing(path=str(folder), detail=detail)


def _listed(folder: Path, index: Path, name: str) -> Path:
    """Returns the path of a file in the index, which must be in the folder itself."""
    if Path(name).suffix.lower() in PICKLES:
        raise SourceIsPickle(path=str(folder / Path(name).name))
    if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
        detail = tr("it names the file {name}", name=name[:80])
        raise SourceDamaged(path=str(index), detail=detail)
    found = _inside(folder, name)
    if not found.is_file():
        raise SourceMissing(path=str(folder), detail=tr("There is no {name} in it.", name=name))
    return found


def _inside(folder: Path, name: str) -> Path:
    """Returns the path of `name` in the folder.

    A link may point into the folder, or to the blobs of the hub's cache; others are refused.
    """
    path = folder / name
    if path.is_symlink():
        root = folder.resolve()
        target = path.resolve()
        if target.parent not in (root, root.parent.parent / "blobs"):
            detail = tr("it is a link to a file in another folder")
            raise SourceDamaged(path=str(path), detail=detail)
    return path


def _tokenizer_files(folder: Path, config: Json) -> TokenizerFiles:
    path = _inside(folder, "tokenizer.json")
    if not path.is_file():
        raise TokenizerUnknown(
            detail=tr("There is no {name} in the folder.", name="tokenizer.json")
        )
    template = _inside(folder, "chat_template.jinja")
    return TokenizerFiles(
        path=path,
        tokenizer=read_json(path, MAX_TOKENIZER_BYTES),
        tokenizer_config=_optional(folder, "tokenizer_config.json"),
        generation_config=_optional(folder, "generation_config.json"),
        config=config,
        template=_template(template) if template.is_file() else None,
    )


def _optional(folder: Path, name: str) -> Json:
    path = _inside(folder, name)
    return read_json(path, MAX_TOKENIZER_BYTES) if path.is_file() else {}


def _template(path: Path) -> str:
    try:
        return read_capped(path, MAX_TEMPLATE_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceDamaged(path=str(path), detail=tr("it is not text")) from error


def _general_keys(
    folder: Path, architecture: str, tensors: tuple[SourceTensor, ...]
) -> list[KeyValue]:
    return [
        text("general.architecture", architecture),
        text("general.type", "model"),
        text("general.name", name_of(folder)),
        text("general.size_label", parameter_label(sum(each.elements for each in tensors))),
    ]


def _require_all_used(weights: Weights, blocks: int) -> None:
    """Raise FeatureUnknown for an unused tensor, because the model computes something unknown.

    Extra blocks after the last (draft heads) and rotary frequencies are ignored.
    """
    for name in weights.leftover():
        parts = name.split(".")
        numbered = len(parts) > 3 and parts[:2] == ["model", "layers"] and _small(parts[2])
        block = int(parts[2]) if numbered else 0
        if block < blocks and not name.endswith("rotary_emb.inv_freq"):
            raise FeatureUnknown(
                detail=tr("Its architecture has no tensor {name}.", name=name[:80])
            )


def _small(number: str) -> bool:
    return number.isdecimal() and len(number) < 6
