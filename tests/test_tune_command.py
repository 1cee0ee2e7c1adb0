"""`gnomon tune` as a user meets it: what it writes and says, how it goes on, and what it refuses."""

import io
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from conftest import PictureFolder
from gnomon import cli
from gnomon.deadline import Deadline
from gnomon.display import PanelState
from gnomon.errors import RunError
from gnomon.rundir.run import BEST, DATA, MODEL, RESULT, SEARCH, TUNE, Run
from gnomon.tuning.gain import no_gain
from gnomon.tuning.page import build_page, write_page
from gnomon.tuning.records import Began, Ended, Gain, Influence, Record, Result, SearchSpec, read_records, record
from gnomon.tuning.shared import Shared
from gnomon.tuning.table import _TableState
from gnomon.tuning.telling import points, told
from test_tuning import RECIPE, SPACE, explored, over

QUICK = ("--steps", "3", "--threads", "1", "--batch", "8", "--widths", "8", "--views", "none")


@pytest.fixture
def folder(tmp_path: Path, picture_folder: PictureFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    picture_folder(per_class=14, size=16, name="photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def journal(directory: Path) -> list[tuple[str, int]]:
    return [(done.stage, done.number) for done in read_records(Run(directory))]


def test_a_search_leaves_all_that_it_says_and_is_not_made_twice(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", "photos", *QUICK, "--grid", "rate_factor=0.5,2", "--out", "found", "--json"]
    assert cli.main(words) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "finished"
    assert events[-1]["metrics"]["accuracy"]["value"] >= 0
    trials = [event["record"] for event in events if event["event"] == "trial"]
    assert next(trial["settings"] for trial in trials if trial["stage"] == "explore") == {"rate_factor": 1.0}
    assert {trial["settings"]["rate_factor"] for trial in trials} == {0.5, 1.0, 2.0}
    found = folder / "found"
    assert all((found / name).is_file() for name in (SEARCH, RESULT, TUNE, f"{BEST}/{MODEL}", f"{BEST}/report.html"))
    before = journal(found)
    assert len(before) == len(set(before))
    assert cli.main(["resume", "found", "--quiet"]) == 0
    assert cli.main(["tune", "--out", "found", "--quiet"]) == 0
    assert journal(found) == before
    picture = next((folder / "photos").rglob("*.png"))
    assert cli.main(["predict", str(found / BEST), str(picture)]) == 0


def test_lines_tell_each_trial_and_the_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tune", "photos", *QUICK, "--trials", "2", "--method", "random"]) == 0
    said = capsys.readouterr().out
    assert "trial 0:" in said
    assert "trial 1:" in said
    assert "as usual" in said
    assert "2 trials" in said
    assert "tune.html" in said
    assert (folder / "runs/latest" / MODEL).is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos"], "how long"),
        (["photos", "--by", "10m", "--grid", "lerning_rate=1"], "learning_rate"),
        (["photos", "--by", "10m", "--method", "grid"], "no grid"),
        (["photos", "--by", "10m", "--out", "photos"], "not empty"),
        (["photos", "--trials", "0"], "1 or more"),
        (["photos", "--by", "1s"], "at least"),
        ([], "no data"),
        (["nowhere", "--by", "10m"], "nowhere"),
        (["photos", "--by", "10m", "--storage", "nonsense://x"], "storage"),
    ],
)
def test_what_can_not_be_done_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert cli.main(["tune", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "runs").exists()


# --- Shared ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["sqlite:///{}/trials.db", "journal:///{}/trials.log"])
def test_two_searches_share_their_trials_over_a_storage(tmp_path: Path, form: str) -> None:
    url = form.format(tmp_path)
    first, second = (Shared.opened(url, "ours", tmp_path / name) for name in ("a", "b"))
    mine, theirs = explored(3), [over(0, {"rate_factor": 3.0, "dropout": 0.1, "optimizer": "sgd"}, 0.4, shares=(0.25,))]
    assert first.exchange(mine, SPACE) == []
    seen = second.exchange(theirs, SPACE)
    assert [done.settings for done in seen] == [done.settings for done in mine]
    assert [done.score for done in seen] == [done.score for done in mine]
    assert [done.state for done in first.exchange(mine, SPACE)] == ["pruned"]
    assert len(first.study.get_trials()) == 4, "what was given is not given again"
    assert first.seed(1) != second.seed(1)


def test_a_storage_that_can_not_be_used_is_said() -> None:
    with pytest.raises(RunError, match="sqlite:///nowhere"):
        Shared.opened("sqlite:///nowhere/at/all.db", "ours", Path("a"))


# --- The page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def searched(tmp_path: Path) -> Run:
    """A search's directory, as it is before the final training."""
    run = Run(tmp_path)
    run.write_json(SEARCH, SearchSpec(recipe=RECIPE, dimensions=SPACE, trials=9))
    run.write_json(DATA, {"name": "cats & <dogs>"})
    for done in explored(8):
        record(run, done)
    failed = over(8, {"rate_factor": 9.9, "dropout": 0.5, "optimizer": "muon"}, -1e9)
    record(run, msgspec.structs.replace(failed, state="failed", reason="the loss was <b>no number</b>", scores=()))
    return run


def result(records: list[Record]) -> Result:
    return Result(
        used=records[0].settings,
        found=records[3].settings,
        trial=3,
        measure="accuracy",
        gain=no_gain(),
        influences=(Influence(name="rate_factor", share=0.9),),
        said=("Nothing better was found.",),
    )


def test_the_page_shows_every_trial_as_text_and_asks_nothing_of_any_network(searched: Run) -> None:
    searched.write_json(RESULT, result(read_records(searched)))
    write_page(searched)
    html = searched.read_text(TUNE)
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert "cats &amp; &lt;dogs&gt;" in html
    assert "&lt;b&gt;no number" in html
    page = build_page(searched)
    assert [line.number for line in page.lines][-1] == 8, "a failed one stands last"
    assert page.lines[0].strength == 1.0
    assert {line.look for line in page.lines} >= {"usual", "found", "failed"}
    assert [axis.name for axis in page.axes][-1] == "accuracy"
    assert all(html.count(f'id="t{number}"') == 1 for number in range(9))


def test_nothing_is_never_less_than_nothing() -> None:
    gain = Gain(value=-0.0004, low=-0.003, high=0.002, pairs=2, rows=10, verdict="noise")
    assert points(gain) == "+0.0 points (−0.3 to +0.2, 95 % interval)"


def test_the_page_tells_how_a_gain_changes_with_the_time_of_a_training(searched: Run) -> None:
    measured = ((1.8, 0.133), (3.2, 0.16))
    gain = Gain(value=0.02, low=-0.01, high=0.03, pairs=2, rows=10, verdict="likely", measured=measured)
    found = msgspec.structs.replace(result(read_records(searched)), gain=gain)
    said = told(found, SearchSpec(recipe=RECIPE, dimensions=SPACE), [])
    assert said[0].endswith(
        "accuracy +2.0 points (−1.0 to +3.0, 95 % interval) over the usual ones in the final training."
    )
    assert "trained 2 times with fresh seeds" in said[1]
    assert "+13.3 in 1.8 s, +16.0 in 3.2 s" in said[2]
    for number, right in ((1, 6), (0, 4), (2, 5)):  # as processes end; the last one has no other yet
        done = msgspec.structs.replace(read_records(searched)[0], stage="confirm", number=number, seconds=1.8)
        record(searched, msgspec.structs.replace(done, rows=(1.0,) * right + (0.0,) * (10 - right)))
    searched.write_json(RESULT, found)
    assert build_page(searched).confirmed == ((1, "1.8", "40.0", "60.0", "+20.0"),)
    write_page(searched)
    assert "a short training need not last" in searched.read_text(TUNE)


def test_the_page_of_a_search_that_has_just_begun(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_json(SEARCH, SearchSpec(recipe=RECIPE, trials=9))
    write_page(run)
    assert "The search goes on" in run.read_text(TUNE)


def test_a_line_that_a_crash_tore_did_not_come_to_be(searched: Run) -> None:
    whole: list[Any] = list(read_records(searched))
    path = searched.path / "trials.jsonl"
    path.write_bytes(path.read_bytes() + b'{"stage":"expl')
    assert read_records(searched) == whole
    record(searched, msgspec.structs.replace(whole[0], number=9))
    assert [done.number for done in read_records(searched)] == list(range(10))
    path.write_bytes(b"rubbish\n" + path.read_bytes())
    with pytest.raises(RunError, match="damaged"):
        read_records(searched)


def test_the_live_table_shows_the_best_first_and_what_runs() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    state = _TableState(PanelState("digits", Deadline(time.monotonic())))
    records = explored(4)
    for done in records:
        state.show(Began(stage="explore", number=done.number, expected=9, settings=done.settings), console)
        state.show(Ended(record=done, best=False), console)
    running = Began(stage="explore", number=4, expected=9, settings=records[0].settings | {"dropout": 0.4})
    state.show(running, console)
    console.print(state.render())
    lines = console.export_text().splitlines()
    ranked = sorted(records, key=lambda done: -done.score)
    assert lines[1].split()[:2] == [str(ranked[0].number), f"{100 * ranked[0].score:.1f}"]
    assert "trial 4 of 9" in lines[5]
    assert "dropout 0.4" in lines[5]
