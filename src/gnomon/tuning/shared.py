"""A search that several share, over any storage that Optuna knows by a URL: PostgreSQL, MySQL, SQLite, a journal file.

Only trainings that are over are exchanged. So there is nothing to clean up where one of the searches dies, and each
goes on from its own journal; but one does not see what another is trying just now, hence each draws by a seed of its
own.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from .. import chance
from ..errors import RunError
from ..space import Dimension
from .draw import QUARTERS, frozen
from .records import WORST, Record

_JOURNAL = "journal:///"


@dataclass(frozen=True, slots=True)
class Shared:
    """A study in a storage.

    Attributes:
        study: of all who share it.
        owner: this search among them.
    """

    study: optuna.Study
    owner: str

    @staticmethod
    def opened(url: str, name: str, directory: Path) -> Shared:
        """The study of this name, made where there is none.

        Args:
            url: `postgresql://…`, `sqlite:///…`, or `journal:///path` for a file on a shared disk.
            name: of the study.
            directory: of this search; with the machine's name it tells whose trials are whose.

        Raises:
            RunError: the storage can't be used.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            storage: str | JournalStorage = url
            if url.startswith(_JOURNAL):
                storage = JournalStorage(JournalFileBackend(url.removeprefix(_JOURNAL)))
            study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        except Exception as error:  # every storage has errors of its own
            raise _unusable(url, error) from error
        return Shared(study, f"{socket.gethostname()}:{directory.resolve()}")

    def seed(self, seed: int) -> int:
        """Of this search's draws."""
        return chance.key(seed, f"search {self.owner}") % 2**31

    def exchange(self, own: Sequence[Record], dimensions: Sequence[Dimension]) -> list[Record]:
        """Give what of the own trials is not there yet; get those of the others that have the same quantities.

        Raises:
            RunError: the storage can't be reached; the own journal has everything.
        """
        try:
            there = self.study.get_trials(deepcopy=False)
            known = {int(trial.user_attrs["number"]) for trial in there if trial.user_attrs.get("owner") == self.owner}
            for done in own:
                if done.number not in known:
                    trial = frozen(dimensions, done)
                    trial.user_attrs |= {"owner": self.owner, "number": done.number, "loss": done.loss}
                    self.study.add_trial(trial)
        except Exception as error:  # every storage has errors of its own
            raise _unusable("of the study", error) from error
        names = {item.name for item in dimensions}
        others = (trial for trial in there if trial.user_attrs.get("owner") not in (self.owner, None))
        return [_record(trial) for trial in others if set(trial.params) == names and trial.state.is_finished()]


def _record(trial: FrozenTrial) -> Record:
    finished = trial.state == TrialState.COMPLETE and trial.value is not None
    last = max(trial.intermediate_values, default=0)
    score = trial.value if finished else trial.intermediate_values.get(last, WORST)
    return Record(
        stage="explore",
        number=int(trial.user_attrs["number"]),
        settings=dict(trial.user_attrs["gnomon"]),
        state="finished" if finished else "pruned",
        score=WORST if score is None else score,
        loss=float(trial.user_attrs["loss"]),
        scores=tuple((quarter / QUARTERS, value) for quarter, value in sorted(trial.intermediate_values.items())),
        steps=0,
        seconds=float(trial.user_attrs["seconds"]),
        seed=0,
        network="",
        elapsed_s=0.0,
    )


def _unusable(url: str, error: Exception) -> RunError:
    first = str(error).strip().split("\n")[0]
    return RunError(
        f"the storage {url!r} can't be used: {type(error).__name__}: {first}",
        remedy="Give a URL such as postgresql://user@host/name or sqlite:///trials.db, and install its driver.",
    )
