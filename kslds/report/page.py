"""The sections of the page, each from the tables of the dataset."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kslds.codes import CODES, Code
from kslds.manifest import Dataset
from kslds.report import annotators
from kslds.report.contact import Shown
from kslds.report.markup import (
    Html,
    count,
    duration,
    el,
    listed,
    percent,
    picture,
    prose,
    size,
    table,
)
from kslds.report.numbers import (
    MAX_SPLITS,
    OPTIONAL_STAGES,
    SEVERITIES,
    STAGES,
    frame,
    read_json,
    results,
    side_order,
    split_names,
)

_DOES = {
    "ingest-recordings": ("reads the media files", "files"),
    "ingest-segments": ("reads the annotations", "annotated segments"),
    "ingest-texts": ("finds what is said during segments", "texts"),
    "consensus": ("makes one segment of what several annotators drew", "segments"),
    "merge-recordings": ("takes over the recordings of other datasets", "recordings"),
    "merge-segments": ("takes over their segments and clips", "segments"),
    "trim": ("finds the frames of every segment", "segments"),
    "resize": ("cuts and resizes the clips", "clips"),
    "split": ("gives every clip a side", "clips"),
    "shard": ("copies the clips into files for training", "clips"),
}
"""What each stage does, and what its books count."""

# A page is for reading: past these numbers it says how many more there are.
_MAX_SPLITS = 12
_MAX_ROWS_OF_CODE = 20
_MAX_ROWS_OPEN = 30
_MAX_RECORDINGS = 200
_MAX_MATRIX = (60, 20)
_MAX_CLASSES = 200
_MAX_NAMED = 40
_MAX_BASELINES = 20
_MAX_BINS = 24


@dataclass(frozen=True, kw_only=True)
class Data:
    """What the page is written from."""

    dataset: Dataset
    facts: Mapping[str, Any]
    """The summary."""
    clips: pd.DataFrame
    split: str | None
    """The split that is shown in detail."""
    unit: str
    """What that split assigns: a column of the clips, `signer_id` or `sentence`."""
    sides: Mapping[str, str]
    """Value of that column → side."""
    names: Mapping[str, tuple[str, str]]
    """Gloss → Kazakh and Russian name."""
    sheet: Sequence[Shown]
    """The clips on the contact sheet."""

    @property
    def folder(self) -> Path:
        """Where the page lies."""
        return self.dataset.root / "reports"

    def sign(self, gloss: str) -> Html:
        """A sign as people and as programs call it."""
        called: list[object] = []
        for name, lang in zip(self.names.get(gloss, ()), ("kk", "ru"), strict=False):
            if name:
                called += [el("span", name, lang=lang), " · "]
        return el("span", called, el("code", gloss), class_="sign")


Section = Callable[[Data], Sequence[object]]


def _overview(data: Data) -> Sequence[object]:
    facts, provenance = data.facts, data.dataset.provenance
    clips = facts.get("clips", {"number": 0, "frames": 0, "seconds": 0.0})
    tiles = [
        (facts.get("recordings", {}).get("number", 0), "recordings"),
        (clips["number"], "clips"),
        (facts["classes"], "signs"),
        (facts["signers"], "signers"),
        (facts["emotions"], "emotions"),
        (clips["frames"], "frames"),
        (duration(clips["seconds"]), "of clips"),
    ]
    needed = [name for name in STAGES if name not in OPTIONAL_STAGES]
    if "merge-segments" in facts["stages"]:
        needed = needed[needed.index("split") :]
    missing = [name for name in needed if name not in facts["stages"]]
    following = missing[0].partition("-")[0] if missing else ""
    tools = [f"kslds {provenance['kslds']}"] if "kslds" in provenance else []
    tools += [provenance["ffmpeg"]] if "ffmpeg" in provenance else []
    lines = [
        ("Licence", facts["licence"] or "not stated: what has none may not be passed on"),
        ("Split", data.split or "none yet"),
        ("Content hash", el("code", facts["dataset_sha256"] or "none before kslds shard")),
        ("Made with", ", ".join(tools) or "not stated"),
        ("Format version", str(facts["format_version"])),
    ]
    shards = [
        (name, held["files"], held["samples"], size(held["bytes"]))
        for name, held in facts.get("shards", {}).items()
    ]
    parts = [
        (
            part["name"],
            ", ".join(text or "not stated" for text in part["licences"]) or "none crossed",
        )
        for part in provenance.get("merged_from", ())
    ]
    content: list[object] = [
        el("ul", [el("li", el("strong", n), " ", noun) for n, noun in tiles], class_="tiles")
    ]
    if missing:
        content.append(
            el("p", "Not done yet: ", ", ".join(missing), ". The next step is ",
               el("code", f"kslds {following}"), ".", class_="note")
        )  # fmt: skip
    content.append(el("dl", [[el("dt", name), el("dd", text)] for name, text in lines]))
    if parts:
        content.append(table("Merged from", ("Dataset", "Licences of its recordings"), parts))
    if shards:
        content.append(table("Files for training", ("Folder", "Files", "Clips", "Size"), shards))
    return content


def _books(data: Data) -> Sequence[object]:
    rows = []
    for name, books in data.facts["stages"].items():
        does, unit = _DOES.get(name, ("", ""))
        into, out, dropped = (books.get(key, 0) for key in ("in", "out", "dropped"))
        balanced = into == out + dropped
        mark = el("td", "✓ yes" if balanced else "✗ NO", class_="ok" if balanced else "error")
        rows.append((el("code", name), does, unit, into, out, dropped, mark))
    if not rows:
        return [el("p", "No stage has run yet.")]
    header = ("Stage", "What it does", "It counts", "In", "Out", "Dropped", "In = out + dropped")
    return [
        el("p", "Every stage keeps books. What goes in comes out, or it is dropped with a reason. "
           "So nothing is lost without a trace: in = out + dropped."),
        table("The books of every stage", header, rows),
    ]  # fmt: skip


def _findings(rows: pd.DataFrame, *, texts: Sequence[str], file: str) -> list[object]:
    """Rows grouped by code: what the code means, what to do, and the first rows of each.

    Args:
        rows: With the columns `code`, `key`, perhaps `severity`, and those named by `texts`.
        texts: The columns that are shown beside the key.
        file: The CSV that has all rows.
    """
    counts = Counter(rows["code"])
    severity = dict(zip(rows["code"], rows["severity"], strict=True)) if "severity" in rows else {}
    rank = {name: place for place, name in enumerate(SEVERITIES)}
    order = sorted(counts, key=lambda c: (rank.get(severity.get(c, ""), 9), -counts[c], c))
    overview: list[Sequence[object]] = []
    details: list[Html] = []
    for code in order:
        known = CODES.get(code) or Code(severity="", title="", meaning="", action="")
        badge: list[object] = []
        if code in severity:
            badge = [el("span", severity[code], class_=f"badge {severity[code]}"), " "]
        link = el("a", code, href=f"#{file}-{code}")
        overview.append((link, [*badge, known.title], counts[code], prose(known.action)))
        first = rows[rows["code"] == code].head(_MAX_ROWS_OF_CODE)
        # What a code says itself is not said again in every row.
        first = first.replace({name: {known.action: None} for name in texts})
        columns = [name for name in texts if first[name].notna().any()]
        listing = table(
            f"{code}, {known.title}",
            ("Where", *(name.capitalize() for name in columns)),
            first[["key", *columns]].itertuples(index=False),
            more=counts[code] - len(first),
        )
        details.append(
            el(
                "details",
                el("summary", el("strong", code), f" {known.title} ({counts[code]:,})"),
                el(
                    "p",
                    prose(known.meaning),
                    " ",
                    el("strong", "What to do:"),
                    " ",
                    prose(known.action),
                ),
                listing,
                id=f"{file}-{code}",
                open="" if len(rows) <= _MAX_ROWS_OPEN else None,
            )
        )
    return [
        table("By code", ("Code", "What is wrong", "Number", "What to do"), overview),
        el("p", "All of them, to open in a spreadsheet: ", el("a", file, href=file)),
        *details,
    ]


def _dropped(data: Data) -> Sequence[object]:
    rows = frame(data.dataset, "dropped", columns=("stage", "key", "code", "reason"))
    if rows.empty:
        return [el("p", "Nothing was dropped.")]
    lost = count(len(rows), "row was", plural="rows were")
    return [
        el("p", f"{lost} left out, each for a reason. Correct the cause and build again; only what "
           "changed is done again."),
        *_findings(rows, texts=("reason", "stage"), file="dropped.csv"),
    ]  # fmt: skip


def _issues(data: Data) -> Sequence[object]:
    columns = ("severity", "code", "key", "message", "hint")
    rows = frame(data.dataset, "issues", columns=columns)
    if rows.empty:
        checked = data.dataset.has("issues")
        return [el("p", "No issue was found." if checked else "Nothing has been checked yet.")]
    return [
        el("p", "An error has to be corrected; a warning is worth a look, an info good to know."),
        *_findings(rows, texts=("message", "hint"), file="issues.csv"),
    ]  # fmt: skip


def _agreement(data: Data) -> Sequence[object]:
    return annotators.section(data.folder, most=_MAX_ROWS_OPEN)


def _recordings(data: Data) -> Sequence[object]:
    if not data.dataset.has("recordings"):
        return [el("p", "No recording has been read yet.")]
    rows = data.dataset.recordings
    # The damaged ones first where not all can be shown.
    order = ["whole", "source_file"] if len(rows) > _MAX_RECORDINGS else ["source_file"]
    rows = rows.assign(whole=rows["damage"].isna()).sort_values(order)
    shown: list[Sequence[object]] = []
    for row in rows.head(_MAX_RECORDINGS).to_dict("records"):
        rate = f"{row['avg_fps_num'] / row['avg_fps_den']:.3f}".rstrip("0").rstrip(".")
        pixels = f"{row['display_width']} × {row['display_height']}"
        if row["sar_num"] != row["sar_den"]:
            pixels += f" (pixels {row['sar_num']}:{row['sar_den']})"
        damage = row["damage"]
        shown.append(
            (
                row["source_file"], row["signer_id"], pixels, rate,
                "variable" if row["is_vfr"] else "constant",
                f"{row['rotation']}°" if row["rotation"] else "none",
                row["num_frames"], duration(row["end_ms"] / 1000), row["codec"],
                el("td", damage, class_="error") if isinstance(damage, str) else "none",
            )
        )  # fmt: skip
    header = ("File", "Signer", "Width × height", "Frames per second", "Frame rate", "Turned by",
              "Frames", "Length", "Codec", "Damage")  # fmt: skip
    return [table("The recordings", header, shown, more=len(rows) - len(shown))]


def _ranked(values: pd.Series[Any]) -> list[tuple[str, int]]:
    """Values with their numbers, the most frequent first."""
    return sorted(Counter(values.dropna()).items(), key=lambda item: (-item[1], item[0]))


def _matrix(data: Data) -> Sequence[object]:
    classes, signers = _ranked(data.clips["gloss_id"]), _ranked(data.clips["signer_id"])
    if not classes or not signers:
        return [el("p", "There is no clip with a sign and a signer yet.")]
    rows, columns = classes[: _MAX_MATRIX[0]], sorted(s for s, _ in signers[: _MAX_MATRIX[1]])
    inside = data.clips[data.clips["signer_id"].isin(columns)]
    counts = Counter(zip(inside["gloss_id"], inside["signer_id"], strict=True))
    most = max(counts[gloss, signer] for gloss, _ in rows for signer in columns) or 1

    def cell(gloss: str, signer: str) -> Html:
        number = counts[gloss, signer]
        return el("td", number, class_=f"n heat{math.ceil(5 * number / most)}")

    totals = dict(signers)
    cells: list[Sequence[object]] = [
        (data.sign(gloss), number, *(cell(gloss, signer) for signer in columns))
        for gloss, number in rows
    ]
    cells.append(("All signs", len(data.clips), *(totals[signer] for signer in columns)))
    hidden = len(signers) - len(columns)
    return [
        el("p", "How many clips there are of each sign by each signer. A 0 is a gap: record it "
           "next."),
        table("Clips of each sign by each signer", ("Sign", "All signers", *columns), cells,
              more=len(classes) - len(rows)),
        el("p", f"{count(hidden, 'more signer')} with fewer clips: not shown here.", class_="more")
        if hidden else "",
    ]  # fmt: skip


def _splits(data: Data) -> Sequence[object]:
    splits = data.facts.get("splits", {})
    if data.split is None:
        return [el("p", "There is no split yet.")]
    rows: list[Sequence[object]] = []
    names = [data.split, *(name for name in splits if name != data.split)]
    for name in [name for name in names if name in splits][:_MAX_SPLITS]:
        total = sum(held["clips"] for held in splits[name].values()) or 1
        rows += [
            (name, side, held["signers"], held["clips"], percent(held["clips"] / total),
             held["classes"], duration(held["seconds"]))
            for side, held in splits[name].items()
        ]  # fmt: skip
    number = len(split_names(data.dataset))
    hidden = number - min(number, _MAX_SPLITS, MAX_SPLITS)
    header = ("Split", "Side", "Signers", "Clips", "Share of clips", "Signs", "Length")
    about = ("A model learns from some signers and is tested on others. Every signer is on one "
             "side only.")  # fmt: skip
    if data.unit == "clip_id":
        about = ("This split assigns single clips: signers may be on several sides, so results on "
                 "it are not results on unseen signers.")  # fmt: skip
    elif data.unit != "signer_id":
        about = ("This split goes by sentences: a model is tested on sentences that it has not "
                 "seen, by signers that it may have seen.")  # fmt: skip
    return [
        el("p", about),
        table("What is on each side", header, rows),
        el("p", f"… and {count(hidden, 'more split')}.", class_="more") if hidden else "",
        *_balance(data),
    ]  # fmt: skip


def _balance(data: Data) -> Sequence[object]:
    """How signs and emotions spread over the sides of the main split."""
    side_of = data.clips[data.unit].map(dict(data.sides))
    sides = sorted(set(data.sides.values()), key=side_order)
    counts = Counter(zip(data.clips["gloss_id"], side_of, strict=True))
    classes, emotions = _ranked(data.clips["gloss_id"]), _ranked(data.clips["emotion"])
    rows: list[Sequence[object]] = []
    for side in sides:
        members = sorted(data.clips["signer_id"][side_of == side].dropna().unique())
        held = sorted(counts[gloss, side] for gloss, _ in classes if counts[gloss, side])
        absent = sorted(gloss for gloss, _ in classes if not counts[gloss, side])
        rows.append(
            (side, listed(members, most=_MAX_NAMED), min(held, default=0),
             held[len(held) // 2] if held else 0, max(held, default=0), len(absent),
             listed(absent, most=10) or "none")
        )  # fmt: skip
    felt = Counter(zip(data.clips["emotion"], side_of, strict=True))
    header = ("Side", "Signers", "Fewest clips of a sign", "Middle", "Most", "Signs without a clip",
              "Which")  # fmt: skip
    content: list[object] = [table(f"Balance of the split “{data.split}”", header, rows)]
    if emotions:
        content.append(
            table("Clips with each emotion on each side", ("Emotion", "All", *sides),
                  [(e, n, *(felt[e, side] for side in sides)) for e, n in emotions])
        )  # fmt: skip
    if classes:
        every = [
            (data.sign(gloss), n, *(counts[gloss, side] for side in sides))
            for gloss, n in classes[:_MAX_CLASSES]
        ]
        listing = table("Clips of each sign on each side", ("Sign", "All", *sides), every,
                        more=len(classes) - len(every))  # fmt: skip
        content.append(el("details", el("summary", "Every sign on each side"), listing))
    return content


def _lengths(data: Data) -> Sequence[object]:
    seconds = np.sort(data.clips["seconds"].to_numpy(dtype=float))
    if not len(seconds):
        return [el("p", "There is no clip yet.")]
    shortest, middle, longest = (float(seconds[i]) for i in (0, len(seconds) // 2, -1))
    # Bins of a round width; the last one takes the few clips that are far longer than others.
    usual = float(np.quantile(seconds, 0.99))
    widths = (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
    width = next((w for w in widths if _MAX_BINS * w > usual), 300)
    bins = min(_MAX_BINS, int(usual / width) + 1)
    counts = np.bincount(np.minimum((seconds / width).astype(int), bins - 1), minlength=bins)
    told = (
        f"The shortest is {shortest:.2f} s, the middle one {middle:.2f} s, the longest "
        f"{longest:.2f} s."
    )
    chart = _histogram(
        counts.tolist(),
        width=width,
        open_end=longest >= bins * width,
        title=f"Clip lengths. {told}",
    )
    return [el("p", f"{count(len(seconds), 'clip')}. {told}"), chart]


def _histogram(counts: Sequence[int], *, width: float, open_end: bool, title: str) -> Html:
    """Bars with their numbers; `width` is that of a bin, in seconds."""
    step, base, high = 720 / len(counts), 196.0, 160.0
    marks: list[Html] = [el("title", title)]
    for i, number in enumerate(counts):
        left, tall = 20 + i * step, high * number / max(counts)
        marks.append(
            el("rect", x=f"{left + 1:.1f}", y=f"{base - tall:.1f}", width=f"{step - 2:.1f}",
               height=f"{tall:.1f}", class_="bar")
        )  # fmt: skip
        if number:
            marks.append(
                el("text", number, x=f"{left + step / 2:.1f}", y=f"{base - tall - 6:.1f}",
                   text_anchor="middle")
            )  # fmt: skip
    for i in range(0, len(counts) + 1, 1 if len(counts) <= 12 else 4):
        beyond = "+" if open_end and i == len(counts) else ""
        marks.append(
            el("text", f"{i * width:g}{beyond}", x=f"{20 + i * step:.1f}", y="214",
               text_anchor="middle")
        )  # fmt: skip
    marks.append(el("rect", x="20", y=f"{base:.1f}", width="720", height="1", class_="axis"))
    marks.append(el("text", "seconds", x="380", y="234", text_anchor="middle"))
    return el("svg", marks, viewBox="0 0 760 240", role="img", aria_label=title, class_="chart")


def _pictures(data: Data) -> Sequence[object]:
    if not data.sheet:
        return [el("p", "No clip has been rendered yet.")]
    rows = "; ".join(f"{clip.name}, {clip.about}" for clip in data.sheet)
    path = data.folder / "contact-sheet.png"
    alt = f"{count(len(data.sheet), 'clip')}, a row each, from the first frame to the last: {rows}"
    return [
        el("p", "Some clips, a row each, from the first frame to the last. Does the sign begin at "
           "the left and end at the right? Is all of it in the picture?"),
        el("figure", picture(path, alt=alt, folder=data.folder)),
    ]  # fmt: skip


def _baselines(data: Data) -> Sequence[object]:
    found = results(data.dataset)
    if not found:
        return [el("p", "No baseline has been run. It would show how well signs can be learnt: ",
                   el("code", "kslds baseline run DIR"))]  # fmt: skip
    rows: list[Sequence[object]] = []
    figures: list[Html] = []
    for result in found[:_MAX_BASELINES]:
        model, task = result.get("model"), result.get("task")
        scores = (result.get("per_signer") or {}).items()
        ranked = sorted((score["accuracy"], signer) for signer, score in scores)
        spread = [f"{percent(rate)} ({signer})" for rate, signer in ranked[:1] + ranked[-1:]]
        paper = result.get("paper") or {}
        macro_f1 = result.get("macro_f1")
        current = result.get("dataset_sha256") == data.facts["dataset_sha256"]
        rows.append(
            (model, task, percent(result.get("top1")), percent(result.get("chance")),
             "" if macro_f1 is None else f"{macro_f1:.3f}", " to ".join(spread),
             result.get("n_train"), result.get("n_test"), percent(paper.get("top1")) or "–",
             "this build" if current else el("td", "another build", class_="warning"))
        )  # fmt: skip
        path = data.folder / "baselines" / result["folder"] / "confusion.png"
        if path.is_file():
            alt = f"Confusion matrix of {model}, {task}: rows are the truth, columns the prediction"
            caption = el("figcaption", f"{model}, {task}: what was taken for what")
            figures.append(el("figure", picture(path, alt=alt, folder=data.folder), caption))
    header = ("Model", "Task", "Top-1", "Chance", "Macro F1", "Hardest to easiest signer",
              "Train clips", "Test clips", "Paper’s top-1", "Measured on",
              )  # fmt: skip
    return [
        el("p", "How well models recognise clips of signers whom they have never seen. Top-1 is "
           "the share of clips that are recognised. Chance is what always answering with the most "
           "frequent class would give."),
        table("Baselines", header, rows, more=len(found) - len(rows)),
        el("div", figures, class_="figures"),
    ]  # fmt: skip


def _personal(data: Data) -> Sequence[object]:
    path = data.folder / "capture.json"
    capture = read_json(path) if path.is_file() else {}
    files = frame(data.dataset, "recordings", columns=("recording_id", "source_file"))
    name_of = dict(zip(files["recording_id"], files["source_file"], strict=True))
    kinds = sorted({kind for stated in capture.values() for kind in stated})
    rows = sorted(
        (name_of.get(key, key), *(stated.get(kind, "") for kind in kinds))
        for key, stated in capture.items()
    )
    columns = ("consent_scope", "consent_withdrawn")
    signers = frame(data.dataset, "signers", columns=columns)
    withdrawn = signers["consent_withdrawn"].astype(bool)
    agreed = int(((signers["consent_scope"] == "publication") & ~withdrawn).sum())
    header = ("File", *(kind.capitalize() for kind in kinds))
    return [
        el("p", el("strong", "Not published."), " The raw files carry what is listed here. The "
           "clips and the files for training do not: they are made from the pictures alone, "
           "without sound and without anything that the raw file says about itself.",
           class_="note"),
        table("Found in the raw files", header, rows[:_MAX_RECORDINGS],
              more=len(rows) - _MAX_RECORDINGS)
        if rows else el("p", "No date, device or place was found in the raw files."),
        el("p", "What each clip does come with: the signer’s pseudonym, the labels, and the name "
           "of the raw file. If a file is named after a person, rename it and build again."),
        el("p", f"{agreed:,} of {count(len(signers), 'signer')} consented to publication; "
           f"{int(withdrawn.sum()):,} withdrew. kslds publish stops unless everybody consented."),
    ]  # fmt: skip


def _words(data: Data) -> Sequence[object]:
    del data
    words = (
        ("Recording", "One raw video file."),
        ("Segment", "A part of a recording that was marked and labelled, from a start to an end."),
        ("Clip", "The short video that is cut out of a recording for one segment."),
        ("Sign", "What is signed. Its name in the lexicon, for programs, is its gloss."),
        ("Split", "Which signers a model learns from, and which it is tested on: its sides."),
        ("Dropped", "Left out of the dataset, for a reason that is written down."),
        ("Code", "A short name such as K103 for one kind of problem. It never changes."),
        ("Shard", "A file that holds many clips, for training."),
        ("Baseline", "A simple model, to see how well the signs can be learnt."),
    )
    return [el("dl", [[el("dt", word), el("dd", meaning)] for word, meaning in words])]


SECTIONS: Mapping[str, tuple[str, Section]] = {
    "overview": ("Overview", _overview),
    "books": ("The books", _books),
    "dropped": ("What was dropped, and why", _dropped),
    "issues": ("Issues", _issues),
    "agreement": ("Agreement of annotators", _agreement),
    "pictures": ("Pictures", _pictures),
    "signers": ("Signs and signers", _matrix),
    "splits": ("Split", _splits),
    "lengths": ("Length of clips", _lengths),
    "recordings": ("Recordings", _recordings),
    "baselines": ("Baselines", _baselines),
    "personal": ("Personal data", _personal),
    "words": ("Words", _words),
}
"""Sections in order: anchor → heading and what writes it."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = Html("""
:root { color-scheme: light dark; --ink: #1f2937; --soft: #4b5563; --line: #d7dbe2;
  --back: #ffffff; --card: #f5f6f8; --accent: #1d5fc4; --ok: #166534; --bad: #b42318;
  --warn: #92500b; --heat: 29 95 196; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --soft: #a8b0bd; --line: #3a414d;
  --back: #14171c; --card: #1e232b; --accent: #8ab4f8; --ok: #86d9a0; --bad: #ff9d94;
  --warn: #f0bd6d; --heat: 110 165 250; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.5rem; }
h1 { margin: 2rem 0 0.25rem; font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 0.75rem; font-size: 1.3rem; }
section { margin: 2.25rem 0; padding-top: 1.5rem; border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: 0.5rem 0; }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; margin: 1rem 0 0; padding: 0;
  list-style: none; }
.soft, .more, footer { color: var(--soft); }
.note { padding: 0.6rem 0.9rem; background: var(--card); border-left: 4px solid var(--accent); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.75rem, 1fr)); gap: 0.75rem;
  margin: 0 0 1rem; padding: 0; list-style: none; }
.tiles li { padding: 0.7rem 0.9rem; background: var(--card); border-radius: 0.5rem;
  color: var(--soft); }
.tiles strong { display: block; color: var(--ink); font-size: 1.3rem; line-height: 1.3; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: 0.25rem 1.25rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 1rem 0 0.25rem; }
table { border-collapse: collapse; font-size: 0.9rem; }
caption { padding: 0 0 0.35rem; text-align: left; font-weight: 600; white-space: nowrap; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; max-width: 34rem; overflow-wrap: break-word; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
th.n, .n { text-align: right; font-variant-numeric: tabular-nums; }
.ok { color: var(--ok); } .error { color: var(--bad); } .warning { color: var(--warn); }
.badge { padding: 0 0.45rem; border: 1px solid currentcolor; border-radius: 1rem;
  font-size: 0.8rem; }
.heat0 { color: var(--bad); }
.heat1 { background: rgb(var(--heat) / 0.10); } .heat2 { background: rgb(var(--heat) / 0.19); }
.heat3 { background: rgb(var(--heat) / 0.28); } .heat4 { background: rgb(var(--heat) / 0.37); }
.heat5 { background: rgb(var(--heat) / 0.46); }
code { font-family: ui-monospace, "DejaVu Sans Mono", Consolas, monospace; font-size: 0.92em; }
details { margin: 0.75rem 0; }
summary { cursor: pointer; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 0.4rem; }
figcaption { color: var(--soft); font-size: 0.9rem; }
.figures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr));
  align-items: end; }
.sign { display: inline-block; min-width: 11rem; }
.chart { width: 100%; max-width: 760px; height: auto; }
.chart text { fill: var(--soft); font-size: 12px; }
.chart .bar { fill: var(--accent); } .chart .axis { fill: var(--line); }
""")


def head(title: str, *more_style: Html) -> Html:
    """The head of a page that loads nothing and runs nothing."""
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", _STYLE, *more_style),
    )


def page(data: Data) -> Html:
    """The whole page."""
    name = data.facts["name"]
    links = [el("li", el("a", title, href=f"#{key}")) for key, (title, _) in SECTIONS.items()]
    sections = [
        el("section", el("h2", title, id=f"{key}-title"), write(data), "\n", id=key,
           aria_labelledby=f"{key}-title")
        for key, (title, write) in SECTIONS.items()
    ]  # fmt: skip
    intro = el(
        "header",
        el("h1", name),
        el("p", "What this dataset of sign language holds, what was left out, and why. The page is "
           "made from the dataset’s own tables and lies on your disk; kslds does not publish it.",
           class_="soft"),
        el("nav", el("ul", links), aria_label="Sections"),
    )  # fmt: skip
    footer = el("footer", el("p", "Made again from the same dataset, this page is the same."))
    body = el("body", intro, "\n", el("main", sections), footer)
    return Html(f"<!DOCTYPE html>\n{el('html', head(f'{name}: report'), body, lang='en')}\n")
