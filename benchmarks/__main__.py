"""Compare asyncio clients of Cassandra on this machine: ``python -m benchmarks``.

Every client runs in a process and an environment of its own, against one real Cassandra; they take
turns within every round. benchmarks/README.md says what is measured and how to read it.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from async_cassandra.server import ServerError
from benchmarks.clients import ENTRANTS, FLOOR, LIBRARY, LOOPS
from benchmarks.document import write_documents
from benchmarks.environments import BUILD
from benchmarks.plots import plots
from benchmarks.report import as_json, show
from benchmarks.results import Results, forget
from benchmarks.runner import Plan, Runner
from benchmarks.screen import Screen
from benchmarks.workloads import QUICK, WORKLOADS

QUICK_CLIENTS = (FLOOR, LIBRARY, "acsylla", "scyllapy", "cassandra-driver")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument("--clients", nargs="+", choices=ENTRANTS, metavar="CLIENT")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, metavar="WORKLOAD")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, metavar="LOOP")
    parser.add_argument("--rounds", type=int, help="that count, after one for warming up (5)")
    parser.add_argument("--seconds", type=float, help="of each slice (1; 0.5 with --quick)")
    parser.add_argument(
        "--output", type=Path, default=BUILD, metavar="FOLDER", help="of run.jsonl, results.json"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    parser.add_argument(
        "--again", action="store_true", help="as --resume, but the workloads named are done anew"
    )
    parser.add_argument(
        "--report", action="store_true", help="measure nothing, show the run in the folder"
    )
    parser.add_argument(
        "--document", action="store_true", help="write tables and plots into docs and README"
    )
    parser.add_argument("--list", action="store_true", help="name clients and workloads, then end")
    return parser.parse_args()


def plan_of(arguments: argparse.Namespace) -> Plan:
    is_quick = arguments.quick
    return Plan(
        arguments.clients or (QUICK_CLIENTS if is_quick else tuple(ENTRANTS)),
        arguments.workloads or (QUICK if is_quick else tuple(WORKLOADS)),
        arguments.loops or (LOOPS[:1] if is_quick else LOOPS),
        arguments.rounds or (3 if is_quick else 5),
        arguments.seconds or (0.5 if is_quick else 1.0),
    )


def list_choices() -> None:
    print("clients:", *ENTRANTS)
    print("loops:", *LOOPS)
    for workload in WORKLOADS.values():
        print(f"  {workload.name:14} {workload.title}")


def measure(plan: Plan, results: Results, screen: Screen) -> int:
    """Return the status to end with; 0 when the run is complete."""
    try:
        asyncio.run(Runner(plan, results, screen).run())
    except ServerError as error:
        print(f"No Cassandra: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        screen.notice("Interrupted; --resume goes on.")
        return 130
    return 0


def main() -> int:
    arguments = parse_arguments()
    if arguments.list:
        list_choices()
        return 0
    plan, screen = plan_of(arguments), Screen()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / "run.jsonl"
    if not (arguments.resume or arguments.again or arguments.report):
        lines.unlink(missing_ok=True)
    if arguments.again:
        forget(lines, plan.workloads)
    results = Results(lines)
    status = 0 if arguments.report else measure(plan, results, screen)
    if status:
        return status
    show(results, screen.console)
    (folder / "results.json").write_text(as_json(results))
    pictures = plots(results)
    for name, picture in pictures.items():
        (folder / name).write_text(picture)
    screen.notice(f"Every figure is in {folder / 'results.json'}, with plots beside it")
    if arguments.document:
        write_documents(results, pictures)
        screen.notice(
            "docs/performance-measurements.md, docs/comparison.md and README.md show them"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
