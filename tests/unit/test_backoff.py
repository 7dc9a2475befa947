"""The pause before a repetition."""

import pytest

from async_cassandra._request.faults import FIRST_BACKOFF, LONGEST_BACKOFF, backoff


@pytest.mark.parametrize("earlier", [0, 1, 5, 1023, 1024, 10**9])
def test_backoff_is_bounded_however_many_repetitions_came_before(earlier: int) -> None:
    longest = max(backoff(earlier) for _ in range(100))
    assert 0 < longest <= min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(earlier, 30))
