# The numbers of the native protocol, versions 4 and 5; see its specification for each.

cpdef enum Opcode:
    ERROR = 0x00
    STARTUP = 0x01
    READY = 0x02
    AUTHENTICATE = 0x03
    OPTIONS = 0x05
    SUPPORTED = 0x06
    QUERY = 0x07
    RESULT = 0x08
    PREPARE = 0x09
    EXECUTE = 0x0A
    REGISTER = 0x0B
    EVENT = 0x0C
    BATCH = 0x0D
    AUTH_CHALLENGE = 0x0E
    AUTH_RESPONSE = 0x0F
    AUTH_SUCCESS = 0x10


cpdef enum ErrorCode:
    SERVER_ERROR = 0x0000
    PROTOCOL_ERROR = 0x000A
    BAD_CREDENTIALS = 0x0100
    UNAVAILABLE = 0x1000
    OVERLOADED = 0x1001
    IS_BOOTSTRAPPING = 0x1002
    TRUNCATE_ERROR = 0x1003
    WRITE_TIMEOUT = 0x1100
    READ_TIMEOUT = 0x1200
    READ_FAILURE = 0x1300
    FUNCTION_FAILURE = 0x1400
    WRITE_FAILURE = 0x1500
    CDC_WRITE_FAILURE = 0x1600
    CAS_WRITE_UNKNOWN = 0x1700
    SYNTAX_ERROR = 0x2000
    UNAUTHORIZED = 0x2100
    INVALID = 0x2200
    CONFIG_ERROR = 0x2300
    ALREADY_EXISTS = 0x2400
    UNPREPARED = 0x2500


# The first byte of an envelope is the version, with this bit in those that the server sends.
cdef enum:
    RESPONSE = 0x80


# Bits of an envelope's flags.
cpdef enum EnvelopeFlag:
    COMPRESSED = 0x01
    TRACING = 0x02
    CUSTOM_PAYLOAD = 0x04
    WARNING = 0x08
    BETA = 0x10


# Bits of the flags of QUERY, EXECUTE and BATCH.
cpdef enum QueryFlag:
    WITH_VALUES = 0x01
    SKIP_METADATA = 0x02
    WITH_PAGE_SIZE = 0x04
    WITH_PAGING_STATE = 0x08
    WITH_SERIAL_CONSISTENCY = 0x10
    WITH_TIMESTAMP = 0x20
    WITH_NAMES = 0x40
    WITH_KEYSPACE = 0x80


# Bits of the flags of PREPARE.
cdef enum:
    PREPARE_WITH_KEYSPACE = 0x01


# How an entry of a BATCH says what it is.
cdef enum:
    ENTRY_QUERY = 0
    ENTRY_PREPARED_ID = 1


# The consistency level of a statement for which nobody chose one.
cdef enum:
    CONSISTENCY_ONE = 0x0001


# Lengths of a [value] that has no bytes.
cdef enum:
    NULL_LENGTH = -1
    UNSET_LENGTH = -2


# What a RESULT is; 0 stands for a response that is none.
cpdef enum ResultKind:
    NO_RESULT = 0
    VOID = 1
    ROWS = 2
    SET_KEYSPACE = 3
    PREPARED = 4
    SCHEMA_CHANGE = 5


# Bits of the flags of a RESULT's rows.
cpdef enum RowsFlag:
    GLOBAL_TABLES_SPEC = 0x1
    HAS_MORE_PAGES = 0x2
    NO_METADATA = 0x4
    METADATA_CHANGED = 0x8
