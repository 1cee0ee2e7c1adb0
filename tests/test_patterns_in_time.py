"""Expressions that would try one way after another without end are given up."""

import signal
import threading

import pytest

from gnomon.errors import RecipeError
from gnomon.sources.labels import Listing
from gnomon.sources.patterns import compile_group, group_by_key, with_test_files
from gnomon.types import Row

ROWS = [Row("a" * 40 + "b", "x"), Row("c", "y")]


@pytest.mark.parametrize("expression", ["(a|a)*$", "(a+)+$", "^(?:a*)*(c)$"])
def test_an_expression_without_end_is_given_up(expression: str) -> None:
    with pytest.raises(RecipeError, match=r"takes more than .* on 2 names"):
        group_by_key(Listing(ROWS, [], []), compile_group(f"({expression})"))
    with pytest.raises(RecipeError, match="with fewer"):
        with_test_files(ROWS, expression)
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


def test_a_usual_one_is_not() -> None:
    rows, _ = with_test_files(ROWS, "^c")
    assert [row.split for row in rows] == ["train", "test"]


def test_in_another_thread_there_is_no_timer() -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(with_test_files(ROWS, "^c")))
    thread.start()
    thread.join()
    assert len(found) == 1


@pytest.mark.parametrize("expression", ["(" * 100_000, "(a", "a{99999999999}"])
def test_what_is_no_expression_is_said(expression: str) -> None:
    with pytest.raises(RecipeError, match="is no regular expression"):
        compile_group(expression)
