"""A Cassandra of its own, if none is named, and the application: ``make app``."""

import argparse
import os
import sys

import uvicorn

from async_cassandra.server import CassandraServer, ServerError

from .app import Settings, create_app


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.fastapi_app", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="of the application (default 8000)")
    parser.add_argument(
        "--nodes", type=int, default=1, choices=(1, 2, 3), help="Cassandra's (default 1)"
    )
    options = parser.parse_args()
    if "CASSANDRA_CONTACT_POINTS" in os.environ:
        serve(Settings.from_environment(), options.port)
        return 0
    print("Starting Cassandra (the first time, it is downloaded)")
    try:
        with CassandraServer(nodes=options.nodes, port=0, progress=print) as server:
            found = Settings(tuple(server.contact_points), server.port, replication=options.nodes)
            serve(found, options.port)
    except ServerError as error:
        print(f"No Cassandra: {error}", file=sys.stderr)
        return 2
    return 0


def serve(settings: Settings, port: int) -> None:
    """Serve until Ctrl-C."""
    print(f"The live page: http://127.0.0.1:{port}/   the API: http://127.0.0.1:{port}/docs")
    # Streams and live pages end only when their clients leave: they get a second.
    uvicorn.run(create_app(settings), port=port, timeout_graceful_shutdown=1, access_log=False)


if __name__ == "__main__":
    sys.exit(main())
