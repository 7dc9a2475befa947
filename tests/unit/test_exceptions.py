"""The tree of exceptions: what catches what, what they carry, and that they pickle."""

import builtins
import copy
import pickle
import ssl
from typing import Any

import cassandra
import pytest

from async_cassandra import exceptions
from async_cassandra._wire import errors as wire

PUBLIC: list[type[exceptions.AsyncCassandraError]] = [
    getattr(exceptions, name) for name in exceptions.__all__
]


class Unpicklable(Exception):
    def __init__(self, first: object, second: object) -> None:
        super().__init__("both are needed")


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (exceptions.ConnectionError, [builtins.ConnectionError, OSError]),
        (exceptions.TimeoutError, [builtins.TimeoutError, cassandra.OperationTimedOut]),
        (exceptions.QueryTimeoutError, [exceptions.QueryError, builtins.TimeoutError]),
        (exceptions.ConnectTimeoutError, [exceptions.ConnectionError, builtins.TimeoutError]),
        (
            exceptions.AuthenticationError,
            [exceptions.ConnectionError, cassandra.AuthenticationFailed],
        ),
        (exceptions.ConfigurationError, [ValueError, TypeError]),
        (exceptions.ProtocolError, [exceptions.QueryError, builtins.ConnectionError]),
        (exceptions.ParameterTypeError, [exceptions.QueryError, TypeError]),
        (exceptions.ParameterValueError, [exceptions.QueryError, ValueError]),
        (exceptions.ColumnDecodeError, [exceptions.QueryError, ValueError]),
        (exceptions.CasWriteUnknown, [exceptions.QueryError, cassandra.DriverException]),
    ],
)
def test_error_is_caught_by(kind: type[Exception], bases: list[type[Exception]]) -> None:
    assert issubclass(kind, exceptions.AsyncCassandraError)
    assert all(issubclass(kind, base) for base in bases)


@pytest.mark.parametrize("kind", PUBLIC)
def test_error_carries_message_cause_and_facts(kind: Any) -> None:
    cause = OSError(111, "refused")
    error = kind("it broke", cause, endpoint="10.0.0.1:9042", attempts=2, consistency=6)
    assert str(error) == "it broke"
    assert error.cause is cause
    assert error.__cause__ is cause
    assert (error.endpoint, error.attempts, error.consistency) == ("10.0.0.1:9042", 2, 6)


@pytest.mark.parametrize("kind", PUBLIC)
def test_error_takes_message_and_cause_by_position_or_neither(kind: Any) -> None:
    assert kind("a", None).cause is None
    assert str(kind()) == ""


@pytest.mark.parametrize("kind", PUBLIC)
@pytest.mark.parametrize("clone", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_error_survives_pickling(kind: Any, clone: Any) -> None:
    error = kind("it broke", ValueError("why"), endpoint="[::1]:9042", attempts=1)
    again = clone(error)
    assert type(again) is kind
    assert str(again) == "it broke"
    assert repr(again.cause) == repr(error.cause)
    assert again.__cause__ is again.cause
    nothing = {"cause": None, "_cause": None}
    assert {**vars(again), **nothing} == {**vars(error), **nothing}


def test_pickling_replaces_a_cause_that_does_not_survive_it() -> None:
    error = exceptions.QueryTimeoutError(
        "late", Unpicklable(1, 2), errors={"10.0.0.1:9042": Unpicklable(3, 4)}
    )
    again = pickle.loads(pickle.dumps(error))
    assert str(again.cause) == "Unpicklable: both are needed"
    assert str(again.errors["10.0.0.1:9042"]) == "Unpicklable: both are needed"


def test_pickling_keeps_a_tls_error() -> None:
    error = exceptions.ConnectionError("no", ssl.SSLCertVerificationError(1, "self-signed"))
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again.cause, ssl.SSLCertVerificationError)


def test_timeout_has_the_drivers_attributes() -> None:
    errors = {"10.0.0.1:9042": ValueError("x")}
    error = exceptions.QueryTimeoutError("late", endpoint="10.0.0.2:9042", errors=errors)
    assert error.errors == errors
    assert error.last_host == "10.0.0.2:9042"


def test_from_wire_keeps_what_the_wire_knows() -> None:
    public = exceptions.from_wire(wire.ParameterTypeError("no int", "age", 2))
    assert isinstance(public, exceptions.ParameterTypeError)
    assert (str(public), public.parameter, public.index) == ("no int", "age", 2)

    public = exceptions.from_wire(wire.ParameterValueError("too big", "age", 2))
    assert isinstance(public, exceptions.ParameterValueError)

    public = exceptions.from_wire(wire.ColumnDecodeError("year 55840", "at", 3, b"\x01"))
    assert isinstance(public, exceptions.ColumnDecodeError)
    assert (public.column, public.row, public.value) == ("at", 3, b"\x01")
    assert pickle.loads(pickle.dumps(public)).value == b"\x01"


def test_from_wire_names_the_node_that_broke_the_protocol() -> None:
    public = exceptions.from_wire(wire.ProtocolError("bad checksum"), endpoint="10.0.0.1:9042")
    assert isinstance(public, exceptions.ProtocolError)
    assert str(public) == "The native protocol was violated by 10.0.0.1:9042: bad checksum"


def test_from_wire_leaves_public_errors_alone() -> None:
    error = exceptions.QueryError("x")
    assert exceptions.from_wire(error) is error
