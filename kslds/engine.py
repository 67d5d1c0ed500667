"""Running one job per item on all cores, with progress.

The work itself happens in ffmpeg child processes, x264 and NumPy, all outside the
interpreter lock, so threads suffice and nothing has to be pickled. Pure Python
work (drawing the demo) asks for processes instead.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from kslds.errors import KsldsError

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``; ``total`` is constant within a stage."""


def num_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_worker = threading.local()


def stopping() -> bool:
    """Is the run that this job belongs to being given up? Long jobs ask, and end early."""
    return getattr(_worker, "stop", None) is not None and _worker.stop.is_set()


def _begin(stop: threading.Event) -> None:
    _worker.stop = stop


def run(
    job: Callable[[T], R],
    items: Sequence[T],
    *,
    stage: str,
    workers: int | None = None,
    progress: Progress | None = None,
    processes: bool = False,
) -> Iterator[R]:
    """Yield ``job(item)`` for each item, in the order of the items.

    Args:
        job: Called once per item; an exception ends the run and is raised here.
        items: What to work on.
        stage: Name shown with the progress.
        workers: Jobs at a time; all cores by default.
        progress: Told after each finished item.
        processes: Use processes instead of threads, for jobs that hold the interpreter lock.
    """
    workers = min(workers or num_cores(), len(items)) or 1
    if progress is not None:
        progress(stage, 0, len(items))
    results = map(job, items) if workers == 1 else _pooled(job, items, workers, processes)
    for done, result in enumerate(results, start=1):
        yield result
        if progress is not None:
            progress(stage, done, len(items))


def _pooled(
    job: Callable[[T], R], items: Iterable[T], workers: int, processes: bool
) -> Iterator[R]:
    # Only a few jobs are queued ahead, so that results waiting for their turn stay few.
    stop = threading.Event()
    pool: Executor = (
        ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("forkserver"))
        if processes
        else ThreadPoolExecutor(workers, initializer=_begin, initargs=(stop,))
    )
    queue = iter(items)
    pending: deque[Future[R]] = deque()
    try:
        pending.extend(pool.submit(job, item) for item in islice(queue, 2 * workers))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(job, item) for item in islice(queue, 1))
            yield result
    except BrokenProcessPool as error:
        raise KsldsError(
            "a worker process ended before it began.",
            hint='In a script of your own, call kslds under: if __name__ == "__main__":',
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
