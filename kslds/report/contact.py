"""Pictures of a dataset: some clips, a row each."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw, ImageFont, ImageOps

from kslds import pack
from kslds.errors import CorruptData, IncompleteDataset, MediaError, UsageError
from kslds.manifest import Dataset, write_bytes
from kslds.report.numbers import clips_of, main_split, side_order, sign_names
from kslds.video import ENCODINGS, read_frames, read_jpegs

_WIDTH, _MARGIN, _GAP, _CAPTION, _BETWEEN = 1200, 24, 6, 30, 18
"""Pixels."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A clip on the contact sheet."""

    clip_id: str
    name: str
    """What people call the sign."""
    about: str
    num_frames: int
    packs: Sequence[tuple[str, Path]]
    """Encoding and tar, the one to prefer first."""


def _packs(dataset: Dataset) -> dict[str, list[tuple[str, Path]]]:
    """Recording → packs of its clips."""
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for encoding in ("h264", "jpeg"):
        for tar in sorted((dataset.root / "clips" / encoding).glob("*.tar")):
            found[tar.stem.rpartition("-")[0]].append((encoding, tar))
    return found


def _spread(clips: pd.DataFrame, *, rows: int) -> pd.DataFrame:
    """Clips that differ in signer, sign and emotion as far as there are such; the same always."""
    places = [hashlib.sha256(str(key).encode()).digest() for key in clips["clip_id"]]
    clips = clips.iloc[sorted(range(len(clips)), key=places.__getitem__)]
    used = np.zeros(len(clips))
    weights = {"signer_id": 1.0, "gloss_id": 1.0, "emotion": 1 / 128}
    codes = {column: pd.factorize(clips[column])[0] for column in weights}
    chosen = []
    for _ in range(min(rows, len(clips))):
        best = int(used.argmin())
        chosen.append(best)
        for column, weight in weights.items():
            used[codes[column] == codes[column][best]] += weight
        used[best] = math.inf
    return clips.iloc[chosen]


def choose(dataset: Dataset, *, rows: int) -> list[Shown]:
    """The clips of the contact sheet, in the order of its rows; none before there are packs."""
    packs, names, (_, unit, sides) = _packs(dataset), sign_names(dataset), main_split(dataset)
    clips = clips_of(dataset)
    clips = clips[clips["recording_id"].isin(list(packs))]
    records: list[dict[str, Any]] = [
        {str(key): None if pd.isna(value) else value for key, value in record.items()}
        for record in _spread(clips, rows=rows).to_dict("records")
    ]
    records.sort(
        key=lambda r: (
            side_order(sides.get(r[unit], "")), r["signer_id"] or "", r["gloss_id"] or "",
            r["clip_id"],
        )
    )  # fmt: skip
    shown = []
    for record in records:
        gloss, frames = record["gloss_id"], int(record["num_frames"])
        called = [name for name in names.get(gloss, ()) if name]
        about = [
            gloss if called else None, record["signer_id"], record["emotion"],
            f"{frames} frames, {record['seconds']:.2f} s", sides.get(record[unit]),
        ]  # fmt: skip
        shown.append(
            Shown(
                clip_id=record["clip_id"],
                name=" · ".join(called) or gloss or _start(record["sentence"]) or "(no sign)",
                about="   ·   ".join(part for part in about if part),
                num_frames=frames,
                packs=packs[record["recording_id"]],
            )
        )
    return shown


def _start(sentence: str | None) -> str:
    """The words of a sentence that a line has room for."""
    words = (sentence or "").split()
    return " ".join(words[:6]) + (" …" if len(words) > 6 else "")


def _frames_of(clip: Shown, *, count: int) -> npt.NDArray[np.uint8] | str:
    """Evenly spaced frames of a clip, the first and the last among them; or why there are none."""
    indices = np.unique(np.linspace(0, clip.num_frames - 1, count).round().astype(int)).tolist()
    try:
        for encoding, tar in clip.packs:
            with pack.PackReader(tar) as reader:
                if clip.clip_id not in reader.keys:
                    continue
                data = reader.read(clip.clip_id, field=ENCODINGS[encoding].field)
                if encoding == "h264":
                    return read_frames(data, indices=indices)
                sizes = json.loads(reader.read(clip.clip_id, field="json"))["frame_sizes"]
                ends = np.cumsum(sizes).tolist()
                return read_jpegs([data[ends[i] - sizes[i] : ends[i]] for i in indices])
    except (CorruptData, MediaError, OSError, KeyError, IndexError):
        # Nothing of the message: it names a path, and the picture depends on content alone.
        return "The clip cannot be read. To see what is damaged: kslds info DIR --verify"
    return "The clip has not been rendered."


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    # The basic layout is the same everywhere; the other depends on what the machine has.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _fitted(text: str, *, font: ImageFont.FreeTypeFont, width: float) -> str:
    """A text on one line, cut off with … where it is too long."""
    text = " ".join(text.split())[:500]
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _sheet(clips: Sequence[Shown], *, frames: int) -> Image.Image:
    cell = (_WIDTH - 2 * _MARGIN - (frames - 1) * _GAP) // frames
    row_height = _CAPTION + cell + _BETWEEN
    height = 2 * _MARGIN + row_height * len(clips) - _BETWEEN
    sheet = Image.new("RGB", (_WIDTH, height), "#ffffff")
    draw = ImageDraw.Draw(sheet)
    bold, plain = _font(15, bold=True), _font(13)
    inner = _WIDTH - 2 * _MARGIN
    for row, clip in enumerate(clips):
        top = _MARGIN + row * row_height
        name = _fitted(clip.name, font=bold, width=inner / 2)
        draw.text((_MARGIN, top + 20), name, fill="#111827", font=bold, anchor="ls")
        left = _MARGIN + bold.getlength(name) + 18
        about = _fitted(clip.about, font=plain, width=_WIDTH - _MARGIN - left)
        draw.text((left, top + 20), about, fill="#4b5563", font=plain, anchor="ls")
        top += _CAPTION
        pictures = _frames_of(clip, count=frames)
        if isinstance(pictures, str):
            draw.rectangle((_MARGIN, top, _MARGIN + inner - 1, top + cell - 1), fill="#f3f4f6")
            message = _fitted(pictures, font=plain, width=inner - 24)
            draw.text((_MARGIN + 12, top + 24), message, fill="#991b1b", font=plain, anchor="ls")
            continue
        for column, pixels in enumerate(pictures):
            picture = ImageOps.contain(Image.fromarray(pixels), (cell, cell))
            sheet.paste(picture, (_MARGIN + column * (cell + _GAP), top))
    return sheet


def contact_sheet(dataset: Dataset, *, path: Path, rows: int = 8, frames: int = 8) -> None:
    """Write a picture of some clips: a row a clip, evenly spaced frames from first to last.

    The clips spread over signers and signs; the same dataset always gives the same picture,
    1200 pixels wide.

    Args:
        dataset: Holds rendered clips.
        path: The PNG to write.
        rows: Clips, 1 to 100; fewer where there are fewer.
        frames: Frames of each clip, 1 to 32; fewer where a clip has fewer.

    Raises:
        UsageError: A number is out of range.
        IncompleteDataset: No clip has been rendered.
    """
    if not 1 <= rows <= 100 or not 1 <= frames <= 32:
        raise UsageError(f"{rows} rows of {frames} frames: expected 1 to 100 rows, 1 to 32 frames.")
    clips = choose(dataset, rows=rows)
    if not clips:
        raise IncompleteDataset(
            f"{dataset.root} has no rendered clip to show.", hint="Run: kslds resize DIR"
        )
    write_sheet(clips, path=path, frames=frames)


def write_sheet(clips: Sequence[Shown], *, path: Path, frames: int) -> None:
    """Write the picture of clips that `choose` found."""
    data = io.BytesIO()
    _sheet(clips, frames=frames).save(data, format="PNG", optimize=True)
    write_bytes(path, data.getvalue())
