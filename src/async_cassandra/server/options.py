"""The options of a server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from async_cassandra.server.distribution import DEFAULT_VERSION
from async_cassandra.server.errors import ServerError

MAX_NODES = 3
MIN_HEAP_MB = 256
SETTING_NAME = re.compile(r"[a-z][a-z0-9_]*")

type Profile = Literal["test", "steady"]
type Setting = str | int | float | bool | list[Setting] | dict[str, Setting] | None


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The options of a server; every option has a default.

    :param nodes: 1 to 3
    :param address: the first node's loopback address, on Linux the next node has the next one,
        elsewhere all nodes share it; None for 127.0.0.1, or with several nodes on Linux a free
        block of 127.0.0.0/8
    :param port: the port for CQL; 0 for a free one, None for 9042 if that is free
    :param heap_mb: Java heap of each node in MiB
    :param auth: ask for a password, user and password are ``cassandra``
    :param tls: speak TLS only, with a certificate of the authority in ``ca_path``
    :param data: a folder that is empty, does not exist, or has an earlier server's data; None
        for a temporary one
    :param temporary: delete at the end what the server made in ``data``, as always without one
    :param version: of Cassandra, such as 5.0.6
    :param profile: ``test`` starts in a few seconds, ``steady`` is faster in the long run (for
        benchmarks)
    :param config: settings of cassandra.yaml, over the ones chosen here
    :param jvm_options: more options for ``java``
    :param start_timeout: seconds for all nodes to be ready
    :raises ~async_cassandra.server.ServerError: if a value is out of its range
    """

    nodes: int = 1
    address: str | None = None
    port: int | None = None
    heap_mb: int = 640
    auth: bool = False
    tls: bool = False
    data: Path | None = None
    temporary: bool = False
    version: str = DEFAULT_VERSION
    profile: Profile = "test"
    config: Mapping[str, Setting] = field(default_factory=dict)
    jvm_options: tuple[str, ...] = ()
    start_timeout: float = 180.0

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAX_NODES:
            raise ServerError(f"nodes must be 1 to {MAX_NODES}, not {self.nodes}")
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ServerError(f"port must be 0 to 65535, not {self.port}")
        if self.heap_mb < MIN_HEAP_MB:
            raise ServerError(f"a node needs a heap of {MIN_HEAP_MB} MiB, not {self.heap_mb}")
        if self.profile not in ("test", "steady"):
            raise ServerError(f"profile must be 'test' or 'steady', not {self.profile!r}")
        for name in self.config:
            if SETTING_NAME.fullmatch(name) is None:
                raise ServerError(f"{name!r} is not the name of a setting in cassandra.yaml")


def parse_setting(text: str) -> tuple[str, Setting]:
    """Read ``name=value`` as given on a command line; the value is JSON, or else plain text.

    :raises ~async_cassandra.server.ServerError: if there is no ``=``
    """
    name, separator, value = text.partition("=")
    if not separator:
        raise ServerError(f"a setting is given as name=value, not {text!r}")
    try:
        setting: Setting = json.loads(value)
    except ValueError:
        setting = value
    return name.strip(), setting


def parse_heap(text: str) -> int:
    """Read a heap size such as 640M, 1G or 800 as MiB.

    :raises ~async_cassandra.server.ServerError: if it is not one
    """
    match = re.fullmatch(r"(\d+)([mMgG]?)[bB]?", text)
    if match is None:
        raise ServerError(f"a heap size is given as 640M or 1G, not {text!r}")
    return int(match[1]) * (1024 if match[2] in ("g", "G") else 1)
