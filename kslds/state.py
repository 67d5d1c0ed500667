"""States of a stream: what they say, how they are checked, and how those of ranks join."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Any

import numpy as np

from kslds.errors import UsageError
from kslds.order import Stripe

MOST_LANES = MOST_BLOCK = 1_000_000
"""Most ranks, workers, or samples of a batch."""
_ALL = 2**40
"""More blocks than an epoch has."""

_ORDER = ("dataset_sha256", "split", "seed", "shuffle", "where", "balance")
_KEYS = (
    *_ORDER,
    *("epoch", "progress", "rank", "world_size", "worker", "workers", "block", "counts", "even"),
)


class Told:
    """The epoch that a stream was told last, which its copies in running workers hear of, and that
    at which these are since.

    Args:
        cells: In memory that processes share: how often it was told, and the epoch; how often, plus
            one, when a worker began a pass, and its epoch.
        heard: How often when this copy was made.
        process: Which one tells.
    """

    def __init__(self, cells: Any = None, heard: int = 0, process: int | None = None) -> None:
        self._cells = RawArray("q", 4) if cells is None else cells
        self._process = process or os.getpid()
        self._heard = heard
        self._is_first = True

    def __reduce__(self) -> Any:
        # To a process that is being started; another copy is told by itself.
        starts = multiprocessing.context.get_spawning_popen() is not None
        return Told, (self._cells, self._heard, self._process) if starts else ()

    def tell(self, epoch: int) -> Told:
        """Tell the copies that this process has handed on; what tells from here on."""
        told = self if self._process == os.getpid() else Told()
        told._cells[1] = epoch
        told._heard += 1
        told._cells[0] = told._heard
        return told

    def news(self) -> int | None:
        """In a worker that begins a pass: the epoch that was told since the pass before began."""
        is_first, self._is_first = self._is_first, False
        number, epoch = self._cells[:2]
        if is_first or number == self._heard:
            return None
        self._heard = number
        return int(epoch)

    def begin(self, epoch: int) -> None:
        """In a worker: it begins a pass over this epoch."""
        self._cells[3] = epoch  # first: whoever sees the number believes it
        self._cells[2] = self._heard + 1

    @property
    def begun(self) -> int | None:
        """The epoch that workers began since this process told one; None if they did not yet."""
        number, epoch = self._cells[2:]
        return int(epoch) if number == self._heard + 1 else None


@dataclass(frozen=True, kw_only=True)
class State:
    """What `Stream.state_dict` says, checked."""

    order_name: Mapping[str, Any]
    """What decides the order of the epochs."""
    epoch: int
    progress: list[Stripe]
    rank: int
    ranks: int
    worker: int | None
    workers: int
    block: int
    counts: list[int]
    even: bool

    @classmethod
    def of(cls, state: object) -> State:
        """Check a state.

        Raises:
            UsageError: It is none.
        """
        if not isinstance(state, Mapping) or set(state) != set(_KEYS):
            raise UsageError(
                f"this is not the state of a stream: expected the keys {', '.join(_KEYS)}.",
                hint="Give it what state_dict returned.",
            )
        ranks = whole("world_size", state["world_size"], least=1, most=MOST_LANES)
        workers = whole("workers", state["workers"], least=1, most=MOST_LANES // ranks)
        worker = state["worker"]
        if worker is not None:
            worker = whole("worker", worker, least=0, most=workers - 1)
        return cls(
            order_name={name: _plain(name, state[name]) for name in _ORDER},
            epoch=whole("epoch", state["epoch"], least=0),
            progress=[_stripe(stripe) for stripe in _listed("progress", state["progress"])],
            rank=whole("rank", state["rank"], least=0, most=ranks - 1),
            ranks=ranks,
            worker=worker,
            workers=workers,
            block=whole("block", state["block"], least=1, most=MOST_BLOCK),
            counts=_counts(state["counts"], length=1 if worker is not None else workers),
            even=_flag(state["even"]),
        )


def _stripe(value: object) -> Stripe:
    if not isinstance(value, Mapping) or set(value) != {"block", "counts", "even"}:
        raise UsageError("this is not the state of a stream: its progress is none.")
    rows = _listed("counts", value["counts"])
    first = _listed("counts", rows[0])
    counts = [_counts(row, length=len(first)) for row in rows]
    block = whole("block", value["block"], least=1, most=MOST_BLOCK)
    return Stripe(block=block, counts=counts, even=_flag(value["even"]))


def _flag(value: object) -> bool:
    """``even`` of a state.

    Raises:
        UsageError: It is something else.
    """
    if not isinstance(value, bool):
        raise UsageError(f"this is not the state of a stream: even is {brief(value)}.")
    return value


def _plain(name: str, value: object) -> object:
    """What can be compared.

    Raises:
        UsageError: It is something else.
    """
    if not isinstance(value, str | int | None):
        raise UsageError(f"this is not the state of a stream: {name} is {brief(value)}.")
    return value


def _listed(name: str, value: object) -> Sequence[Any]:
    """A list of a state.

    Raises:
        UsageError: It is something else.
    """
    if not isinstance(value, list | tuple) or (not value and name != "progress"):
        raise UsageError(f"this is not the state of a stream: {name} is not a list, or empty.")
    return value


def _counts(value: object, *, length: int) -> list[int]:
    counts = [whole("a count of the state", n, least=0) for n in _listed("counts", value)]
    if len(counts) != length:
        raise UsageError(f"this is not the state of a stream: expected {length} counts.")
    return counts


def merge_states(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One state out of those of all ranks (or of all workers of all ranks), in any order.

    Args:
        states: What `Stream.state_dict` returned on each of them.

    Returns:
        A state to load on every rank, whatever their number then.

    Raises:
        UsageError: They are not states, belong to different epochs or orders, or one is missing
            or there twice.
    """
    if not isinstance(states, list | tuple) or not states:
        raise UsageError("this is not the state of a stream: expected those of all ranks.")
    found = [State.of(state) for state in states]
    # Whoever took the last of its part stands at the beginning of the next epoch.
    epoch = min(one.epoch for one in found)
    ended = [one.epoch == epoch + 1 and not one.progress and not any(one.counts) for one in found]
    behind = states[ended.index(False)]
    for state, at_end in zip(states, ended, strict=True):
        apart = ("rank", "worker", "counts", *(("epoch", "progress") if at_end else ()))
        different = [k for k in _KEYS if k not in apart and state[k] != behind[k]]
        if different:
            raise UsageError(
                f"these states do not belong together: they differ in {', '.join(different)}.",
                hint="Give the states that all ranks took at one time.",
            )
    counts: dict[tuple[int, int], int] = {}
    for one, at_end in zip(found, ended, strict=True):
        lanes = range(one.workers) if one.worker is None else [one.worker]
        for worker, count in zip(lanes, one.counts, strict=True):
            if (one.rank, worker) in counts:
                raise UsageError(f"there are two states of rank {one.rank}, worker {worker}.")
            counts[one.rank, worker] = _ALL if at_end else count
    first = found[ended.index(False)]
    if len(counts) != first.ranks * first.workers:
        raise UsageError(
            f"these are the states of {len(counts)} workers; expected {first.ranks} ranks of "
            f"{first.workers}."
        )
    stripe = Stripe(
        block=first.block,
        counts=[[counts[r, w] for w in range(first.workers)] for r in range(first.ranks)],
        even=first.even,
    )
    return {
        **behind,
        "progress": [s.to_json() for s in [*first.progress, stripe]],
        "rank": 0,
        "world_size": 1,
        "worker": None,
        "workers": 1,
        "block": 1,
        "counts": [0],
        "even": False,
    }


def whole(name: str, value: object, *, least: int, most: int = 2**62) -> int:
    """A whole number in a range.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= value:
        if value <= most:
            return int(value)
        raise UsageError(f"{name}={brief(value)}: expected at most {most}.")
    raise UsageError(f"{name}={brief(value)}: expected a whole number, at least {least}.")


def brief(value: object) -> str:
    """A value for a message, which is short."""
    try:
        return f"{value!r:.60}"
    except ValueError:  # Python does not write out numbers of more than 4300 digits
        return "(a very long number)"
