"""The messages that a server sends.

Source: native protocol v5, section 4.2 (v4 where it differs); flags of section 2.4.1.2.
"""

cimport cython

from ipaddress import ip_address

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from async_cassandra._wire.buffer cimport (
    Cursor,
    read_byte,
    read_bytes,
    read_bytes_map,
    read_int,
    read_short,
    read_short_bytes,
    read_string,
    read_string_list,
    read_string_multimap,
    take,
)
from async_cassandra._wire.codecs cimport CodecRegistry
from async_cassandra._wire.protocol cimport EnvelopeFlag, ErrorCode, Opcode, ResultKind
from async_cassandra._wire.rows cimport (
    Page, ResultMetadata, RowPlan, column_codecs, read_metadata, read_prepared_metadata,
)

from async_cassandra._wire.errors import ProtocolError


# More distinct results than this are not repeated queries but generated ones.
DEF MAX_PLANS = 1024


cdef class RowPlans:
    """How to decode rows of any columns, each plan built once."""

    def __cinit__(self, CodecRegistry registry not None):
        self.registry = registry
        self.plans = {}

    cdef RowPlan plan(self, tuple columns, bint as_tuples):
        cdef tuple codecs = None
        if self.registry.encryption is not None:
            codecs = column_codecs(self.registry, columns)
        key = (columns, as_tuples, codecs)
        plan = self.plans.get(key)
        if plan is None:
            if len(self.plans) >= MAX_PLANS:
                self.plans.clear()
            plan = RowPlan(columns, self.registry, "tuple" if as_tuples else "row", codecs)
            self.plans[key] = plan
        return <RowPlan>plan


cdef class ServerError:
    """An ERROR; ``fields`` holds what its code adds, by the names that drivers use.

    Unavailable: ``consistency``, ``required_replicas``, ``alive_replicas``. Timeouts and failures: ``consistency``,
    ``received_responses``, ``required_responses``, and of ``data_retrieved``, ``write_type``, ``contentions``,
    ``failures`` (count) and ``error_code_map`` (address to code, v5) those that apply. Function failure: ``keyspace``,
    ``function``, ``arg_types``. Already exists: ``keyspace``, ``table``. Unprepared: ``query_id``.
    """

    def __repr__(self):
        # Not the message: it may quote values of the request.
        return f"<ServerError 0x{self.code:04x}>"


cdef class SchemaChange:
    """What DDL changed: ``change_type`` CREATED, UPDATED, DROPPED; ``target`` KEYSPACE, TABLE, TYPE, ..."""

    def __repr__(self):
        return f"<SchemaChange {self.change_type} {self.target} {self.keyspace}.{self.name}>"


cdef class Event:
    """What a server tells of by itself: ``kind`` STATUS_CHANGE, TOPOLOGY_CHANGE, SCHEMA_CHANGE or one that is new.

    Of a node: ``change_type`` UP, DOWN, NEW_NODE, REMOVED_NODE, ..., ``address`` in 4 or 16 bytes, and ``port``.
    Of the schema: ``schema_change``.
    """

    def __repr__(self):
        return f"<Event {self.kind} {self.change_type or self.schema_change}>"


cdef class Prepared:
    """What PREPARE gave; ``result_metadata_id`` is ``None`` on v4."""


@cython.freelist(256)
@cython.no_gc
cdef class Response:
    """One decoded response; which attributes are set follows from ``opcode`` and ``kind``."""

    def __repr__(self):
        if self.error is not None:
            return f"<Response {self.error!r}>"
        return f"<Response opcode=0x{self.opcode:02x} kind={self.kind}>"

    @property
    def paging_state(self):
        """The token of the page after this one; ``None`` if there is none, or no rows."""
        return None if self.metadata is None else self.metadata.paging_state


cdef Response new_keyspace(str keyspace):
    """The RESULT of a USE, as if a server had sent it."""
    cdef Response response = Response.__new__(Response)
    response.opcode = Opcode.RESULT
    response.kind = ResultKind.SET_KEYSPACE
    response.keyspace = keyspace
    return response


cdef Response decode_response(uint8_t version, uint8_t flags, uint8_t opcode, const unsigned char* body,
                              Py_ssize_t size, RowPlan plan, RowPlans plans, bint as_tuples, bytes whole=None,
                              bint at_once=True):
    """Decode an envelope's body.

    A page of rows keeps ``whole``, which the body is a part of, else a copy of the body.

    A page's lengths are checked with it, or not ``at_once`` but as its rows are read.

    Rows are decoded with the metadata in the reply, or with ``plan`` where the reply has none. Without ``plans`` no
    rows can be decoded, for requests that expect none.

    :raises ProtocolError: if the body is not what its opcode says
    """
    cdef Cursor cursor
    cursor.at = body
    cursor.end = body + size
    cdef Response response = Response.__new__(Response)
    response.opcode = opcode
    decode_options(response, &cursor, flags)
    if opcode == Opcode.RESULT:
        decode_result(response, &cursor, version, plan, plans, as_tuples, whole, at_once)
    elif opcode == Opcode.ERROR:
        response.error = decode_error(&cursor, version)
    elif opcode == Opcode.SUPPORTED:
        response.supported = read_string_multimap(&cursor)
    elif opcode == Opcode.AUTHENTICATE:
        response.authenticator = read_string(&cursor)
    elif opcode == Opcode.AUTH_CHALLENGE or opcode == Opcode.AUTH_SUCCESS:
        response.token = read_bytes(&cursor)
    elif opcode != Opcode.READY:
        raise ProtocolError(f"opcode 0x{opcode:02x} is not a response")
    return response


cdef Event decode_event(uint8_t flags, uint8_t opcode, const unsigned char* body, Py_ssize_t size):
    """Decode the body of an envelope that answers no request.

    :raises ProtocolError: if it is no EVENT, or its body is not what an EVENT has
    """
    cdef Cursor cursor
    cdef Event event = Event()
    cursor.at = body
    cursor.end = body + size
    if opcode != Opcode.EVENT:
        raise ProtocolError(f"opcode 0x{opcode:02x} where only events come")
    decode_options(Response.__new__(Response), &cursor, flags)
    event.kind = read_string(&cursor).upper()
    if event.kind == "SCHEMA_CHANGE":
        event.schema_change = decode_schema_change(&cursor)
    elif event.kind in ("STATUS_CHANGE", "TOPOLOGY_CHANGE"):
        event.change_type = read_string(&cursor)
        event.address = read_address(&cursor)
        event.port = read_int(&cursor)
    return event


cdef int decode_options(Response response, Cursor* cursor, uint8_t flags) except -1:
    """What the envelope's flags say comes before its message."""
    if flags & EnvelopeFlag.TRACING:
        response.tracing_id = PyBytes_FromStringAndSize(<const char*>take(cursor, 16), 16)
    if flags & EnvelopeFlag.WARNING:
        response.warnings = read_string_list(cursor)
    if flags & EnvelopeFlag.CUSTOM_PAYLOAD:
        response.custom_payload = read_bytes_map(cursor)
    return 0


def decode(uint8_t version, uint8_t flags, uint8_t opcode, bytes body not None, RowPlan plan=None,
           RowPlans plans=None, bint as_tuples=False):
    """Decode an envelope's body held as ``bytes``; see :class:`Response`."""
    return decode_response(version, flags, opcode, <const unsigned char*><char*>body, len(body), plan, plans,
                           as_tuples)


def decode_pushed(uint8_t flags, uint8_t opcode, bytes body not None):
    """Decode the body of an envelope that answers no request, held as ``bytes``; see :class:`Event`."""
    return decode_event(flags, opcode, <const unsigned char*><char*>body, len(body))


cdef int decode_result(Response response, Cursor* cursor, uint8_t version, RowPlan plan, RowPlans plans,
                       bint as_tuples, bytes whole, bint at_once) except -1:
    response.kind = read_int(cursor)
    if response.kind == ResultKind.ROWS:
        return decode_rows(response, cursor, plan, plans, as_tuples, whole, at_once)
    if response.kind == ResultKind.SET_KEYSPACE:
        response.keyspace = read_string(cursor)
    elif response.kind == ResultKind.PREPARED:
        response.prepared = decode_prepared(cursor, version)
    elif response.kind == ResultKind.SCHEMA_CHANGE:
        response.schema_change = decode_schema_change(cursor)
    elif response.kind != ResultKind.VOID:
        raise ProtocolError(f"a RESULT of unknown kind {response.kind}")
    return 0


cdef int decode_rows(Response response, Cursor* cursor, RowPlan plan, RowPlans plans, bint as_tuples,
                     bytes whole, bint at_once) except -1:
    cdef ResultMetadata metadata = read_metadata(cursor, None if plan is None else plan.usual)
    response.metadata = metadata
    if metadata.column_count == 0:
        raise ProtocolError("rows without columns")
    if metadata.columns is not None:
        if plans is None:
            raise ProtocolError("rows for a request that has none")
        plan = plans.plan(metadata.columns, as_tuples)
    elif plan is None:
        raise ProtocolError("rows without metadata for a request that did not ask to leave it out")
    elif plan.column_count != metadata.column_count:
        raise ProtocolError(f"rows of {metadata.column_count} columns where {plan.column_count} were announced")
    elif metadata is not plan.usual and metadata.is_bare():
        plan.usual = metadata
    cdef Page page = Page.__new__(Page)
    if whole is None:
        page.fill(PyBytes_FromStringAndSize(<const char*>cursor.at, cursor.end - cursor.at), 0, plan,
                  at_once)
    else:
        page.fill(whole, cursor.at - <const unsigned char*>PyBytes_AS_STRING(whole), plan, at_once)
    response.page = page
    return 0


cdef Prepared decode_prepared(Cursor* cursor, uint8_t version):
    cdef Prepared prepared = Prepared()
    prepared.prepared_id = read_short_bytes(cursor)
    if version >= 5:
        prepared.result_metadata_id = read_short_bytes(cursor)
    prepared.bind_metadata = read_prepared_metadata(cursor)
    prepared.result_metadata = read_metadata(cursor)
    return prepared


cdef SchemaChange decode_schema_change(Cursor* cursor):
    cdef SchemaChange change = SchemaChange()
    change.change_type = read_string(cursor)
    change.target = read_string(cursor)
    change.keyspace = read_string(cursor)
    if change.target != "KEYSPACE":
        change.name = read_string(cursor)
    if change.target in ("FUNCTION", "AGGREGATE"):
        change.arguments = read_string_list(cursor)
    return change


cdef ServerError decode_error(Cursor* cursor, uint8_t version):
    cdef ServerError error = ServerError()
    error.code = read_int(cursor)
    error.message = read_string(cursor)
    error.fields = decode_error_fields(cursor, error.code, version)
    return error


cdef dict decode_error_fields(Cursor* cursor, int code, uint8_t version):
    if code == ErrorCode.UNAVAILABLE:
        return {
            "consistency": read_short(cursor),
            "required_replicas": read_int(cursor),
            "alive_replicas": read_int(cursor),
        }
    if code in (ErrorCode.READ_TIMEOUT, ErrorCode.WRITE_TIMEOUT, ErrorCode.READ_FAILURE, ErrorCode.WRITE_FAILURE,
                ErrorCode.CAS_WRITE_UNKNOWN):
        return decode_replica_fields(cursor, code, version)
    if code == ErrorCode.FUNCTION_FAILURE:
        return {
            "keyspace": read_string(cursor),
            "function": read_string(cursor),
            "arg_types": read_string_list(cursor),
        }
    if code == ErrorCode.ALREADY_EXISTS:
        return {"keyspace": read_string(cursor), "table": read_string(cursor)}
    if code == ErrorCode.UNPREPARED:
        return {"query_id": read_short_bytes(cursor)}
    return {}


cdef dict decode_replica_fields(Cursor* cursor, int code, uint8_t version):
    cdef dict fields = {
        "consistency": read_short(cursor),
        "received_responses": read_int(cursor),
        "required_responses": read_int(cursor),
    }
    if code in (ErrorCode.READ_FAILURE, ErrorCode.WRITE_FAILURE):
        fields["failures"] = read_int(cursor)
        if version >= 5:
            fields["error_code_map"] = read_reasons(cursor, fields["failures"])
    if code in (ErrorCode.READ_TIMEOUT, ErrorCode.READ_FAILURE):
        fields["data_retrieved"] = read_byte(cursor) != 0
    if code in (ErrorCode.WRITE_TIMEOUT, ErrorCode.WRITE_FAILURE):
        fields["write_type"] = read_string(cursor)
        if code == ErrorCode.WRITE_TIMEOUT and fields["write_type"] == "CAS" and cursor.end - cursor.at >= 2:
            fields["contentions"] = read_short(cursor)
    return fields


cdef dict read_reasons(Cursor* cursor, int count):
    """The v5 reason map: [inetaddr] to [short]."""
    cdef dict reasons = {}
    for _ in range(count):
        address = read_address(cursor)
        reasons[str(ip_address(address))] = read_short(cursor)
    return reasons


cdef bytes read_address(Cursor* cursor):
    """An [inetaddr]: its 4 or 16 bytes."""
    cdef Py_ssize_t size = read_byte(cursor)
    if size != 4 and size != 16:
        raise ProtocolError(f"an address of {size} bytes")
    return PyBytes_FromStringAndSize(<const char*>take(cursor, size), size)
