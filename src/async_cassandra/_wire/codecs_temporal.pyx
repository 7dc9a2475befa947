"""Codecs of dates, times and durations.

Source: native protocol v5, section 6; days are counted in the proleptic Gregorian calendar.
"""

import calendar
import re
from datetime import datetime, timedelta

from cpython.datetime cimport (
    PyDate_Check, PyDate_CheckExact, PyDateTime_Check, PyDateTime_CheckExact, PyDelta_Check, PyDelta_CheckExact,
    PyTime_Check, PyTime_CheckExact, datetime_day, datetime_hour, datetime_microsecond,
    datetime_minute, datetime_month, datetime_new, datetime_second, datetime_tzinfo, datetime_year,
    date_day, date_month, date_new, date_year, import_datetime, time_hour, time_microsecond, time_minute,
    time_new, time_second, time_tzinfo, timedelta_days, timedelta_microseconds, timedelta_seconds,
)
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint32_t, uint64_t

from async_cassandra._wire.buffer cimport (
    WriteBuffer, get_int, get_long, put_int, put_long, read_vint, reserve, write_vint,
)
from async_cassandra._wire.codecs cimport Codec, raise_size, read_empty, register_scalar
from async_cassandra._wire.codecs_scalar cimport as_int, as_str
from async_cassandra._wire.cqltypes cimport DATE, DURATION, TIME, TIMESTAMP, CqlType

__all__ = ()

import_datetime()

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1


cdef int64_t DAY_MS = 86_400_000
cdef int64_t DAY_NS = 86_400_000_000_000
cdef int64_t FIRST_DAY = -719_162  # 0001-01-01
cdef int64_t LAST_DAY = 2_932_896  # 9999-12-31


cdef int64_t as_bounded(object value, int64_t lowest, int64_t highest, str what) except? -1:
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(as_int(value), &overflow)
    if overflow or number < lowest or number > highest:
        raise OverflowError(f"{what} must be {lowest} to {highest}")
    return number


cdef object exact_datetime(object value):
    """A datetime itself, without a zone, from one of a subclass by its own attributes.

    pandas.NaT is a datetime whose attributes are not numbers, and whose fields are those of 0001-01-01.
    """
    try:
        return datetime_new(
            as_int(value.year), as_int(value.month), as_int(value.day), as_int(value.hour), as_int(value.minute),
            as_int(value.second), as_int(value.microsecond), None, 0,
        )
    except TypeError as error:
        raise ValueError(f"{value!r} is not a point in time: {error}") from error


cdef object exact_date(object value):
    """A date itself from a date, or from a datetime, of any subclass."""
    if PyDate_CheckExact(value) or PyDateTime_CheckExact(value):
        return value
    try:
        return date_new(as_int(value.year), as_int(value.month), as_int(value.day))
    except TypeError as error:
        raise ValueError(f"{value!r} is not a date: {error}") from error


cdef int64_t days_from_civil(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """Days since 1970-01-01 of a date, for years from 1.

    The year is counted from March, so that the leap day ends it, in eras of 400 years.
    """
    if month <= 2:
        year -= 1
    cdef int64_t era = year // 400
    cdef int64_t year_of_era = year - era * 400
    cdef int64_t day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return (
        era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
        - 719468
    )


cdef void civil_from_days(int64_t days, int* year, int* month, int* day) noexcept nogil:
    """The inverse of ``days_from_civil``, for days from ``FIRST_DAY``."""
    cdef int64_t shifted = days + 719468
    cdef int64_t era = shifted // 146097
    cdef int64_t day_of_era = shifted - era * 146097
    cdef int64_t year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096
    ) // 365
    cdef int64_t day_of_year = day_of_era - (
        365 * year_of_era + year_of_era // 4 - year_of_era // 100
    )
    cdef int64_t from_march = (5 * day_of_year + 2) // 153
    day[0] = <int>(day_of_year - (153 * from_march + 2) // 5 + 1)
    month[0] = <int>(from_march + 3 if from_march < 10 else from_march - 9)
    year[0] = <int>(year_of_era + era * 400 + (1 if month[0] <= 2 else 0))


cdef class TimestampCodec(Codec):
    """Layout: int64 milliseconds since 1970-01-01; a naive UTC datetime in Python.

    Milliseconds are exact over all of 1 to 9999, where the driver's float arithmetic is off by
    some microseconds before 1700 and after 2240.
    """

    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef int64_t milliseconds
        if PyDateTime_Check(value):
            milliseconds = self.of_datetime(value)
        elif PyDate_Check(value):
            value = exact_date(value)
            milliseconds = DAY_MS * days_from_civil(
                date_year(value), date_month(value), date_day(value)
            )
        elif type(value) is int or type(value) is float:
            milliseconds = as_bounded(int(value), INT64_MIN, INT64_MAX, "milliseconds since 1970")
        else:
            milliseconds = self.of_calendar(value)
        put_long(reserve(out, 8), <uint64_t>milliseconds)
        return 0

    cdef int64_t of_datetime(self, object value) except? -1:
        """Milliseconds of a datetime, without what is left of its last one; naive means UTC."""
        cdef object fields = value if PyDateTime_CheckExact(value) else exact_datetime(value)
        cdef int64_t seconds = 86400 * days_from_civil(
            datetime_year(fields), datetime_month(fields), datetime_day(fields)
        )
        seconds += datetime_hour(fields) * 3600 + datetime_minute(fields) * 60
        seconds += datetime_second(fields)
        cdef int64_t microseconds = seconds * 1_000_000 + datetime_microsecond(fields)
        if fields is not value or datetime_tzinfo(fields) is not None:
            offset = value.utcoffset()
            if offset is not None:
                if not PyDelta_Check(offset):
                    raise TypeError(f"utcoffset() returned {type(offset).__name__}, not a timedelta")
                if not PyDelta_CheckExact(offset):
                    offset = timedelta(offset.days, offset.seconds, offset.microseconds)
                microseconds -= 1_000_000 * (
                    <int64_t>timedelta_days(offset) * 86400 + timedelta_seconds(offset)
                ) + timedelta_microseconds(offset)
        # Division of C cuts towards 1970: before it, 23:59:59.9995 would become the next day.
        return (microseconds - 999) // 1000 if microseconds < 0 else microseconds // 1000

    cdef int64_t of_calendar(self, object value) except? -1:
        """Milliseconds of what only looks like a datetime or a date."""
        cdef object read_calendar = getattr(value, "utctimetuple", None)
        if read_calendar is None:
            read_calendar = getattr(value, "timetuple", None)
        if read_calendar is None:
            raise TypeError(
                f"a datetime, a date or milliseconds are required, not {type(value).__name__}"
            )
        seconds = calendar.timegm(read_calendar())
        milliseconds = seconds * 1000 + as_int(getattr(value, "microsecond", 0)) // 1000
        return as_bounded(milliseconds, INT64_MIN, INT64_MAX, "milliseconds since 1970")

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size != 8:
            return read_empty(self, size)
        cdef int year, month, day
        cdef int64_t milliseconds = <int64_t>get_long(at)
        cdef int64_t days = milliseconds // DAY_MS
        cdef int64_t rest = milliseconds - days * DAY_MS
        if rest < 0:
            rest += DAY_MS
            days -= 1
        if days < FIRST_DAY or days > LAST_DAY:
            raise OverflowError(
                f"{milliseconds} ms since 1970 are outside datetime's years 1 to 9999"
            )
        civil_from_days(days, &year, &month, &day)
        return datetime_new(
            year, month, day, <int>(rest // 3_600_000), <int>(rest // 60_000 % 60),
            <int>(rest // 1000 % 60), <int>(rest % 1000 * 1000), None, 0,
        )


register_scalar(TIMESTAMP, "timestamp", "TimestampType DateType", TimestampCodec, datetime, 8)


cdef class DateCodec(Codec):
    """Layout: uint32 days, 2**31 is 1970-01-01; ints are sent as they are, as CQL means them."""

    # From days since 1970-01-01 or a text; its values have days_from_epoch.
    cdef object make_date

    def __cinit__(self, CqlType cql_type not None, tuple inner, python_types not None):
        self.ordered = True
        self.make_date = python_types.classes[DATE]

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef int64_t days
        if PyDate_Check(value):
            value = exact_date(value)
            days = days_from_civil(date_year(value), date_month(value), date_day(value))
            days += 0x80000000LL
        elif hasattr(value, "days_from_epoch"):
            days = self.shift(value.days_from_epoch)
        elif isinstance(value, str):
            if not value:
                raise ValueError("'' is not a date")
            days = self.shift(self.make_date(as_str(value)).days_from_epoch)
        else:
            days = as_bounded(value, 0, 0xFFFFFFFFLL, "days since -5877641-06-23")
        put_int(reserve(out, 4), <uint32_t>days)
        return 0

    cdef int64_t shift(self, object days) except? -1:
        return 0x80000000LL + as_bounded(
            days, -0x80000000LL, 0x7FFFFFFFLL, "days since 1970-01-01"
        )

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 4:
            return self.make_date(<int64_t>get_int(at) - 0x80000000LL)
        return read_empty(self, size)


register_scalar(DATE, "date", "SimpleDateType", DateCodec, None)


# The driver's class takes more, and makes another time of it.
TIME_TEXT = re.compile(r"\d{1,2}:\d{1,2}:[0-5]?\d(\.\d{1,9})?", re.ASCII)


cdef object exact_time(object value):
    """A time itself from one of any subclass by its own attributes."""
    if PyTime_CheckExact(value):
        return value
    try:
        return time_new(
            as_int(value.hour), as_int(value.minute), as_int(value.second), as_int(value.microsecond), value.tzinfo, 0
        )
    except TypeError as error:
        raise ValueError(f"{value!r} is not a time: {error}") from error


cdef class TimeCodec(Codec):
    """Layout: int64 nanoseconds since midnight; without a zone."""

    # From nanoseconds of the day or a text; its values have nanosecond_time.
    cdef object make_time

    def __cinit__(self, CqlType cql_type not None, tuple inner, python_types not None):
        self.ordered = True
        self.make_time = python_types.classes[TIME]

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef int64_t nanoseconds
        if PyTime_Check(value):
            value = exact_time(value)
            if time_tzinfo(value) is not None:
                raise ValueError(f"{self.cql_type} has no time zone, got {value!r}")
            nanoseconds = (
                time_hour(value) * 3600 + time_minute(value) * 60 + time_second(value)
            ) * 1_000_000_000LL + time_microsecond(value) * 1000LL
        else:
            if isinstance(value, str):
                value = as_str(value)
                if TIME_TEXT.fullmatch(value) is None:
                    raise ValueError(f"{value!r} is not a time: write HH:MM:SS, and up to 9 digits after the second")
                value = self.make_time(value)
            value = getattr(value, "nanosecond_time", value)
            nanoseconds = as_bounded(value, 0, DAY_NS - 1, "nanoseconds of the day")
        put_long(reserve(out, 8), <uint64_t>nanoseconds)
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 8:
            return self.make_time(<int64_t>get_long(at))
        return read_empty(self, size)


register_scalar(TIME, "time", "TimeType", TimeCodec, None)


cdef uint64_t zigzag(int64_t value) noexcept nogil:
    """Small magnitudes to small numbers, whatever their sign."""
    return (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)


cdef int64_t unzigzag(uint64_t value) noexcept nogil:
    return <int64_t>(value >> 1) ^ -<int64_t>(value & 1)


cdef class DurationCodec(Codec):
    """Layout: months, days and nanoseconds as zigzag [vint]s."""

    # From months, days and nanoseconds, which are its attributes.
    cdef object make_duration

    def __cinit__(self, CqlType cql_type not None, tuple inner, python_types not None):
        self.make_duration = python_types.classes[DURATION]

    cdef int write(self, WriteBuffer out, object value) except -1:
        # Other classes with these attributes, as pandas.DateOffset, may have years and hours, too.
        if not isinstance(value, self.make_duration):
            raise TypeError(f"a Duration is required, not {type(value).__name__}")
        parts = value.months, value.days, value.nanoseconds
        months = as_bounded(parts[0], -0x80000000LL, 0x7FFFFFFFLL, "months")
        days = as_bounded(parts[1], -0x80000000LL, 0x7FFFFFFFLL, "days")
        nanoseconds = as_bounded(parts[2], INT64_MIN, INT64_MAX, "nanoseconds")
        write_vint(out, zigzag(months))
        write_vint(out, zigzag(days))
        return write_vint(out, zigzag(nanoseconds))

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        cdef const unsigned char* end = at + size
        if size == 0:
            return None
        cdef int64_t months = unzigzag(read_vint(&at, end))
        cdef int64_t days = unzigzag(read_vint(&at, end))
        cdef int64_t nanoseconds = unzigzag(read_vint(&at, end))
        if at != end:
            raise_size(self, size)
        return self.make_duration(months, days, nanoseconds)


register_scalar(DURATION, "duration", "DurationType", DurationCodec, None)
