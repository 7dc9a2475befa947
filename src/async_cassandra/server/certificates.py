"""A certificate authority and a server certificate for one server."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from async_cassandra.server.distribution import WHAT_TO_DO
from async_cassandra.server.errors import NoCassandraError


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form.

    :param ca_path: the authority's certificate, for clients
    :param key: the server's private key
    :param chain: the server's certificate and those above it
    """

    ca_path: Path
    key: str
    chain: str


def get_certificates(folder: Path, hosts: list[str]) -> Certificates:
    """Use the certificates in a folder, or make new ones if they are not for these hosts.

    The names in the certificate are ``localhost`` and every host.
    """
    names = sorted({"localhost", *hosts})
    key_path, chain_path = folder / "server.key", folder / "server.pem"
    names_path, ca_path = folder / "names.json", folder / "ca.pem"
    if not (names_path.is_file() and json.loads(names_path.read_text()) == names):
        folder.mkdir(parents=True, exist_ok=True)
        ca, key, chain = make_certificates(names)
        ca_path.write_bytes(ca)
        chain_path.write_bytes(chain)
        write_private(key_path, key)
        names_path.write_text(json.dumps(names))
    return Certificates(ca_path, key_path.read_text(), chain_path.read_text())


def make_certificates(names: list[str]) -> tuple[bytes, bytes, bytes]:
    """Make an authority and a certificate of it; return authority, key and chain in PEM form."""
    try:
        import trustme
        from cryptography.hazmat.primitives import serialization as pem
    except ImportError:
        raise NoCassandraError(f"TLS needs the package trustme. {WHAT_TO_DO}") from None
    authority = trustme.CA()
    certificate = authority.issue_cert(*names, key_type=trustme.KeyType.RSA)
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    # Cassandra reads private keys as PKCS #8 only.
    key = pem.load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    key_pem = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    return authority.cert_pem.bytes(), key_pem, chain


def write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
