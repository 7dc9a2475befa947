# What this project uses of cassandra-driver, which has no annotations; everything else is Any.
from collections.abc import Mapping, Sequence
from typing import Any

def __getattr__(name: str) -> Any: ...

__version__: str

class ConsistencyLevel:
    ANY: int
    ONE: int
    TWO: int
    THREE: int
    QUORUM: int
    ALL: int
    LOCAL_QUORUM: int
    EACH_QUORUM: int
    SERIAL: int
    LOCAL_SERIAL: int
    LOCAL_ONE: int
    value_to_name: dict[int, str]
    name_to_value: dict[str, int]
    @staticmethod
    def is_serial(cl: int) -> bool: ...

class ProtocolVersion:
    V3: int
    V4: int
    V5: int
    SUPPORTED_VERSIONS: tuple[int, ...]
    BETA_VERSIONS: tuple[int, ...]
    MIN_SUPPORTED: int
    MAX_SUPPORTED: int
    @classmethod
    def get_lower_supported(cls, previous_version: int) -> int: ...
    @classmethod
    def has_checksumming_support(cls, version: int) -> bool: ...

class WriteType:
    SIMPLE: int
    BATCH: int
    UNLOGGED_BATCH: int
    COUNTER: int
    BATCH_LOG: int
    CAS: int
    VIEW: int
    CDC: int
    name_to_value: dict[str, int]
    value_to_name: dict[int, str]

class SignatureDescriptor:
    name: str
    argument_types: Sequence[str]
    def __init__(self, name: str | None, argument_types: Sequence[str] | None) -> None: ...
    @property
    def signature(self) -> str: ...

class UserFunctionDescriptor(SignatureDescriptor): ...
class UserAggregateDescriptor(SignatureDescriptor): ...
class DriverException(Exception): ...
class RequestExecutionException(DriverException): ...

class Unavailable(RequestExecutionException):
    consistency: int | None
    required_replicas: int | None
    alive_replicas: int | None
    def __init__(
        self,
        summary_message: str,
        consistency: int | None = None,
        required_replicas: int | None = None,
        alive_replicas: int | None = None,
    ) -> None: ...

class Timeout(RequestExecutionException):
    consistency: int | None
    required_responses: int | None
    received_responses: int | None
    def __init__(
        self,
        summary_message: str,
        consistency: int | None = None,
        required_responses: int | None = None,
        received_responses: int | None = None,
        **kwargs: Any,
    ) -> None: ...

class ReadTimeout(Timeout):
    data_retrieved: bool | None
    def __init__(self, message: str, data_retrieved: bool | None = None, **kwargs: Any) -> None: ...

class WriteTimeout(Timeout):
    write_type: int | None
    def __init__(self, message: str, write_type: int | None = None, **kwargs: Any) -> None: ...

class CDCWriteFailure(RequestExecutionException):
    def __init__(self, message: str) -> None: ...

class CoordinationFailure(RequestExecutionException):
    consistency: int | None
    required_responses: int | None
    received_responses: int | None
    failures: int | None
    error_code_map: Mapping[Any, int] | None
    def __init__(
        self,
        summary_message: str,
        consistency: int | None = None,
        required_responses: int | None = None,
        received_responses: int | None = None,
        failures: int | None = None,
        error_code_map: Mapping[Any, int] | None = None,
    ) -> None: ...

class ReadFailure(CoordinationFailure):
    data_retrieved: bool | None
    def __init__(self, message: str, data_retrieved: bool | None = None, **kwargs: Any) -> None: ...

class WriteFailure(CoordinationFailure):
    write_type: int | None
    def __init__(self, message: str, write_type: int | None = None, **kwargs: Any) -> None: ...

class FunctionFailure(RequestExecutionException):
    keyspace: str
    function: str
    arg_types: Sequence[str]
    def __init__(
        self, summary_message: str, keyspace: str, function: str, arg_types: Sequence[str]
    ) -> None: ...

class RequestValidationException(DriverException): ...
class ConfigurationException(RequestValidationException): ...

class AlreadyExists(ConfigurationException):
    keyspace: str | None
    table: str | None
    def __init__(self, keyspace: str | None = None, table: str | None = None) -> None: ...

class InvalidRequest(RequestValidationException): ...
class Unauthorized(RequestValidationException): ...
class AuthenticationFailed(DriverException): ...

class OperationTimedOut(DriverException):
    errors: Any
    last_host: Any
    def __init__(self, errors: Any = None, last_host: Any = None) -> None: ...

class UnsupportedOperation(DriverException): ...
class UnresolvableContactPoints(DriverException): ...
class DependencyException(Exception): ...
