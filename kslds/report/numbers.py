"""What a dataset holds, in numbers."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kslds import schema
from kslds.errors import CorruptData
from kslds.manifest import Dataset

OPTIONAL_STAGES = ("ingest-texts", "merge-recordings", "merge-segments", "consensus")

STAGES = (
    "ingest-recordings", "ingest-segments", *OPTIONAL_STAGES, "trim", "resize", "split", "shard",
)  # fmt: skip
"""The stages that keep books, in the order of a build."""

SEVERITIES = ("error", "warning", "info")

MAX_SPLITS = 200
"""Leaving one out makes as many splits as signers; no more than these are counted."""

_USUAL_SIDES = ("train", "validation", "valid", "val", "dev", "test")


def frame(dataset: Dataset, table: str, *, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of a table; no rows where the table has not been written."""
    if not dataset.has(table):
        return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    found: pd.DataFrame = dataset.arrow(table).select(list(columns)).to_pandas()
    return found


def clips_of(dataset: Dataset) -> pd.DataFrame:
    """The clips, with their length in a column `seconds`."""
    numbers = ("num_frames", "fps_num", "fps_den")
    columns = ("clip_id", "recording_id", "gloss_id", "emotion", "signer_id", "sentence", *numbers)
    clips = frame(dataset, "clips", columns=columns)
    frames, rate, per = (clips[name].astype("float64") for name in numbers)
    return clips.assign(seconds=frames * per / rate)


def total_seconds(clips: pd.DataFrame) -> float:
    """Length of clips together, rounded to ms once all are added up."""
    return round(math.fsum(clips["seconds"]), 3)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CorruptData: The file holds something else.
    """
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise CorruptData(f"{path} is not JSON: {error}.", hint="Delete it.") from error
    if not isinstance(document, dict):
        raise CorruptData(f"{path} does not hold a JSON object.", hint="Delete it.")
    return document


def split_names(dataset: Dataset) -> list[str]:
    """The names of all splits, sorted."""
    return sorted(path.stem for path in (dataset.root / "tables" / "splits").glob("*.parquet"))


def main_split(dataset: Dataset) -> tuple[str | None, str, dict[str, str]]:
    """The split that the shards follow (else the first), the column it goes by, value → side."""
    names = split_names(dataset)
    chosen = dataset.provenance.get("split")
    name = chosen if chosen in names else next(iter(names), None)
    unit, sides = ("signer_id", {}) if name is None else dataset.sides(name)
    return name, unit, sides


def side_order(side: str) -> tuple[int, str]:
    """Sorts sides as people name them: train, validation, test, then others."""
    usual = side in _USUAL_SIDES
    return (_USUAL_SIDES.index(side) if usual else len(_USUAL_SIDES), side)


def sign_names(dataset: Dataset) -> dict[str, tuple[str, str]]:
    """Gloss → its Kazakh and Russian names, empty where the lexicon has none."""
    signs = frame(dataset, "signs", columns=("gloss_id", "kk", "ru")).fillna("")
    return {gloss: (kk, ru) for gloss, kk, ru in signs.itertuples(index=False)}


def results(dataset: Dataset) -> list[dict[str, Any]]:
    """Every baseline's `result.json`, with the name of its folder in `folder`."""
    paths = sorted(dataset.root.glob("reports/baselines/*/result.json"))
    return [{**read_json(path), "folder": path.parent.name} for path in paths]


def _split_facts(dataset: Dataset, clips: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Split → side → what it holds."""
    signer = pd.factorize(clips["signer_id"])[0]
    units = {u: pd.factorize(clips[u]) for u in ("signer_id", "sentence", "clip_id")}
    gloss = pd.factorize(clips["gloss_id"])[0]
    seconds = clips["seconds"].to_numpy(dtype=float)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in split_names(dataset)[:MAX_SPLITS]:
        unit, sides = dataset.sides(name)
        of_row, values = units[unit]
        order = sorted(set(sides.values()), key=side_order)
        place = {side: i for i, side in enumerate(order)}
        # One more for values without a side; clips without a value (-1) take it, too.
        of_value = np.array([*(place.get(sides.get(v, ""), -1) for v in values), -1])
        of_clip = of_value[of_row]
        found[name] = {}
        for side, i in place.items():
            here = of_clip == i
            found[name][side] = {
                "signers": int(np.count_nonzero(np.bincount(signer[here] + 1)[1:])),
                "clips": int(np.count_nonzero(here)),
                "classes": int(np.count_nonzero(np.bincount(gloss[here] + 1)[1:])),
                "seconds": round(float(seconds[here].sum()), 3),
            }
    return found


def _shard_facts(dataset: Dataset) -> dict[str, dict[str, int]]:
    found = {}
    folders = [*sorted(dataset.root.glob("shards/*/index.json")),
               *dataset.root.glob("parquet/index.json")]  # fmt: skip
    for path in folders:
        sides = read_json(path).get("splits", {}).values()
        files = [shard for side in sides for shard in side["shards"]]
        found[path.parent.relative_to(dataset.root).as_posix()] = {
            "files": len(files),
            "bytes": sum(shard["size"] for shard in files),
            "samples": sum(shard["samples"] for shard in files),
        }
    return found


def _issue_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    rows = frame(dataset, "issues", columns=("severity", "code"))
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    pairs = Counter(zip(rows["severity"], rows["code"], strict=True))
    for (severity, code), number in sorted(pairs.items()):
        counts[severity][code] = number
    return {name: counts[name] for name in SEVERITIES if name in counts}


def summary(dataset: Dataset) -> dict[str, Any]:
    """What a dataset holds, in plain values; works at any stage of completeness.

    Signers, classes and emotions are counted in clips or, before there are any, in segments.

    Returns:
        ``name, format_version, licence, dataset_sha256, signers, classes, emotions``;
        ``stages``: stage → ``in, out, dropped`` and its other counts, in the order of a build;
        ``dropped``: code → rows;
        ``issues``: severity → code → number;
        and, once they exist,
        ``recordings``: ``number, frames, seconds, bytes``;
        ``clips``: ``number, frames, seconds, hours`` (frames over frame rate);
        ``splits``: split → side → ``signers, clips, classes, seconds``, the first 200 by name;
        ``shards``: folder → ``files, bytes, samples``;
        ``baselines``: a list of
        ``model, task, top1, macro_f1, chance, n_train, n_test, dataset_sha256, folder``.

    Raises:
        CorruptData: A table or an index cannot be read.
    """
    provenance = dataset.provenance
    clips = clips_of(dataset)
    counted = clips
    if not dataset.has("clips"):
        labels = ("gloss_id", "label", "emotion", "signer_id")
        counted = frame(dataset, "segments", columns=labels)
        counted["gloss_id"] = counted["gloss_id"].fillna(counted["label"])
    stages = provenance.get("stages", {})
    order = [*STAGES, *sorted(set(stages) - set(STAGES))]
    found: dict[str, Any] = {
        "name": provenance.get("name") or dataset.root.resolve().name,
        "format_version": provenance.get("format_version", schema.FORMAT_VERSION),
        "licence": provenance.get("licence"),
        "dataset_sha256": provenance.get("dataset_sha256"),
        "signers": int(counted["signer_id"].nunique()),
        "classes": int(counted["gloss_id"].nunique()),
        "emotions": int(counted["emotion"].nunique()),
        "stages": {name: stages[name] for name in order if name in stages},
        "dropped": dict(
            sorted(Counter(frame(dataset, "dropped", columns=("code",))["code"]).items())
        ),
        "issues": _issue_counts(dataset),
    }
    if dataset.has("recordings"):
        rows = frame(dataset, "recordings", columns=("num_frames", "end_ms", "size_bytes"))
        found["recordings"] = {
            "number": len(rows),
            "frames": int(rows["num_frames"].sum()),
            "seconds": int(rows["end_ms"].sum()) / 1000,
            "bytes": int(rows["size_bytes"].sum()),
        }
    if dataset.has("clips"):
        seconds = total_seconds(clips)
        found["clips"] = {
            "number": len(clips),
            "frames": int(clips["num_frames"].sum()),
            "seconds": seconds,
            "hours": seconds / 3600,
        }
    if splits := _split_facts(dataset, clips):
        found["splits"] = splits
    if shards := _shard_facts(dataset):
        found["shards"] = shards
    if baselines := results(dataset):
        keys = ("model", "task", "top1", "macro_f1", "chance", "n_train", "n_test",
                "dataset_sha256", "folder")  # fmt: skip
        found["baselines"] = [{key: result.get(key) for key in keys} for result in baselines]
    return found
