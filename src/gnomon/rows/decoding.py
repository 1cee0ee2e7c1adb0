"""Rows of a source → rows of a file, on all cores.

A small file is decoded in less time than Python's threads take to hand over the interpreter, so files are decoded
by processes: each is sent the bytes of a block, and writes the decoded rows to their place in the file. Starting them
takes a few tenths of a second, so what is quickly done is done here. A file that crashes its decoder costs one such
process and is set aside like any other that can't be read.
"""

from __future__ import annotations

import os
import queue
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder, quiet_decoding
from ..errors import RowError
from ..sources import Source
from ..types import Raw

_BLOCK_BYTES: Final = 8 * 2**20
_BLOCK_ROWS: Final = 256
_WORTH_PROCESSES_S: Final = 1.0
_MOST_CRASHES: Final = 16
_FRAME: Final = struct.Struct("<Q")

Failures: TypeAlias = dict[int, str]
"""Row → why it can't be used."""
_Block: TypeAlias = tuple[int, Sequence[Raw | None]]
"""The first row, and rows as read; None where reading failed."""


def write_rows(
    path: Path, source: Source, encoder: Encoder, *, threads: int, failures: Failures
) -> Generator[int, None, None]:
    """Encode all rows of the source into a file, in order. Yields how many are done, now and then.

    Args:
        path: of the file, which must not exist; it is filled with N rows of the encoder's shape and type.
        source: read in order, from this thread alone.
        encoder: raw row → array.
        threads: cores to decode on.
        failures: takes the rows that can't be used; in the file they are zeros.
    """
    with path.open("xb") as file:
        file.truncate(len(source.rows) * encoder.row_bytes)
    blocks = _raw_blocks(source, encoder, failures)
    began, done = time.monotonic(), 0
    first = next(blocks, None)
    if first is None:
        return
    with quiet_decoding(), ExitStack() as stack:
        with path.open("r+b", buffering=0) as file:
            failures.update(_encode_block(file, encoder, first))
        done = len(first[1])
        yield done
        left_s = (time.monotonic() - began) * (len(source.rows) - done) / max(1, done)
        in_files = any(isinstance(raw, bytes) for raw in first[1])
        processes = threads if in_files and threads > 1 and left_s > _WORTH_PROCESSES_S else 0
        decoders = [stack.enter_context(_Decoder(path, encoder, apart=number < processes)) for number in range(threads)]
        yield from _in_parallel(decoders, blocks, failures, done)


def _in_parallel(
    decoders: Sequence[_Decoder], blocks: Iterator[_Block], failures: Failures, done: int
) -> Iterator[int]:
    idle: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
    for decoder in decoders:
        idle.put(decoder)

    def decode(block: _Block) -> tuple[int, Failures]:
        decoder = idle.get()
        try:
            return len(block[1]), decoder.write(block)
        finally:
            idle.put(decoder)

    waiting: deque[Future[tuple[int, Failures]]] = deque()

    def collect() -> int:
        """Wait for the oldest block. Returns its number of rows."""
        count, failed = waiting.popleft().result()
        failures.update(failed)
        return count

    with ThreadPoolExecutor(len(decoders)) as pool:
        try:
            for block in blocks:
                waiting.append(pool.submit(decode, block))
                if len(waiting) > 2 * len(decoders):
                    done += collect()
                    yield done
            while waiting:
                done += collect()
                yield done
        finally:
            for future in waiting:
                future.cancel()


class _Decoder:
    """Writes blocks of rows into the file: in a process of its own, or here where none can be started."""

    def __init__(self, path: Path, encoder: Encoder, *, apart: bool) -> None:
        self._path, self._encoder, self._apart = path, encoder, apart
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._crashed = 0

    def __enter__(self) -> _Decoder:
        if self._apart:
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def write(self, block: _Block) -> Failures:
        """Decode and write one block. Returns the rows that can't be used."""
        self._await()
        if self._process is None or not all(isinstance(raw, bytes | None) for raw in block[1]):
            with self._path.open("r+b", buffering=0) as file:
                return _encode_block(file, self._encoder, block)
        start, rows = block
        answer = self._ask(self._process, block)
        if answer is not None:
            return answer
        if self._crashed > _MOST_CRASHES:  # then it is not the pictures
            self._stop()
            return self.write(block)
        self._start()
        if len(rows) == 1:
            self._crashed += 1
            return {start: "crashes its decoder"}
        failures: Failures = {}
        for row, raw in enumerate(rows, start):
            failures.update(self.write((row, [raw])))
        return failures

    def _ask(self, process: subprocess.Popen[bytes], block: _Block) -> Failures | None:
        """What the process answers; None where it has died. Raises OSError where it can't write."""
        incoming, outgoing = _pipes(process)
        try:
            _send(incoming, block)
            received = _receive(outgoing)
        except BrokenPipeError:
            return None
        if received is None:
            return None
        answer = msgspec.msgpack.decode(received, type=Failures | int)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer

    def _start(self) -> None:
        """Start a process and send it the encoder; it loads while others are started."""
        self._stop()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-P", "-m", __name__, str(self._path)]
        pipe, self._ready = subprocess.PIPE, False
        with suppress(OSError):
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment
            )
            _send(_pipes(self._process)[0], self._encoder)

    def _await(self) -> None:
        """Wait until the process is ready; one that can't start is given up, and rows are decoded here."""
        if self._process is None or self._ready:
            return
        with suppress(OSError):
            self._ready = _receive(_pipes(self._process)[1]) is not None
        if not self._ready:
            self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            for pipe in _pipes(self._process):
                with suppress(OSError):
                    pipe.close()
            self._process.wait()
            self._process = None


def _raw_blocks(source: Source, encoder: Encoder, failures: Failures) -> Iterator[_Block]:
    """Rows as read, a bounded number of bytes at a time, raw and encoded."""
    most_rows = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // encoder.row_bytes))
    start, size, block = 0, 0, list[Raw | None]()
    for row in range(len(source.rows)):
        try:
            raw: Raw | None = source.read(row)
        except RowError as error:
            failures[row], raw = error.reason, None
        block.append(raw)
        size += len(raw) if isinstance(raw, (bytes, str)) else 0 if raw is None else raw.nbytes
        if size > _BLOCK_BYTES or len(block) == most_rows:
            yield start, block
            start, size, block = row + 1, 0, []
    if block:
        yield start, block


def _encode_block(file: IO[bytes], encoder: Encoder, block: _Block) -> Failures:
    start, rows = block
    encoded: NDArray[Any] = np.zeros((len(rows), *encoder.shape), encoder.storage)
    failures: Failures = {}
    for position, raw in enumerate(rows):
        if raw is not None:
            try:
                encoded[position] = encoder.encode(raw)
            except RowError as error:
                failures[start + position] = error.reason
    file.seek(start * encoder.row_bytes)
    left = encoded.data.cast("B")
    while left:
        left = left[file.write(left) :]
    return failures


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Into it, and out of it."""
    assert process.stdin is not None, "started with pipes"
    assert process.stdout is not None, "started with pipes"
    return process.stdin, process.stdout


def _send(pipe: IO[bytes], value: object) -> None:
    content = msgspec.msgpack.encode(value)
    pipe.write(_FRAME.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    content = pipe.read(_FRAME.unpack(head)[0])
    return content if len(content) == _FRAME.unpack(head)[0] else None


def _serve(path: str) -> None:
    """A decoding process: an encoder, then blocks until the pipe is closed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; whoever started this ends it
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    first = _receive(incoming)
    if first is None:
        return
    encoder = msgspec.msgpack.decode(first, type=Encoder)
    _send(outgoing, True)
    with quiet_decoding(), open(path, "r+b", buffering=0) as file:
        while (content := _receive(incoming)) is not None:
            start, rows = msgspec.msgpack.decode(content, type=tuple[int, list[bytes | None]])
            try:
                _send(outgoing, _encode_block(file, encoder, (start, rows)))
            except OSError as error:  # a full disk is no fault of the picture
                _send(outgoing, error.errno)


if __name__ == "__main__":
    _serve(sys.argv[1])
