"""The names that a node's TLS certificate may have, for control and data connections alike.

A contact point's name is what the application trusts; the address that it resolves to comes from
DNS, so a certificate for that address proves nothing. Other nodes are named by those whose
certificates were accepted.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from cassandra.connection import EndPoint

# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_OTHER_NAME = {62, 64}
_LOOK_TIMEOUT = 2.0
_MAX_NAMES_TOLD = 5
_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87

Chosen = str | Callable[[str], str | None] | None


class WrongServerName(ssl.SSLCertVerificationError):
    """The certificate is trusted, but belongs to another server."""


class ServerNames:
    """The names by which nodes are known. Concurrency: any thread adds, the loop reads.

    :param chosen: the application's name for every node, or a function of a node's address, where
        ``None`` leaves it to the contact points; its result is not second-guessed
    :param accepts_addresses: whether the address is accepted as well as a contact point's name, as in
        the driver, which knows only addresses
    """

    def __init__(self, chosen: Chosen = None, *, accepts_addresses: bool = True) -> None:
        self._chosen = chosen
        self._accepts_addresses = accepts_addresses
        self._points: dict[str, tuple[str, ...]] = {}
        self._accepted: dict[str, str] = {}

    def add(self, point: str, address: str) -> None:
        """Note that a contact point, as the application wrote it, has that address."""
        name = _plain(address) if is_address(point) else point.rstrip(".")
        known = self._points.get(address, ())
        if name not in known:
            self._points[address] = (*known, name)

    def of(self, address: str) -> tuple[str, ...]:
        """Return the names of which the certificate must have one, the likeliest first.

        :raises OSError: if the application's function fails
        """
        if isinstance(self._chosen, str):
            return (self._chosen,)
        if self._chosen is not None and (chosen := _called(self._chosen, address)) is not None:
            return (chosen,)
        names = self._points.get(address, ())
        if not names or (self._accepts_addresses and _plain(address) not in names):
            names = (*names, _plain(address))
        return tuple(sorted(names, key=lambda name: name != self._accepted.get(address)))

    async def connect[T](
        self,
        endpoint: EndPoint,
        context: ssl.SSLContext,
        attempt: Callable[[str], Awaitable[T]],
    ) -> T:
        """Connect by the first of a node's names that its certificate has.

        OpenSSL compares one name per handshake, and a server may choose its certificate by the
        name that it is sent, so there is one attempt for each name.

        :param attempt: opens a connection and sends, and checks, that name
        :raises WrongServerName: if the certificate has none of them
        """
        names = self._of_endpoint(endpoint)
        for name in names:
            try:
                connection = await attempt(name)
            except ssl.SSLCertVerificationError as error:
                if error.verify_code not in _OTHER_NAME:
                    raise
            else:
                self._accepted[endpoint.address] = name
                return connection
        raise _wrong_name(names, await _names_shown(endpoint, names[0]))

    def _of_endpoint(self, endpoint: EndPoint) -> tuple[str, ...]:
        own = (getattr(endpoint, "ssl_options", None) or {}).get("server_hostname")
        return self.of(endpoint.address) if own is None else (own,)


def is_address(point: str) -> bool:
    """Whether it is an IP address in any notation, so that no name is looked up for it."""
    try:
        ipaddress.ip_address(point)
    except ValueError:
        try:
            socket.inet_aton(point)
        except OSError:
            return False
    return True


def _plain(address: str) -> str:
    """Return an address without the interface of a link-local one, which no certificate has."""
    return address.partition("%")[0]


def _called(function: Callable[[str], str | None], address: str) -> str | None:
    try:
        name = function(address)
    except Exception as error:
        raise OSError(f"TlsOptions.server_hostname failed for {address}: {error!r}") from error
    if name is not None and not (isinstance(name, str) and name):
        raise OSError(
            f"TlsOptions.server_hostname returned {name!r} for {address}, which is not a name"
        )
    return name


def _wrong_name(expected: Sequence[str], found: Sequence[str]) -> WrongServerName:
    told = [_shortened(name) for name in found[:_MAX_NAMES_TOLD]]
    told += ["others"] if len(found) > _MAX_NAMES_TOLD else []
    what_it_has = f"it is for {', '.join(told)}, and not" if told else "it is not"
    message = (
        f"{what_it_has} for {' or '.join(map(_shortened, expected))}. Connect to a name that it "
        "has, or pass TlsOptions(server_hostname=...)"
    )
    error = WrongServerName(ssl.SSL_ERROR_SSL, message)
    error.verify_code, error.verify_message = min(_OTHER_NAME), message
    return error


def _shortened(name: str) -> str:
    """Make a name from an untrusted certificate fit for a log."""
    shown = name.encode("unicode_escape").decode()
    return shown if len(shown) <= 100 else f"{shown[:100]}..."


async def _names_shown(endpoint: EndPoint, name: str) -> list[str]:
    """Return the names in a server's certificate, for an error message; empty if it shows none.

    A failed handshake does not tell. Nothing but a greeting is sent on this connection.
    """
    if not endpoint.port:
        return []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOK_TIMEOUT):
            transport, _ = await loop.create_connection(
                asyncio.Protocol, endpoint.address, endpoint.port, ssl=context, server_hostname=name
            )
    except OSError:
        return []
    certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    transport.abort()
    return names_in(certificate or b"")


def names_in(certificate: bytes) -> list[str]:
    """Return the DNS names and IP addresses that a certificate is for.

    Layout: DER; OID, perhaps BOOLEAN, OCTET STRING of SEQUENCE of GeneralName.
    Source: RFC 5280, section 4.2.1.6.
    """
    names = []
    at = certificate.find(_SUBJECT_ALT_NAME)
    try:
        if at < 0:
            return []
        at += len(_SUBJECT_ALT_NAME)
        tag, start, end = _element(certificate, at)
        if tag == 0x01:
            tag, start, end = _element(certificate, end)
        _, at, end = _element(certificate, start)
        while at < end:
            tag, start, at = _element(certificate, at)
            if tag == _DNS_NAME:
                names.append(certificate[start:at].decode("latin-1"))
            elif tag == _IP_ADDRESS:
                names.append(str(ipaddress.ip_address(certificate[start:at])))
    except (IndexError, ValueError):
        pass
    return names


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start and end of the DER element at an offset."""
    size, start = data[at + 1], at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[at + 2 : start])
    return data[at], start, start + size
