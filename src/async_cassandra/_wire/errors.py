"""What the wire layer raises; the layers above give these their public classes."""


class ProtocolError(Exception):
    """Bytes from the peer that the protocol does not allow; their connection cannot go on."""


class ParameterError(Exception):
    """A value that cannot be sent for a parameter; nothing was sent.

    :ivar parameter: the parameter's column name, or its position when it has none
    :ivar index: its position, from 0; ``-1`` when the number of parameters is what is wrong
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
    """A value, or the number of values, that the statement cannot take."""


class ParameterRangeError(ParameterValueError, TypeError):
    """A value out of range or malformed; a ``TypeError`` too, as it is where the driver binds."""


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
