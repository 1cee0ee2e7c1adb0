"""Trainings of a search on a Ray cluster: each actor opens the data once, and makes one training after the other.

Ray is the extra `gnomon[cluster]`. Only finished trainings come back, as plain values; what was lost is made again.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any, Final, TextIO, cast

import msgspec

from ..errors import InputError, RecipeError, RunError
from .hands import Ground, Lost, Worker
from .making import Job
from .trial import Tried

_LONGEST_S: Final = 120.0


class Diverted:
    """Standard output but for what Ray's own threads print there (a node is dead, …), which goes to standard error: the
    lines of `--json` stay what they are.

    Args:
        stream: standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Returns the characters written."""
        own = not threading.current_thread().name.startswith("ray_")
        return (self._stream if own else sys.stderr).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class RayHands:
    """Actors of a Ray cluster.

    Args:
        ground: what they begin with.
        address: of the cluster; `local` for one of this machine alone.
        count: of actors; None: one on each node.

    Raises:
        RecipeError: Ray is not installed, or the cluster can't be reached.
    """

    def __init__(self, ground: Ground, address: str, count: int | None) -> None:
        self._ray = connected(address)
        self._stdout, sys.stdout = sys.stdout, cast("TextIO", Diverted(sys.stdout))
        nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        cores = sum(node["Resources"]["CPU"] for node in nodes)
        count = count or max(1, len(nodes))
        each = max(1, int(cores // count))
        self._ground, self._lost = msgspec.json.encode(ground.with_threads(each)), Lost()
        self._actor = self._ray.remote(num_cpus=each, scheduling_strategy="SPREAD")(Worker)
        self._coming: dict[Any, Any] = {}
        self._free: list[Any] = []
        self._busy: dict[Any, tuple[Job, Any]] = {}
        for _ in range(count):
            self._call_one()

    def free(self) -> int:
        """Waits where there is nothing else to do; an actor comes when it has found a node and opened the data.

        Raises:
            RunError: none came.
        """
        idle = not self._busy and not self._free
        ready, _ = self._ray.wait(list(self._coming), timeout=_LONGEST_S if idle else 0) if self._coming else ([], [])
        for reference in ready:
            actor = self._coming.pop(reference)
            try:
                self._answer(reference)
                self._free.append(actor)
            except self._ray.exceptions.RayActorError as error:
                if error.actor_init_failed:
                    raise RecipeError(_last_line(error)) from None
                self._call_one()  # the node that it had found is gone
        if idle and not self._free:
            raise RunError(
                "no node of the Ray cluster makes trainings", remedy="ray status says which nodes there are."
            )
        while self._lost.again and self._free:
            self.begin(self._lost.again.popleft())
        return len(self._free)

    def begin(self, job: Job) -> None:
        actor = self._free.pop()
        self._busy[actor.make.remote(msgspec.json.encode(job))] = job, actor

    def over(self, timeout_s: float) -> list[tuple[Job, Tried]]:
        done = []
        ready, _ = self._ray.wait(list(self._busy), timeout=timeout_s) if self._busy else ([], [])
        for reference in ready:
            job, actor = self._busy.pop(reference)
            try:
                done.append((job, msgspec.json.decode(self._answer(reference), type=Tried)))
                self._free.append(actor)
            except self._ray.exceptions.RayError:  # its process or its node is gone
                self._call_one()
                self._lost.add(job)
        return done

    def close(self) -> None:
        self._ray.shutdown()
        sys.stdout = self._stdout

    def _call_one(self) -> None:
        actor = self._actor.remote(self._ground)
        self._coming[actor.ready.remote()] = actor

    def _answer(self, reference: Any) -> Any:
        """Raises InputError where the data, or the usual settings, can't be used; RayError where the actor is gone."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise error.cause from None
            raise RecipeError(_last_line(error.cause)) from None


def _last_line(error: BaseException) -> str:
    """What was said last: the rest is where."""
    return (str(error).strip().splitlines() or [""])[-1][:300]


def connected(address: str) -> Any:
    """Ray, connected; without its reports on use, and its dashboard off or on the loopback device alone."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise RecipeError("Ray is not installed", remedy="pip install 'gnomon[cluster]'") from None
    local: Mapping[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    more = local if address == "local" else {}
    try:
        ray.init(address, log_to_driver=False, logging_level="error", configure_logging=False, **more)
    except (ConnectionError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise RecipeError(f"the Ray cluster {address!r} can't be reached: {said}", remedy="ray status") from None
    return ray
