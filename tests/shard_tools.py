"""Shards written by hand, for what the small dataset does not have."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kslds import pack, pose
from tests.painting import paint


def jpeg(number: int, *, size: tuple[int, int] = (40, 32)) -> bytes:
    """A frame with its number painted into it."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(paint(number, width=size[0], height=size[1]))).save(
        out, "JPEG", quality=95
    )
    return out.getvalue()


def sample(
    key: str,
    *,
    number: int = 0,
    num_frames: int = 6,
    size: tuple[int, int] = (40, 32),
    **fields: Any,
) -> dict[str, Any]:
    """A sample of `num_frames` frames, painted with `number`, `number` + 1, …"""
    frames = [jpeg(number + k, size=size) for k in range(num_frames)]
    return {
        "key": key,
        "video": b"".join(frames),
        "fields": {
            "clip_id": key,
            "gloss_id": "a",
            "label": 0,
            "emotion": None,
            "signer_id": "subject_00",
            "num_frames": num_frames,
            "width": size[0],
            "height": size[1],
            "frame_sizes": [len(frame) for frame in frames],
            **fields,
        },
    }


def write_shards(
    root: Path,
    samples: Sequence[Mapping[str, Any]],
    *,
    encoding: str = "jpeg",
    classes: Sequence[str] = ("a", "b"),
    each: int = 5,
) -> Path:
    """A folder that `kslds.load` reads: its side `train` holds the samples, `each` a shard."""
    folder = root / "shards" / encoding
    field = {"jpeg": "mjpeg", "h264": "mp4"}[encoding]
    folder.mkdir(parents=True)
    entries = []
    for number, first in enumerate(range(0, len(samples), each)):
        path = folder / f"train-{number:05d}.tar"
        with pack.writing(path) as writer:
            for one in samples[first : first + each]:
                writer.add(one["key"], field=field, data=one["video"])
                text = one.get("text") or json.dumps(one["fields"]).encode()
                writer.add(one["key"], field="json", data=text, is_text=True)
                if "pose" in one:
                    writer.add(one["key"], field="pose.npy", data=pose.encode(one["pose"]))
        index = pack.index_path(path).read_bytes()
        entries.append(
            {
                "file": path.name,
                "samples": len(samples[first : first + each]),
                "index_sha256": hashlib.sha256(index).hexdigest(),
            }
        )
    document = {
        "format_version": 1,
        "encoding": encoding,
        "classes": list(classes),
        "pose_points": ["body/0", "body/1"] if any("pose" in one for one in samples) else [],
        "dataset_sha256": hashlib.sha256(repr([s["fields"] for s in samples]).encode()).hexdigest(),
        "splits": {"train": {"shards": entries}},
    }
    (folder / "index.json").write_text(json.dumps(document))
    return root
