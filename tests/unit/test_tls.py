"""What ``AsyncCluster(tls=...)`` makes of its argument."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization as pem

from async_cassandra import AsyncCluster, ConfigurationError, TlsOptions
from async_cassandra.tls import chosen_context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.mark.parametrize("tls", [None, False])
def test_no_tls_leaves_the_context_given(tls: bool | None) -> None:
    context = ssl.create_default_context()
    assert chosen_context(tls, None) is None
    assert chosen_context(tls, context) is context


def test_tls_verifies_certificates_and_names(ca_file: Path) -> None:
    for tls in (True, ca_file, str(ca_file), TlsOptions(ca_file=ca_file)):
        context = chosen_context(tls, None)
        assert context is not None
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_path_is_the_only_authority_trusted(ca_file: Path) -> None:
    context = chosen_context(ca_file, None)
    assert context is not None
    (trusted,) = context.get_ca_certs()
    assert "trustme" in str(trusted["subject"])


def test_verification_goes_only_when_it_is_said(ca_file: Path) -> None:
    nameless = TlsOptions(ca_file=ca_file, check_hostname=False).context()
    assert nameless.verify_mode is ssl.CERT_REQUIRED
    assert not nameless.check_hostname
    blind = TlsOptions(verify=False).context()
    assert blind.verify_mode is ssl.CERT_NONE
    assert not blind.check_hostname


def test_client_certificate_with_encrypted_key_is_read(
    authority: trustme.CA, tmp_path: Path
) -> None:
    certificate = authority.issue_cert("client")
    chain, key_file = tmp_path / "client.pem", tmp_path / "client.key"
    chain.write_bytes(certificate.cert_chain_pems[0].bytes())
    key = pem.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    key_file.write_bytes(
        key.private_bytes(
            pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"hunter2")
        )
    )
    options = TlsOptions(certificate_file=chain, key_file=key_file, key_password="hunter2")
    assert options.context().verify_mode is ssl.CERT_REQUIRED
    assert "hunter2" not in repr(options)
    for password in (None, "wrong"):
        with pytest.raises(ConfigurationError, match=r"client\.key"):
            TlsOptions(certificate_file=chain, key_file=key_file, key_password=password).context()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"ca_file": "no/such.pem"}, r"ca_file 'no/such\.pem'"),
        ({"certificate_file": "no/such.pem"}, r"certificate_file.*'no/such\.pem'"),
        ({"key_file": "no/such.key"}, "key_file needs a certificate_file"),
    ],
)
def test_file_that_cannot_be_used_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AsyncCluster(tls=TlsOptions(**options))


def test_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match=r"ca_file.*notes\.txt"):
        AsyncCluster(tls=path)


def test_two_ways_at_once_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="tls and ssl_context"):
        AsyncCluster(tls=True, ssl_context=ssl.create_default_context())


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS:DeprecationWarning")
@pytest.mark.parametrize("protocol", [None, ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS])
@pytest.mark.parametrize("cert_reqs", [ssl.CERT_REQUIRED, ssl.CERT_NONE])
def test_drivers_ssl_options_verify_what_they_say(
    ca_file: Path, protocol: Any, cert_reqs: ssl.VerifyMode
) -> None:
    options = {"ca_certs": str(ca_file), "cert_reqs": cert_reqs, "ssl_version": protocol}
    context = AsyncCluster(ssl_options=options)._control.ssl_context
    assert context is not None
    assert context.verify_mode is cert_reqs
    assert not context.check_hostname
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS:DeprecationWarning")
@pytest.mark.parametrize("protocol", [ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS])
def test_drivers_ssl_options_check_names_if_they_say_so(protocol: Any) -> None:
    options = {"check_hostname": True, "ssl_version": protocol}
    context = AsyncCluster(ssl_options=options)._control.ssl_context
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "options",
    [{"ca_certs": "no/such.pem"}, {"check_hostname": True, "cert_reqs": ssl.CERT_NONE}],
)
def test_drivers_ssl_options_that_cannot_be_used_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="ssl_options cannot be used"):
        AsyncCluster(ssl_options=options)


def test_tls_and_the_drivers_ssl_options_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="tls and ssl_options"):
        AsyncCluster(tls=True, ssl_options={"server_hostname": "db.example"})


@pytest.mark.parametrize(
    "name", ["", ".", ".db.example", "db..example", "*.example", "db.example:9042", "https://db", 5]
)
def test_server_hostname_that_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="server_hostname takes"):
        AsyncCluster(tls=TlsOptions(server_hostname=name))


@pytest.mark.parametrize(
    "name", ["db.example", "db.example.", "größe.example", "my_db", "10.0.0.1", "::1", str, None]
)
def test_server_hostname_may_be_a_name_an_address_or_a_function(name: Any) -> None:
    AsyncCluster(tls=TlsOptions(server_hostname=name))


def test_other_argument_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="tls takes"):
        AsyncCluster(tls=1.5)  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (TlsOptions(), None),
        (TlsOptions(check_hostname=False), "without check of host names"),
        (TlsOptions(verify=False), "without verification of certificates"),
    ],
)
async def test_what_is_turned_off_is_logged(
    options: TlsOptions, warning: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = AsyncCluster(["no-such-host.invalid"], tls=options)
    with pytest.raises(ConnectionError):
        await cluster.connect()
    await cluster.shutdown()
    ours = [record for record in caplog.records if record.name.startswith("async_cassandra")]
    told = [record.getMessage() for record in ours if record.levelno >= logging.WARNING]
    assert len(told) == (warning is not None)
    assert all(str(warning) in text for text in told)
