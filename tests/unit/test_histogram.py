import random

import pytest

from async_cassandra._watch.latencies import Histogram, RecentHistogram


def test_percentiles_are_close_to_the_exact_ones() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    durations = [random.Random(seed + n).lognormvariate(-6, 1) for n in range(5000)]
    histogram = Histogram()
    for duration in durations:
        histogram.record(duration)
    durations.sort()
    for share in (0.01, 0.5, 0.95, 0.99, 0.999):
        exact = durations[int(share * len(durations)) - 1]
        assert exact - 1e-6 <= histogram.percentile(share) <= exact * (1 + 1 / 31) + 2e-6
    assert histogram.percentile(1.0) == histogram.largest == durations[-1]
    assert histogram.smallest == durations[0]
    assert histogram.total == pytest.approx(sum(durations))


def test_percentile_of_nothing_is_zero() -> None:
    assert Histogram().percentile(0.99) == 0.0


def test_durations_that_no_bucket_has_are_in_the_last_and_the_first() -> None:
    histogram = Histogram()
    for duration in (0.0, -1.0, 1e9):
        histogram.record(duration)
    assert histogram.count == 3
    assert histogram.cumulative([0.001, 1.0]) == [2, 2]
    assert histogram.largest == 1e9


def test_cumulative_counts_ascend_to_the_count() -> None:
    histogram = Histogram()
    for duration in (0.0005, 0.003, 0.02, 0.02, 5.0):
        histogram.record(duration)
    assert histogram.cumulative([0.001, 0.01, 0.1, 10.0]) == [1, 2, 4, 5]


def test_merged_histograms_have_both_durations() -> None:
    one, other = Histogram(), Histogram()
    one.record(0.1)
    other.record(0.3)
    one.merge(other)
    assert (one.count, one.smallest, one.largest) == (2, 0.1, 0.3)


def test_recent_durations_are_forgotten_after_five_minutes() -> None:
    recent = RecentHistogram()
    recent.record(1000.0, 0.1, True)
    recent.record(1100.0, 0.2, False)
    histogram, failures = recent.summary(1100.0)
    assert (histogram.count, failures) == (2, 1)
    histogram, failures = recent.summary(1000.0 + 331)
    assert (histogram.count, failures) == (1, 0)
    recent.record(1000.0 + 11 * 30, 0.3, False)
    histogram, failures = recent.summary(1000.0 + 11 * 30)
    assert (histogram.count, histogram.largest, failures) == (2, 0.3, 0)


def test_recent_durations_from_before_what_a_slot_has_now_are_left_out() -> None:
    recent = RecentHistogram()
    recent.record(10_000.0, 0.1, False)
    recent.record(10_000.0 - 11 * 30, 9.0, False)
    assert recent.summary(10_000.0)[0].largest == 0.1
