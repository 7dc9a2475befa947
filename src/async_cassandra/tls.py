"""TLS with one argument: ``AsyncCluster(tls=True)`` verifies certificates and host names."""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from async_cassandra._driver.server_names import ServerNames, is_address
from async_cassandra.exceptions import ConfigurationError, shown

__all__ = ["TlsOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Settings for how connections are encrypted, and which servers are trusted.

    :ivar ca_file: PEM file of the authorities that are trusted; ``None`` for the system's
    :ivar certificate_file: PEM file of the client's own certificate, for servers that ask for one
    :ivar key_file: PEM file of its private key; ``None`` if it is in the certificate's file
    :ivar key_password: the password of an encrypted key
    :ivar verify: whether certificates are verified; otherwise anyone on the way can read and
        change what is sent
    :ivar check_hostname: whether the certificate must name the server; otherwise any certificate
        from the authorities is accepted. Only with ``verify``
    :ivar server_hostname: the name that each node's certificate must carry, and which is sent to
        the server (SNI); or a function that returns it for a node's address. ``None`` means the
        default: the contact point's name for the nodes that it resolved to, the address
        for all others. The function is called on the loop and must not block
    """

    ca_file: str | os.PathLike[str] | None = None
    certificate_file: str | os.PathLike[str] | None = None
    key_file: str | os.PathLike[str] | None = None
    key_password: str | None = field(default=None, repr=False)
    verify: bool = True
    check_hostname: bool = True
    server_hostname: str | Callable[[str], str | None] | None = None

    def __post_init__(self) -> None:
        for name in ("verify", "check_hostname"):
            if not isinstance(value := getattr(self, name), bool):
                raise ConfigurationError(f"tls: {name} takes True or False, not {shown(value)}")
        hostname = self.server_hostname
        if hostname is not None and not callable(hostname) and not isinstance(hostname, str):
            raise ConfigurationError(
                f"tls: server_hostname takes a name, a function or None, not {shown(hostname)}"
            )

    def context(self) -> ssl.SSLContext:
        """Read the files.

        :raises ~async_cassandra.exceptions.ConfigurationError: naming the file that cannot be used
        """
        context = _read(
            "ca_file", self.ca_file, lambda: ssl.create_default_context(cafile=self.ca_file)
        )
        if self.certificate_file is not None:
            certificate, key = self.certificate_file, self.key_file
            _read(
                "certificate_file or key_file",
                key or certificate,
                # OpenSSL would ask for a missing password on the terminal.
                lambda: context.load_cert_chain(certificate, key, self._password()),
            )
        elif self.key_file is not None:
            raise ConfigurationError("tls: key_file needs a certificate_file")
        context.check_hostname = self.verify and self.check_hostname
        if not self.verify:
            context.verify_mode = ssl.CERT_NONE
        return context

    def _password(self) -> bytes:
        """Return the key's password as its original bytes, even if ``os.environ`` could not decode it."""
        if not isinstance(self.key_password, str | bytes | None):
            raise ConfigurationError(
                f"tls: key_password takes a str, not {shown(self.key_password)}"
            )
        # Not "" but its absence would have OpenSSL ask on the terminal.
        return os.fsencode(self.key_password or "")


def chosen_context(
    tls: bool | str | os.PathLike[str] | TlsOptions | None, ssl_context: ssl.SSLContext | None
) -> ssl.SSLContext | None:
    """Return the context that ``AsyncCluster``'s two arguments for it mean; ``None`` for no TLS.

    :raises ~async_cassandra.exceptions.ConfigurationError: if both are given, or ``tls`` is neither
        a bool, a path nor options
    """
    if tls is None or tls is False:
        return ssl_context
    if ssl_context is not None:
        raise ConfigurationError("tls and ssl_context contradict each other: pass one of them")
    match tls:
        case True:
            return TlsOptions().context()
        case TlsOptions():
            return tls.context()
        case str() | os.PathLike():
            return TlsOptions(ca_file=tls).context()
    raise ConfigurationError(
        f"tls takes True, the path of the authority's PEM file or TlsOptions, not {shown(tls)}"
    )


def chosen_names(
    tls: bool | str | os.PathLike[str] | TlsOptions | None, ssl_options: Mapping[str, Any] | None
) -> ServerNames | None:
    """Return the names that ``tls`` asks for in certificates; ``None`` leaves it to ``ssl_options``.

    :raises ~async_cassandra.exceptions.ConfigurationError: if both are given, or the name in
        ``TlsOptions`` is not one
    """
    if tls is None or tls is False:
        return None
    if ssl_options:
        raise ConfigurationError("tls and ssl_options contradict each other: pass one of them")
    chosen = tls.server_hostname if isinstance(tls, TlsOptions) else None
    if not (chosen is None or callable(chosen) or _is_name(chosen)):
        raise ConfigurationError(
            "tls: server_hostname takes a host name, an address, or a function that returns one for "
            f"an address, not {chosen!r}"
        )
    return ServerNames(chosen, accepts_addresses=False)


def _is_name(chosen: object) -> bool:
    if not isinstance(chosen, str):
        return False
    return is_address(chosen) or all(
        label and not set(label) & set("*:/[] ") for label in chosen.removesuffix(".").split(".")
    )


def _read[T](name: str, path: str | os.PathLike[str] | None, load: Callable[[], T]) -> T:
    try:
        return load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"tls: {name} {os.fspath(path or '')!r} cannot be used: {error}", error
        ) from error
