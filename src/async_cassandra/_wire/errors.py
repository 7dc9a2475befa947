"""The errors of the wire layer; the layers above give them their public classes.

Values may be secrets. An error about one has this library's words, and Python's if they quote
nothing of the value; of what application code raises, no words, cause or traceback are kept.
"""

import re
from pathlib import PurePath

_PACKAGE = "async_cassandra"
_QUOTED = re.compile(r"""'([^']+)'|"([^"]+)"|: (\S+)$""")


class ProtocolError(Exception):
    """Bytes from the peer that the protocol does not allow; their connection cannot go on."""


class ChecksumError(ProtocolError):
    """Bytes that changed in transit."""


class ParameterError(Exception):
    """A value that cannot be sent for a parameter; nothing was sent.

    :ivar parameter: the parameter's column name, or its position if it has none
    :ivar index: its position, from 0; ``-1`` if the number of parameters is wrong
    """

    parameter: str | int
    index: int

    def __init__(self, message: str, parameter: str | int = "", index: int = -1) -> None:
        super().__init__(message, parameter, index)
        self.parameter = parameter
        self.index = index

    def __str__(self) -> str:
        return str(self.args[0])


class ParameterTypeError(ParameterError, TypeError):
    """The value's Python type does not fit the parameter's CQL type."""


class ParameterValueError(ParameterError, ValueError):
    """A value, or the number of values, that the statement cannot accept."""


class ParameterRangeError(ParameterValueError, TypeError):
    """A value out of range or malformed; also a ``TypeError``, as in the driver."""


class ColumnDecodeError(ValueError):
    """A column's valid CQL value that Python cannot hold, such as a timestamp after the year 9999.

    :ivar column: the column's name
    :ivar row: the row's position in its page, from 0
    :ivar value: the undecoded bytes; empty for a column that the client decrypts
    """

    column: str
    row: int
    value: bytes

    def __init__(self, message: str, column: str = "", row: int = -1, value: bytes = b"") -> None:
        super().__init__(message, column, row, value)
        self.column = column
        self.row = row
        self.value = value

    def __str__(self) -> str:
        return str(self.args[0])


def words_of(error: BaseException, value: object) -> str | None:
    """Return an error's words if they reveal nothing of the value, else ``None``.

    What an encoding error keeps of the value is removed from it.
    """
    if isinstance(error, UnicodeEncodeError):
        error.args = (error.encoding, "", error.start, error.end, error.reason)
        error.object = ""
        return f"it cannot be encoded as {error.encoding}: {error.reason} (position {error.start})"
    if not _is_raised_here(error):
        return None
    words = str(error)
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  (the application's code)
        return None
    pieces = [piece for found in _QUOTED.findall(words) for piece in found if piece]
    return None if any(piece in shown for piece in pieces) else words


def _is_raised_here(error: BaseException) -> bool:
    """Whether the code that made it is this library's, or C code that it called."""
    entry, name = error.__traceback__, __file__
    while entry is not None:
        name = entry.tb_frame.f_code.co_filename
        entry = entry.tb_next
    return _PACKAGE in PurePath(name).parts
