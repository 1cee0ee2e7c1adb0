"""Disks that are full, broken or read-only: what was saved stays, the message helps, the run goes on to its bits."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ..errors import RunError
from ..rundir.run import Run, create_run
from ..rundir.writing import free_bytes
from . import Tried
from .cases import cases, make_data
from .lives import Ended, Moment, live, load_everything
from .resume import Whole, differences, latest_step, whole_of, words_for

_ERRORS: Final = (errno.ENOSPC, errno.EIO, errno.EROFS)
_FILES: Final = {"model.safetensors": b"w" * 50_000, "state.safetensors": b"s" * 90_000, "state.json": b"{}"}
_CALLS: Final = ("open", "write", "fsync", "replace", "mkdir")
_MOST_CALLS: Final = 40
_DISK: Final = 96 * 2**20
_FIRST_SIZES: Final = 8
_MOST_FREE: Final = 1.4
_MESSAGE: Final = re.compile(r"'.+' can't be written: .+ \([\d.,]+ (?:MB|kB) needed, [\d.,]+ (?:MB|kB) free\)")
_NO_ROOM: Final = re.compile(r"need [\d.,]+ (?:MB|kB) at '.+', and [\d.,]+ (?:MB|kB) are free")


def disk(folder: Path, *, sizes: int, trainings: int, seed: int) -> Iterator[Tried]:
    """Every call of one save refused; trainings on disks of so many sizes; trainings with refused calls.

    Args:
        folder: an empty one.
        sizes: bytes that are free when a training begins, from none to more than it takes.
        trainings: with a call that is refused once, or from then on.
        seed: of the cases and the calls.
    """
    yield from _one_save(folder)
    make_data(folder)
    load_everything()
    chance = random.Random(seed)
    yield from _sizes(folder, sizes, chance)
    yield from _refused(folder, trainings, chance)


# --- One save --------------------------------------------------------------------------------------------------------


def _one_save(folder: Path) -> Iterator[Tried]:
    """Each call of a save is refused in turn, with each error, once and from then on."""
    for code in _ERRORS:
        for name in _CALLS:
            for for_good in (False, True):
                for number in range(1, _MOST_CALLS):
                    run = create_run(folder / "save", data="d", model="m")
                    run.save_checkpoint(5, _FILES)
                    reached, problem = _save_refused(run, name, number, code, for_good)
                    shutil.rmtree(run.path)
                    if not reached:
                        break
                    what = f"{errno.errorcode[code]} at {name} {number} of a save{' and ever after' * for_good}"
                    yield Tried(what=what, held=not problem, found=problem)


def _save_refused(run: Run, name: str, number: int, code: int, for_good: bool) -> tuple[bool, str]:
    """Whether there was such a call, and what was wrong after it was refused."""
    calls = 0
    does = getattr(os, name)

    def refuse(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number or (for_good and calls > number):
            raise OSError(code, os.strerror(code), str(arguments[0]))
        return does(*arguments, **named)

    said = ""
    setattr(os, name, refuse)
    try:
        run.save_checkpoint(9, _FILES)
    except RunError as error:
        said = error.problems[0]
    finally:
        setattr(os, name, does)
    if calls < number:
        return False, ""
    problems = [] if said or latest_step(run) == 9 else ["nothing was said, and nothing saved"]
    problems += [] if not said or _MESSAGE.search(said) else [f"the message lacks something: {said}"]
    latest = run.latest_checkpoint()
    problems += [] if latest is not None and latest.step in (5, 9) else ["the checkpoint before is gone"]
    problems += [] if latest is None or not latest.damaged else [latest.damaged[0]]
    run.save_checkpoint(9, _FILES)
    problems += [] if latest_step(run) == 9 else ["saving again does not help"]
    return True, "; ".join(problems)


# --- Trainings -------------------------------------------------------------------------------------------------------


def _sizes(folder: Path, count: int, chance: random.Random) -> Iterator[Tried]:
    """Trainings whose disk has so much left when they begin; on a small disk of memory where one can be made."""
    if not count:
        return
    wholes = [whole_of(folder, case) for case in chance.sample(cases(), 3)]
    place = folder / "disk"
    with _small_disk(place) as real:
        refused = min(_FIRST_SIZES, count // 4 + 1)
        for number in range(refused):
            yield _with_free(place, chance.choice(wholes), number / refused, real, begun=False)
        for number in range(count):
            share = _MOST_FREE * number / max(1, count - 1)
            yield _with_free(place, chance.choice(wholes), share, real, begun=True)


def _with_free(place: Path, whole: Whole, share: float, real: bool, *, begun: bool) -> Tried:
    """One training with this share of its bytes free: from its start, or from where it has seen that there is room."""
    run, free = Run(place / "run"), int(share * whole.bytes)
    how = "of a small disk" if real else "until writing is refused"
    what = f"{whole.case.name}: {free:,} bytes {how}{' when training begins' if begun else ''}"
    prepared = _when_training(lambda: _fill(place, free, real)) if begun else lambda: _fill(place, free, real)
    ended = live(words_for(run, whole.case, place), place, prepared=prepared, notes=place.parent)
    problems = _told_well(ended)
    step = latest_step(run)
    (place / "ballast").unlink(missing_ok=True)
    problems += _goes_on(run, whole, place, step, notes=place.parent)
    return Tried(what=f"{what}: exit code {ended.code}", held=not problems, found="; ".join(problems))


def _refused(folder: Path, count: int, chance: random.Random) -> Iterator[Tried]:
    """Trainings in which a call that changes the disk is refused."""
    wholes = [whole_of(folder, case) for case in chance.sample(cases(), 3)] if count else []
    for _ in range(count):
        whole = chance.choice(wholes)
        name = chance.choice(("write", "fsync", "replace"))
        number = chance.randint(1, whole.ended.counts[name])
        moment = Moment(what=name, number=number, error=chance.choice(_ERRORS), for_good=chance.random() < 0.7)
        run = Run(folder / "run")
        ended = live(words_for(run, whole.case, folder), folder, moment)
        problems = [] if ended.code == 0 else _told_well(ended)
        problems += _goes_on(run, whole, folder, latest_step(run), notes=folder)
        yield Tried(what=f"{whole.case.name}: {moment}", held=not problems, found="; ".join(problems))


def _told_well(ended: Ended) -> list[str]:
    """It ended well, or with the exit code of what a user can mend, and said what."""
    if ended.code == 0:
        return []
    problems = [] if ended.code == 2 else [f"exit code {ended.code}"]
    told = _MESSAGE.search(ended.said) or _NO_ROOM.search(ended.said) or "directory can't be made" in ended.said
    return problems + ([] if told else [f"the message lacks something: {ended.said}"])


def _goes_on(run: Run, whole: Whole, place: Path, step: int, *, notes: Path) -> list[str]:
    """Once there is room again, to the same bits."""
    ended = live(words_for(run, whole.case, place), place, notes=notes)
    problems = [] if ended.code == 0 else [f"going on ended with {ended.code}: {ended.said}"]
    problems += differences(run, whole)
    problems += [] if latest_step(run) >= step else [f"the checkpoint of step {step} is gone"]
    if not problems:
        shutil.rmtree(run.path, ignore_errors=True)
    return problems


def _when_training(do: Callable[[], None]) -> Callable[[], None]:
    """Called in a new process: has it done right before the first step."""

    def prepare() -> None:
        from ..spine import fit

        train = vars(fit)["train"]

        def filled(*arguments: Any, **named: Any) -> Any:
            do()
            return train(*arguments, **named)

        vars(fit)["train"] = filled

    return prepare


def _fill(place: Path, free: int, real: bool) -> None:
    """Leave so many bytes on the disk; where it is none of its own, refuse what is written beyond them."""
    if real:
        left = free_bytes(place) - free
        if left > 0:
            handle = os.open(place / "ballast", os.O_WRONLY | os.O_CREAT, 0o666)
            os.posix_fallocate(handle, 0, left)
            os.close(handle)
        return
    write, left = os.write, free

    def bounded(handle: int, content: bytes) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(handle, content[:left])
        left -= done
        return done

    os.write = bounded  # type: ignore[assignment]


@contextmanager
def _small_disk(place: Path) -> Iterator[bool]:
    """A file system of its own in memory; whether one could be made, which takes the rights of root."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "gnomon-torture", str(place)]
    try:
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        made = False
    make_data(place)
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", "--lazy", str(place)], capture_output=True, check=False)
