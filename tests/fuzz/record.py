"""Record what a real Cassandra answers, as first inputs of the search.

usage: python -m tests.fuzz.record        writes tests/fuzz/recorded.txt

A line is protocol version, flags, opcode and body, in hexadecimal. Addresses and times differ from
run to run; nothing depends on them.
"""

import socket

from async_cassandra._wire.framing import EnvelopeList, FrameReader, FrameWriter, Framing
from async_cassandra._wire.requests import (
    AuthResponse,
    Batch,
    Execute,
    Message,
    Options,
    Prepare,
    Query,
    Register,
    Startup,
)
from async_cassandra.server import CassandraServer, RunningServer
from tests.fuzz.corpus import RECORDED
from tests.support.native_protocol import Opcode

EVENTS = ["TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"]
NOTHING = b"\0\0"

SCHEMA = (
    "CREATE KEYSPACE fz WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TYPE fz.point (id int, label text)",
    "CREATE TYPE fz.shape (corners list<frozen<point>>, sizes map<text, frozen<set<int>>>)",
    """CREATE TABLE fz.scalars (k int PRIMARY KEY, a ascii, b bigint, c blob, d boolean, e date,
       f decimal, g double, h duration, i float, j inet, l smallint, m text, n time, o timestamp,
       p timeuuid, q tinyint, r uuid, s varint)""",
    """CREATE TABLE fz.nested (k int PRIMARY KEY, a list<int>, b set<text>, c map<text, int>,
       d tuple<int, text>, e vector<float, 3>, f frozen<point>, g frozen<shape>,
       h map<text, frozen<list<frozen<tuple<int, text>>>>>, i set<frozen<map<int, text>>>,
       j vector<text, 2>)""",
    "CREATE TABLE fz.pairs (a int, b text, c int, v int static, PRIMARY KEY ((a, b), c))",
    "CREATE TABLE fz.counts (k int PRIMARY KEY, n counter)",
    """CREATE FUNCTION fz.broken (x int) CALLED ON NULL INPUT RETURNS int LANGUAGE java
       AS 'return x / 0;'""",
    """INSERT INTO fz.scalars JSON '{"k": 1, "a": "abc", "b": -5, "c": "0x00ff", "d": true,
       "e": "2024-02-29", "f": "12.50", "g": 0.1, "h": "1mo2d3s", "i": 1.5, "j": "::1", "l": -2,
       "m": "naïve ☃", "n": "12:34:56.000000789", "o": "2024-02-29T12:34:56.789Z",
       "p": "8f7e3d1c-0b5a-11ef-9262-0242ac120002", "q": -3,
       "r": "6b1f1c5e-9c0e-4b0a-8a33-5f0f2a7d1e4c", "s": 123456789012345678901234567890}'""",
    "INSERT INTO fz.scalars (k) VALUES (2)",
    """INSERT INTO fz.nested (k, a, b, c, d, e, f, g, h, i, j) VALUES (1, [1, 2], {'x', 'y'},
       {'a': 1}, (1, 'one'), [1, 2, 3], {id: 1, label: 'p'},
       {corners: [{id: 2, label: 'q'}, {id: 3}], sizes: {'s': {1, 2}}}, {'h': [(1, 'x')]},
       {{1: 'a'}, {2: 'b', 3: 'c'}}, ['one', 'two'])""",
    "INSERT INTO fz.nested (k, c) VALUES (2, {})",
    "UPDATE fz.counts SET n = n + 7 WHERE k = 1",
    "INSERT INTO fz.pairs (a, b, c, v) VALUES (1, 'x', 1, 9)",
    "INSERT INTO fz.pairs (a, b, c) VALUES (1, 'x', 2)",
)

QUERIES = (
    "SELECT * FROM fz.scalars",
    "SELECT * FROM fz.nested",
    "SELECT * FROM fz.counts",
    'SELECT a, b, c AS "odd name", count(*), token(a, b), writetime(v) FROM fz.pairs',
    "SELECT writetime(a), ttl(c) FROM fz.nested",
    "SELECT * FROM fz.pairs WHERE v = 1 ALLOW FILTERING",
    "INSERT INTO fz.pairs (a, b, c) VALUES (1, 'x', 1) IF NOT EXISTS",
    "INSERT INTO fz.pairs (a, b, c) VALUES (3, 'x', 1) IF NOT EXISTS",
    "LIST ROLES",
    "DESCRIBE TABLE fz.pairs",
    "SELECT fz.broken(k) FROM fz.scalars",
    "SELEC",
    "SELECT * FROM fz.missing",
    "CREATE TABLE fz.pairs (a int PRIMARY KEY)",
    "CREATE KEYSPACE fz2 WITH replication = {'class': 'Other'}",
    "CREATE TYPE fz.temporary (x int)",
    "DROP TYPE fz.temporary",
    "DROP FUNCTION fz.broken",
    "SELECT cluster_name, tokens, release_version FROM system.local",
    "USE fz",
)

PREPARED = (
    "SELECT * FROM fz.pairs WHERE a = ? AND b = ? AND c > ?",
    "INSERT INTO fz.nested (k, f, g, h, j) VALUES (?, ?, ?, ?, ?)",
    "INSERT INTO fz.scalars (k, f, h) VALUES (?, ?, ?) IF NOT EXISTS",
)

Envelope = tuple[int, int, int, bytes]


class Peer:
    """A blocking connection that keeps every envelope."""

    def __init__(self, server: CassandraServer | RunningServer, version: int) -> None:
        self._socket = socket.create_connection((server.contact_points[0], server.port), 30)
        self._writer, self._reader = FrameWriter(version), FrameReader(version)
        self._pending = b""
        self._version = version
        self.kept: list[Envelope] = []

    def close(self) -> None:
        self._socket.close()

    def ask(self, message: Message, flags: int = 0) -> Envelope:
        """Send and await one answer; events that come before it are kept too."""
        self._writer.add(message.opcode, 1, message.encode(self._version), flags)
        self._socket.sendall(self._writer.take())
        sink = EnvelopeList()
        while all(opcode == Opcode.EVENT for _, _, opcode, _ in sink.envelopes):
            received = self._socket.recv(1 << 20)
            if not received:
                raise ConnectionError("the server closed the connection")
            self._pending += received
            self._pending = self._pending[self._reader.feed(self._pending, sink) :]
        self.kept += sink.envelopes
        return sink.envelopes[-1]

    def use_segments(self) -> None:
        if self._version >= 5:
            self._writer.framing = self._reader.framing = Framing.SEGMENTS


def query(text: str, consistency: int = 1, page_size: int = 5000) -> Query:
    made = Query(text)
    made.consistency, made.page_size = consistency, page_size
    return made


def unlogged_batch(size: int) -> Batch:
    """Over so many partitions that the server warns."""
    made = Batch()
    made.batch_type = 1
    made.entries = [
        (f"INSERT INTO fz.counted (k, v) VALUES ({at}, 'x')", NOTHING) for at in range(size)
    ]
    return made


def talk(peer: Peer, username: str, password: str) -> None:
    """Everything that a healthy lone node can be made to answer."""
    peer.ask(Options())
    peer.ask(Startup({"CQL_VERSION": "3.0.0"}))
    peer.use_segments()
    peer.ask(AuthResponse(f"\0{username}\0{password}".encode()))
    peer.ask(Register(EVENTS))
    for text in (*SCHEMA, *QUERIES):
        peer.ask(query(text))
    peer.ask(query("SELECT * FROM fz.pairs", page_size=1))
    peer.ask(query("SELECT * FROM fz.pairs", consistency=3))
    peer.ask(query("SELECT * FROM fz.pairs"), flags=0x02)
    peer.ask(query("CREATE TABLE fz.counted (k int PRIMARY KEY, v text)"))
    peer.ask(unlogged_batch(30))
    for text in PREPARED:
        peer.ask(Prepare(text))
    lost = Execute()
    lost.prepared_id = lost.result_metadata_id = b"lost" * 4
    peer.ask(lost)
    peer.ask(query("DROP KEYSPACE fz"))


def refused(peer: Peer) -> None:
    peer.ask(Startup({"CQL_VERSION": "3.0.0"}))
    peer.use_segments()
    peer.ask(AuthResponse(b"\0nobody\0wrong"))


def main() -> None:
    lines: dict[str, None] = {}
    config = {"user_defined_functions_enabled": True}
    with CassandraServer(port=0, auth=True, config=config) as server:
        assert server.username is not None
        assert server.password is not None
        for version in (4, 5):
            for talking in (True, False):
                peer = Peer(server, version)
                if talking:
                    talk(peer, server.username, server.password)
                else:
                    refused(peer)
                for flags, _, opcode, body in peer.kept:
                    if len(body) < 6_000:
                        lines[f"{version} {flags:02x} {opcode:02x} {body.hex()}"] = None
                peer.close()
    RECORDED.write_text("".join(f"{line}\n" for line in lines))
    print(f"{len(lines)} answers in {RECORDED}")


if __name__ == "__main__":
    main()
