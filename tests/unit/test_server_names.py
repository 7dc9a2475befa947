"""Which names a node's certificate may carry, and what is told of one that has none of them."""

from __future__ import annotations

import ipaddress
import pickle
import ssl

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from async_cassandra._driver.server_names import (
    ServerNames,
    WrongServerName,
    _wrong_name,
    is_address,
    names_in,
)

A, B = "10.0.0.1", "10.0.0.2"


def test_address_that_nobody_named_stands_for_itself() -> None:
    assert ServerNames().of(A) == (A,)
    assert ServerNames(accepts_addresses=False).of("fe80::1%eth0") == ("fe80::1",)


def test_contact_point_is_the_name_of_its_addresses_only() -> None:
    names = ServerNames(accepts_addresses=False)
    names.add("db.example", A)
    names.add("db.example.", A)
    names.add("alias.example", A)
    assert names.of(A) == ("db.example", "alias.example")
    assert names.of(B) == (B,)


def test_addresses_are_taken_beside_the_name_as_in_the_driver() -> None:
    names = ServerNames()
    names.add("db.example", A)
    assert names.of(A) == ("db.example", A)


@pytest.mark.parametrize("first", ["10.0.0.1", "db.example"])
def test_name_and_address_that_were_both_given_are_both_taken(first: str) -> None:
    names = ServerNames(accepts_addresses=False)
    names.add(first, A)
    names.add("db.example", A)
    names.add(A, A)
    assert set(names.of(A)) == {"db.example", A}


def test_addresses_that_a_name_had_before_keep_it() -> None:
    names = ServerNames(accepts_addresses=False)
    names.add("db.example", A)
    names.add("db.example", B)
    assert names.of(A) == names.of(B) == ("db.example",)


def test_chosen_name_is_the_only_one() -> None:
    names = ServerNames("cassandra.internal")
    names.add("db.example", A)
    assert names.of(A) == names.of(B) == ("cassandra.internal",)


def test_chosen_function_decides_or_leaves_it() -> None:
    names = ServerNames({A: "one.example"}.get, accepts_addresses=False)
    names.add("db.example", A)
    names.add("db.example", B)
    assert names.of(A) == ("one.example",)
    assert names.of(B) == ("db.example",)


@pytest.mark.parametrize("given_name", ["", 5, b"db.example"])
def test_chosen_function_that_gives_no_name_is_told(given_name: object) -> None:
    names = ServerNames(lambda address: given_name)  # type: ignore[arg-type, return-value]
    with pytest.raises(OSError, match=r"TlsOptions\.server_hostname returned.*10\.0\.0\.1"):
        names.of(A)


def test_chosen_function_that_raises_is_told() -> None:
    names = ServerNames(dict[str, str]().__getitem__)
    with pytest.raises(OSError, match=r"TlsOptions\.server_hostname failed.*KeyError"):
        names.of(A)


@pytest.mark.parametrize("point", ["10.0.0.1", "127.1", "0x7f000001", "::1", "fe80::1%eth0"])
def test_address_in_any_notation_is_no_name(point: str) -> None:
    assert is_address(point)


@pytest.mark.parametrize("point", ["db.example", "localhost", "größe.example", "10.0.0.1.example"])
def test_name_is_no_address(point: str) -> None:
    assert not is_address(point)


labels = st.from_regex(r"[a-z][a-z0-9]{0,10}\.example", fullmatch=True)
addresses = st.ip_addresses().map(str)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.one_of(labels, addresses), min_size=1, max_size=8, unique=True))
def test_names_in_a_certificate_are_read(names: list[str]) -> None:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    certificate = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    assert names_in(certificate) == [
        str(ipaddress.ip_address(name)) if is_address(name) else name for name in names
    ]


@given(st.binary(max_size=60))
def test_certificate_of_any_bytes_gives_some_names(data: bytes) -> None:
    assert names_in(data) == [] or data
    for prefix in (b"\x06\x03\x55\x1d\x11", b"\x06\x03\x55\x1d\x11\x04\x7f\x30\x7f"):
        assert all(isinstance(name, str) for name in names_in(prefix + data))


def test_refusal_says_what_was_expected_and_what_is_there() -> None:
    error = _wrong_name(["db.example", A], ["other.example", B])
    assert error.verify_message.startswith(
        "it is for other.example, 10.0.0.2, and not for db.example or 10.0.0.1. "
    )
    assert "TlsOptions(server_hostname=...)" in error.verify_message
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, WrongServerName)
    assert (str(again), again.verify_message) == (str(error), error.verify_message)


def test_refusal_does_not_repeat_whatever_a_certificate_holds() -> None:
    message = _wrong_name(["db.example"], ["a\n\x1b[31m", "x" * 10_000, *"abcdefgh"]).verify_message
    assert message.isprintable()
    assert len(message) < 500
    assert "others" in message
    assert _wrong_name(["db.example"], []).verify_message.startswith("it is not for db.example.")
