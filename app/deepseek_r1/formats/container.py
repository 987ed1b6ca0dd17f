"""Reads the GGUF container: keys with values, and the table of tensors, without their meaning.

Source: `ggml/docs/gguf.md` and `gguf.cpp`. Stricter than both where a hostile file could exploit
what they allow.
"""

import io
import math
import os
import struct
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from deepseek_r1.core.errors import (
    GgufVersionUnknown,
    ModelFileEmpty,
    ModelFileTruncated,
    NotAModelFile,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.cursor import Cursor, Refusals, opened
from deepseek_r1.formats.ggml_types import OTHER_TYPES, TENSOR_TYPES, TYPES_BY_NAME, TensorType

Scalar = str | int | float | bool

MAX_KEYS: Final = 4096
MAX_KEY_BYTES: Final = 256
MAX_TENSOR_TYPE: Final = 256  # a higher number is of no version
MAX_TENSORS: Final = 4096  # four times the largest model; llama.cpp takes minutes for 60,000
MAX_TOKENS: Final = 1_000_000  # real vocabularies reach 262,144
MAX_NUMBERS: Final = 16_000_000  # in one array
MAX_ALIGNMENT: Final = 1 << 20
_SPECIAL_TYPES: Final = (3, 4)  # LLAMA_TOKEN_TYPE_CONTROL and _USER_DEFINED
KEPT_NUMBERS: Final = 1024  # values of arrays up to this length are kept
DEFAULT_ALIGNMENT: Final = 32
MAX_SIGNED: Final = (1 << 63) - 1

MAGIC: Final = b"GGUF"
STRING: Final = 8
ARRAY: Final = 9
SCALARS: Final[dict[int, tuple[str, struct.Struct]]] = {
    0: ("u8", struct.Struct("<B")),
    1: ("i8", struct.Struct("<b")),
    2: ("u16", struct.Struct("<H")),
    3: ("i16", struct.Struct("<h")),
    4: ("u32", struct.Struct("<I")),
    5: ("i32", struct.Struct("<i")),
    6: ("f32", struct.Struct("<f")),
    7: ("bool", struct.Struct("<?")),
    10: ("u64", struct.Struct("<Q")),
    11: ("i64", struct.Struct("<q")),
    12: ("f64", struct.Struct("<d")),
}


@dataclass(frozen=True, slots=True)
class Array:
    """An array's element type and length; `values` is filled only where it is short."""

    element: str
    length: int
    values: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of the model: its shape with the row first, and its bytes in the file."""

    name: str
    shape: tuple[int, ...]
    type_name: str
    nbytes: int
    part: int = 0  # index of the file it is in
    offset: int = 0  # of its first byte, from the start of that file

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def kind(self) -> TensorType:
        return TYPES_BY_NAME[self.type_name]


@dataclass(slots=True)
class Container(Refusals):
    """One GGUF file's header; its keys are checked as they are asked for."""

    path: Path
    file_bytes: int
    version: int
    values: dict[str, Scalar] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  # "u32", "str", "arr", …
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)  # bytes of type and value
    arrays: dict[str, Array] = field(default_factory=dict)
    tokens: list[bytes] = field(default_factory=list)
    special_tokens: int = 0  # control tokens and those that a user defined
    tensors: list[TensorInfo] = field(default_factory=list)
    needed_bytes: int = 0  # the file's size according to its tensor table
    state: tuple[int, int] = (0, 0)  # its size and the time of its last change

    def __contains__(self, key: str) -> bool:
        return key in self.kinds

    def scalar(self, key: str, kind: str) -> Scalar | None:
        """The value of `key`, which must be of `kind`; None where it is missing."""
        found = self.kinds.get(key)
        if found is None:
            return None
        if found != kind:
            raise self.damaged(tr("the key {key} has the wrong type", key=key))
        return self.values[key]

    def text(self, key: str) -> str | None:
        value = self.scalar(key, "str")
        return value if isinstance(value, str) else None

    def flag(self, key: str) -> bool | None:
        value = self.scalar(key, "bool")
        return value if isinstance(value, bool) else None

    def number(self, key: str, least: int, greatest: int, default: int | None = None) -> int:
        """A whole number in range. Missing: `default`, or refused where there is none."""
        value = self.scalar(key, "u32")
        if value is None:
            if default is None:
                raise self.damaged(tr("the key {key} is missing", key=key))
            return default
        return self._in_range(key, int(value), least, greatest)

    def largest(self, key: str, least: int, greatest: int, layers: int, default: int) -> int:
        """A number, or the largest of a list with one number for each of `layers`."""
        array = self.arrays.get(key)
        if array is None:
            return self.number(key, least, greatest, default)
        if array.element not in ("u32", "i32") or array.length != layers:
            raise self.damaged(tr("the key {key} has the wrong type", key=key))
        for value in array.values:
            self._in_range(key, int(value), 0, greatest)
        return self._in_range(key, max(int(value) for value in array.values), least, greatest)

    def _in_range(self, key: str, value: int, least: int, greatest: int) -> int:
        if not least <= value <= greatest:
            raise self.wrong_value(key, value)
        return value

    def real(self, key: str, least: float, greatest: float) -> float | None:
        """A finite number in range; None where it is missing."""
        value = self.scalar(key, "f32")
        if value is None:
            return None
        if not math.isfinite(float(value)) or not least <= float(value) <= greatest:
            raise self.wrong_value(key, value)
        return float(value)

    def array(self, key: str, *elements: str) -> Array | None:
        """A list whose elements are of one of `elements`; None where it is missing."""
        array = self.arrays.get(key)
        if array is None and key not in self.kinds:
            return None
        if array is None or array.element not in elements:
            raise self.damaged(tr("the key {key} has the wrong type", key=key))
        return array


def read_container(path: Path) -> Container:
    """Read one file's header. Raises a `ModelRefused` for everything that is not valid GGUF."""
    with opened(path) as (file, size):
        changed_ns = os.fstat(file.fileno()).st_mtime_ns  # before it is read
        return replace(_read(Cursor(file, path, size)), state=(size, changed_ns))


def read_leading_keys(data: bytes, name: str) -> Container:
    """The keys in a file's first bytes, up to the first that is not complete; of a list its length.

    The sizes of a model stand in the first kilobyte, before its vocabulary. Without tensors. Raises
    a ModelRefused for bytes that are no GGUF of version 2 or 3.
    """
    cursor = Cursor(io.BytesIO(data), Path(name), len(data))
    if cursor.take(4) != MAGIC:
        raise cursor.damaged(tr("it does not begin as GGUF does"))
    version = cursor.u32()
    if version not in (2, 3):
        raise cursor.damaged(tr("its version is {version}", version=version))
    cursor.u64()  # the number of tensors
    found = Container(cursor.path, len(data), version)
    with suppress(ModelFileTruncated):  # the rest of the header was not read
        _read_keys(cursor, found, cursor.u64())
    return found


def _read(cursor: Cursor) -> Container:
    version = _check_magic(cursor)
    if version == 1:
        cursor.count_bytes = 4
    tensor_count, key_count = cursor.count(), cursor.count()
    if tensor_count > MAX_TENSORS:
        raise cursor.damaged(tr("it claims {count} tensors", count=tensor_count))
    file = Container(cursor.path, cursor.file_bytes, version)
    _read_keys(cursor, file, key_count)
    if any(key.startswith("prism.hadamard.") for key in file.kinds):  # it would write nonsense
        detail = tr("Its weights are rotated (prism.hadamard), and llama.cpp lacks the way back.")
        advice = tr("Choose the model that it was made from: a Q4_K_M of Qwen3.5, for example.")
        raise cursor.unknown(detail, advice)
    alignment = _alignment(cursor, file)
    tensors = [_read_tensor(cursor) for _ in range(tensor_count)]
    _check_layout(cursor, tensors, alignment)
    start = -(-cursor.position // alignment) * alignment
    file.tensors = [replace(each, offset=start + each.offset) for each in tensors]
    last = file.tensors[-1] if tensors else None  # its padding may be missing
    file.needed_bytes = last.offset + last.nbytes if last else cursor.position
    return file


def _check_magic(cursor: Cursor) -> int:
    """The file's version. Checks everything that can be wrong in the first eight bytes."""
    path = str(cursor.path)
    if cursor.file_bytes == 0:
        raise ModelFileEmpty(path=path)
    magic = cursor.take(min(4, cursor.file_bytes))
    if magic != MAGIC:
        if not magic.strip(b"\0") and _only_nuls(cursor.path):
            raise ModelFileEmpty(path=path)
        shown = "".join(chr(c) if 0x20 <= c < 0x7F else f"\\x{c:02x}" for c in magic)
        raise NotAModelFile(path=path, magic=shown)
    version = cursor.u32()
    if version in (1, 2, 3):
        return version
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    shown = tr("{version} (big-endian)", version=swapped) if swapped < 100 else str(version)
    raise GgufVersionUnknown(path=path, version=shown)


def _only_nuls(path: Path, window: int = 1 << 20) -> bool:
    """True when both ends of the file are zeros: space that was reserved and never written."""
    with path.open("rb") as file:
        head = file.read(window)
        file.seek(max(0, path.stat().st_size - window))
        tail = file.read(window)
    return not head.strip(b"\0") and not tail.strip(b"\0")


def _read_keys(cursor: Cursor, file: Container, count: int) -> None:
    if count > MAX_KEYS:
        raise cursor.damaged(tr("it claims {count} keys", count=count))
    for _ in range(count):
        _read_key(cursor, file)


def _read_key(cursor: Cursor, file: Container) -> None:
    key = cursor.name(MAX_KEY_BYTES, tr("a key has no proper name"))
    if key in file.kinds:
        raise cursor.damaged(tr("the key {key} is there twice", key=key))
    start, kind = cursor.position, cursor.u32()
    if kind == STRING:
        file.values[key] = cursor.string().decode("utf-8", errors="replace")
        file.kinds[key] = "str"
    elif kind == ARRAY:
        _read_array(cursor, file, key)
    elif kind in SCALARS:
        name, shape = SCALARS[kind]
        (file.values[key],) = cursor.unpack(shape)
        file.kinds[key] = name
    else:
        raise cursor.damaged(tr("the key {key} has the unknown type {kind}", key=key, kind=kind))
    file.spans[key] = start, cursor.position


def _read_array(cursor: Cursor, file: Container, key: str) -> None:
    """Read a list. Its length is known before its entries, also where these are cut off."""
    kind, count = cursor.u32(), cursor.count()
    if kind != STRING and kind not in SCALARS:  # no engine reads the nested ones that GGUF allows
        raise cursor.damaged(tr("the key {key} has the unknown type {kind}", key=key, kind=kind))
    if kind != STRING and count > MAX_NUMBERS:
        raise cursor.damaged(tr("a list has {count} entries", count=count))
    element = "str" if kind == STRING else SCALARS[kind][0]
    file.kinds[key], file.arrays[key] = "arr", Array(element, count)
    short = count <= KEPT_NUMBERS
    values: tuple[Scalar, ...] = ()
    if kind == STRING:
        tokens = key == "tokenizer.ggml.tokens" and count <= MAX_TOKENS
        texts = cursor.strings(count, keep=tokens or short)
        if tokens:
            file.tokens = texts
        if short:
            values = tuple(each.decode("utf-8", errors="replace") for each in texts)
    else:
        shape = SCALARS[kind][1]
        raw = cursor.take(count * shape.size)
        if key == "tokenizer.ggml.token_type" and shape.format == "<i":
            types = struct.unpack(f"<{count}i", raw)
            file.special_tokens = sum(map(types.count, _SPECIAL_TYPES))
        if short:
            values = tuple(value for (value,) in shape.iter_unpack(raw))
    file.arrays[key] = Array(element, count, values)


def _alignment(cursor: Cursor, file: Container) -> int:
    key = "general.alignment"
    value = file.values.get(key, DEFAULT_ALIGNMENT)
    if key in file.arrays or file.kinds.get(key, "u32") != "u32" or not isinstance(value, int):
        raise cursor.damaged(tr("the key {key} has the wrong type", key=key))
    if not 8 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.damaged(tr("its alignment is {value}", value=value))
    return value


def _read_tensor(cursor: Cursor) -> TensorInfo:
    """Read one entry of the table. Its offset counts from the start of the data."""
    name = cursor.name(63, tr("a tensor has no proper name"))
    dimensions = cursor.u32()
    if not 1 <= dimensions <= 4:
        raise cursor.damaged(tr("the tensor {name} has {n} dimensions", name=name, n=dimensions))
    shape = tuple(cursor.count() for _ in range(dimensions))
    number, offset = cursor.u32(), cursor.u64()
    kind = TENSOR_TYPES.get(number)
    if kind is None and number < MAX_TENSOR_TYPE:
        shown = f"{number}, {OTHER_TYPES[number]}" if number in OTHER_TYPES else str(number)
        detail = tr(
            "Its tensor {name} has the type {n}, which llama.cpp lacks.", name=name, n=shown
        )
        raise cursor.unknown(detail, tr("Choose a file of the same model in Q4_K_M or Q2_0_g64."))
    if kind is None:
        raise cursor.damaged(tr("the tensor {name} has the unknown type {n}", name=name, n=number))
    elements = math.prod(shape)
    if not 0 < elements * kind.block_bytes <= MAX_SIGNED or shape[0] % kind.block:
        raise cursor.damaged(tr("the tensor {name} has an impossible shape", name=name))
    return TensorInfo(name, shape, kind.name, kind.nbytes(elements), offset=offset)


def _check_layout(cursor: Cursor, tensors: list[TensorInfo], alignment: int) -> None:
    """Check that tensors have neither gaps nor overlaps: the engine accepts nothing else."""
    names: set[str] = set()
    end = 0
    for at, tensor in enumerate(tensors):
        if tensor.name in names:
            raise cursor.damaged(tr("the tensor {name} is there twice", name=tensor.name))
        names.add(tensor.name)
        if tensor.offset != end:
            if _has_large_groups(tensors[at - 1], tensor.offset, alignment):
                detail = tr("Its Q2_0 has groups of 128 values, that of llama.cpp groups of 64.")
                raise cursor.unknown(detail, tr("Choose the file that ends in Q2_0_g64."))
            raise cursor.damaged(tr("the tensor {name} is at the wrong offset", name=tensor.name))
        end = -(-(tensor.offset + tensor.nbytes) // alignment) * alignment


def _has_large_groups(tensor: TensorInfo, end: int, alignment: int) -> bool:
    """Return whether a tensor that ends at `end` is Q2_0 as another program packs it.

    Its groups are 128 values in 34 bytes; those of llama.cpp are 64 in 18.
    """
    nbytes = tensor.elements // 128 * 34
    padded = -(-(tensor.offset + nbytes) // alignment) * alignment
    return tensor.type_name == "Q2_0" and end == padded
