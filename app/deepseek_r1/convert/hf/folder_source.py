"""Reads a Hugging Face folder as a source: config.json, tokenizer.json and *.safetensors."""

import re
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
from deepseek_r1.convert.model_source import ModelSource, replaced
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import Scalar

PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
MAX_FILES: Final = 1000
MAX_TEMPLATE_BYTES: Final = 1 << 20
_INDEX: Final = "model.safetensors.index.json"
_SINGLE: Final = "model.safetensors"
_LAYER: Final = re.compile(r"model\.layers\.(\d{1,5})\.")


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
    _require_all_used(weights, description.sizes.blocks)
    files = _tokenizer_files(path, values)
    vocabulary, remarks = vocabulary_keys(files, description.sizes.vocabulary)
    architecture, tensors = description.architecture, description.tensors
    keys: dict[str, Scalar] = {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": path.resolve().name,
        "general.size_label": _size_label(sum(each.elements for each in tensors)),
        **{f"{architecture}.{name}": value for name, value in description.keys.items()},
    }
    return ModelSource(
        path=path,
        architecture=architecture,
        blocks=description.sizes.blocks,
        keys=(*replaced((), keys), *vocabulary),
        tensors=tensors,
        files=(config_path, files.path, *weights_paths),
        remarks=tuple(remarks),
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
    return TokenizerFiles(
        path=path,
        tokenizer=read_json(path, MAX_TOKENIZER_BYTES),
        tokenizer_config=_optional(folder, "tokenizer_config.json"),
        generation_config=_optional(folder, "generation_config.json"),
        config=config,
        template=_template(_inside(folder, "chat_template.jinja")),
    )


def _optional(folder: Path, name: str) -> Json:
    path = _inside(folder, name)
    return read_json(path, MAX_TOKENIZER_BYTES) if path.is_file() else {}


def _template(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return read_capped(path, MAX_TEMPLATE_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceDamaged(path=str(path), detail=tr("it is not text")) from error


def _size_label(parameters: int) -> str:
    """Returns the parameter count in the usual form: 7.6B, 135M."""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if parameters >= 10 * size:
            return f"{parameters // size}{unit}"
        if parameters >= size:
            return f"{parameters / size:.1f}".removesuffix(".0") + unit
    return str(parameters)


def _require_all_used(weights: Weights, blocks: int) -> None:
    """Raise FeatureUnknown for an unused tensor, because the model computes something unknown.

    Extra blocks after the last (draft heads) and rotary frequencies are ignored.
    """
    for name in sorted(set(weights.stored) - weights.used):
        found = _LAYER.match(name)
        extra = found is not None and int(found[1]) >= blocks
        if not extra and not name.endswith("rotary_emb.inv_freq"):
            raise FeatureUnknown(
                detail=tr("Its architecture has no tensor {name}.", name=name[:80])
            )
