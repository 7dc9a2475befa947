"""Names as the bytes that a server may write, and what a client may make of them."""

import random

__all__ = ["anything", "as_cassandra_writes", "as_read"]

SCRAPS = [
    b"\0", b"\xff", b"\xc3", b"\xc3\xa4", b"\xe5\x90\x8d", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80",
    b"\xf6", b"\xdf", b"?", b"??", b'"', b"'", b"\\", b"%s", b"%(a)s", b"{0}", b"$$", b"--", b";",
    b" ", b"\n", b"\r", b"\x85", b"\x7f", b"\x1b[31m", b".", b":", b"(", b")", b"<", b">", b",",
    b"a", b"B", b"1", b"_", b"class", b"self", b"__init__", b"_fields", b"None",
]  # fmt: skip


def anything(rng: random.Random) -> str:
    """Up to some hundreds of any bytes, as a string for ``Writer.write_string``."""
    match rng.randrange(4):
        case 0:
            data = rng.randbytes(rng.choice((0, 1, 2, 3, 8, 300)))
        case 1:
            data = rng.choice(SCRAPS)
        case _:
            data = b"".join(rng.choice(SCRAPS) for _ in range(rng.randrange(8)))
    return data.decode(errors="surrogateescape")


def as_read(written: str) -> str:
    """What a client makes of the bytes: UTF-8, else Latin-1.

    :param written: decoded with "surrogateescape"
    """
    data = written.encode(errors="surrogateescape")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def as_cassandra_writes(name: str) -> str:
    """The bytes of a name in SCHEMA_CHANGE, decoded with "surrogateescape".

    Source: ``CBUtil.writeAsciiString`` and Netty's ``ByteBufUtil.writeAscii``, which write the low
    byte of each UTF-16 unit, and "?" for those above 255.
    """
    units = memoryview(name.encode("utf-16-le", "surrogatepass")).cast("H")
    written = bytes(unit if unit < 256 else ord("?") for unit in units)
    return written.decode(errors="surrogateescape")
