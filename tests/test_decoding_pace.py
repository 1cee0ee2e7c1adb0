"""Decoding that would eat the deadline is given up, but only when its pace is known."""

import time

import numpy as np
import pytest

from gnomon.deadline import Deadline
from gnomon.errors import DeadlineError
from gnomon.spine.opening import DecodingPace, _check_decoding


def deadline(seconds: float) -> Deadline:
    now = time.monotonic()
    return Deadline(now, now + seconds)


def test_a_slow_start_is_not_taken_for_the_pace() -> None:
    _check_decoding(100, watched_s=1, rows=60_000, deadline=deadline(120))


def test_what_decoders_take_to_start_is_no_pace() -> None:
    """256 rows at once, the next two seconds later, when the decoders are there, and then 3,000 a second."""
    pace = DecodingPace(6000)
    seen = [pace.seen(done, now) for done, now in ((256, 0.5), (256, 1.0), (512, 2.5), (2012, 3.0), (3512, 3.5))]
    assert [watched for _, watched in seen] == [0.0, 0.0, 0.0, 0.5, 1.0]
    np.testing.assert_allclose([left for left, _ in seen[3:]], [3988 / 3000, 2488 / 3000])


def test_decoding_that_takes_most_of_the_time_is_given_up_with_a_remedy() -> None:
    with pytest.raises(DeadlineError, match=r"decoding 60,000 rows takes until 1 min 40 s(.|\n)*--by 260s"):
        _check_decoding(100, watched_s=10, rows=60_000, deadline=deadline(120))


def test_without_a_deadline_decoding_takes_what_it_takes() -> None:
    _check_decoding(1e6, watched_s=1e5, rows=60_000, deadline=Deadline(time.monotonic()))
