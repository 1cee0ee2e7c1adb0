"""Predicting series of files, folders, archives and `.ts` files; and what the command line and Python ask of series."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bad_inputs import Refused, check_refused
from gnomon import api
from gnomon.commands import understood
from gnomon.encoders import SeriesEncoder, choose_series
from gnomon.errors import DataError, RecipeError
from gnomon.models import Imported
from gnomon.options import recipe_of
from gnomon.predicting.modelfile import Header, Model, load, to_bytes
from gnomon.predicting.predict import predict_files
from gnomon.sources import SourceSpec
from gnomon.spine.opening import InMemory
from gnomon.spine.recipe import Recipe, parse_recipe
from gnomon.tasks import Answer, Classify
from source_files import write_folder, write_zip

TS = b"@classLabel true up down\n@data\n1,2:1,2:up\n-1,-2:-3,x:down\n-3:-1:?\n1:down\n"


class SignOfTheMean(nn.Module):
    """`up` where the mean of all values is more than 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, inputs: Tensor) -> Tensor:
        total = inputs[:, :, :-1].sum(dim=(1, 2)) / inputs[:, :, -1].sum(dim=1)
        return torch.stack((total, -total), dim=1) * self.scale


@pytest.fixture
def model() -> Model:
    encoder = SeriesEncoder(
        channels=("channel 1", "channel 2"), length=8, header=False, mean=(0.0, 0.0), std=(1.0, 1.0)
    )
    header = Header(encoder=encoder, model=Imported(name="a:B"), task=Classify(classes=("up", "down")))
    return Model(header, SignOfTheMean().eval())


def answers(model: Model, *files: Path) -> dict[str, str]:
    """The label or the reason, by name."""
    found = {}
    for names, block in predict_files(model, [str(file) for file in files]):
        for name, answer in zip(names, block, strict=True):
            found[Path(name).name] = answer.label if isinstance(answer, Answer) else str(answer)
    return found


def test_files_and_ts_files_stand_for_their_series(tmp_path: Path, model: Model) -> None:
    files = {
        "a.csv": b"1,1\n2,3\n",
        "b.tsv": b"-1\t-1\n",
        "c.csv": b"1,1,1\n",
        "d.csv": b"",
        "e.ts": TS,
        "f.txt": b"1,1",
    }
    expected = {
        "a.csv": "up",
        "b.tsv": "down",
        "c.csv": "has 3 columns in line 1, where 2 channels are expected",
        "d.csv": "holds no values",
        "e.ts, line 3": "up",
        "e.ts, line 4": "holds 'x' as a value, which is no number (number 2 of its dimension)",
        "e.ts, line 5": "down",
        "e.ts, line 6": "has 1 dimension, where 2 are expected",
    }
    folder = write_folder(tmp_path / "new", files)
    assert answers(model, folder) == answers(model, write_zip(tmp_path / "new.zip", files)) == expected
    assert answers(model, *sorted(folder.iterdir())[:5]) == expected
    write_folder(folder, {"bad.ts": b"hello\n"})
    assert answers(model, folder / "bad.ts")["bad.ts"].startswith("is no .ts file of the UCR/UEA archive: line 1")
    with pytest.raises(DataError, match="there are no series in"):
        answers(model, write_folder(tmp_path / "texts", {"f.txt": b"x"}))


def test_arrays_bytes_and_files_are_predicted_alike(tmp_path: Path, model: Model) -> None:
    values = np.random.default_rng(0).normal(size=(30, 5, 2))
    rows: list[bytes | Path] = []
    for number, one in enumerate(values.tolist()):
        content = "\n".join(f"{x!r},{y!r}" for x, y in one).encode()
        (tmp_path / f"{number}.csv").write_bytes(content)
        rows.append(content if number % 2 else tmp_path / f"{number}.csv")
    expected = model.probabilities(list(values))
    assert model.probabilities(rows).tobytes() == expected.tobytes()
    assert model.probabilities(values[3].astype(np.float32)).tobytes() == expected[3:4].tobytes()
    assert expected[:, 0].round().tolist() == (values.mean(axis=(1, 2)) > 0).astype(float).tolist()


def test_a_model_of_series_survives_its_file(tmp_path: Path, model: Model) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(to_bytes(model.header, model.network.state_dict()))
    again = load(path, module=SignOfTheMean())
    assert again.header == model.header
    series = np.arange(6.0).reshape(3, 2)
    assert again.probabilities(series).tobytes() == model.probabilities(series).tobytes()


# --- What is asked ---------------------------------------------------------------------------------------------------


def recipe(words: Sequence[str]) -> Recipe:
    return recipe_of(understood(words))


def test_options_of_series_stand_in_the_recipe() -> None:
    asked = recipe(["train", "steps.csv", "--series-id", "sensor", "--time", "when", "--kind", "series"])
    assert asked.source == SourceSpec(location="steps.csv", series_id="sensor", time="when", kind="series")
    assert parse_recipe(asked.to_toml()) == asked
    with pytest.raises(RecipeError, match="'--series' is nothing") as caught:
        recipe(["train", "steps.csv", "--series", "sensor"])
    assert "series-id" in caught.value.remedy


def _steps(folder: Path) -> None:
    lines = [f"{one},{step},{step},{'ab'[one % 2]}" for one in range(8) for step in range(3)]
    (folder / "steps.csv").write_text("\n".join(["id,time,x,label", *lines]) + "\n", "utf-8")
    (folder / "wrong.ts").write_text("id,time,x,label\n0,0,1,a\n", "utf-8")


@pytest.mark.parametrize(
    "case",
    [
        Refused("id misspelt", "train steps.csv --series-id ids", ("--series-id 'ids' is no column", "'id'"), _steps),
        Refused("no id", "train steps.csv --time time", ("--time 'time' means nothing without --series-id",), _steps),
        Refused("id alone", "train steps.csv", ("holds texts or names existing files", "--series-id COLUMN"), _steps),
        Refused(
            "not the time", "train steps.csv --series-id id --time label --target x", ("holds no times: 'a'",), _steps
        ),
        Refused("no numbers", "train steps.csv --series-id id --time x --target time", ("holds numbers",), _steps),
        Refused("a table named .ts", "train wrong.ts", ("'wrong.ts' is no .ts file", "line 1 is neither"), _steps),
        Refused("of another kind", "train steps.csv --kind sound --series-id id", ("--kind says 'sound'",), _steps),
        Refused("id of digits", "train digits --series-id id", ("--series-id 'id' means nothing for 'digits'",)),
    ],
    ids=lambda case: case.name,
)
def test_what_makes_no_series_is_refused_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    check_refused(replace(case, command=f"{case.command} --steps 2 --quiet --out run"), tmp_path, capsys)


def test_python_says_that_arrays_are_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Recipe, InMemory]] = []

    class Enough(Exception):
        pass

    def stop(recipe: Recipe, *_: object, given: InMemory) -> None:
        seen.append((recipe, given))
        raise Enough

    monkeypatch.setattr(api, "fit", stop)
    monkeypatch.chdir(tmp_path)
    rows = [np.zeros((steps, 2)) for steps in (3, 4)]
    for number, keywords in enumerate(({"kind": "series"}, {"recipe": Recipe(SourceSpec(location="", kind="series"))})):
        with pytest.raises(Enough):
            api.train((rows, [0, 1]), out=str(tmp_path / str(number)), progress=False, **keywords)  # type: ignore[arg-type]
        asked, memory = seen[-1]
        assert asked.source.kind == "series"
        assert memory.source is not None
        assert (memory.source.kind, len(memory.source.rows)) == ("series", 2)
        assert choose_series([memory.source.read(0)])[0].channels == ("channel 1", "channel 2")
    with pytest.raises(RecipeError, match="arrays can't be read as texts"):
        api.train((rows, [0, 1]), kind="text", out=str(tmp_path / "text"), progress=False)
