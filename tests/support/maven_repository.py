"""A Maven repository on this machine, with a small Cassandra that is none."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

VERSION = "5.9.9"
SERVER = f"org/apache/cassandra/cassandra-all/{VERSION}/cassandra-all-{VERSION}"
NEEDED = "org/example/needed/1.0/needed-1.0"
POM = """<project><modelVersion>4.0.0</modelVersion><groupId>{}</groupId>
<artifactId>{}</artifactId><version>{}</version><dependencies>{}</dependencies></project>"""
DEPENDENCY = """<dependency><groupId>org.example</groupId><artifactId>needed</artifactId>
<version>1.0</version></dependency>"""


class Repository:
    """A Maven repository over HTTP: files by their paths, and what was asked for."""

    def __init__(self, algorithms: tuple[str, ...]) -> None:
        self.files: dict[str, bytes] = {}
        self.statuses: dict[str, int] = {}
        self.asked: list[str] = []
        pom = POM.format("org.apache.cassandra", "cassandra-all", VERSION, DEPENDENCY)
        self.put(f"{SERVER}.pom", pom.encode(), algorithms)
        self.put(
            f"{NEEDED}.pom", POM.format("org.example", "needed", "1.0", "").encode(), algorithms
        )
        self.put(f"{SERVER}.jar", b"the server" * 100, algorithms)
        self.put(f"{NEEDED}.jar", b"what it needs" * 100, algorithms)

    def put(self, path: str, content: bytes, algorithms: tuple[str, ...]) -> None:
        self.files[path] = content
        for algorithm in algorithms:
            digest = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
            self.files[f"{path}.{algorithm}"] = f"{digest}  {Path(path).name}\n".encode()

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if path in self.statuses:
            return self.statuses[path], b""
        return (200, self.files[path]) if path in self.files else (404, b"")


@contextlib.contextmanager
def served(repository: Repository) -> Iterator[str]:
    """Let a repository answer; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = repository.answer(self.path[1:])
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
