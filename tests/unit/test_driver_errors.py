"""Server errors against what the driver makes of the same ERROR message."""

import io
import pickle
from typing import Any

import cassandra
import pytest
from cassandra import ConsistencyLevel, WriteType, protocol
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException, ConnectionShutdown

from async_cassandra import exceptions
from async_cassandra._driver.errors import connect_error, connection_lost, server_error
from async_cassandra._wire.errors import ChecksumError
from async_cassandra.exceptions import ServerReport, SessionClosedError, UnknownServerError
from tests.support.peer_replies import error_body

TIMEOUT = {
    "consistency": ConsistencyLevel.QUORUM,
    "received_responses": 1,
    "required_responses": 2,
}
FAILURE = {**TIMEOUT, "failures": 1, "error_code_map": {"10.0.0.3": 2}}
ERRORS: list[tuple[int, dict[str, Any]]] = [
    (0x0000, {}),
    (0x000A, {}),
    (0x1000, {"consistency": 4, "required_replicas": 2, "alive_replicas": 1}),
    (0x1001, {}),
    (0x1002, {}),
    (0x1003, {}),
    (0x1100, {**TIMEOUT, "write_type": "BATCH"}),
    (0x1200, {**TIMEOUT, "data_retrieved": True}),
    (0x1300, {**FAILURE, "data_retrieved": False}),
    (0x1400, {"keyspace": "ks", "function": "f", "arg_types": ["int"]}),
    (0x1500, {**FAILURE, "write_type": "SIMPLE"}),
    (0x2000, {}),
    (0x2100, {}),
    (0x2200, {}),
    (0x2300, {}),
    (0x2400, {"keyspace": "ks", "table": "t"}),
    (0x2500, {"query_id": b"\x01\x02"}),
]
NAMES = (
    "consistency",
    "required_replicas",
    "alive_replicas",
    "required_responses",
    "received_responses",
    "data_retrieved",
    "write_type",
    "failures",
    "error_code_map",
    "keyspace",
    "table",
    "function",
    "arg_types",
    "info",
    "code",
)


def driver_error(code: int, fields: dict[str, Any]) -> Exception:
    """What the driver raises for an ERROR with these fields."""
    kind = protocol.error_classes.get(code, protocol.ErrorMessage)
    info: Any = dict(fields) or None
    if code == 0x2500:
        info = fields["query_id"]
    elif "write_type" in fields:
        info["write_type"] = WriteType.name_to_value[fields["write_type"]]
    expected: Exception = kind(code=code, message="boo", info=info).to_exception()
    return expected


@pytest.mark.parametrize(("code", "fields"), ERRORS, ids=[f"0x{code:04x}" for code, _ in ERRORS])
def test_server_error_is_the_drivers_with_its_attributes(code: int, fields: dict[str, Any]) -> None:
    expected = driver_error(code, fields)
    error = server_error(code, "boo", fields, endpoint="10.0.0.1:9042", attempts=2)
    assert isinstance(error, type(expected))
    assert isinstance(error, exceptions.QueryError)
    present = [name for name in NAMES if hasattr(expected, name)]
    assert {n: getattr(error, n) for n in present} == {n: getattr(expected, n) for n in present}
    assert (error.code, error.server_message, error.attempts) == (code, "boo", 2)


@pytest.mark.parametrize(("code", "fields"), ERRORS, ids=[f"0x{code:04x}" for code, _ in ERRORS])
def test_server_error_survives_pickling(code: int, fields: dict[str, Any]) -> None:
    error = server_error(code, "boo", fields, endpoint="10.0.0.1:9042")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


EVERY_CODE = sorted({*protocol.error_classes, 0x1700, 0x1F00})


@pytest.mark.parametrize("code", EVERY_CODE, ids=hex)
def test_every_class_that_the_driver_raises_for_a_code_catches_ours(code: int) -> None:
    fields = dict(ERRORS).get(code, TIMEOUT if code == 0x1700 else {})
    expected = driver_error(code, fields)
    error = server_error(code, "boo", fields, endpoint="10.0.0.1:9042")
    for kind in type(expected).__mro__:
        assert isinstance(error, kind)
    assert isinstance(error, exceptions.QueryError)
    assert isinstance(error, cassandra.DriverException)
    assert "boo" in str(error)


@pytest.mark.parametrize("code", EVERY_CODE, ids=hex)
def test_cause_of_a_server_error_is_the_drivers_exception(code: int) -> None:
    fields = dict(ERRORS).get(code, TIMEOUT if code == 0x1700 else {})
    expected = driver_error(code, fields)
    error = server_error(code, "boo", fields)
    assert type(error.cause) is type(expected)
    assert str(error.cause) == str(expected)
    assert error.cause is error.cause
    assert error.__cause__ is None
    again = pickle.loads(pickle.dumps(error))
    assert type(again.cause) is type(expected)
    assert again.__cause__ is None


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        (0x1100, {**TIMEOUT, "write_type": "NOVEL"}),
        (0x1100, {**TIMEOUT, "consistency": 77, "write_type": "CAS", "contentions": 3}),
        (0x1000, {"consistency": 77, "required_replicas": 2, "alive_replicas": 1}),
        (0x2200, {}),
    ],
)
def test_server_error_that_the_driver_would_choke_on_has_a_cause(
    code: int, fields: dict[str, Any]
) -> None:
    cause = server_error(code, "boo", fields).cause
    assert isinstance(cause, cassandra.DriverException | protocol.ErrorMessage)
    assert "boo" in str(cause)


# What a program catches before its requests: the driver has no class of its own for them.
OF_THE_CLIENT = (
    exceptions.AsyncCassandraError,
    exceptions.ConnectionError,
    exceptions.ConfigurationError,
)


def subclasses(kind: type[Any]) -> set[type[Any]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_what_a_request_can_raise_is_caught_by_a_class_of_the_driver() -> None:
    every = subclasses(exceptions.AsyncCassandraError)
    assert exceptions.ColumnDecodeError in every
    for kind in every:
        bases = {base.__module__ for base in kind.__mro__}
        if issubclass(kind, exceptions.QueryError | exceptions.TimeoutError):
            assert issubclass(kind, cassandra.DriverException), kind
        elif kind.__module__ == exceptions.__name__ and kind not in OF_THE_CLIENT:
            assert bases & {"cassandra", "cassandra.connection", "cassandra.cluster"}, kind


def test_closed_session_is_caught_as_a_closed_connection() -> None:
    assert issubclass(SessionClosedError, ConnectionShutdown)


def test_our_classes_do_not_change_how_the_driver_decodes() -> None:
    types = vars(protocol)["_message_types_by_opcode"].values()
    assert not [kind for kind in types if issubclass(kind, ServerReport)]
    assert not [kind for kind in protocol.error_classes.values() if issubclass(kind, ServerReport)]
    body = io.BytesIO(error_body(5, 0x2000, "boo", {}))
    assert type(protocol.ErrorMessage.recv_body(body, 5)) is protocol.SyntaxException


def test_server_error_says_what_where_and_what_to_do() -> None:
    fields = {"consistency": 4, "required_replicas": 2, "alive_replicas": 1}
    text = str(server_error(0x1000, "Cannot achieve QUORUM", fields, endpoint="10.0.0.1:9042"))
    for word in ("Cannot achieve QUORUM", "10.0.0.1:9042", "consistency=QUORUM", "0x1000"):
        assert word in text
    assert "GRANT" in str(server_error(0x2100, "no SELECT permission"))


def test_unknown_code_is_a_query_error_with_the_code() -> None:
    error = server_error(0x9999, "novel", endpoint="10.0.0.1:9042")
    assert type(error) is UnknownServerError
    assert error.code == 0x9999
    assert "novel" in str(error)


def test_cas_write_unknown_tells_who_answered() -> None:
    fields = {"consistency": 8, "received_responses": 1, "required_responses": 2}
    error = server_error(0x1700, "unknown", fields)
    assert isinstance(error, exceptions.CasWriteUnknown)
    assert isinstance(error, cassandra.DriverException)
    assert (error.received_responses, error.required_responses) == (1, 2)


def test_overloaded_coordinator_is_caught_as_overload() -> None:
    assert isinstance(server_error(0x1001, "busy"), exceptions.OverloadedError)


def test_bad_credentials_are_an_authentication_error() -> None:
    error = server_error(0x0100, "wrong")
    assert isinstance(error, exceptions.AuthenticationError)
    assert isinstance(error, cassandra.AuthenticationFailed)


def test_write_type_the_driver_does_not_know_stays_a_word() -> None:
    error = server_error(0x1100, "late", {**TIMEOUT, "write_type": "NOVEL"})
    assert isinstance(error, cassandra.WriteTimeout)
    assert getattr(error, "write_type", None) == "NOVEL"


def test_cas_timeout_tells_its_contentions() -> None:
    error = server_error(0x1100, "late", {**TIMEOUT, "write_type": "CAS", "contentions": 3})
    assert isinstance(error, cassandra.WriteTimeout)
    assert error.write_type == WriteType.CAS
    assert getattr(error, "contentions", None) == 3


def test_keyspace_that_exists_has_no_table() -> None:
    error = server_error(0x2400, "exists", {"keyspace": "ks", "table": ""})
    assert isinstance(error, cassandra.AlreadyExists)
    assert (error.keyspace, error.table) == ("ks", None)


def test_connection_lost_is_the_drivers() -> None:
    error = connection_lost("10.0.0.1:9042", OSError("reset"))
    assert isinstance(error, ConnectionShutdown)
    assert isinstance(error, exceptions.ConnectionError)
    assert "10.0.0.1:9042" in str(error)
    assert "reset" in str(error)


def test_connect_error_prefers_the_refused_credentials() -> None:
    refused = cassandra.AuthenticationFailed(
        "10.0.0.2:9042 refused the credentials: Provided username and/or password are incorrect"
    )
    both = {"10.0.0.1:9042": OSError("unreachable"), "10.0.0.2:9042": refused}
    error = connect_error(
        NoHostAvailable("no", both), ["10.0.0.1", "10.0.0.2"], 9042, has_credentials=True
    )
    assert isinstance(error, exceptions.AuthenticationError)
    assert isinstance(error, NoHostAvailable)
    assert error.cause is refused
    assert error.endpoint == "10.0.0.2:9042"
    assert "10.0.0.2:9042 refused the credentials: Provided username" in str(error)


def test_connect_error_asks_for_credentials_when_none_were_given() -> None:
    none = cassandra.AuthenticationFailed("Remote end requires authentication")
    error = connect_error(
        NoHostAvailable("no", {"10.0.0.1:9042": none}), ["10.0.0.1"], 9042, has_credentials=False
    )
    assert isinstance(error, exceptions.AuthenticationError)
    assert "auth_provider" in str(error)


def test_connect_error_of_a_bad_setting_is_a_configuration_error() -> None:
    error = connect_error(ValueError("None in contact_points"), [None], 9042, has_credentials=False)
    assert isinstance(error, exceptions.ConfigurationError)


def test_connect_error_of_damaged_bytes_says_so() -> None:
    damaged = ConnectionException("damaged", "a")
    damaged.__cause__ = ChecksumError("CRC24 mismatch: the bytes changed in transit")
    cause = NoHostAvailable("Unable to connect", {"10.0.0.1:9042": damaged})
    error = connect_error(cause, ["10.0.0.1"], 9042, has_credentials=False)
    assert str(error) == (
        "Could not connect to 10.0.0.1:9042: CRC24 mismatch: the bytes changed in transit. "
        "Check what lies between, or use TLS"
    )
