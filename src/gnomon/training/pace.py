"""Watches the clock while a training runs: how quick it is, when to save, whether the steps still fit the deadline."""

from __future__ import annotations

import math
import time
from typing import Final

from ..deadline import Deadline
from ..planning.plan import RESERVE_FIXED_S, Plan
from ..planning.progress import Change
from ..types import plural

_SECONDS_BETWEEN_SIGNS: Final = 0.5
_SHORTEST_LOOK_S, _LOOK_SHARE = 0.5, 0.15
_FAR_SLOWER, _BETTER, _REST, _LONGEST_REST, _FEW_STEPS = 1.6, 0.9, 4, 32, 8
_COMPUTED: Final = 2 / 3
_TOLERATED_LATE, _TOLERATED_EARLY, _TOLERATED_S = 0.01, 0.04, 0.2


class Crew:
    """How many threads an operation should have while other programs take cores.

    A thread whose core is shared keeps all others waiting at the end of every operation: beside one busy process two
    threads on two cores take two to four times as long as with nothing else, and longer than one alone (RESULTS.md). So
    where steps are far slower than planned, half of the threads are tried and, if steps are quicker, kept; all of them
    are tried again now and then.

    Args:
        threads: at present.
        most: as planned.
    """

    def __init__(self, threads: int, most: int) -> None:
        self.threads, self._most = threads, most
        self._before: float | None = None
        self._looks = self._slow = 0
        self._rest = 0

    def look(self, step_s: float, planned_s: float) -> int:
        """The threads from here on, by the seconds of a step since the last look."""
        all_work = self.threads == self._most
        other = max(1, self._most // 2) if all_work else self._most
        if self._before is not None:  # the other number is being tried
            kept = step_s < _BETTER * self._before
            if not all_work:
                self._rest = 0 if kept else min(_LONGEST_REST, 2 * max(_REST, self._rest))
            self._before, self._looks, self._slow = None, 0, 0
            self.threads = self.threads if kept else other
            return self.threads
        self._looks += 1
        self._slow = self._slow + 1 if step_s > _FAR_SLOWER * planned_s else 0
        if (self._slow > 1 and self._looks > self._rest) if all_work else self._looks > _REST:
            self._before, self.threads = step_s, other
        return self.threads


class Pace:
    """The clock of one training.

    Args:
        plan: what was decided.
        deadline: the clock that the plan's `end_s` counts on.
        step: that the training stands at.
        threads: of an operation at present; None: as planned.
    """

    def __init__(self, plan: Plan, deadline: Deadline, step: int, *, threads: int | None = None) -> None:
        self._plan, self._deadline = plan, deadline
        self._crew = Crew(threads or plan.threads, plan.threads)
        self._told_at = self._sign_at = self._look_at = time.monotonic()
        self._told_step = self._look_step = step
        self._look_cost = self._judging_s = 0.0
        self._slower = self._slower_now = self._usual_s = 0.0

    def stepped_once(self, cost: float) -> None:
        """A step was made; `cost` is 1 for one with whole pictures."""
        self._look_cost += cost

    def steps_per_s(self, step: int) -> float:
        """Since this was last asked, or the last pause."""
        now = time.monotonic()
        steps, seconds = step - self._told_step, now - self._told_at
        self._told_at = self._sign_at = now
        self._told_step = step
        return steps / max(1e-9, seconds)

    def judged(self, seconds: float) -> None:
        """A validation took so long. It is no step, and so many more are to come."""
        self._judging_s = seconds
        self._look_at += seconds
        self.paused(seconds)

    def paused(self, seconds: float) -> None:
        """What passed was no training."""
        self._told_at += seconds
        self._sign_at = time.monotonic()

    def sign_is_due(self) -> bool:
        """Whether nothing was heard of the training for a while."""
        now = time.monotonic()
        due = now - self._sign_at > _SECONDS_BETWEEN_SIGNS
        if due:
            self._sign_at = now
        return due

    def _left_s(self, validations: int) -> float:
        """Seconds for the steps to come. What slows them slows the judgement after them too, at its least, and most of
        what is always kept.
        """
        least_s = self._plan.judging_least_s + _COMPUTED * RESERVE_FIXED_S
        more_s = max(0.0, (1 + self._slower) * least_s - self._plan.judging_s - _COMPUTED * RESERVE_FIXED_S)
        return self._plan.end_s - more_s - self._deadline.elapsed_s() - validations * self._judging_s

    def _notice(self, step_s: float) -> None:
        """How much slower steps are than usual, to half the speed at most, as with another process on every core.

        Believed when two looks agree: a hitch near the end is no reason to stop at once, while the learning rate is
        high.
        """
        if self._usual_s:
            now = min(1.0, max(0.0, step_s / self._usual_s - 1))
            self._slower, self._slower_now = min(now, self._slower_now), now

    def change(self, step: int, steps: int, done: float) -> Change | None:
        """Cut or add steps where the speed since the last look does not lead to the planned end.

        The look reaches over a share of what is left, in seconds or in steps, so that a short disturbance early on
        changes little, and the end is not reached unseen.
        """
        if not self._plan.end_s or step >= steps or step == self._look_step:
            return None
        before = self._crew.threads
        validations = math.ceil((steps - step) / self._plan.validate_every)
        seconds = time.monotonic() - self._look_at
        left_s = self._left_s(validations)
        far = step - self._look_step >= max(3, _LOOK_SHARE * (steps - self._look_step))
        if left_s > 0 and not far and seconds < max(_SHORTEST_LOOK_S, _LOOK_SHARE * left_s):
            return None
        threads, whole_s = self._crew.threads, seconds / self._look_cost
        # The plan's steps were made one by one; those of a training, one behind the other, may always take longer.
        self._usual_s = self._usual_s or min(max(whole_s, self._plan.step_s), _FAR_SLOWER * self._plan.step_s)
        if self._usual_s and self._plan.device == "cpu" and steps - step >= _FEW_STEPS:
            threads = self._crew.look(whole_s, self._usual_s)
        if threads != before:
            self._look_at, self._look_step, self._look_cost = time.monotonic(), step, 0.0
            why = "steps are far slower than planned" if threads < self._plan.threads else "once more as planned"
            reason = f"{why}: {plural(threads, 'thread')} from here on"
            return Change(step=step, steps_before=steps, steps=steps, reason=reason, threads=threads)
        self._notice(whole_s)
        left_s = self._left_s(validations)
        step_s = whole_s * self._plan.cost_of_rest(done)
        self._look_at, self._look_step, self._look_cost = time.monotonic(), step, 0.0
        left = max(0, int(left_s / step_s))
        off = abs(step + left - steps)
        tolerated = _TOLERATED_LATE if step + left < steps else _TOLERATED_EARLY
        if off * step_s < _TOLERATED_S or off < tolerated * (steps - step):
            return None
        word = "slower" if step + left < steps else "faster"
        reason = f"the machine is {word} than planned: {step_s * 1000:.1f} ms a step"
        return Change(step=step, steps_before=steps, steps=step + left, reason=reason)
