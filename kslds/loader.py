"""Streaming samples out of shards: by index, from any storage, exactly once per epoch.

The order of an epoch is a permutation of all samples that depends on the seed and the
epoch only. Ranks and workers each take every n-th of what is left of it, so together they
see every sample once, and a state needs to say no more than how far each of them got.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from kslds import schema
from kslds.errors import (
    CorruptData,
    HubError,
    IncompleteDataset,
    KsldsError,
    MissingExtra,
    MissingFile,
    UsageError,
)
from kslds.pack import SHARD_NAME, Member
from kslds.video import ENCODINGS, read_frames, read_jpegs

if TYPE_CHECKING or find_spec("torch") is None:

    class _Base:
        """What a stream is where torch is not installed."""
else:
    from torch.utils.data import IterableDataset as _Base

SAMPLINGS = ("uniform", "random", "all")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """Where one sample lies: both members of it in one byte range of one shard."""

    shard: str
    key: str
    video: Member
    json: Member


class _Storage:
    """A folder on any storage that fsspec knows."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._fs, self._root = fsspec.core.url_to_fs(path)
        except (ImportError, ValueError) as error:
            raise UsageError(f"{path!r} cannot be opened: {error}.") from error

    def read(self, name: str, *, start: int | None = None, size: int | None = None) -> bytes:
        """A file's bytes, or a range of them.

        Raises:
            MissingFile: There is no such file.
        """
        end = None if start is None or size is None else start + size
        try:
            return cast(bytes, self._fs.cat_file(f"{self._root}/{name}", start=start, end=end))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingFile(f"there is no {name} in {self.path}.") from error


def _hub_revision(path: str) -> str:
    """``hf://datasets/org/name@tag`` with the tag resolved to a commit, once for all reads."""
    if not path.startswith("hf://"):
        return path
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    body = path.removeprefix("hf://").removeprefix("datasets/").rstrip("/")
    repo, _, revision = body.partition("@")
    if repo.count("/") != 1:
        raise UsageError(
            f"{path!r}: expected hf://datasets/org/name or hf://datasets/org/name@tag."
        )
    try:
        info = HfApi().dataset_info(repo, revision=revision or None)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise HubError(
            f"{path} cannot be opened: {type(error).__name__}: {str(error).splitlines()[0]}",
            hint="Check the name; a gated dataset needs access and a login: hf auth login",
        ) from error
    return f"hf://datasets/{repo}@{info.sha}"


def frame_indices(
    num_frames: int, *, wanted: int | None, sampling: str, rng: np.random.Generator | None = None
) -> list[int]:
    """Which frames of a clip to read.

    Args:
        num_frames: Frames of the clip.
        wanted: How many; None for ``all``.
        sampling: ``uniform``: the middles of `wanted` equal parts of the clip. ``random``: one
            random offset within the parts, the same for all, so frames stay evenly spaced and
            the start is random. ``all``: every frame.
        rng: Source of the random offset.

    Returns:
        Ascending indices; a clip shorter than `wanted` repeats frames.
    """
    if sampling == "all" or wanted is None:
        return list(range(num_frames))
    offset = 0.5 if sampling == "uniform" or rng is None else float(rng.random())
    return [min(int((k + offset) * num_frames / wanted), num_frames - 1) for k in range(wanted)]


class Stream(_Base):
    """Samples of one side of a split; `load` returns one.

    Iterating yields dicts: ``video`` uint8 (T, C, H, W), ``key``, and every field of the
    sample's JSON (``gloss_id``, ``label``, ``signer_id``, ``emotion``, ``num_frames`` …).
    Each pass over it is one epoch. Where torch is installed it is a
    `torch.utils.data.IterableDataset`.
    """

    def __init__(
        self,
        *,
        storage: _Storage,
        index: Mapping[str, Any],
        split: str,
        num_frames: int | None,
        sampling: str,
        shuffle: bool,
        seed: int,
        output: str,
        rank: int,
        world_size: int,
    ) -> None:
        super().__init__()
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.dataset_sha256: str = index["dataset_sha256"]
        self.split = split
        self._storage = storage
        self._encoding = ENCODINGS[index["encoding"]]
        self._folder = f"shards/{self._encoding.name}"
        self._num_frames, self._sampling = num_frames, sampling
        self._shuffle, self._seed, self._output = shuffle, seed, output
        self._rank, self._world_size = rank, world_size
        self._entries = self._read_entries(index)
        self._epoch = 0
        self._progress: list[list[int]] = []
        self._mine = (0, 1, 0)
        self._own: tuple[int, ...] | None = None
        self._skip = 0

    # what there is

    def _read_entries(self, index: Mapping[str, Any]) -> list[_Entry]:
        entries: list[_Entry] = []
        for shard in index["splits"][self.split]["shards"]:
            if not SHARD_NAME.fullmatch(shard["file"]):
                raise ValueError(f"{shard['file']!r} is not the name of a shard")
            name = shard["file"].removesuffix(".tar") + ".index.parquet"
            data = self._storage.read(f"{self._folder}/{name}")
            if hashlib.sha256(data).hexdigest() != shard["index_sha256"]:
                raise CorruptData(
                    f"{self._storage.path}: {self._folder}/{name} does not have the hash that "
                    "index.json states.",
                    hint=_AGAIN,
                )
            members = schema.from_table(Member, pq.read_table(pa.BufferReader(data)))
            videos = {m.key: m for m in members if m.field == self._encoding.field}
            texts = {m.key: m for m in members if m.field == "json"}
            for key, video in videos.items():
                tar = f"{self._folder}/{shard['file']}"
                entries.append(_Entry(shard=tar, key=key, video=video, json=texts[key]))
        return entries

    def __len__(self) -> int:
        """Samples of this split that this rank sees in a whole epoch."""
        return len(range(self._rank, len(self._entries), self._world_size))

    def __repr__(self) -> str:
        return f"Stream(split={self.split!r}, samples={len(self._entries)})"

    # order

    def _left(self) -> npt.NDArray[np.int64]:
        """The samples that this epoch has not yielded yet, in its order, for all ranks."""
        number = len(self._entries)
        if self._shuffle:
            rng = np.random.Generator(np.random.PCG64([self._seed, self._epoch]))
            left = rng.permutation(number)
        else:
            left = np.arange(number)
        for counts in self._progress:
            place = np.arange(len(left))
            done = np.asarray(counts)[place % len(counts)]
            left = left[place // len(counts) >= done]
        return left

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; a pass over the stream moves on to the next itself.

        Raises:
            UsageError: The epoch is not a whole number from 0.
        """
        self._epoch = _whole("epoch", epoch, least=0)
        self._progress, self._mine = [], (0, 1, 0)
        self._own, self._skip = None, 0

    @staticmethod
    def _worker() -> tuple[int, int]:
        if find_spec("torch") is not None:
            from torch.utils.data import get_worker_info

            info = get_worker_info()
            if info is not None:
                return info.id, info.num_workers
        return 0, 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, num_workers = self._worker()
        lanes = self._world_size * num_workers
        # Workers of one rank are neighbours, so that a DataLoader, which takes a batch from
        # each worker in turn, stays close to the epoch's order.
        lane = self._rank * num_workers + worker
        mine = self._left()[lane::lanes]
        self._mine, self._skip = (lane, lanes, 0), 0
        if self._own is not None:
            if self._own[:2] != (lane, lanes):
                raise UsageError(
                    f"this state was taken by worker {self._own[0]} of {self._own[1]}, and is "
                    f"loaded by {lane} of {lanes}.",
                    hint="Keep the number of workers, or use state_dict(batches=…).",
                )
            self._skip = self._own[2]
        for count, position in enumerate(mine[self._skip :], start=1):
            sample = self._sample(int(position))
            self._mine = (lane, lanes, count)
            yield sample
        self.set_epoch(self._epoch + 1)

    # samples

    def _sample(self, position: int) -> dict[str, Any]:
        entry = self._entries[position]
        video, text = self._read(entry, entry.video, entry.json)
        fields = json.loads(text)
        rng = np.random.Generator(np.random.PCG64([self._seed, self._epoch, position]))
        indices = frame_indices(
            fields["num_frames"], wanted=self._num_frames, sampling=self._sampling, rng=rng
        )
        sizes = fields.pop("frame_sizes", None)
        if sizes is None:
            frames = read_frames(video, indices=indices)
        else:
            offsets = np.concatenate([[0], np.cumsum(sizes)])
            frames = read_jpegs([video[offsets[i] : offsets[i + 1]] for i in indices])
        picture: Any = np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
        if self._output == "torch":
            import torch

            picture = torch.from_numpy(picture)
        return {"key": entry.key, "video": picture, **_plain(fields)}

    def _read(self, entry: _Entry, *members: Member) -> list[bytes]:
        """The bytes of members that lie side by side, checked against the index."""
        start = min(m.offset for m in members)
        size = max(m.offset + m.size for m in members) - start
        data = self._storage.read(entry.shard, start=start, size=size)
        found = [data[m.offset - start :][: m.size] for m in members]
        for member, part in zip(members, found, strict=True):
            if hashlib.sha256(part).hexdigest() != member.sha256:
                raise CorruptData(
                    f"{self._storage.path}: {entry.shard}: the bytes of {entry.key}."
                    f"{member.field} are not those of its index.",
                    hint=_AGAIN,
                )
        return found

    def fields(self) -> Iterator[dict[str, Any]]:
        """Every sample's fields without its ``video``, of which nothing is read.

        The whole side in the order of the shards, for every rank and worker, wherever the epoch
        stands; and it leaves the epoch where it is.
        """
        for entry in self._entries:
            (text,) = self._read(entry, entry.json)
            fields = json.loads(text)
            fields.pop("frame_sizes", None)
            yield {"key": entry.key, **_plain(fields)}

    # stopping and going on

    def state_dict(
        self, *, batches: int | None = None, batch_size: int = 1, num_workers: int = 0
    ) -> dict[str, Any]:
        """Where this epoch stands, as a few plain numbers.

        Without arguments: what this object has yielded itself. That is right in one process,
        and with `torchdata`'s `StatefulDataLoader`, which asks the copy in each worker.
        A plain `DataLoader` reads ahead and does not tell; say how many batches were taken
        from it, and with which settings. Ranks are taken to be in step.

        Args:
            batches: Batches taken from a `DataLoader` by each rank since the epoch began (or
                since `load_state_dict`).
            batch_size: Its `batch_size`.
            num_workers: Its `num_workers`.

        Raises:
            UsageError: A number is negative or not whole.
        """
        if batches is not None:
            _whole("batches", batches, least=0)
        _whole("batch_size", batch_size, least=1)
        _whole("num_workers", num_workers, least=0)
        progress, own = self._progress, None
        lane, lanes, count = self._mine
        if batches is not None:
            workers = max(num_workers, 1)
            taken = [batch_size * -(-(batches - w) // workers) for w in range(workers)]
            progress = [*progress, [max(0, n) for n in taken] * self._world_size]
        elif self._worker()[1] > 1:
            own = [lane, lanes, count + self._skip]
        elif count:
            progress = [*progress, [count] * lanes]
        return {
            "epoch": self._epoch,
            "seed": self._seed,
            "shuffle": self._shuffle,
            "progress": [list(counts) for counts in progress],
            "worker": own,
            "dataset_sha256": self.dataset_sha256,
            "split": self.split,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, with any number of ranks and workers.

        Raises:
            UsageError: This is not a state, or it belongs to another dataset, split or order.
        """
        mine = self.state_dict()
        if not isinstance(state, Mapping) or set(state) != set(mine):
            raise UsageError(
                f"this is not the state of a stream: expected the keys {', '.join(mine)}.",
                hint="Give it what state_dict returned.",
            )
        for name in ("dataset_sha256", "split", "seed", "shuffle"):
            if state[name] != mine[name]:
                what = name.split("_")[0]
                raise UsageError(
                    f"this state was taken on another {what} ({state[name]}, not {mine[name]}).",
                    hint="Load the dataset as it was when the state was taken.",
                )
        progress = [_counts(counts) for counts in _listed("progress", state["progress"])]
        own = None if state["worker"] is None else tuple(_counts(state["worker"]))
        if own is not None and len(own) != 3:
            raise UsageError("this is not the state of a stream: worker has not three numbers.")
        self.set_epoch(state["epoch"])
        self._progress, self._own = progress, own


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields without null, so that batches can be collated."""
    known = {k: ("" if v is None else v) for k, v in fields.items() if k != "label"}
    return {"label": -1 if fields["label"] is None else fields["label"], **known}


def _listed(name: str, value: object) -> Sequence[object]:
    """A list of a state.

    Raises:
        UsageError: It is something else.
    """
    if not isinstance(value, list | tuple):
        raise UsageError(f"this is not the state of a stream: {name} is not a list.")
    return value


def _counts(value: object) -> list[int]:
    counts = [_whole("a count of the state", n, least=0) for n in _listed("progress", value)]
    if not counts:
        raise UsageError("this is not the state of a stream: a list of its progress is empty.")
    return counts


def _whole(name: str, value: object, *, least: int, most: int = 2**62) -> int:
    """A whole number in a range.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= value:
        if value <= most:
            return int(value)
        raise UsageError(f"{name}={value}: expected at most {most}.")
    raise UsageError(f"{name}={value!r:.60}: expected a whole number, at least {least}.")


def load(
    path: str | os.PathLike[str],
    *,
    split: str = "train",
    num_frames: int | None = 16,
    sampling: str = "uniform",
    encoding: str | None = None,
    shuffle: bool = False,
    seed: int = 0,
    output: str = "numpy",
    rank: int | None = None,
    world_size: int | None = None,
) -> Stream:
    """Stream the samples of one side of a dataset.

    Args:
        path: A dataset folder, or its address: ``hf://datasets/org/name@tag``, ``s3://…``.
        split: The side: ``train``, ``test`` …
        num_frames: Frames per clip, 1 to 100,000; None for all of them.
        sampling: ``uniform`` (evenly spaced), ``random`` (evenly spaced from a random start) or
            ``all``.
        encoding: ``h264`` or ``jpeg``; the first that the dataset has if not given.
        shuffle: Permute all samples anew in each epoch, by seed and epoch; else in shard order,
            which mixes signers and classes but is the same in each epoch.
        seed: Seed of permutation and random starts, from 0.
        output: ``numpy`` or ``torch``: what ``sample["video"]`` is.
        rank: This process among `world_size`, from 0; from `torch.distributed` if not given.
        world_size: Processes that share an epoch; given with `rank` or not at all.

    Returns:
        A `Stream` of dicts: ``video`` uint8 (T, C, H, W), ``key``, and the sample's fields.
        Unknown text is ``""`` and an unknown label -1, so that batches can be collated.

    Raises:
        MissingFile: There is no such folder.
        IncompleteDataset: It holds no finished shards.
        CorruptData: An index of its shards is damaged.
        UsageError: The split does not exist, or an argument has the wrong type or range.
    """
    if sampling not in SAMPLINGS:
        raise UsageError(f"sampling={sampling!r} is not one of {', '.join(SAMPLINGS)}.")
    if encoding is not None and encoding not in tuple(ENCODINGS):
        raise UsageError(f"encoding={encoding!r} is not one of {', '.join(ENCODINGS)}.")
    if num_frames is not None:
        num_frames = _whole("num_frames", num_frames, least=1, most=_MOST_FRAMES)
    if not isinstance(shuffle, bool):
        raise UsageError(f"shuffle={shuffle!r}: expected True or False.")
    seed = _whole("seed", seed, least=0)
    rank, world_size = _place(rank, world_size)
    if output not in ("numpy", "torch"):
        raise UsageError(f"output={output!r} is not 'numpy' or 'torch'.")
    if output == "torch" and find_spec("torch") is None:
        raise MissingExtra("torch", extra="train")
    storage = _Storage(_hub_revision(_address(path)))
    index = _read_index(storage, encoding=encoding)
    if not isinstance(split, str) or split not in index["splits"]:
        raise UsageError(
            f"{storage.path} has no split {split!r}; it has {', '.join(index['splits'])}."
        )
    try:
        return Stream(
            storage=storage,
            index=index,
            split=split,
            num_frames=num_frames,
            sampling=sampling,
            shuffle=shuffle,
            seed=seed,
            output=output,
            rank=rank,
            world_size=world_size,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, KsldsError):
            raise
        where = f"{storage.path}: shards/{index['encoding']}"
        raise CorruptData(f"{where} has no usable index: {error!r}.", hint=_AGAIN) from error


_MOST_FRAMES = 100_000

_AGAIN = "Check it with: kslds info DIR --verify; make it again with: kslds shard DIR"


def _address(path: object) -> str:
    """Where a dataset is; a local folder has to be there."""
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{path!r:.60} is not a path; expected a dataset's folder or address.")
    address = os.fsdecode(path)
    if "://" not in address and "::" not in address:
        folder = Path(address)
        if not folder.exists():
            raise MissingFile(f"there is no folder {address}.", hint="Check the path.")
        if not folder.is_dir():
            raise UsageError(f"{address} is a file; expected a dataset's folder.")
    return address


def _place(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """This process among those that share an epoch."""
    if rank is None and world_size is None:
        return _distributed()
    if rank is None or world_size is None:
        raise UsageError(
            f"rank={rank!r:.60} and world_size={world_size!r:.60}: one says nothing without the "
            "other.",
            hint="Give both, or neither.",
        )
    world_size = _whole("world_size", world_size, least=1)
    return _whole("rank", rank, least=0, most=world_size - 1), world_size


def _read_index(storage: _Storage, *, encoding: str | None) -> dict[str, Any]:
    for name in [encoding] if encoding else list(ENCODINGS):
        try:
            index: dict[str, Any] = json.loads(storage.read(f"shards/{name}/index.json"))
        except MissingFile:
            continue
        except ValueError as error:
            raise CorruptData(
                f"{storage.path}: shards/{name}/index.json is not JSON: {error}.", hint=_AGAIN
            ) from error
        if not isinstance(index, dict) or not isinstance(index.get("splits"), dict):
            raise CorruptData(
                f"{storage.path}: shards/{name}/index.json is not an index of shards.", hint=_AGAIN
            )
        version = index.get("format_version")
        if isinstance(version, int) and version > schema.FORMAT_VERSION:
            raise IncompleteDataset(
                f"{storage.path} has a newer format than this kslds reads.", hint="Upgrade kslds."
            )
        if index.get("encoding") != name:
            raise CorruptData(
                f"{storage.path}: shards/{name}/index.json names the encoding "
                f"{index.get('encoding')!r:.60}; expected {name!r}.",
                hint=_AGAIN,
            )
        return index
    raise IncompleteDataset(
        f"{storage.path} has no finished shards (no shards/{encoding or '<encoding>'}/index.json).",
        hint="Check the address, or run: kslds shard DIR",
    )


def _distributed() -> tuple[int, int]:
    torch = sys.modules.get("torch")
    if (
        torch is not None
        and torch.distributed.is_available()
        and torch.distributed.is_initialized()
    ):
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
