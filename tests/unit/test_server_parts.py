"""The parts of the server that need no Cassandra: options, settings, environment."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from async_cassandra.server import ExistingServer, NoCassandraError, ServerError
from async_cassandra.server.addresses import NodeAddress
from async_cassandra.server.configuration import (
    memory_options,
    node_settings,
    quoted,
    tokens,
    yaml,
)
from async_cassandra.server.data_folder import DataFolder
from async_cassandra.server.distribution import DEFAULT_VERSION, cache_folder, pinned_jars
from async_cassandra.server.options import (
    Profile,
    ServerOptions,
    Setting,
    parse_heap,
    parse_setting,
)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("authenticator=PasswordAuthenticator", "authenticator", "PasswordAuthenticator"),
        ("num_tokens=4", "num_tokens", 4),
        ("auto_snapshot=true", "auto_snapshot", True),
        ("read_request_timeout=10s", "read_request_timeout", "10s"),
        ('memtable={"configurations": {}}', "memtable", {"configurations": {}}),
        ("note=a=b", "note", "a=b"),
    ],
)
def test_setting_is_json_or_text(text: str, name: str, value: Setting) -> None:
    assert parse_setting(text) == (name, value)


def test_setting_without_equals_sign_is_an_error() -> None:
    with pytest.raises(ServerError, match="name=value"):
        parse_setting("auto_snapshot")


@pytest.mark.parametrize(("text", "size_mb"), [("640M", 640), ("1G", 1024), ("800", 800)])
def test_heap_is_read_in_mebibytes(text: str, size_mb: int) -> None:
    assert parse_heap(text) == size_mb


@pytest.mark.parametrize("text", ["", "G", "1.5G", "-1M", "640K"])
def test_heap_of_another_form_is_an_error(text: str) -> None:
    with pytest.raises(ServerError, match="heap size"):
        parse_heap(text)


@pytest.mark.parametrize("nodes", [0, 4])
def test_number_of_nodes_is_limited(nodes: int) -> None:
    with pytest.raises(ServerError, match="nodes must be 1 to 3"):
        ServerOptions(nodes=nodes)


@pytest.mark.parametrize("port", [-1, 65536])
def test_port_out_of_range_is_an_error(port: int) -> None:
    with pytest.raises(ServerError, match="port must be"):
        ServerOptions(port=port)


def test_unknown_profile_is_an_error() -> None:
    profile: Profile = "fast"  # type: ignore[assignment]
    with pytest.raises(ServerError, match="profile"):
        ServerOptions(profile=profile)


def test_setting_name_cannot_carry_more_lines() -> None:
    with pytest.raises(ServerError, match="not the name of a setting"):
        ServerOptions(config={"a: 1\nb": 2})


def test_tokens_of_all_nodes_divide_the_ring_evenly() -> None:
    ring = sorted(int(token) for index in range(3) for token in tokens(index, 3).split(","))
    assert len(set(ring)) == 48
    assert ring[0] == -(2**63)
    assert {after - before for before, after in pairwise(ring)} == {2**64 // 48}


def test_own_settings_win_over_the_chosen_ones() -> None:
    address = NodeAddress("127.0.0.1", 9042, 7000)
    options = ServerOptions(port=0, auth=True, config={"num_tokens": 1, "commitlog_sync": "batch"})
    settings = node_settings(options, [address], 0, None)
    assert settings["num_tokens"] == 1
    assert settings["authenticator"] == "PasswordAuthenticator"
    assert "commitlog_sync_period" not in settings


def test_yaml_has_one_json_value_a_line() -> None:
    document = yaml({"a": "x: 'y'\n", "b": True, "c": [{"d": None}]})
    lines = [line.partition(": ") for line in document.splitlines()]
    assert [(name, json.loads(value)) for name, _, value in lines] == [
        ("a", "x: 'y'\n"),
        ("b", True),
        ("c", [{"d": None}]),
    ]


def test_java_argument_is_quoted_for_an_argument_file() -> None:
    assert quoted('C:\\a "b" c') == '"C:\\\\a \\"b\\" c"'


def test_pinned_jars_are_the_default_version_s() -> None:
    jars = pinned_jars(DEFAULT_VERSION)
    assert (jars[0].artifact, jars[0].version) == ("cassandra-all", DEFAULT_VERSION)
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)
    assert len(set(jars)) == len(jars) > 90
    assert pinned_jars("5.0.0") == ()


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASYNC_CASSANDRA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/async-cassandra")
    monkeypatch.setenv("ASYNC_CASSANDRA_CACHE", "/chosen")
    assert cache_folder() == Path("/chosen")


def test_existing_server_is_read_from_the_environment() -> None:
    server = ExistingServer.from_environment(
        {
            "CASSANDRA_CONTACT_POINTS": "10.0.0.1, 10.0.0.2,",
            "CASSANDRA_PORT": "9043",
            "CASSANDRA_USERNAME": "app",
            "CASSANDRA_PASSWORD": "secret",
        }
    )
    assert server.contact_points == ["10.0.0.1", "10.0.0.2"]
    assert (server.port, server.username, server.password) == (9043, "app", "secret")


@pytest.mark.parametrize(
    "environment",
    [
        {"CASSANDRA_CONTACT_POINTS": " , "},
        {"CASSANDRA_CONTACT_POINTS": "10.0.0.1", "CASSANDRA_PORT": "cql"},
        {"CASSANDRA_CONTACT_POINTS": "10.0.0.1", "CASSANDRA_PORT": "0"},
    ],
)
def test_environment_that_names_no_server_is_an_error(environment: dict[str, str]) -> None:
    with pytest.raises(NoCassandraError):
        ExistingServer.from_environment(environment)


def test_unusable_data_folder_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ServerError, match="cannot be used"):
        DataFolder.hold(file, temporary=True)


@pytest.mark.parametrize(("platform", "has_option"), [("linux", True), ("darwin", False)])
def test_huge_pages_are_asked_for_where_java_knows_them(
    platform: str, has_option: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    steady = memory_options(ServerOptions(profile="steady"))
    assert ("-XX:+UseTransparentHugePages" in steady) is has_option
    assert "-XX:+UseTransparentHugePages" not in memory_options(ServerOptions(profile="test"))
