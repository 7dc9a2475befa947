"""Changes of an input: bits and bytes, lengths and counts, pieces moved, doubled and exchanged."""

import random
from collections.abc import Callable, Sequence

__all__ = ["MAX_SIZE", "mutated"]

# Longer inputs find nothing that shorter ones do not, and take longer.
MAX_SIZE = 4096

_BYTES = (0x00, 0x01, 0x02, 0x03, 0x08, 0x10, 0x20, 0x21, 0x22, 0x30, 0x31, 0x7F, 0x80, 0xFE, 0xFF)
_SHORTS = (0, 1, 0x20, 0x21, 0x22, 0x30, 0x31, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
_INTS = (0, 1, 4, 8, 16, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0x10000000)
_TOKENS = (
    b"org.apache.cassandra.db.marshal.",
    b"VectorType(FloatType , 3)",
    b"VectorType(UTF8Type,2)",
    b"CompositeType(Int32Type,UTF8Type)",
    b"UserType(ks,61,62:Int32Type)",
    b"FrozenType(",
    b"MapType(",
    b"SetType(ListType(Int32Type))",
    b"TupleType(",
    b"=>",
    b" , ",
    b"\x00\x00\x00\x01\x00\x00\x00\x04",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"CAS",
)

Mutation = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def _flip_bit(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_byte(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    data[rng.randrange(len(data))] = rng.choice((*_BYTES, rng.randrange(256)))


def _step_byte(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data))
    data[at] = (data[at] + rng.choice((-2, -1, 1, 2, 4, 8))) % 256


def _set_number(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Write a length or a count: an extreme one, or one about as long as what follows."""
    at = rng.randrange(len(data))
    size = rng.choice((2, 4))
    left = max(0, len(data) - at - size + rng.choice((-5, -4, -1, 0, 1, 4)))
    number = rng.choice((*(_SHORTS if size == 2 else _INTS), left, left // 4))
    data[at : at + size] = (number % (1 << 8 * size)).to_bytes(size)


def _remove(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 1, 2, 4, 8, rng.randrange(1, 64)))]


def _cut(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data)) :]


def _insert(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice((rng.randbytes(rng.choice((1, 2, 4, 8))), rng.choice(_TOKENS)))


def _repeat(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data))
    piece = data[at : at + rng.randrange(1, 64)]
    data[at:at] = piece * rng.choice((1, 1, 2, 8))


def _overwrite(rng: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    source = rng.choice(corpus)
    start, at = rng.randrange(len(source)), rng.randrange(len(data))
    piece = source[start : start + rng.randrange(1, 64)]
    data[at : at + len(piece)] = piece


def _cross(rng: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    """Go on as another input does."""
    source = rng.choice(corpus)
    at = rng.randrange(len(data))
    start = rng.choice((min(at, len(source) - 1), rng.randrange(len(source))))
    data[at:] = source[start:]


_MUTATIONS: tuple[Mutation, ...] = (
    _flip_bit,
    _set_byte,
    _set_byte,
    _step_byte,
    _set_number,
    _set_number,
    _remove,
    _cut,
    _insert,
    _repeat,
    _overwrite,
    _cross,
)


def mutated(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Change ``data`` once or a few times; at most ``MAX_SIZE`` bytes come out, at least one.

    :param corpus: inputs that are not empty, for pieces
    """
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6, 12))):
        if not changed:
            changed += rng.randbytes(4)
        rng.choice(_MUTATIONS)(rng, changed, corpus)
    return bytes(changed[:MAX_SIZE]) or b"\0"
