"""Files that are nearly sound: a seeded stream of ways to break a GGUF file."""

import struct
from collections.abc import Callable, Iterator
from random import Random

from deepseek_r1.formats.ggml_types import TENSOR_TYPES
from support.raw_gguf import ARRAY, F32, SIZES, STRING, RawGguf

MAGIC = (
    0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 513, 1023, 1024, 4095,
    0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 40) + 1,
    (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 32, (1 << 64) - 1,
)  # fmt: skip
FLOATS = (0.0, -0.0, -1.0, 1.0, 1e-45, 1e30, -1e30, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    b"", b"\0", b"a", b"llama", b"gpt2", b"bert", b"t5", b"rwkv", b"none", b"qwen2", b"clip",
    b"linear", b"yarn", b"longrope", b"\xff\xfe", b"%s%s%n", b"../../etc/passwd", b"\xf0\x9f\x98",
    b"<unk>", b"<0x00>", b"{{ 1 }}", b"{% for x in range(9**9) %}x{% endfor %}", b"A" * 5000,
)  # fmt: skip


def mutants(data: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Endless broken copies of the sound file `data`, each with the name of its breakage."""
    sound = RawGguf.parse(data)
    header = len(sound.header())
    random = Random(seed)
    plain: list[tuple[str, Callable[[bytearray, int, Random], None]]] = [
        ("bit flips", _flip), ("magic numbers", _magic_number), ("cut", _cut),
        ("insert", _insert), ("delete", _delete),
    ]  # fmt: skip
    aware: list[tuple[str, Callable[[RawGguf, Random], None]]] = [
        ("key value", _key_value), ("key value", _key_value), ("key kind", _key_kind),
        ("key lost", _key_lost), ("array", _array),
        ("token text", _token_text), ("tensor shape", _tensor_shape), ("tensor kind", _tensor_kind),
        ("tensor lost", _tensor_lost),
    ]  # fmt: skip
    while True:
        if random.random() < 0.4:
            name, change = random.choice(plain)
            raw = bytearray(data)
            for _ in range(random.choice((1, 1, 1, 2, 4))):
                change(raw, header, random)
            yield name, bytes(raw)
        else:
            label, apply = random.choice(aware)
            file = sound.copy()
            for _ in range(random.choice((1, 1, 1, 2, 3))):
                apply(file, random)
            yield label, file.bytes()


def _place(raw: bytearray, header: int, random: Random) -> int:
    """Mostly in the header, and there mostly near its start, where the numbers are."""
    end = min(len(raw), header if random.random() < 0.9 else len(raw))
    if random.random() < 0.4:
        end = min(end, 1200)
    return random.randrange(max(1, end))


def _flip(raw: bytearray, header: int, random: Random) -> None:
    if raw:
        raw[_place(raw, header, random)] ^= 1 << random.randrange(8)


def _magic_number(raw: bytearray, header: int, random: Random) -> None:
    size = random.choice((1, 2, 4, 8))
    at = _place(raw, header, random)
    number = random.choice(MAGIC) & (1 << 8 * size) - 1
    raw[at : at + size] = number.to_bytes(size, "little")


def _cut(raw: bytearray, header: int, random: Random) -> None:
    del raw[_place(raw, header if random.random() < 0.5 else len(raw), random) :]


def _insert(raw: bytearray, header: int, random: Random) -> None:
    at = _place(raw, header, random)
    raw[at:at] = random.randbytes(random.choice((1, 2, 4, 8, 32, 100)))


def _delete(raw: bytearray, header: int, random: Random) -> None:
    at = _place(raw, header, random)
    del raw[at : at + random.choice((1, 2, 4, 8, 32, 100))]


def _key_value(file: RawGguf, random: Random) -> None:
    key = random.choice([each for each in file.keys if each.kind != ARRAY])
    if key.kind == STRING:
        text = random.choice(TEXTS)
        key.data = struct.pack("<Q", len(text)) + text
    elif key.kind == F32:
        key.data = struct.pack("<f", random.choice(FLOATS))
    else:
        size = SIZES[key.kind]
        old = int.from_bytes(key.data, "little")
        near = (old + 1, old - 1, old * 2, old // 2, random.choice(MAGIC), random.choice(MAGIC))
        key.data = (random.choice(near) & (1 << 8 * size) - 1).to_bytes(size, "little")


def _key_kind(file: RawGguf, random: Random) -> None:
    key = random.choice(file.keys)
    key.kind = random.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 255, 0xFFFFFFFF))
    if key.kind in SIZES and random.random() < 0.8:
        key.data = key.data.ljust(8, b"\0")[: SIZES[key.kind]]


def _key_lost(file: RawGguf, random: Random) -> None:
    file.keys.remove(random.choice(file.keys))


def _array(file: RawGguf, random: Random) -> None:
    key = random.choice([each for each in file.keys if each.kind == ARRAY])
    kind, count = struct.unpack_from("<IQ", key.data)
    choice = random.randrange(4)
    if choice == 0:
        count = random.choice((*MAGIC, count - 1, count + 1))
    elif choice == 1:
        kind = random.choice((*range(14), 0xFFFFFFFF))
    elif choice == 2 and kind in SIZES:  # shorter, but sound
        count = random.randrange(count + 1)
        key.data = key.data[: 12 + count * SIZES[kind]]
    elif kind in SIZES and count:  # one element
        at = 12 + random.randrange(count) * SIZES[kind]
        value = random.choice(MAGIC).to_bytes(8, "little")[: SIZES[kind]]
        key.data = key.data[:at] + value + key.data[at + SIZES[kind] :]
    key.data = struct.pack("<IQ", kind & 0xFFFFFFFF, count & (1 << 64) - 1) + key.data[12:]


def _token_text(file: RawGguf, random: Random) -> None:
    key = random.choice([k for k in file.keys if k.kind == ARRAY and k.data[0] == STRING])
    texts, at = [], 12
    while at < len(key.data):
        (size,) = struct.unpack_from("<Q", key.data, at)
        texts.append(key.data[at + 8 : at + 8 + size])
        at += 8 + size
    if not texts:
        return
    at = random.randrange(len(texts))
    new = random.choice((*TEXTS, random.choice(texts), random.randbytes(3), texts[at] + b"\0x"))
    texts[at] = new
    body = b"".join(struct.pack("<Q", len(each)) + each for each in texts)
    key.data = key.data[:12] + body


def _tensor_shape(file: RawGguf, random: Random) -> None:
    tensor = random.choice(file.tensors)
    at = random.randrange(len(tensor.shape))
    choice = random.randrange(6)
    if choice == 0:
        tensor.shape[at] = random.choice(MAGIC)
    elif choice == 1:
        tensor.shape.append(random.choice((0, 1, 2, 1 << 40)))
    elif choice == 2:
        tensor.shape.reverse()
    elif choice == 3:
        tensor.offset = random.choice((*MAGIC, tensor.offset + 32, tensor.offset - 32))
    elif choice == 4:
        tensor.dimensions = random.choice((0, 1, 2, 3, 4, 5, 0xFFFFFFFF))
    else:  # smaller, with data and table in agreement
        if tensor.shape[at] > 32:
            tensor.data = tensor.data[: len(tensor.data) // 2]
            tensor.shape[at] //= 2
        file.lay_out()


def _tensor_kind(file: RawGguf, random: Random) -> None:
    tensor = random.choice(file.tensors)
    tensor.kind = random.choice((*range(44), 255, 0x7FFFFFFF, 0xFFFFFFFF))
    if random.random() < 0.5:  # let the table agree with the new kind, as an attacker would
        kind, elements = TENSOR_TYPES.get(tensor.kind), 1
        for each in tensor.shape:
            elements *= each
        if kind is not None:
            size = elements // kind.block * kind.block_bytes
            tensor.data = (tensor.data * 8)[:size]
            file.lay_out()


def _tensor_lost(file: RawGguf, random: Random) -> None:
    file.tensors.remove(random.choice(file.tensors))
    file.lay_out()
