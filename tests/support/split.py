"""A model's file written anew: as several files, or with other keys and tensors."""

from pathlib import Path

import gguf

from support.gguf_files import tiny_llama
from support.raw_gguf import I32, U16, RawGguf

_OWN = ("GGUF.", "general.architecture", "split.")  # the writer makes these itself


def copy_keys(reader: gguf.GGUFReader, writer: gguf.GGUFWriter, *, leave_out: str = "") -> None:
    """All keys of a file but one."""
    for field in reader.fields.values():
        if field.name.startswith(_OWN) or field.name == leave_out:
            continue
        kinds = field.types
        inner = kinds[1] if kinds[0] is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kinds[0], sub_type=inner)


def split(path: Path, folder: Path, *, tensors: int = 9) -> list[Path]:
    """The model of `path` in files of so many tensors each, in order, in a new `folder`."""
    folder.mkdir()
    reader = gguf.GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(folder / "part.gguf", architecture, split_max_tensors=tensors)
    copy_keys(reader, writer)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(folder.iterdir())


def tiny_in_two_files(folder: Path) -> list[Path]:
    """A small model in two files of an existing folder."""
    sound = RawGguf.parse(tiny_llama(folder / "sound").read_bytes())
    (folder / "sound").unlink()
    files = [folder / f"tiny-0000{number}-of-00002.gguf" for number in (1, 2)]
    for number, tensors in enumerate((sound.tensors[:5], sound.tensors[5:])):
        part = sound.copy()
        part.tensors = tensors
        part.set("split.no", U16, number).set("split.count", U16, 2)
        part.set("split.tensors.count", I32, len(sound.tensors)).lay_out()
        part.write(files[number])
    return files
