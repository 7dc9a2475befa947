"""What connections are opened with, out of the settings of the driver's ``Cluster``."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any

from cassandra import __version__ as driver_version

from async_cassandra._driver.cluster_settings import startup_names
from async_cassandra._driver.contract import context_from_options
from async_cassandra.exceptions import ConfigurationError, shown

type Compression = tuple[Callable[..., bytes], Callable[..., bytes]]


def startup_options(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what STARTUP tells the server, apart from what its answers ask for."""
    said = {"DRIVER_NAME": "async-cassandra", "DRIVER_VERSION": f"driver {driver_version}"}
    said |= startup_names(settings)
    if settings.get("no_compact"):
        said["NO_COMPACT"] = "true"
    return said


def lz4_blocks(compression: bool | str | None) -> Compression | None:
    """Return LZ4 block compression and decompression, without a size prefix.

    :raises ~async_cassandra.exceptions.ConfigurationError: if it is another one, or not installed
    """
    if not compression:
        return None
    if compression not in (True, "lz4"):
        raise ConfigurationError(
            f"compression takes 'lz4' or True, not {shown(compression)}; Cassandra 5 supports no other"
        )
    try:
        from lz4.block import compress, decompress
    except ImportError as error:
        raise ConfigurationError(
            "compression needs the lz4 package: pip install 'async-cassandra[lz4]'", error
        ) from error

    def compress_block(data: Any) -> bytes:
        block: bytes = compress(data, store_size=False)
        return block

    def decompress_block(data: Any, size: int) -> bytes:
        block: bytes = decompress(data, uncompressed_size=size)
        return block

    return compress_block, decompress_block


def ssl_context_from_options(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the context that the driver makes, or means to make, of ``ssl_options``.

    It stores ``cert_reqs`` as the context's options: nothing is verified by ``PROTOCOL_TLS``, which
    its documents name, and what OpenSSL leaves out for safety is let in.

    :raises ~async_cassandra.exceptions.ConfigurationError: if they cannot be used
    """
    try:
        context = context_from_options(options)
        # SSLv3 is below the context's lowest version, and setting the option for it is deprecated.
        usual = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).options
        context.options = usual & ~ssl.OP_NO_SSLv3
        if options.get("cert_reqs") is not None:
            context.verify_mode = options["cert_reqs"]
    except (OSError, TypeError, ValueError) as error:
        raise ConfigurationError(f"ssl_options cannot be used: {error}", error) from error
    return context
