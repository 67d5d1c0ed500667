"""One side of a split: its index as columns, and its samples as pixels and fields."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from kslds import pose, schema
from kslds.errors import CorruptData, IncompleteDataset, MediaError, MissingFile, UsageError
from kslds.frames import MAX_SIDE, read_frames, read_jpegs
from kslds.pack import SHARD_NAME
from kslds.storage import Cache, Storage, name_of
from kslds.video import ENCODINGS

AGAIN = "Check it with: kslds info DIR --verify; make it again with: kslds shard DIR"

Slot = Callable[[tuple[int, ...]], npt.NDArray[np.uint8]]
"""Shape → where an array of it goes."""

Frames = Callable[[int], Sequence[int]]
"""Number of frames of a clip → which to read."""

_POSE = "pose.npy"
_INDEX_READERS = 16


@dataclass(frozen=True)
class _Members:
    """Where the members of one field lie, a row for each sample; a size of -1 where it has none."""

    offset: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    sha256: npt.NDArray[np.uint8]
    """(samples, 32)."""


class Side:
    """The samples of one side of a split, by row.

    The index is kept as columns, some 200 bytes a sample.

    Args:
        storage: Where the dataset is.
        index: Its `index.json`, from `read_index`.
        split: The side.
        cache: Where bytes of samples are kept, if anywhere.

    Raises:
        CorruptData: An index is damaged, or its hash is another one than `index.json` states.
    """

    def __init__(
        self, storage: Storage, *, index: Mapping[str, Any], split: str, cache: Cache | None = None
    ) -> None:
        self.storage = storage
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.dataset_sha256: str = index["dataset_sha256"]
        self._cache = cache
        self._encoding = ENCODINGS[index["encoding"]]
        self._folder = f"shards/{self._encoding.name}"
        shards = index["splits"][split]["shards"]
        for shard in shards:
            if not SHARD_NAME.fullmatch(shard["file"]):
                raise ValueError(f"{shard['file']!r} is not the name of a shard")
        self._shards = [f"{self._folder}/{shard['file']}" for shard in shards]
        with ThreadPoolExecutor(_INDEX_READERS) as pool:  # many requests, where it is remote
            tables = list(pool.map(self._read_index, shards))
        self._shard = np.repeat(np.arange(len(shards)), [len(keys) for keys, _ in tables])
        self._keys = np.concatenate([np.empty(0, "S1"), *(keys for keys, _ in tables)])
        self._members = {
            field: _Members(
                offset=np.concatenate([members[field].offset for _, members in tables]),
                size=np.concatenate([members[field].size for _, members in tables]),
                sha256=np.concatenate([members[field].sha256 for _, members in tables]),
            )
            for field in (self._encoding.field, "json", _POSE)
            if any(field in members for _, members in tables)
        }

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def has_poses(self) -> bool:
        """Has any sample keypoints?"""
        return _POSE in self._members and bool((self._members[_POSE].size >= 0).any())

    def _read_index(
        self, shard: Mapping[str, Any]
    ) -> tuple[npt.NDArray[np.bytes_], dict[str, _Members]]:
        name = shard["file"].removesuffix(".tar") + ".index.parquet"
        data = self.storage.read(f"{self._folder}/{name}")
        if hashlib.sha256(data).hexdigest() != shard["index_sha256"]:
            raise CorruptData(
                f"{self.storage.path}: {self._folder}/{name} does not have the hash that "
                "index.json states.",
                hint=AGAIN,
            )
        # Not with Arrow's functions on columns, which import pandas.
        table = pq.ParquetFile(pa.BufferReader(data)).read().combine_chunks()
        columns = {name: table[name].to_pylist() for name in ("key", "field", "sha256")}
        offset, size = (
            np.concatenate([[-1], np.from_dlpack(table[n].chunk(0))]) for n in ("offset", "size")
        )
        sha256 = np.frombuffer(bytes.fromhex("".join(["00" * 32, *columns["sha256"]])), np.uint8)
        rows: dict[str, dict[str, int]] = {self._encoding.field: {}, "json": {}, _POSE: {}}
        for row, (key, field) in enumerate(zip(columns["key"], columns["field"], strict=True), 1):
            rows.setdefault(field, {})[key] = row
        keys = list(rows[self._encoding.field])
        members = {}
        for field in (self._encoding.field, "json", _POSE):
            # Row 0 stands for a member that is not there; only poses may not be.
            found = [rows[field].get(k, 0) if field == _POSE else rows[field][k] for k in keys]
            members[field] = _Members(offset[found], size[found], sha256.reshape(-1, 32)[found])
        return np.array(keys, dtype=np.bytes_), members

    # one sample

    def key(self, row: int) -> str:
        """A sample's key."""
        return cast(bytes, self._keys[row]).decode()

    def where(self, row: int) -> str:
        """A sample's place in words: the dataset, the shard and the key."""
        return f"{self.storage.path}: {self._shards[self._shard[row]]}: {self.key(row)}"

    def fields(self, row: int) -> dict[str, Any]:
        """A sample's fields, null where unknown, and its `key`; nothing of its video is read."""
        (text,) = self._read(row, "json")
        fields = self._parsed(row, text)
        fields.pop("frame_sizes", None)
        return fields

    def sample(self, row: int, *, frames: Frames, slot: Slot) -> dict[str, Any]:
        """A sample's fields, null where unknown, with its `key`, `video` and `pose`.

        Args:
            row: The sample.
            frames: Which frames to read.
            slot: Where they go.

        Returns:
            Fields; ``video`` uint8 (T, H, W, 3), the slot; ``pose`` float32 (T, P, D) where the
            side has poses, NaN where this sample has none.

        Raises:
            CorruptData: The bytes are not those of the index, or its JSON says what is not so.
            MediaError: The clip does not hold these frames.
            UsageError: The slot does not take them.
        """
        names = [self._encoding.field, "json"]
        if self._members[_POSE].size[row] >= 0:
            names.append(_POSE)
        video, text, *rest = self._read(row, *names)
        fields = self._parsed(row, text)
        try:
            number, height, width = (fields[n] for n in ("num_frames", "height", "width"))
            if not (0 < number <= len(video) and 0 < max(height, width) <= MAX_SIDE):
                raise ValueError(f"{number} frames of {width} × {height}")
            indices = frames(number)
            out = slot((len(indices), height, width, 3))
            sizes = fields.pop("frame_sizes", None)
            if sizes is None:
                read_frames(video, indices=indices, out=out)
            else:
                ends = np.cumsum(sizes).tolist()
                read_jpegs([video[ends[i] - sizes[i] : ends[i]] for i in indices], out=out)
            fields["video"] = out
            if self._pose_shape:
                rows = [pose.decode(data) for data in rest]
                fields["pose"] = (
                    rows[0][indices]
                    if rows
                    else np.full((len(indices), *self._pose_shape), np.nan, np.float32)
                )
        except MediaError as error:
            raise MediaError(f"{self.where(row)}: {error.what}", code=error.code) from error
        except UsageError as error:  # from the slot
            raise UsageError(f"{self.where(row)}: {error.what}", hint=error.hint) from error
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptData(
                f"{self.where(row)}: the sample's JSON does not fit its clip: {error!r}.",
                hint=AGAIN,
            ) from error
        return fields

    @cached_property
    def _pose_shape(self) -> tuple[int, ...]:
        """(P, D); nothing where no sample has poses."""
        if not self.has_poses:
            return ()
        row = int(np.argmax(self._members[_POSE].size >= 0))
        (data,) = self._read(row, _POSE)
        return pose.decode(data).shape[1:]

    def _parsed(self, row: int, text: bytes) -> dict[str, Any]:
        try:
            fields = json.loads(text)
            label = fields.pop("label")
            if label is not None and label not in range(len(self.classes)):
                raise ValueError(f"label {label!r:.40} of {len(self.classes)}")
            return {"key": self.key(row), "label": label, **fields}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise CorruptData(
                f"{self.where(row)}.json is not the JSON of a sample: {error!r}.", hint=AGAIN
            ) from error

    def _read(self, row: int, *names: str) -> list[bytes]:
        """The bytes of members that lie side by side, checked against the index."""
        members = [self._members[name] for name in names]
        spans = [(int(m.offset[row]), int(m.size[row])) for m in members]
        hashes = [m.sha256[row].tobytes() for m in members]
        start = min(offset for offset, _ in spans)
        size = max(offset + size for offset, size in spans) - start

        def cut(data: bytes) -> tuple[list[bytes], list[str]]:
            """The members, and the names of those that are other bytes."""
            parts = [data[offset - start : offset - start + length] for offset, length in spans]
            found = [hashlib.sha256(part).digest() for part in parts]
            return parts, [n for n, a, b in zip(names, found, hashes, strict=True) if a != b]

        entry = name_of(*hashes)
        if self._cache is not None and (cached := self._cache.get(entry)) is not None:
            parts, wrong = cut(cached)
            if not wrong:
                return parts
        shard = self._shards[self._shard[row]]
        data = self.storage.read(shard, start=start, size=size)
        parts, wrong = cut(data)
        if wrong:
            raise CorruptData(
                f"{self.storage.path}: {shard}: the bytes of {self.key(row)}.{wrong[0]} are not "
                "those of its index.",
                hint=AGAIN,
            )
        if self._cache is not None:
            self._cache.put(entry, data)
        return parts


def read_index(storage: Storage, *, encoding: str | None) -> dict[str, Any]:
    """The `index.json` of an encoding, or of the first that the dataset has.

    Raises:
        IncompleteDataset: There is none, or its format is newer than this package.
        CorruptData: It is not such an index.
    """
    for name in [encoding] if encoding else list(ENCODINGS):
        try:
            index: dict[str, Any] = json.loads(storage.read(f"shards/{name}/index.json"))
        except MissingFile:
            continue
        except ValueError as error:
            raise CorruptData(
                f"{storage.path}: shards/{name}/index.json is not JSON: {error}.", hint=AGAIN
            ) from error
        if not isinstance(index, dict) or not isinstance(index.get("splits"), dict):
            raise CorruptData(
                f"{storage.path}: shards/{name}/index.json is not an index of shards.", hint=AGAIN
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
                hint=AGAIN,
            )
        return index
    raise IncompleteDataset(
        f"{storage.path} has no finished shards (no shards/{encoding or '<encoding>'}/index.json).",
        hint="Check the address, or run: kslds shard DIR",
    )
