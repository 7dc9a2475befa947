"""The options that a statement sets for each of its executions."""

from cassandra.query import FETCH_SIZE_UNSET

cdef object UNSET_FETCH_SIZE = FETCH_SIZE_UNSET


cdef class StatementOptions:
    """The options that a statement sets for each of its executions.

    ``None``, and the driver's mark for no ``fetch_size``, leave it to the execution profile and the session.

    :ivar takes_no_default: ``is_idempotent`` may be meant as no, so the profile's yes does not apply
    """

    def __cinit__(self, *args, **kwargs):
        self.fetch_size = UNSET_FETCH_SIZE


cdef class PreparedOptions(StatementOptions):
    """The options of a prepared statement, with its query."""


class OwnMark:
    """A statement whose ``is_idempotent`` is ``None`` until somebody sets it, so that ``False`` means no."""


cdef StatementOptions copied_options(statement):
    cdef StatementOptions options = StatementOptions.__new__(StatementOptions)
    options.retry_policy = statement.retry_policy
    options.consistency_level = statement.consistency_level
    options.serial_consistency_level = statement.serial_consistency_level
    options.fetch_size = statement.fetch_size
    options.custom_payload = statement.custom_payload
    options.is_idempotent = statement.is_idempotent
    if options.is_idempotent is False and not isinstance(statement, OwnMark):
        # The driver's classes say False where nothing was said.
        options.is_idempotent = None
        options.takes_no_default = True
    return options
