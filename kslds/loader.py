"""Streaming samples out of shards: by index, from any storage, exactly once per epoch.

The order of an epoch is a permutation of all samples that depends on the seed and the
epoch only. Ranks and workers take turns over what is left of it, so together they see every
sample once, and a state needs to say no more than how far each of them got.

Below this module: `order` (who takes what), `side` (the bytes and pixels of a sample),
`batches` (threads and buffers), `sampling` (which frames), `where` (which samples).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, islice
from numbers import Real
from typing import Any

import numpy as np

from kslds import order as orders
from kslds.batches import (
    Buffer,
    Memory,
    collate,
    in_order,
    new_array,
    to_device,
    to_send,
    to_torch,
)
from kslds.errors import CorruptData, KsldsError, UsageError
from kslds.order import Lane, Mixed, Order, Places, Plain, Rows, Stripe
from kslds.reading import Reading, address_of, cache_of, checked, place
from kslds.sampling import SAMPLINGS, Sampling, frame_indices, named
from kslds.side import AGAIN, Side, Slot, read_index
from kslds.state import State, Told, brief, merge_states, whole
from kslds.storage import Cache, Storage
from kslds.video import ENCODINGS
from kslds.where import parse

__all__ = [
    "SAMPLINGS",
    "Sampling",
    "Stream",
    "frame_indices",
    "load",
    "merge_states",
    "mix",
    "to_device",
]

_MOST_ROWS = 2**40
_REMOTE_THREADS = 16
_BATCHES_AHEAD = 2
_ROWS_AHEAD = 512


class Stream:
    """Samples of one side of a split, or of several datasets; `load` and `mix` return one.

    Iterating yields dicts: ``video`` uint8 (T, C, H, W), ``key``, and every field of the
    sample's JSON (``gloss_id``, ``label``, ``signer_id``, ``emotion``, ``num_frames`` …); with
    `batch_size`, dicts of batches. Each pass over it is one epoch. Where torch is installed it is a
    `torch.utils.data.IterableDataset`.

    Attributes:
        classes: Every ``gloss_id``, sorted; ``label`` is an index into it.
        dataset_sha256: Hash of the dataset's content.
        split: The side.
    """

    def __init__(
        self,
        sides: Sequence[Side],
        *,
        rows: Rows,
        order: Order,
        order_name: Mapping[str, Any],
        classes: tuple[str, ...],
        reading: Reading,
        datasets: Sequence[int] = (),
    ) -> None:
        self.classes = classes
        self.dataset_sha256: str = order_name["dataset_sha256"]
        self.split: str = order_name["split"]
        self._sides, self._datasets = tuple(sides), tuple(datasets)
        self._starts = list(accumulate(map(len, sides), initial=0))
        number = {name: label for label, name in enumerate(classes)}
        self._labels = [[number[name] for name in side.classes] for side in sides]
        self._rows = rows
        self._order, self._order_name, self._reading = order, dict(order_name), reading
        self._epoch = 0
        self._told = Told()
        self._pass: object = None
        self._progress: list[Stripe] = []
        self._lane, self._taken = self._here(), 0
        self._own: tuple[Lane, int] | None = None
        self._ended: tuple[int, list[Stripe]] | None = None
        self._memory = Memory()

    # what there is

    def __len__(self) -> int:
        """Samples that this rank sees in a whole epoch; with `batch_size`, batches."""
        rank = replace(self._here(), worker=0, workers=1)
        places, saves = rank.of(range(self._order.length))
        begun = 0 if self._reading.drop_last else rank.block - 1
        return (len(places) + begun) // rank.block + saves

    def __repr__(self) -> str:
        return f"Stream(split={self.split!r}, samples={self._order.length})"

    @property  # type: ignore[misc]
    def __class__(self) -> type[Stream]:
        # `isinstance` asks here. Torch takes a second to import and is not needed to read, so a
        # stream becomes one of its datasets when torch looks at it.
        data = sys.modules.get("torch.utils.data")
        if data is not None:
            data.IterableDataset.register(Stream)
        return type(self)

    def fields(self) -> Iterator[dict[str, Any]]:
        """Every sample's fields without its ``video``, of which nothing is read.

        All that `where` chose, in the order of the shards, for every rank and worker, wherever the
        epoch stands; and it leaves the epoch where it is. `balance` and weights do not count.
        """
        edges = np.searchsorted(self._rows, self._starts)
        for number, rows in enumerate(np.split(self._rows, edges[1:-1])):
            for fields in self._sides[number].all_fields(rows - self._starts[number]):
                yield self._plain(number, fields)

    # order

    def _left(self) -> Places:
        """The places that this epoch has not yielded yet, in its order, for all ranks."""
        left: Places = range(self._order.length)
        for stripe in self._progress:
            left = stripe.left(left)
        return left

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; a pass over the stream moves on to the next itself.

        Workers that a `DataLoader` keeps go there when their next pass begins. Those that it starts
        anew for each pass begin with the epoch of this object: tell it before each pass.

        Raises:
            UsageError: The epoch is not a whole number from 0.
        """
        epoch = whole("epoch", epoch, least=0)
        if _worker() is None:
            self._told = self._told.tell(epoch)
        else:
            self._told.news()  # is outdated
        self._go_to(epoch)

    def _go_to(self, epoch: int) -> None:
        self._epoch, self._pass, self._ended = epoch, None, None
        self._progress, self._taken, self._own = [], 0, None

    def _here(self) -> Lane:
        """The lane of this process."""
        worker = _worker()
        return Lane(
            rank=self._reading.rank,
            ranks=self._reading.world_size,
            worker=0 if worker is None else worker.id,
            workers=1 if worker is None else worker.num_workers,
            block=self._reading.batch_size or 1,
            even=self._reading.even,
        )

    def _threads(self) -> int:
        """How many threads read; 0: none but the caller's."""
        if self._reading.threads is not None:
            return self._reading.threads
        alone = _worker() is None
        if not all(side.storage.is_local for side in self._sides):
            return _REMOTE_THREADS if alone else _REMOTE_THREADS // 4
        if self._reading.batch_size is None:
            return 0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4
        return min(cores, _REMOTE_THREADS) if alone else 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        in_worker = _worker() is not None
        if in_worker:
            if (told := self._told.news()) is not None:
                self._go_to(told)
            self._told.begin(self._epoch)
        self._lane, self._taken = self._here(), 0
        lane = self._lane
        if self._own is not None:
            theirs, self._taken = self._own
            if theirs != lane:
                raise UsageError(
                    f"this state was taken by {theirs}, and is loaded by {lane}.",
                    hint="Keep these numbers, or join the states of all: kslds.merge_states",
                )
        places, saves = lane.of(self._left(), taken=self._taken)
        read = partial(self._batches, saves=saves) if self._reading.batch_size else self._samples
        epoch = self._epoch  # another pass may come to its end meanwhile
        this = self._pass = object()
        try:
            for item in read(places, self._threads(), epoch):
                self._taken += 1
                yield item
        finally:
            # Workers are not equally far when a DataLoader breaks off, and some have ended. All go
            # on with the next epoch, or they would give parts of two.
            if in_worker and self._pass is this:
                self._go_to(epoch + 1)
        ended = epoch, self._progress
        self._go_to(epoch + 1)
        self._ended = ended  # a loop that counted its batches may ask only now

    # samples

    def _rows_at(self, places: Places, epoch: int) -> Iterator[tuple[int, int]]:
        """Places of an epoch, each after its row."""
        rows_of = self._order.at(epoch)
        for first in range(0, len(places), _ROWS_AHEAD):
            some = np.asarray(places[first : first + _ROWS_AHEAD])
            yield from zip(rows_of(some).tolist(), some.tolist(), strict=True)

    def _samples(self, places: Places, threads: int, epoch: int) -> Iterator[dict[str, Any]]:
        tasks = (
            partial(self._sample, row, rng=(self._reading.seed, epoch, place))
            for row, place in self._rows_at(places, epoch)
        )
        for sample in in_order(tasks, threads=threads, ahead=2 * threads):
            video = self._windows(sample.pop("video"))
            sample[self._video] = np.ascontiguousarray(video)
            yield to_torch(sample) if self._reading.output == "torch" else sample

    def _batches(
        self, places: Places, threads: int, epoch: int, *, saves: bool
    ) -> Iterator[dict[str, Any]]:
        size = self._reading.batch_size or 1
        if self._reading.drop_last:
            places = places[: len(places) - len(places) % size]
        memory = self._memory = self._own_memory()

        def tasks() -> Iterator[Callable[[], tuple[Buffer, dict[str, Any]]]]:
            left = len(places)
            rows = self._rows_at(places, epoch)
            while left:
                buffer = Buffer(min(size, left - saves) or left, memory=memory)
                left -= buffer.size
                fills = deque(
                    partial(self._into, buffer, n, row, rng=(self._reading.seed, epoch, place))
                    for n, (row, place) in enumerate(islice(rows, buffer.size))
                )
                del buffer  # as below
                while fills:
                    yield fills.popleft()

        # A DataLoader reads ahead itself, by asking its workers early.
        ahead = size * (1 if _worker() else _BATCHES_AHEAD)
        ready: list[dict[str, Any]] = []
        for buffer, sample in in_order(tasks(), threads=threads, ahead=ahead, together=size):
            ready.append(sample)
            if len(ready) == buffer.size:
                for fields in ready:
                    del fields["video"]
                video = buffer.array if buffer.tensor is None else buffer.tensor
                batch = {self._video: memory.handed(self._windows(video)), **collate(ready)}
                ready = []
                # Nothing here may hold on to it, or its memory is not free when the caller goes on.
                del buffer, sample, video
                if self._reading.output == "torch":
                    batch = to_torch(batch) if _worker() is None else to_send(batch)
                yield batch

    def _own_memory(self) -> Memory:
        """Which memory batches lie in: that of the last epoch, if it was in this process."""
        if _worker() is None:
            kind = "pinned" if self._reading.pin_memory else "plain"
        else:
            # A worker has no accelerator: a DataLoader pins what workers send it, if asked to.
            kind = "shared" if self._reading.output == "torch" else "plain"
        return self._memory.lasting(kind)

    @property
    def _video(self) -> str:
        """What the field of the frames is called."""
        return "yuv" if self._reading.planes else "video"

    def _windows(self, video: Any) -> Any:
        """(…, frames, H, W, C) as a view (…, T, C, H, W), with the windows before T if several.

        Planes, (…, frames, rows, W), likewise, and stay as they are.
        """
        windows, last = self._reading.sampling.windows, 2 if self._reading.planes else 3
        if windows > 1:
            *batch, frames = video.shape[:-last]
            video = video.reshape(*batch, windows, frames // windows, *video.shape[-last:])
        return video if self._reading.planes else video.swapaxes(-1, -2).swapaxes(-2, -3)

    def _into(
        self, buffer: Buffer, number: int, row: int, *, rng: tuple[int, ...]
    ) -> tuple[Buffer, dict[str, Any]]:
        return buffer, self._sample(row, rng=rng, slot=partial(buffer.slot, number))

    def _sample(self, row: int, *, rng: tuple[int, ...], slot: Slot = new_array) -> dict[str, Any]:
        """One sample; its ``video`` still has the windows one after the other, and C last."""
        reading = self._reading
        sampling = reading.sampling
        random = np.random.Generator(np.random.PCG64(rng)) if sampling.is_random else None
        frames = partial(frame_indices, wanted=reading.num_frames, sampling=sampling, rng=random)
        side, local = self._locate(row)
        sample = self._plain(
            side,
            self._sides[side].sample(local, frames=frames, slot=slot, planes=reading.planes),
        )
        if sampling.windows > 1 and "pose" in sample:
            points = sample["pose"]
            sample["pose"] = points.reshape(sampling.windows, -1, *points.shape[1:])
        return sample

    def _locate(self, row: int) -> tuple[int, int]:
        """The number of a row's side, and the row there."""
        side = bisect_right(self._starts, row) - 1
        return side, row - self._starts[side]

    def _plain(self, side: int, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Fields without null, so that batches can be collated, and labels of all classes."""
        label = fields["label"]
        plain = {name: "" if value is None else value for name, value in fields.items()}
        plain["label"] = -1 if label is None else self._labels[side][label]
        if self._datasets:
            plain["dataset"] = self._datasets[side]
        return plain

    # stopping and going on

    def state_dict(
        self, *, batches: int | None = None, batch_size: int = 1, num_workers: int = 0
    ) -> dict[str, Any]:
        """Where this epoch stands, as a few plain numbers.

        Without arguments: what this object has yielded itself. That is right in one process,
        and with `torchdata`'s `StatefulDataLoader`, which asks the copy in each worker.
        A plain `DataLoader` reads ahead and does not tell; say how many batches were taken
        from it, and with which settings.

        The state of one rank stands for all of them, if they took the same number of batches;
        where they may not have, collect the states of all ranks and load the list of them.

        Args:
            batches: Batches taken from a `DataLoader` by this rank since the epoch began (or
                since `load_state_dict`).
            batch_size: Its `batch_size`; of no meaning where the stream makes the batches.
            num_workers: Its `num_workers`.

        Raises:
            UsageError: A number is negative or not whole.
        """
        whole("batch_size", batch_size, least=1)
        whole("num_workers", num_workers, least=0)
        lane = self._lane if _worker() is None else self._here()
        epoch, progress = self._epoch, self._progress
        worker, workers, counts = None, 1, [self._taken]
        if batches is not None:
            whole("batches", batches, least=0)
            if batches and not (num_workers or self._taken) and self._ended is not None:
                epoch, progress = self._ended
            begun = self._told.begun if num_workers else None
            if begun is not None and begun != epoch:  # workers that are kept move on by themselves
                epoch, progress = begun, []
            workers = max(num_workers, 1)
            each = 1 if self._reading.batch_size else batch_size
            counts = [each * max(0, -(-(batches - w) // workers)) for w in range(workers)]
        elif lane.workers > 1:
            worker, workers = lane.worker, lane.workers
        return {
            **self._order_name,
            "epoch": epoch,
            "progress": [stripe.to_json() for stripe in progress],
            "rank": self._reading.rank,
            "world_size": self._reading.world_size,
            "worker": worker,
            "workers": workers,
            "block": lane.block,
            "counts": counts,
            "even": lane.even,
        }

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Go on where `state_dict` was taken, with any number of ranks and workers.

        Before a `DataLoader` starts its workers: running ones would begin that epoch anew.

        Args:
            state: The state of one rank, or a list of those of all ranks.

        Raises:
            UsageError: This is not a state, or it belongs to another dataset, split or order.
        """
        found = State.of(merge_states(state) if isinstance(state, list | tuple) else state)
        for name, mine in self._order_name.items():
            if found.order_name[name] != mine:
                what = name.split("_")[0]
                raise UsageError(
                    f"this state was taken on another {what} "
                    f"({brief(found.order_name[name])}, not {brief(mine)}).",
                    hint="Load the dataset as it was when the state was taken.",
                )
        progress, own = found.progress, None
        if found.worker is None:
            counts = [found.counts] * found.ranks
            progress = [*progress, Stripe(block=found.block, counts=counts, even=found.even)]
        else:
            lane = Lane(
                rank=found.rank,
                ranks=found.ranks,
                worker=found.worker,
                workers=found.workers,
                block=found.block,
                even=found.even,
            )
            own = (lane, found.counts[0])
        self.set_epoch(found.epoch)
        self._progress, self._own = orders.joined(progress, length=self._order.length), own
        if own is not None:
            self._lane, self._taken = own


def load(
    path: str | os.PathLike[str],
    *,
    split: str = "train",
    num_frames: int | None = 16,
    sampling: str | Sampling = "uniform",
    encoding: str | None = None,
    shuffle: bool = False,
    seed: int = 0,
    where: str | None = None,
    balance: str | None = None,
    output: str = "numpy",
    pixels: str = "rgb",
    batch_size: int | None = None,
    drop_last: bool = False,
    threads: int | None = None,
    pin_memory: bool = False,
    rank: int | None = None,
    world_size: int | None = None,
    even: bool = False,
    cache: str | os.PathLike[str] | None = None,
    cache_gb: float = 20,
) -> Stream:
    """Stream the samples of one side of a dataset.

    Args:
        path: A dataset folder, or its address: ``hf://datasets/org/name@tag``, ``https://…`` (a
            web server that answers ranges), ``s3://…``.
        split: The side: ``train``, ``test`` …
        num_frames: Frames per clip, 1 to 100,000; None for all of them.
        sampling: Which frames: a name from `SAMPLINGS` (``uniform``, ``random``, ``step``,
            ``random-step``, ``equal-distance``, ``all``) or a `Sampling`.
        encoding: ``h264`` or ``jpeg``; the first that the dataset has if not given.
        shuffle: Permute all samples anew in each epoch, by seed and epoch; else in shard order,
            which mixes signers and classes but is the same in each epoch. The permutation is over
            the whole side, wherever the shards are.
        seed: Seed of permutation and random frames, from 0.
        where: Only samples whose fields fulfil it, such as ``emotion == 'sad'`` or ``num_frames
            >= 16 and signer_id not in ['subject_01']``; unknown is ``None``. Reads the fields of
            all samples once, out of the shards' indexes.
        balance: A field, such as ``gloss_id`` or ``signer_id``, of which every value (unknown too)
            gets the same number of samples in an epoch: the mean number, rounded up. Samples of
            rare values are repeated, those of frequent ones take turns over the epochs.
        output: ``numpy`` or ``torch``: what arrays are.
        pixels: ``rgb``; or ``yuv``, as they are stored: in place of ``video`` comes ``yuv``, uint8
            (T, H * 3 / 2, W), the planes of Y, U and V one after the other (I420, BT.601, studio
            range), of which `to_device` makes ``video`` on the device. Half the bytes, and an
            eighth less work for the host. For ``h264`` and heights that are a multiple of 4.
        batch_size: Yield batches of this many samples, decoded by threads straight into one
            array: ``video`` uint8 (B, T, C, H, W), a view of memory in the order (B, T, H, W, C);
            whole numbers int64 (B,), text in lists. Samples and their order are the same. The last
            one may be smaller, of several ranks the last two.
        drop_last: Leave out the last batch if it is not full, on all ranks.
        threads: Threads that read and decode ahead; 0: the caller's own. If not given: 0 without
            batches and in a worker of a `DataLoader`, else one for each core; and 16 (4 in a
            worker) for what is not in a local folder.
        pin_memory: Allocate batches in page-locked memory, for `to_device`.
        rank: This process among `world_size`, from 0; from `torch.distributed` if not given.
        world_size: Processes that share an epoch; given with `rank` or not at all.
        even: All ranks get the same number of samples, as with `drop_last`: the last, fewer than
            `world_size`, are left out. Otherwise ranks differ by one at most, but not in batches,
            unless `batch_size` is 1 or fewer samples than ranks are left.
        cache: A folder in which samples read from afar are kept; several processes may share it.
        cache_gb: How much it may hold, in gigabytes; what was not read for longest goes first.

    Returns:
        A `Stream` of dicts: ``video`` uint8 (T, C, H, W), ``key``, and the sample's fields; where
        the dataset has keypoints, ``pose`` float32 (T, P, D) of the same frames, NaN where unknown.
        With several windows of a clip, ``video`` is (windows, T, C, H, W). Unknown text
        is ``""`` and an unknown label -1, so that batches can be collated.

    Raises:
        MissingFile: There is no such folder.
        IncompleteDataset: It holds no finished shards.
        CorruptData: An index of its shards is damaged.
        UsageError: The split does not exist, or an argument has the wrong type or range.
    """
    if encoding is not None and encoding not in tuple(ENCODINGS):
        raise UsageError(f"encoding={encoding!r} is not one of {', '.join(ENCODINGS)}.")
    if not isinstance(shuffle, bool):
        raise UsageError(f"shuffle={shuffle!r}: expected True or False.")
    reading = checked(
        num_frames=num_frames,
        sampling=named(sampling),
        output=output,
        pixels=pixels,
        batch_size=batch_size,
        drop_last=drop_last,
        threads=threads,
        pin_memory=pin_memory,
        seed=whole("seed", seed, least=0),
        even=even,
        **dict(zip(("rank", "world_size"), place(rank, world_size), strict=True)),
    )
    return _open(
        Storage(address_of(path)),
        split=split,
        encoding=encoding,
        shuffle=shuffle,
        where=where,
        balance=balance,
        cache=cache_of(cache, cache_gb),
        reading=reading,
    )


def _open(
    storage: Storage,
    *,
    split: str,
    encoding: str | None,
    shuffle: bool,
    where: str | None,
    balance: str | None,
    cache: Cache | None,
    reading: Reading,
) -> Stream:
    """A stream over one side of what lies there."""
    index = read_index(storage, encoding=encoding or ("h264" if reading.planes else None))
    if reading.planes and index["encoding"] != "h264":
        raise UsageError(
            f"pixels='yuv' is of H.264; the encoding is {index['encoding']}.",
            hint='Leave pixels="yuv" away.',
        )
    if not isinstance(split, str) or split not in index["splits"]:
        raise UsageError(
            f"{storage.path} has no split {split!r}; it has {', '.join(index['splits'])}."
        )
    try:
        side = Side(storage, index=index, split=split, cache=cache)
        rows, order = _order(
            side, where=where, balance=balance, seed=reading.seed if shuffle else None
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, KsldsError):
            raise
        at = f"{storage.path}: shards/{index['encoding']}"
        raise CorruptData(f"{at} has no usable index: {error!r}.", hint=AGAIN) from error
    name = {
        "dataset_sha256": side.dataset_sha256,
        "split": split,
        "seed": reading.seed,
        "shuffle": shuffle,
        "where": where,
        "balance": balance,
    }
    return Stream(
        [side], rows=rows, order=order, order_name=name, classes=side.classes, reading=reading
    )


def mix(
    streams: Sequence[Stream],
    *,
    weights: Sequence[float] | None = None,
    length: int | None = None,
    seed: int = 0,
) -> Stream:
    """Several streams as one, each with its share of every epoch.

    An epoch has `length` samples, of which the streams give shares in proportion to the weights,
    in a random order that depends on seed and epoch. A stream that is too short for its share
    begins its next epoch, one that is too long goes on in the next epoch of the mix. What is
    seen over the epochs is therefore each stream's own order, and its filter and balance count.
    Ranks, workers, batches and states work as with one stream.

    Args:
        streams: What `load` returned, with the same frames, batches, output and ranks.
        weights: One positive number for each; the streams' lengths if not given.
        length: Samples of an epoch; the sum of the streams' lengths if not given.
        seed: Seed of the turns, from 0.

    Returns:
        A `Stream`. ``classes`` are those of all, ``label`` counts among them, and ``dataset``
        is the number of the stream that a sample comes from.

    Raises:
        UsageError: The streams do not fit together, or a weight is not a positive number.
    """
    streams = list(streams)
    if not streams or not all(isinstance(stream, Stream) for stream in streams):
        raise UsageError("expected a list of streams, such as kslds.mix([a, b]).")
    seed = whole("seed", seed, least=0)
    reading = replace(streams[0]._reading, seed=seed)
    if any(replace(stream._reading, seed=seed) != reading for stream in streams):
        raise UsageError("all streams of a mix need the same frames, batches, output and ranks.")
    sides = [side for stream in streams for side in stream._sides]
    if len({side.has_poses for side in sides}) > 1:
        raise UsageError("only some of these datasets have poses: they do not fit into one mix.")
    lengths = [stream._order.length for stream in streams]
    if 0 in lengths:
        raise UsageError(
            f"stream {lengths.index(0)} has no samples; a mix takes some of each.",
            hint="Leave it away.",
        )
    weights = lengths if weights is None else weights
    given: list[Any] = list(weights) if isinstance(weights, Iterable) else []
    if len(given) != len(streams) or not all(
        isinstance(weight, Real) and 0 < float(weight) < float("inf") for weight in given
    ):
        raise UsageError(f"weights={weights!r:.60}: expected a positive number for each stream.")
    length = sum(lengths) if length is None else whole("length", length, least=1, most=_MOST_ROWS)
    shares = orders.shares_of(given, length=length)
    starts = np.cumsum([0, *(sum(map(len, stream._sides)) for stream in streams)]).tolist()[:-1]
    parts = [{**stream._order_name, "share": n} for stream, n in zip(streams, shares, strict=True)]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return Stream(
        sides,
        rows=np.concatenate([s._rows + at for s, at in zip(streams, starts, strict=True)]),
        order=Mixed([s._order for s in streams], starts, shares, (seed,)),
        order_name={
            "dataset_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "split": "+".join(dict.fromkeys(stream.split for stream in streams)),
            "seed": seed,
            "shuffle": True,
            "where": None,
            "balance": None,
        },
        classes=tuple(sorted({name for stream in streams for name in stream.classes})),
        reading=reading,
        datasets=[number for number, stream in enumerate(streams) for _ in stream._sides],
    )


def _order(
    side: Side, *, where: str | None, balance: str | None, seed: int | None
) -> tuple[Rows, Order]:
    """The rows that are chosen, and the order of an epoch."""
    rows: Rows = np.arange(len(side))
    seeds = None if seed is None else (seed,)
    if where is None and balance is None:
        return rows, Plain(rows, seeds)
    if not len(side):
        raise UsageError("where and balance choose among samples, and this split has none.")
    columns = side.fields(0).keys()
    chosen = None if where is None else parse(where, columns=columns)
    if balance is not None and (not isinstance(balance, str) or balance not in columns):
        raise UsageError(
            f"balance={balance!r:.60}: there is no such field; there are "
            f"{', '.join(sorted(columns))}."
        )
    groups: dict[Any, list[int]] = {}
    for row, fields in enumerate(side.all_fields(rows)):
        if chosen is None or chosen(fields):
            groups.setdefault(None if balance is None else fields[balance], []).append(row)
    if not groups:
        raise UsageError(f"where={where!r:.200}: no sample fulfils it.")
    rows = np.array(sorted(row for group in groups.values() for row in group), dtype=np.int64)
    if balance is None:
        return rows, Plain(rows, seeds)
    share = -(-len(rows) // len(groups))
    members = [groups[value] for value in sorted(groups, key=lambda v: (v is not None, str(v)))]
    parts = [
        Plain(np.array(group, dtype=np.int64), None if seeds is None else (*seeds, number))
        for number, group in enumerate(members)
    ]
    return rows, Mixed(parts, [0] * len(parts), [share] * len(parts), seeds)


def _worker() -> Any:
    """What torch tells a worker of a `DataLoader` about itself; None elsewhere."""
    data = sys.modules.get("torch.utils.data")
    return None if data is None else data.get_worker_info()
