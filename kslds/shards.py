"""Shards: rendered clips copied into WebDataset tars and Parquet, side by side of a split.

Bytes are copied, never encoded again. A sample is ``<clip_id>.<field>`` and
``<clip_id>.json``; every sample has the same fields. ``index.json`` is written last and
names every shard with its size and hash: without it, or with a shard that differs, there
is no finished shard folder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kslds import pack, pose, schema
from kslds.engine import Progress
from kslds.errors import CorruptData, IncompleteDataset, KsldsError, RecipeError
from kslds.manifest import Dataset, canonical_json, key_of, readable_json, sha256_file, write_atomic
from kslds.manifest import write_bytes as write_file
from kslds.schema import Clip, Recording
from kslds.video import ENCODINGS

FORMATS = ("webdataset", "parquet")

_LAYOUT = 3
"""Raised whenever the same clips give other shards, so that those of before are made again."""

_ROW_GROUP_BYTES = 100 << 20
"""The Hub's viewer refuses row groups much above this (HUB guide: 100–300 MB)."""


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """The `[shards]` part of a recipe.

    Raises:
        RecipeError: A format or encoding is unknown, or the size is not positive.
    """

    formats: tuple[str, ...] = ("webdataset", "parquet")
    encodings: tuple[str, ...] = ("h264",)
    max_mb: int = 256

    def __post_init__(self) -> None:
        for key, given, known in (
            ("formats", self.formats, FORMATS),
            ("encodings", self.encodings, tuple(ENCODINGS)),
        ):
            unknown = [name for name in given if name not in known]
            if unknown or not given or len(set(given)) < len(given):
                raise RecipeError(
                    f"[shards] {key} = {list(given)}: expected some of {', '.join(known)}, "
                    "each once."
                )
        if "parquet" in self.formats and "h264" not in self.encodings:
            raise RecipeError('[shards] the format "parquet" holds the encoding "h264"; add it.')
        if self.max_mb < 1:
            raise RecipeError(f"[shards] max_mb = {self.max_mb}: expected at least 1.")

    def folders(self, root: Path) -> dict[Path, str]:
        """Where shards go under a dataset's root, and the encoding that each place holds."""
        found = {}
        if "webdataset" in self.formats:
            found = {root / "shards" / encoding: encoding for encoding in self.encodings}
        if "parquet" in self.formats:
            found[root / "parquet"] = "h264"
        return found


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Where a clip's bytes lie, and what its JSON says."""

    clip: Clip
    tar: Path
    fields: Mapping[str, Any]
    poses: bytes | None
    """Its points, where the dataset has them."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a clip comes from, and on what terms."""

    corpus: str | None = None
    licence: str | None = None


_NOWHERE: Mapping[str, Origin] = MappingProxyType({})


def origins(dataset: Dataset) -> dict[str, Origin]:
    """recording_id → origin of its clips.

    What was not merged is its own corpus, under the name that it has once it is merged.
    """
    stated = dataset.provenance
    name, licence = stated.get("name"), stated.get("licence")
    own = Origin(corpus=key_of(name, prefix="corpus") if name else None, licence=licence)
    found = defaultdict(
        lambda: own
    )  # of clips that were not cut here, whose recordings are unknown
    for row in dataset.read("recordings", Recording) if dataset.has("recordings") else ():
        found[row.recording_id] = Origin(
            corpus=row.corpus or own.corpus, licence=row.licence or licence
        )
    return found


def sample_fields(
    clip: Clip, *, classes: Mapping[str, int], origin: Origin | None = None
) -> dict[str, Any]:
    """What the JSON of a sample says: the same fields in every sample, null where unknown.

    ``label`` is the index of ``gloss_id`` among the dataset's sorted glosses.
    """
    origin = origin or Origin()
    return {
        "clip_id": clip.clip_id,
        "recording_id": clip.recording_id,
        "source_file": clip.source_file,
        "corpus": origin.corpus,
        "licence": origin.licence,
        "gloss_id": clip.gloss_id,
        "label": None if clip.gloss_id is None else classes[clip.gloss_id],
        "emotion": clip.emotion,
        "sentence": clip.sentence,
        "translation": clip.translation,
        "translation_kk": clip.translation_kk,
        "signer_id": clip.signer_id,
        "start_ms": clip.start_ms,
        "end_ms": clip.end_ms,
        "first_frame": clip.first_frame,
        "last_frame": clip.last_frame,
        "num_frames": clip.num_frames,
        "fps_num": clip.fps_num,
        "fps_den": clip.fps_den,
        "width": clip.width,
        "height": clip.height,
        "frames_sha256": clip.frames_sha256,
    }


def _in_order(clips: Iterable[Clip], *, origin_of: Mapping[str, Origin] = _NOWHERE) -> list[Clip]:
    """An order that mixes signers and classes, for readers that only read on; the same always.

    The first few clips of the order together have every field that any clip has, since
    Hugging Face `datasets` takes the types of all samples from the first five of a shard.
    """
    order = sorted(clips, key=lambda c: hashlib.sha256(c.clip_id.encode()).digest())
    leaders: list[Clip] = []
    nullable = (
        "gloss_id", "emotion", "sentence", "translation", "translation_kk", "corpus", "licence",
    )  # fmt: skip

    def known(clip: Clip, name: str) -> bool:
        of = clip if hasattr(clip, name) else origin_of.get(clip.recording_id)
        return getattr(of, name, None) is not None

    missing = {name for name in nullable if any(known(c, name) for c in order)}
    while missing:
        best = max(order, key=lambda c: sum(known(c, name) for name in missing))
        leaders.append(best)
        missing -= {name for name in missing if known(best, name)}
    return [*leaders, *(c for c in order if c not in leaders)] if leaders else order


def _locate(packs: Path, encoding: str) -> dict[str, tuple[Path, list[pack.Member]]]:
    """clip_id → the pack it is in and its members."""
    found: dict[str, tuple[Path, list[pack.Member]]] = {}
    for tar in sorted((packs / encoding).glob("*.tar")):
        members, _, _ = pack.read_index(tar)
        grouped: dict[str, list[pack.Member]] = defaultdict(list)
        for member in members:
            grouped[member.key].append(member)
        found |= {key: (tar, group) for key, group in grouped.items()}
    return found


def _samples(
    clips: Sequence[Clip],
    *,
    located: Mapping[str, tuple[Path, list[pack.Member]]],
    classes: Mapping[str, int],
    origin_of: Mapping[str, Origin],
    encoding: str,
    poses: bool,
) -> Iterator[tuple[_Sample, bytes]]:
    """Each clip with its bytes, read from the packs and checked against their hashes."""
    field = ENCODINGS[encoding].field
    with ExitStack() as stack:
        open_packs: dict[Path, pack.PackReader] = {}
        for clip in clips:
            if clip.clip_id not in located:
                raise IncompleteDataset(
                    f"clip {clip.clip_id} has not been rendered as {encoding}.",
                    hint="Run: kslds resize DIR",
                )
            tar, _ = located[clip.clip_id]
            if tar not in open_packs:
                if len(open_packs) >= 256:  # far below the usual limit of open files
                    stack.pop_all().close()
                    open_packs.clear()
                open_packs[tar] = stack.enter_context(pack.PackReader(tar))
            reader = open_packs[tar]
            fields = sample_fields(clip, classes=classes, origin=origin_of[clip.recording_id])
            data = reader.read(clip.clip_id, field=field)
            if encoding == "jpeg":
                facts = json.loads(reader.read(clip.clip_id, field="json"))
                fields |= _frames_apart(data, facts["frame_sizes"])
            points = reader.read(clip.clip_id, field=pose.FIELD) if poses else None
            yield _Sample(clip=clip, tar=tar, fields=fields, poses=points), data


def _frames_apart(data: bytes, sizes: Sequence[int]) -> dict[str, Any]:
    """What a reader needs to read single frames, and to know that they are those."""
    ends = accumulate(sizes)
    frames = [data[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return {"frame_sizes": sizes, "frame_crc32": [zlib.crc32(frame) for frame in frames]}


def _write_tars(
    samples: Iterable[tuple[_Sample, bytes]], *, folder: Path, side: str, encoding: str, limit: int
) -> list[dict[str, Any]]:
    field = ENCODINGS[encoding].field
    shards: list[dict[str, Any]] = []
    stack = ExitStack()
    writer: pack.PackWriter | None = None
    count = 0

    def path() -> Path:
        return folder / f"{side}-{len(shards):05d}.tar"

    def close() -> None:
        stack.close()
        _, digest, size = pack.read_index(path())
        index = pack.index_path(path())
        shards.append(
            {
                "file": path().name,
                "samples": count,
                "size": size,
                "sha256": digest,
                "index_size": index.stat().st_size,
                "index_sha256": sha256_file(index),
            }
        )

    with stack:
        for sample, data in samples:
            text = canonical_json(sample.fields)
            if writer is not None and writer.size + len(data) + len(text) > limit and count:
                close()
                writer, count = None, 0
            if writer is None:
                writer = stack.enter_context(pack.writing(path()))
            writer.add(sample.clip.clip_id, field=field, data=data)
            writer.add(sample.clip.clip_id, field="json", data=text, is_text=True)
            if sample.poses is not None:
                writer.add(sample.clip.clip_id, field=pose.FIELD, data=sample.poses)
            count += 1
        if writer is not None:
            close()
    return shards


def _parquet_schema(classes: Sequence[str], *, poses: bool) -> pa.Schema:
    """Columns of the Parquet shards, with the metadata that makes the Hub show a video."""
    kinds: dict[str, pa.DataType] = {
        "video": pa.struct({"bytes": pa.binary(), "path": pa.string()})
    }
    features: dict[str, Any] = {"video": {"_type": "Video"}}
    for name, kind in _FIELD_TYPES.items():
        kinds[name] = kind
        features[name] = {"dtype": str(kind), "_type": "Value"}
    if poses:
        kinds["pose"] = pa.binary()
        features["pose"] = {"dtype": "binary", "_type": "Value"}
    features["label"] = {"names": list(classes), "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False)}
    return pa.schema(list(kinds.items()), metadata=metadata)


_FIELD_TYPES = {
    f.name: f.type
    for f in schema.arrow_schema(Clip)
    if f.name
    not in ("segment_id", "published_split", "first_pts", "last_pts", "resampled", "psnr_db")
} | {"corpus": pa.string(), "licence": pa.string(), "label": pa.int64()}


def _write_parquet(
    samples: Iterable[tuple[_Sample, bytes]],
    *,
    folder: Path,
    side: str,
    classes: Sequence[str],
    poses: bool,
    limit: int,
) -> list[dict[str, Any]]:
    columns = _parquet_schema(classes, poses=poses)
    shards: list[dict[str, Any]] = []

    def flush(file_rows: list[list[dict[str, Any]]]) -> None:
        path = folder / f"{side}-{len(shards):05d}.parquet"
        with (
            write_atomic(path) as file,
            pq.ParquetWriter(
                file,
                columns,
                compression="zstd",
                use_dictionary=[
                    "gloss_id",
                    "emotion",
                    "signer_id",
                    "recording_id",
                    "source_file",
                    "corpus",
                    "licence",
                ],
                write_page_index=True,
            ) as writer,
        ):
            for rows in file_rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=columns))
        shards.append(
            {
                "file": path.name,
                "samples": sum(map(len, file_rows)),
                "size": path.stat().st_size,
                "sha256": sha256_file(path),
            }
        )

    groups: list[list[dict[str, Any]]] = []
    in_group = in_file = 0
    for sample, data in samples:
        if groups and in_file + len(data) > limit:
            flush(groups)
            groups, in_group, in_file = [], 0, 0
        if not groups or in_group + len(data) > _ROW_GROUP_BYTES:
            groups.append([])
            in_group = 0
        video = {"bytes": data, "path": f"{sample.clip.clip_id}.mp4"}
        groups[-1].append({"video": video, "pose": sample.poses, **sample.fields})
        in_group += len(data)
        in_file += len(data)
    if groups:
        flush(groups)
    return shards


@dataclass(frozen=True, kw_only=True)
class _Split:
    """A split, and how it places clips."""

    name: str
    unit: str
    """What it assigns: a field of `Clip`."""
    sides: Mapping[str, str]

    def side(self, clip: Clip) -> str | None:
        """The side of a clip; None where it has none."""
        return self.sides.get(getattr(clip, self.unit))


def _split(dataset: Dataset, name: str | None) -> _Split:
    """The split to shard by."""
    names = sorted(p.stem for p in (dataset.root / "tables" / "splits").glob("*.parquet"))
    if not names:
        raise IncompleteDataset(f"{dataset.root} has no split yet.", hint="Run: kslds split DIR")
    chosen = name or names[0]
    if chosen not in names:
        raise IncompleteDataset(f"there is no split {chosen!r}; there are {', '.join(names)}.")
    unit, sides = dataset.sides(chosen)
    return _Split(name=chosen, unit=unit, sides=sides)


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What all shard folders of a dataset hold alike."""

    name: str | None
    split: _Split
    by_side: Mapping[str, Sequence[Clip]]
    classes: Mapping[str, int]
    origin_of: Mapping[str, Origin]
    pose_points: Sequence[str]
    """Names of the points that every sample has, if any."""
    sha256: str
    max_mb: int

    def write(
        self, folder: Path, *, encoding: str, packs: Path, done: Callable[[], None]
    ) -> dict[str, Any]:
        """Make a folder's shards unless they are there; returns its index."""
        located = _locate(packs, encoding)
        made_from = [
            _LAYOUT,
            self.sha256,
            self.max_mb,
            sorted({t.name for t, _ in located.values()}),
        ]
        document: dict[str, Any] = {
            "format_version": schema.FORMAT_VERSION,
            "name": self.name,
            "encoding": encoding,
            "split": self.split.name,
            "unit": self.split.unit,
            "dataset_sha256": self.sha256,
            "made_from": hashlib.sha256(canonical_json(made_from)).hexdigest(),
            "classes": list(self.classes),
            "pose_points": list(self.pose_points),
            "splits": {},
        }
        finished = _finished(folder, made_from=document["made_from"])
        for side, clips in self.by_side.items():
            shards = finished.get(side, [])
            if sum(entry["samples"] for entry in shards) != len(clips):
                shards = self._copy(
                    clips, located=located, folder=folder, side=side, encoding=encoding
                )
            document["splits"][side] = {
                "samples": len(clips),
                "signers": sorted({c.signer_id or "" for c in clips}),
                "shards": shards,
            }
            done()
        # Where all was there, this corrects what the shards do not depend on, such as the name.
        write_file(folder / "index.json", readable_json(document))
        return document

    def _copy(
        self,
        clips: Sequence[Clip],
        *,
        located: Mapping[str, tuple[Path, list[pack.Member]]],
        folder: Path,
        side: str,
        encoding: str,
    ) -> list[dict[str, Any]]:
        samples = _samples(
            _in_order(clips, origin_of=self.origin_of),
            located=located,
            classes=self.classes,
            origin_of=self.origin_of,
            encoding=encoding,
            poses=bool(self.pose_points),
        )
        limit = self.max_mb * 1_000_000
        if folder.name == "parquet":
            return _write_parquet(
                samples,
                folder=folder,
                side=side,
                classes=list(self.classes),
                poses=bool(self.pose_points),
                limit=limit,
            )
        return _write_tars(samples, folder=folder, side=side, encoding=encoding, limit=limit)


def _content(
    dataset: Dataset, *, options: ShardOptions, split: str | None, name: str | None
) -> _Content:
    chosen = _split(dataset, split)
    clips = [c for c in dataset.read("clips", Clip) if chosen.side(c) is not None]
    if any(c.width is None for c in clips):
        raise IncompleteDataset("the clips have not been rendered.", hint="Run: kslds resize DIR")
    classes = _classes(clips)
    by_side: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_side[chosen.side(clip) or ""].append(clip)
    origin_of = origins(dataset)
    fields = [
        [chosen.side(c), sample_fields(c, classes=classes, origin=origin_of[c.recording_id])]
        for c in sorted(clips, key=lambda c: c.clip_id)
    ]
    return _Content(
        name=name,
        split=chosen,
        by_side=dict(sorted(by_side.items())),
        classes=classes,
        origin_of=origin_of,
        pose_points=dataset.provenance.get("pose_points", ()),
        sha256=hashlib.sha256(canonical_json(fields)).hexdigest(),
        max_mb=options.max_mb,
    )


def _classes(clips: Iterable[Clip]) -> dict[str, int]:
    names = sorted({c.gloss_id for c in clips if c.gloss_id is not None})
    return {gloss_id: i for i, gloss_id in enumerate(names)}


def shard(
    dataset: Dataset,
    *,
    options: ShardOptions,
    split: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Copy rendered clips into shards, one set per side of a split.

    Shards that are there already are hashed and kept. Those of formats and encodings that the
    options do not name are deleted.

    Args:
        dataset: Holds rendered clips and a split.
        options: Formats, encodings, and the size at which a new shard begins.
        split: Name of the split to shard by; the first by name if not given.
        name: Name of the dataset, kept in the index.
        progress: Told after each side.

    Raises:
        IncompleteDataset: Clips or a split are missing.
        CorruptData: A rendered clip's bytes changed.
    """
    content = _content(dataset, options=options, split=split, name=name)
    folders = options.folders(dataset.root)
    for folder in folders_of(dataset.root):
        if folder not in folders:
            discard(folder)
    done, steps = 0, len(content.by_side) * len(folders)

    def tell(number: int) -> None:
        nonlocal done
        done += number
        if progress is not None:
            progress("shard", done, steps)

    tell(0)
    samples = 0
    for folder, encoding in folders.items():
        document = content.write(
            folder, encoding=encoding, packs=dataset.root / "clips", done=lambda: tell(1)
        )
        _sweep(folder, document)
        samples = sum(side["samples"] for side in document["splits"].values())
    dataset.close_books("shard", rows_in=sum(map(len, content.by_side.values())), rows_out=samples)
    dataset.update_provenance(
        dataset_sha256=content.sha256, classes=list(content.classes), split=content.split.name
    )


def _finished(folder: Path, *, made_from: str) -> dict[str, list[dict[str, Any]]]:
    """Side → entries of shards that were already made from the same clips, if all are whole."""
    try:
        stored: dict[str, Any] = json.loads((folder / "index.json").read_bytes())
        if stored["made_from"] != made_from:
            return {}
        return {side: held["shards"] for side, held in verify(folder)["splits"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, KsldsError):
        return {}


# --------------------------------------------------------------------------- deleting


def folders_of(root: Path) -> list[Path]:
    """Every place where shards may lie."""
    return [*(root / "shards" / encoding for encoding in ENCODINGS), root / "parquet"]


def _is_ours(path: Path) -> bool:
    name = path.name.removesuffix(".index.parquet") + ".tar" * path.name.endswith(".index.parquet")
    return path.is_file() and (name == "index.json" or bool(pack.SHARD_NAME.fullmatch(name)))


def _sweep(folder: Path, document: Mapping[str, Any]) -> None:
    """Delete shards of an earlier run that the index does not name."""
    files = {s["file"] for side in document["splits"].values() for s in side["shards"]}
    files |= {pack.index_path(Path(f)).name for f in files} | {"index.json"}
    for path in sorted(folder.iterdir()):
        if path.name not in files and _is_ours(path):
            path.unlink()


def discard(folder: Path) -> None:
    """Delete a folder's shards, first what makes them loadable; what is not ours stays."""
    if not folder.is_dir():
        return
    (folder / "index.json").unlink(missing_ok=True)
    for path in sorted(folder.iterdir()):
        if _is_ours(path):
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


# --------------------------------------------------------------------------- other uses


def export(dataset: Dataset, *, out: Path, split: str | None = None) -> int:
    """Write the clips as plain files, one folder a side, which `datasets` calls a VideoFolder.

    Each folder has ``<clip_id>.mp4`` and a ``metadata.csv`` with the fields of the samples.

    Args:
        dataset: Holds rendered clips and a split.
        out: Where the folders go.
        split: The split whose sides become folders; the first by name if not given.

    Returns:
        Number of clips written.

    Raises:
        IncompleteDataset: Clips or a split are missing.
    """
    chosen = _split(dataset, split)
    clips = [c for c in dataset.read("clips", Clip) if chosen.side(c) is not None]
    classes = _classes(clips)
    located = _locate(dataset.root / "clips", "h264")
    poses = bool(dataset.provenance.get("pose_points"))
    origin_of = origins(dataset)
    for side in sorted(set(chosen.sides.values())):
        members = [c for c in clips if chosen.side(c) == side]
        rows = io.StringIO()
        writer: csv.DictWriter[str] | None = None
        for sample, data in _samples(
            members, located=located, classes=classes, origin_of=origin_of,
            encoding="h264", poses=poses,
        ):  # fmt: skip
            file_name = f"{sample.clip.clip_id}.mp4"
            write_file(out / side / file_name, data)
            if sample.poses is not None:
                write_file(out / side / f"{sample.clip.clip_id}.{pose.FIELD}", sample.poses)
            row = {"file_name": file_name, **sample.fields}
            writer = writer or csv.DictWriter(rows, list(row), lineterminator="\n")
            if not rows.tell():
                writer.writeheader()
            writer.writerow(row)
        write_file(out / side / "metadata.csv", rows.getvalue().encode())
    return len(clips)


def verify(folder: Path) -> dict[str, Any]:
    """The index of a shard folder, once every file it names has its size and hash.

    Raises:
        IncompleteDataset: There is no index: the shards were not finished.
        CorruptData: A shard is missing or differs.
    """
    index = folder / "index.json"
    if not index.is_file():
        raise IncompleteDataset(
            f"{folder} has no index.json: its shards were not finished.", hint=_AGAIN
        )
    try:
        document: dict[str, Any] = json.loads(index.read_bytes())
        entries = [entry for side in document["splits"].values() for entry in side["shards"]]
        for entry in entries:
            name = entry["file"]
            if not pack.SHARD_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a shard")
            if not isinstance(entry["samples"], int):
                raise ValueError(f"{name} holds {entry['samples']!r:.40} samples")
            _check_file(folder / name, size=entry["size"], sha256=entry["sha256"])
            if name.endswith(".tar"):
                beside = pack.index_path(folder / name)
                _check_file(beside, size=entry["index_size"], sha256=entry["index_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptData(f"{index} is damaged: {error!r}.", hint=_AGAIN) from error
    return document


_AGAIN = "Run: kslds shard DIR"


def _check_file(path: Path, *, size: int, sha256: str) -> None:
    if not path.is_file() or path.stat().st_size != size:
        raise CorruptData(
            f"{path} is missing or has another size than index.json says.", hint=_AGAIN
        )
    if sha256_file(path) != sha256:
        raise CorruptData(f"{path} does not have the hash that index.json states.", hint=_AGAIN)
