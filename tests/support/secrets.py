"""Finding a secret in whatever came out of a program, however it was written."""

from __future__ import annotations

import base64
import logging
import pickle
import traceback
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

PACKAGE = "/async_cassandra/"

SECRETS = {
    "plain": "s3cr3t-Mark-0815",
    "quotes": "s3cr3t'Mark\"0815",
    "not ascii": "s3cr3t-Märk-0815",
    "from os.environ": b"s3cr3t-M\xe4rk-0815".decode("utf-8", "surrogateescape"),
}


def forms_of(secret: str | bytes) -> set[str]:
    """A secret as programs write it: plain, escaped, percent-encoded, in hexadecimal, in base64."""
    data = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogateescape")
    text = secret if isinstance(secret, str) else secret.decode("latin-1")
    forms = {text, repr(text)[1:-1], ascii(text)[1:-1], repr(data)[2:-1], data.hex(), quote(data)}
    forms.add(data.decode("utf-8", "replace"))
    forms.add(data.decode("latin-1"))
    for shift in range(3):
        # The secret's own digits, wherever it stands in what was encoded.
        encoded = base64.b64encode(bytes(shift) + data).decode()
        forms.add(encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4])
    return {form for form in forms if len(form) >= 6}


class Records(logging.Handler):
    """All that any logger was told, at any level."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.texts: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))
        self.texts.append(repr(record.args))
        if record.exc_info and record.exc_info[1] is not None:
            self.texts += said_by(record.exc_info[1], frames=False)

    def __enter__(self) -> Records:
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)


def errors_of(error: BaseException) -> Iterator[BaseException]:
    """An error and every other that it leads to."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        if not isinstance(value, BaseException) or id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        waiting += [value.__cause__, value.__context__, value.args, vars(value)]
        waiting += getattr(value, "exceptions", ())


def said_by(error: BaseException, *, frames: bool = True) -> list[str]:
    """Everything that an error tells, its pickle and its frames' variables included.

    :param frames: whether variables of this library's frames count
    """
    told: list[str] = []
    for found in errors_of(error):
        told += [str(found), repr(found), repr(found.args), repr(vars(found))]
        told += getattr(found, "__notes__", ())
        told += traceback.format_exception(found, chain=False)
        told.append(pickled(found))
        entry = found.__traceback__ if frames else None
        while entry is not None:
            if PACKAGE in entry.tb_frame.f_code.co_filename:
                told += [shown(value) for value in entry.tb_frame.f_locals.values()]
            entry = entry.tb_next
    return told


def pickled(value: object) -> str:
    try:
        return pickle.dumps(value, protocol=0).decode("latin-1")
    except Exception:  # noqa: BLE001  not everything pickles
        return ""


def shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  what cannot be shown tells nothing
        return ""


def leaks(told: list[str], *secrets: str | bytes) -> list[str]:
    """Those of the texts that have one of the secrets, in any form."""
    forms = {form for secret in secrets for form in forms_of(secret)}
    return [text[:600] for text in told if any(form in text for form in forms)]
