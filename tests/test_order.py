"""Who takes what of an epoch: exactly once, however often the topology changes."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kslds.errors import UsageError
from kslds.order import Lane, Mixed, Plain, Stripe, joined, shares_of
from kslds.state import merge_states

topologies = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 5))


def whole(order: Plain | Mixed, epoch: int) -> np.ndarray:
    """The row at every place of an epoch."""
    return order.at(epoch)(np.arange(order.length))


def lanes(ranks: int, workers: int, block: int) -> list[list[Lane]]:
    return [
        [Lane(rank=r, ranks=ranks, worker=w, workers=workers, block=block) for w in range(workers)]
        for r in range(ranks)
    ]


def blocks_of(lane: Lane, left: np.ndarray) -> list[list[int]]:
    """What a lane takes, block by block, each as if it went on from a state after the one before."""
    blocks, places = [], lane.of(left)[0].tolist()
    while places:
        rest = lane.of(left, taken=len(blocks) + 1)[0].tolist()
        assert rest == places[len(places) - len(rest) :]
        assert 0 < len(places) - len(rest) <= lane.block
        blocks.append(places[: len(places) - len(rest)])
        places = rest
    places, saves = lane.of(left)
    sizes = [len(block) for block in blocks]
    in_blocks = -(-len(places) // lane.block)
    assert sizes == [lane.block] * (in_blocks - 1) + sizes[in_blocks - 1 :]
    assert len(sizes) == in_blocks + saves
    assert not saves or sizes[-2:] == [lane.block - 1, 1]
    return blocks


@given(st.integers(0, 60), topologies)
def test_lanes_share_what_is_left(number: int, topology: tuple[int, int, int]) -> None:
    left = np.arange(number)
    all_lanes = lanes(*topology)
    parts = [np.concatenate([lane.of(left)[0] for lane in row]) for row in all_lanes]
    assert sorted(np.concatenate(parts).tolist()) == list(range(number))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    ranks, workers, _ = topology
    for rank, row in enumerate(all_lanes):
        # Asked in turn for their blocks, the workers of a rank give its samples in order.
        given_out, turn = [], 0
        queues = [blocks_of(lane, left) for lane in row]
        while any(queues):
            given_out += queues[turn % workers].pop(0)
            turn += 1
        assert given_out == left[rank::ranks].tolist()


@settings(max_examples=500)
@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 4), st.integers(2, 9))
def test_ranks_take_the_same_number_of_blocks(
    number: int, ranks: int, workers: int, block: int
) -> None:
    """Whoever waits for all ranks after each batch, as DistributedDataParallel does, never hangs."""
    left = np.arange(number)
    taken = [[len(blocks_of(lane, left)) for lane in row] for row in lanes(ranks, workers, block)]
    if number >= ranks:
        assert taken == [taken[0]] * ranks
        assert sum(taken[0]) == -(-number // (ranks * block))
        assert max(taken[0]) - min(taken[0]) <= 1


@settings(max_examples=200, deadline=None)
@given(
    number=st.integers(0, 80),
    stops=st.lists(st.tuples(topologies, st.booleans(), st.integers(0, 2**32)), max_size=4),
)
def test_any_stops_and_topologies_see_everything_once(
    number: int, stops: list[tuple[tuple[int, int, int], bool, int]]
) -> None:
    """Each worker of each rank stops wherever it is, no two alike."""
    seen: Counter[int] = Counter()
    progress: list[Stripe] = []
    for (ranks, workers, block), even, seed in stops:
        left = np.arange(number)
        for stripe in progress:
            left = stripe.left(left)
        rng = np.random.Generator(np.random.PCG64(seed))
        counts = rng.integers(0, 4, size=(ranks, workers)).tolist()
        for row, taken in zip(lanes(ranks, workers, block), counts, strict=True):
            for lane, count in zip(row, taken, strict=True):
                blocks = blocks_of(replace(lane, even=even), left)
                seen.update(itertools.chain(*blocks[:count]))
        stripe = Stripe(block=block, counts=counts, even=even)
        progress = joined([*progress, stripe], length=number)
    left = np.arange(number)
    for stripe in progress:
        left = stripe.left(left)
    seen.update(left.tolist())
    assert seen == Counter(range(number))


@settings(max_examples=500)
@given(st.integers(0, 60), topologies, st.booleans(), st.integers(0, 40))
def test_steps_in_turn_leave_the_end_of_the_order(
    number: int, topology: tuple[int, int, int], even: bool, steps: int
) -> None:
    ranks, workers, block = topology
    row = [len(range(w, steps, workers)) for w in range(workers)]
    stripe = Stripe(block=block, counts=[row] * ranks, even=even)
    left = stripe.left(range(number))
    taken = [
        place
        for lane in (Lane(rank=r, ranks=ranks, block=block, even=even) for r in range(ranks))
        for places in blocks_of(lane, np.arange(number))[:steps]
        for place in places
    ]
    assert sorted([*taken, *left]) == list(range(number))
    assert list(left) == list(range(len(taken), number))
    # A state does not grow with every stop.
    assert len(joined([stripe, stripe, stripe], length=number)) <= 1


def state(rank: int, count: int, **changes: object) -> dict[str, object]:
    return {
        "dataset_sha256": "x",
        "split": "train",
        "seed": 0,
        "shuffle": True,
        "where": None,
        "balance": None,
        "epoch": 2,
        "progress": [],
        "rank": rank,
        "world_size": 3,
        "worker": None,
        "workers": 1,
        "block": 2,
        "counts": [count],
        "even": False,
        **changes,
    }


def test_states_of_ranks_join_in_any_order() -> None:
    states = [state(2, 5), state(0, 7), state(1, 0)]
    merged = merge_states(states)
    assert merged == merge_states(states[::-1])
    assert merged["progress"] == [{"block": 2, "counts": [[7], [0], [5]], "even": False}]
    assert merged == json.loads(json.dumps(merged))
    workers = [state(0, 1 + w, world_size=1, worker=w, workers=2) for w in (1, 0)]
    assert merge_states(workers)["progress"] == [{"block": 2, "counts": [[1, 2]], "even": False}]


def test_states_that_do_not_make_a_whole_are_refused() -> None:
    for states, message in (
        ([state(0, 1), state(1, 1)], "2 workers; expected 3 ranks"),
        ([state(0, 1), state(0, 1), state(1, 1)], "two states of rank 0"),
        ([state(0, 1), state(1, 1), state(2, 1, epoch=3)], "differ in epoch"),
        ([state(0, 1), state(1, 1), state(2, 1, block=1)], "differ in block"),
        ([state(0, 1), state(1, 1), state(2, 1, even=True)], "differ in even"),
        ([state(0, 1), state(1, 1), state(2, 1, even=1)], "even is 1"),
        ([], "not the state of a stream"),
        ([{}], "not the state of a stream"),
    ):
        with pytest.raises(UsageError, match=message):
            merge_states(states)


def test_a_permutation_is_whole_and_another_each_epoch() -> None:
    order = Plain(np.arange(10, 30), (5,))
    assert sorted(whole(order, 0).tolist()) == list(range(10, 30))
    assert whole(order, 0).tolist() != whole(order, 1).tolist()
    assert whole(order, 0).tolist() == whole(Plain(np.arange(10, 30), (5,)), 0).tolist()
    assert whole(Plain(np.arange(4), None), 7).tolist() == [0, 1, 2, 3]


@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(1 << 16, 300_000),
    seed=st.integers(0, 2**63),
    some=st.lists(st.integers(0, (1 << 16) - 1), max_size=20),
)
def test_a_long_permutation_is_whole_and_any_part_of_it_alone_is_the_same(
    length: int, seed: int, some: list[int]
) -> None:
    order = Plain(np.arange(length) * 3, (seed,))
    rows = whole(order, 2)
    assert np.array_equal(np.sort(rows), np.arange(length) * 3)
    places = np.array(some, np.int64)
    assert np.array_equal(order.at(2)(places), rows[places])
    assert not np.array_equal(rows, whole(order, 3))


def test_a_long_permutation_looks_like_a_random_one() -> None:
    """Of 40 epochs: neighbours, fixed points, and where each tenth of the rows goes to."""
    length = 70_000
    rows = [whole(Plain(np.arange(length), (7,)), e) for e in range(40)]
    # Of a random permutation both numbers are Poisson, of mean 1.
    assert 15 <= sum(int((row == np.arange(length)).sum()) for row in rows) <= 75
    assert 15 <= sum(int((np.diff(row) == 1).sum()) for row in rows) <= 75
    table = np.zeros((10, 10))
    for row in rows:
        np.add.at(table, (np.arange(length) * 10 // length, row * 10 // length), 1)
    expected = 40 * length / 100
    # Chi-squared of 81 degrees of freedom: mean 81, standard deviation 12.7.
    assert ((table - expected) ** 2 / expected).sum() < 81 + 5 * 12.7
    assert abs(np.corrcoef(rows[0], rows[1])[0, 1]) < 0.02
    assert abs(np.corrcoef(rows[0][:-1], rows[0][1:])[0, 1]) < 0.02


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    share=st.integers(1, 12),
    seed=st.one_of(st.none(), st.integers(0, 2**32)),
)
def test_a_mix_strings_the_epochs_of_its_parts_together(
    sizes: list[int], share: int, seed: int | None
) -> None:
    seeds = None if seed is None else (seed,)
    parts = [Plain(np.arange(n), seeds) for n in sizes]
    starts = (100 * np.arange(len(sizes))).tolist()
    mixed = Mixed(parts, starts, [share] * len(sizes), seeds)
    rows = np.concatenate([whole(mixed, e) for e in range(4)])
    assert len(rows) == 4 * mixed.length == 4 * share * len(sizes)
    for part, start in zip(parts, starts, strict=True):
        own = rows[(rows >= start) & (rows < start + 100)] - start
        strung = np.concatenate([whole(part, e) for e in range(4 * share)])
        assert own.tolist() == strung[: 4 * share].tolist()
    at, all_rows = mixed.at(2), whole(mixed, 2)
    places = np.random.default_rng(0).permutation(mixed.length)
    for some in np.split(places, [0, 1, len(places) // 2]):
        assert at(some).tolist() == all_rows[some].tolist()


def test_turns_without_a_seed_are_evenly_spaced() -> None:
    mixed = Mixed([Plain(np.arange(9), None)] * 2, [0, 100], [2, 4], None)
    assert whole(mixed, 0).tolist() == [100, 0, 101, 102, 1, 103]


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(0, 1000))
def test_shares_add_up_and_are_in_proportion(weights: list[float], length: int) -> None:
    shares = shares_of(weights, length=length)
    assert sum(shares) == length
    exact = [w / sum(weights) * length for w in weights]
    assert all(abs(share - x) < 1 + 1e-6 for share, x in zip(shares, exact, strict=True))
