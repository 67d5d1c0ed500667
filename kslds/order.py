"""The order of an epoch, who takes what of it, and what is left of it.

An order is a NumPy array of rows that depends on a seed and the epoch only. Ranks and their
workers take turns over what is left of it, block by block, so together they see every
place of it once; and how far each got (a `Stripe`) says what is left, for any number of ranks
and workers that go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

Places = Rows | range
"""Places of an epoch; a range while they are evenly spaced, which of a million takes no time."""

_LONG = 1 << 16
"""From here on the places of a permutation are worked out when they are needed."""
_ROUNDS = 8
_KEPT = 1 << 15
"""Permutations that a mix keeps, of its orders' epochs."""


class Order(Protocol):
    """Which rows an epoch has, one after the other."""

    @property
    def length(self) -> int:
        """Places of an epoch."""

    def at(self, epoch: int) -> Callable[[Rows], Rows]:
        """Places of an epoch, counted from 0 → their rows."""


@dataclass(frozen=True)
class Plain:
    """Each row once: permuted anew in each epoch, or as they are where there is no seed."""

    rows: Rows
    seed: tuple[int, ...] | None

    @property
    def length(self) -> int:
        """Places of an epoch: the number of rows."""
        return len(self.rows)

    def at(self, epoch: int) -> Callable[[Rows], Rows]:
        """A full permutation, of which any part can be worked out alone where it is long."""
        if self.seed is None:
            return self.rows.__getitem__
        seed = [*self.seed, epoch]
        if self.length > _LONG:
            permuted = partial(_permuted, length=self.length, seed=seed)
            return lambda places: self.rows[permuted(places)]
        rng = np.random.Generator(np.random.PCG64(seed))
        return self.rows[rng.permutation(self.length)].__getitem__


def _permuted(places: Rows, *, length: int, seed: Sequence[int]) -> Rows:
    """Where a permutation of [0, length) takes these places.

    A Feistel network over the bits of a place: every round changes one half of them by a mix of the
    other half and a key, which can be undone, so that no two places meet. What comes out above the
    length goes through again (cycle walking: Black & Rogaway, Ciphers with Arbitrary Finite
    Domains, 2002). The mix is that of SplitMix64 (Steele et al. 2014).
    """
    bits = (length - 1).bit_length()
    low = np.uint64(bits // 2)
    masks = np.uint64((1 << bits // 2) - 1), np.uint64((1 << bits - bits // 2) - 1)
    keys = np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64)
    out = places.astype(np.uint64)
    again = np.arange(len(out))
    while len(again):
        right, left = out[again] & masks[0], out[again] >> low
        for number, key in enumerate(keys):
            mixed = (left if number % 2 else right) + key
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            if number % 2:
                right ^= mixed & masks[0]
            else:
                left ^= mixed & masks[1]
        out[again] = (left << low) | right
        again = again[out[again] >= length]
    return out.astype(np.int64)


@dataclass(frozen=True)
class Mixed:
    """Several orders in one: in each epoch `shares[i]` rows of the i-th.

    An order that is shorter than its share goes round, one that is longer goes on in the next
    epoch: row k of the i-th, counted from the first epoch, is row k of its own epochs strung
    together. Whose turn it is, is a permutation by the seed; without one, turns are evenly spaced.
    """

    orders: Sequence[Order]
    starts: Sequence[int]
    """Added to the rows of each order."""
    shares: Sequence[int]
    seed: tuple[int, ...] | None

    @property
    def length(self) -> int:
        """Places of an epoch: the sum of the shares."""
        return sum(self.shares)

    def at(self, epoch: int) -> Callable[[Rows], Rows]:
        """The rows of all orders, in turn, at some places; of each order what they need."""
        shares = np.asarray(self.shares)
        lengths = np.array([order.length for order in self.orders])
        # Of as few bytes as can be: NumPy sorts numbers of two in a twentieth of the time.
        turns = np.repeat(np.arange(len(shares), dtype=np.min_scalar_type(len(shares))), shares)
        if self.seed is None:
            spaced = np.concatenate([(np.arange(n) + 0.5) / max(n, 1) for n in self.shares])
            turns = turns[np.argsort(spaced, kind="stable")]
        else:
            turns = np.random.Generator(np.random.PCG64([*self.seed, epoch])).permutation(turns)
        # How often it was the same order's turn before.
        before = np.empty(self.length, np.int64)
        firsts = np.repeat(np.cumsum(shares) - shares, shares)
        before[np.argsort(turns, kind="stable")] = np.arange(self.length) - firsts

        @lru_cache(_KEPT)
        def rows_of(which: int, its_epoch: int) -> Callable[[Rows], Rows]:
            return self.orders[which].at(its_epoch)

        def at(places: Rows) -> Rows:
            rows = np.empty(len(places), np.int64)
            own = turns[places]
            # Counted from the first epoch of the mix on.
            epochs, its = np.divmod(epoch * shares[own] + before[places], lengths[own])
            alike = np.lexsort((epochs, own))
            ends = np.flatnonzero(np.diff(own[alike]) | np.diff(epochs[alike])) + 1
            for these in np.split(alike, ends) if len(places) else ():
                which = int(own[these[0]])
                found = rows_of(which, int(epochs[these[0]]))(its[these])
                rows[these] = self.starts[which] + found
            return rows

        return at


def shares_of(weights: Sequence[float], *, length: int) -> list[int]:
    """Whole numbers in proportion to weights, `length` in all (largest remainders)."""
    exact = np.asarray(weights, dtype=np.float64) / np.sum(weights) * length
    shares = np.floor(exact).astype(np.int64)
    most = np.argsort(shares - exact, kind="stable")[: length - int(shares.sum())]
    shares[most] += 1
    return [int(n) for n in shares]


def _array(places: Places) -> Rows:
    """NumPy goes through a range one by one."""
    if isinstance(places, range):
        return np.arange(places.start, places.stop, places.step)
    return places


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """Places in steps of a block for each rank; rank r of R takes every R-th place from r on.

    All take the same number of blocks: where in the end fewer places than ranks are left over,
    every rank takes one more block, of a single place, which those that get none of these save from
    the block before.
    """

    length: int
    ranks: int
    block: int

    @property
    def number(self) -> int:
        """How many there are."""
        return -(-self.length // (self.ranks * self.block))

    @property
    def saved(self) -> int:
        """From which place on those are that a last step of single places consists of."""
        over = self.length % (self.ranks * self.block)
        has_some = self.block > 1 and 0 < over < self.ranks < self.length
        return self.length - self.ranks if has_some else self.length

    def reach(self, steps: int) -> int:
        """How many places the first steps are."""
        if steps >= self.number:
            return self.length
        return min(steps * self.block * self.ranks, self.saved)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One worker of one rank: which places of what is left are its own.

    Of the blocks of its rank, worker w of W takes every W-th from w on: a `DataLoader` asks its
    workers in turn, so blocks of one batch each come out in the order of the epoch.
    """

    rank: int = 0
    ranks: int = 1
    worker: int = 0
    workers: int = 1
    block: int = 1
    even: bool = False
    """Do the last places stay, fewer than ranks, so that each takes the same number?"""

    def __str__(self) -> str:
        return (
            f"worker {self.worker} of {self.workers}, rank {self.rank} of {self.ranks}, in blocks "
            f"of {self.block}" + ", with even=True" * self.even
        )

    def of(self, left: Places, *, taken: int = 0) -> tuple[Places, bool]:
        """Its part of what is left after so many of its blocks; and is the last place, of a part
        that could be in whole blocks, a block of its own?
        """
        left = left[: _dealt(len(left), ranks=self.ranks, even=self.even)]
        steps = _Steps(length=len(left), ranks=self.ranks, block=self.block)
        mine = left[self.rank :: self.ranks]
        saves = steps.saved < steps.length and len(mine) % self.block == 0
        if self.workers == 1:
            first = taken * self.block
            return mine[first - (saves and first == len(mine)) :], saves
        number = np.arange(len(mine)) // self.block
        number[len(mine) - saves :] += 1
        own: Rows = _array(mine)[number % self.workers == self.worker]
        return own[taken * self.block :], False


@dataclass(frozen=True, kw_only=True)
class Stripe:
    """How many blocks every worker of every rank took of what was left before."""

    block: int
    counts: Sequence[Sequence[int]]
    """One row for each rank, one number for each of its workers."""
    even: bool = False

    def _steps(self, length: int) -> _Steps:
        ranks = len(self.counts)
        length = _dealt(length, ranks=ranks, even=self.even)
        return _Steps(length=length, ranks=ranks, block=self.block)

    def prefix(self, length: int) -> int | None:
        """How many of so many places, if they are the first ones; None where they may not be."""
        row = list(self.counts[0])
        if any(list(other) != row for other in self.counts):
            return None
        if sorted(row, reverse=True) != row or row[0] - row[-1] > 1:
            return None
        return self._steps(length).reach(sum(row))

    def left(self, places: Places) -> Places:
        """What is left after it."""
        first = self.prefix(len(places))
        if first is not None:
            return places[first:]
        steps, counts = self._steps(len(places)), np.asarray(self.counts, dtype=np.int64)
        ranks, workers = counts.shape
        # All took so many rounds; only after them is anybody ahead of another.
        begin, end = (steps.reach(int(n) * workers) for n in (counts.min(), counts.max()))
        place = np.arange(begin, end)
        block = place // ranks // self.block
        block[place >= steps.saved] = steps.number - 1
        done = block // workers < counts[place % ranks, block % workers]
        return np.concatenate([_array(places[begin:end])[~done], _array(places[end:])])

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        counts = [list(row) for row in self.counts]
        return {"block": self.block, "counts": counts, "even": self.even}


def _dealt(length: int, *, ranks: int, even: bool) -> int:
    """How many of so many places the ranks take."""
    return length - length % ranks if even else length


def joined(stripes: Sequence[Stripe], *, length: int) -> list[Stripe]:
    """The same progress in fewer stripes: first places after first places are first places.

    Args:
        stripes: Each of what the one before left.
        length: Places of the epoch.
    """
    out: list[Stripe] = []
    before: int | None = None
    for stripe in stripes:
        first = stripe.prefix(length)
        if first == 0:
            continue
        length = len(stripe.left(range(length)))
        if first is None:
            out.append(stripe)
        elif before is None:
            out.append(Stripe(block=1, counts=[[first]]))
        else:
            first += before
            out[-1] = Stripe(block=1, counts=[[first]])
        before = first
    return out
