"""What the benchmark makes of its measurements: statistics, ratios, turns, resuming, targets."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from benchmarks.clients import ACSYLLA, ENTRANTS, FLOOR, LIBRARY, LOOPS
from benchmarks.data import STATEMENTS, TABLES, Address, new_keys, new_partitions, schema
from benchmarks.digest import Digest, canonical
from benchmarks.measure import Measurement, quantile
from benchmarks.results import FIGURES, Key, Results, forget, summary
from benchmarks.runner import turns
from benchmarks.targets import outcomes
from benchmarks.workloads import WORKLOADS
from cassandra.util import OrderedMapSerializedKey, SortedSet

PLAIN = Measurement(
    operations=1000,
    seconds=0.5,
    cpu_seconds=0.02,
    voluntary_switches=100,
    involuntary_switches=50,
    p50=0.001,
    p99=0.002,
    p999=0.004,
    lag_p99=0.001,
    lag_p999=0.002,
    lag_max=0.003,
    memory_growth=4096,
)


def key(client: str, workload: str = "read-128", loop: str = "asyncio") -> Key:
    return Key(workload, client, loop)


def measured(client: str, cpu_us: list[float], workload: str = "read-128") -> Results:
    """Results of one client with so much CPU per request in rounds 1, 2, …"""
    results = Results()
    add(results, client, cpu_us, workload)
    return results


def add(results: Results, client: str, cpu_us: list[float], workload: str = "read-128") -> None:
    for number, cost in enumerate(cpu_us, 1):
        of = replace(PLAIN, cpu_seconds=cost * PLAIN.operations / 1e6)
        results.measure(key(client, workload), number, of)


def test_quantile_of_ordered_values() -> None:
    ordered = [float(value) for value in range(100)]
    assert quantile(ordered, 0.5) == 50
    assert quantile(ordered, 0.99) == 99
    assert quantile(ordered, 1.0) == 99
    assert quantile([3.0], 0.999) == 3.0
    assert quantile([], 0.5) == 0.0


def test_figures_are_per_operation_and_in_the_units_of_their_names() -> None:
    values = {name: figure.of(PLAIN) for name, figure in FIGURES.items()}
    assert values["rate"] == 2000
    assert values["cpu_us"] == pytest.approx(20)
    assert values["p50_ms"] == pytest.approx(1)
    assert values["waits"] == pytest.approx(0.1)
    assert values["preemptions"] == pytest.approx(0.05)
    assert values["lag_max_ms"] == pytest.approx(3)
    assert FIGURES["cpu_us"].of(replace(PLAIN, operations=0)) == pytest.approx(20_000)


def test_median_leaves_out_the_round_for_warming_up() -> None:
    results = measured(LIBRARY, [3.0, 1.0, 2.0])
    results.measure(key(LIBRARY), 0, replace(PLAIN, cpu_seconds=99.0, memory_growth=9999))
    assert results.median(key(LIBRARY), FIGURES["cpu_us"]) == pytest.approx(2.0)
    assert results.memory_growth(key(LIBRARY)) == 9999
    assert results.median(key(FLOOR), FIGURES["cpu_us"]) is None


def test_ratio_is_the_median_of_ratios_in_the_same_rounds() -> None:
    results = measured(LIBRARY, [2.0, 30.0, 3.0, 77.0])
    add(results, FLOOR, [1.0, 10.0, 2.0])
    ratio = results.ratio(key(LIBRARY), key(FLOOR), FIGURES["cpu_us"])
    assert ratio == pytest.approx(2.0)
    assert results.ratio(key(LIBRARY), key(ACSYLLA), FIGURES["cpu_us"]) is None


def test_ratio_to_nothing_is_left_out() -> None:
    results = measured(LIBRARY, [2.0, 4.0])
    add(results, FLOOR, [0.0, 2.0])
    assert results.ratio(key(LIBRARY), key(FLOOR), FIGURES["cpu_us"]) == pytest.approx(2.0)


def test_failed_client_has_no_figures_and_is_not_measured_again() -> None:
    results = measured(ACSYLLA, [2.0])
    results.fail(key(ACSYLLA), "RuntimeError: no")
    assert results.rounds(key(ACSYLLA)) == {}
    assert results.memory_growth(key(ACSYLLA)) is None
    assert results.has(key(ACSYLLA), 4)
    (entry,) = summary(results)
    assert entry["failed"] == "RuntimeError: no"


def test_run_goes_on_where_its_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    results = Results(path)
    results.begin(key(LIBRARY))
    results.measure(key(LIBRARY), 1, PLAIN)
    results.fail(key(ACSYLLA), "no")
    results.verify(key(LIBRARY), "5 rows")
    results.route(key(LIBRARY), 0.5)
    again = Results(path)
    assert again.measured == results.measured
    assert (again.failed, again.digests) == (results.failed, results.digests)
    assert (again.routed, again.machines) == (results.routed, results.machines)
    assert [again.has(key(LIBRARY), number) for number in (0, 1, 2)] == [False, True, False]
    again.measure(key(LIBRARY), 2, PLAIN)
    assert len(Results(path).measured) == 2


def test_workload_done_anew_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    forget(path, ["scan"])
    results = Results(path)
    for workload in ("scan", "read-128"):
        results.measure(key(LIBRARY, workload), 1, PLAIN)
        results.verify(key(LIBRARY, workload), "5 rows")
    forget(path, ["scan", "batch"])
    assert Results(path).workloads == ["read-128"]
    assert list(Results(path).digests) == [key(LIBRARY)]


def test_keys_are_in_the_order_of_workloads_clients_and_loops() -> None:
    results = Results()
    for at in (
        key(ACSYLLA, "scan"),
        key(LIBRARY, "scan", "uvloop"),
        key(LIBRARY, "scan"),
        key(FLOOR, "lone-read"),
    ):
        results.measure(at, 1, PLAIN)
    assert results.keys() == [
        key(FLOOR, "lone-read"),
        key(LIBRARY, "scan"),
        key(LIBRARY, "scan", "uvloop"),
        key(ACSYLLA, "scan"),
    ]
    assert results.workloads == ["lone-read", "scan"]
    assert results.clients == [FLOOR, LIBRARY, ACSYLLA]
    assert results.loops == list(LOOPS)


@pytest.mark.parametrize("rounds", [3, 5, 7])
@pytest.mark.parametrize("count", [1, 2, 7, 14])
def test_turns_let_everybody_begin_and_lose_nobody(count: int, rounds: int) -> None:
    contestants = list(range(count))
    orders = [turns(contestants, number, rounds) for number in range(rounds + 1)]
    assert all(sorted(order) == contestants for order in orders)
    firsts = {order[0] for order in orders}
    assert len(firsts) >= min(count, rounds) // 2
    if count > 2:
        steps = Counter((order[1] - order[0]) % count for order in orders)
        assert set(steps) == {1, count - 1}


def test_wrong_rows_are_named_with_what_was_expected() -> None:
    results = Results()
    results.verify(key(LIBRARY), "5 rows, checksum 1")
    results.verify(key(ACSYLLA), "5 rows, checksum 2")
    results.verify(key(ACSYLLA, "scan"), "nobody to compare with")
    ((at, text),) = results.wrong(LIBRARY)
    assert at == key(ACSYLLA)
    assert "checksum 2, not 5 rows, checksum 1" in text


def test_target_is_met_or_missed_by_its_direction() -> None:
    results = measured(LIBRARY, [6.0, 7.0, 8.0])
    add(results, FLOOR, [5.0, 5.0, 5.0])
    add(results, ACSYLLA, [10.0, 10.0, 10.0])
    found = {outcome.title: outcome for outcome in outcomes(results, "asyncio")}
    floor = found["point reads, 128 in flight: CPU µs, of floor's"]
    assert floor.measured == pytest.approx(1.4)
    assert floor.is_met
    acsylla = found["point reads, 128 in flight: CPU µs, of acsylla's"]
    assert acsylla.measured == pytest.approx(0.7)
    assert not acsylla.is_met
    rate = found["point reads, 128 in flight: per second, of acsylla's"]
    assert rate.at_least
    assert rate.measured == pytest.approx(1.0)
    assert not rate.is_met
    assert not any("scyllapy" in title for title in found)
    assert list(outcomes(results, "uvloop")) == []


def test_targets_over_the_range_of_loads() -> None:
    results = Results()
    for load, rate in ((128, 1000), (1024, 1300), (8192, 900)):
        of = replace(PLAIN, operations=rate, seconds=1.0, memory_growth=load * 1000)
        results.measure(key(LIBRARY, f"read-{load}"), 1, of)
    found = {outcome.title: outcome.measured for outcome in outcomes(results, "asyncio")}
    best = "point reads, 128 to 8,192 in flight: best throughput over the worst"
    assert found[best] == pytest.approx(1300 / 900)
    assert found["point reads, 8,192 in flight: bytes of memory a request"] == 1000
    assert "point reads, 128 in flight: bytes of memory a request" not in found


def test_checksum_does_not_depend_on_the_form_of_a_value() -> None:
    aware = datetime(2024, 1, 2, 4, tzinfo=timezone(timedelta(hours=1)))
    assert canonical(aware) == canonical(datetime(2024, 1, 2, 3)) == datetime(2024, 1, 2, 3)
    assert canonical(SortedSet(["b", "a"])) == canonical({"a", "b"}) == canonical(["a", "b"])
    home = Address("street", 1, "city")
    assert canonical(home) == canonical(home._asdict()) == tuple(home)
    assert canonical(OrderedMapSerializedKey(None, 5)) == canonical({})
    first, second = Digest(), Digest()
    first.add([(1, "a"), (2, "b")])
    second.add([[2, "b"], [1, "a"]])
    assert str(first) == str(second)
    second.add([(3, "c")])
    assert str(first) != str(second)


def test_what_is_read_is_never_written() -> None:
    tables: dict[str, set[str]] = {"read": set(), "written": set()}
    for workload in WORKLOADS.values():
        is_read = workload.operation == "scan" or workload.statement.startswith("read")
        table = STATEMENTS[workload.statement].table
        tables["read" if is_read else "written"].add(table.full_name)
    assert tables["read"].isdisjoint(tables["written"])
    assert sum(map(len, tables.values())) == len(TABLES)


def test_every_workload_has_its_statement_and_every_row_its_columns() -> None:
    for workload in WORKLOADS.values():
        statement = STATEMENTS[workload.statement]
        if workload.operation != "scan":
            assert len(statement.values(3)) == len(statement.parameters)
        if workload.writes:
            assert f"read {statement.table.name}" in STATEMENTS
            assert min(new_keys(statement.table)) >= statement.table.rows
            assert new_partitions(statement.table)
    for table in TABLES:
        assert any(f".{table.name} (" in cql for cql in schema())
        if table.row is not None:
            assert len(table.row(1)) == len(table.columns)


def test_measurement_survives_json() -> None:
    assert Measurement(**asdict(PLAIN)) == PLAIN
    assert set(ENTRANTS) >= {FLOOR, LIBRARY, ACSYLLA}
