"""What a baseline is measured by, and the files it leaves behind.

Macro F1 is the mean of the F1 of every class that occurs in the truth of the
training or the test split; a class without a right prediction counts 0. So a class
that only one side holds lowers it, as it should.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kslds.manifest import readable_json, shielded, write_atomic, write_bytes

UNKNOWN_SIGNER = "(unknown)"
"""Stands for the signer of clips that name none."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One labelled clip."""

    key: str
    signer_id: str
    """Pseudonym, or `UNKNOWN_SIGNER`."""
    target: int
    """Index into the classes of the task."""


@dataclass(frozen=True, kw_only=True)
class SignerScore:
    """How well the clips of one signer of the test split were recognised."""

    accuracy: float
    """0 to 1."""
    n: int
    """Clips of this signer."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a paper reports for this model and task."""

    top1: float
    """0 to 1."""
    macro_f1: float | None
    """0 to 1; None where the paper does not say."""
    source: str = "KSL-Emo"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One trained and tested baseline. All rates are 0 to 1."""

    model: str
    task: str
    top1: float
    """Share of test clips whose class was predicted."""
    macro_f1: float
    """Mean F1 over the classes of train and test."""
    chance: float
    """Top-1 of always saying the most frequent class of the training split."""
    per_signer: Mapping[str, SignerScore]
    classes: tuple[str, ...]
    """Rows and columns of `confusion`: the classes that occur in truth or prediction."""
    confusion: tuple[tuple[int, ...], ...]
    """Counts of test clips: row is the truth, column the prediction."""
    n_train: int
    n_test: int
    skipped: Mapping[str, int]
    """Clips of each split that carry no label for the task; not counted in `n_train`, `n_test`."""
    unseen_classes: Mapping[str, int]
    """Classes of the test split that never occur in training, and their test clips."""
    paper: Figure | None
    """None also for a tiny model, which the paper does not have."""
    dataset_sha256: str
    settings: Mapping[str, Any]
    """With every default filled in."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the model adds, the same in every run: parameters, hash of the weights, …"""
    run: Mapping[str, Any] = field(default_factory=dict)
    """What differs from run to run: seconds, device, package versions."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Where the report files lie."""

    def rows(self) -> list[tuple[str, str, str]]:
        """Measure, own value and the paper's value, for a table on screen."""
        paper = self.paper
        paper_f1 = paper.macro_f1 if paper else None
        rows = [
            ("top-1", _percent(self.top1), _percent(paper.top1) if paper else ""),
            ("macro F1", f"{self.macro_f1:.4f}", "" if paper_f1 is None else f"{paper_f1:.4f}"),
            ("chance", _percent(self.chance), ""),
            ("train clips", str(self.n_train), ""),
            ("test clips", str(self.n_test), ""),
        ]
        rows += [
            (f"signer {signer}", f"{_percent(score.accuracy)} of {score.n}", "")
            for signer, score in self.per_signer.items()
        ]
        return rows

    def lines(self) -> list[str]:
        """The same for people, with what has to be known to read the numbers."""
        source = self.paper.source if self.paper else ""
        lines = [f"{self.model}, task {self.task}, signers not seen in training:"]
        lines += [
            f"  {name:<20} {value}" + (f"   ({source}: {paper})" if paper else "")
            for name, value, paper in self.rows()
        ]
        lines += [
            f"  {n} clips of {split!r} have no {self.task} label and were skipped."
            for split, n in self.skipped.items()
            if n
        ]
        if self.unseen_classes:
            lines.append(
                f"  {sum(self.unseen_classes.values())} test clips are of classes that training "
                f"never saw: {', '.join(self.unseen_classes)}."
            )
        return lines

    def document(self) -> dict[str, Any]:
        """The result as plain values, as `result.json` holds it.

        The confusion matrix is in the file beside it, and where the files lie is left out.
        """
        return {k: v for k, v in asdict(self).items() if k not in ("confusion", "files")}


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f} %"


def measure(
    predicted: Mapping[str, int],
    *,
    train: Sequence[Example],
    test: Sequence[Example],
    classes: Sequence[str],
) -> dict[str, Any]:
    """The measures of a `Result`, from predictions.

    Args:
        predicted: Clip key to the predicted index into `classes`, for every test clip.
        train: The clips that were learnt from.
        test: The clips that were predicted, at least one.
        classes: The names of the classes of the task.
    """
    from sklearn.metrics import confusion_matrix, f1_score

    truth = np.array([example.target for example in test])
    guess = np.array([predicted[example.key] for example in test])
    right = truth == guess
    trained = np.bincount([example.target for example in train], minlength=len(classes))
    labels = sorted({e.target for e in train} | {e.target for e in test})
    shown = sorted(set(truth.tolist()) | set(guess.tolist()))
    signers = np.array([example.signer_id for example in test])
    return {
        "top1": float(right.mean()),
        "macro_f1": float(f1_score(truth, guess, labels=labels, average="macro", zero_division=0)),
        "chance": float((truth == trained.argmax()).mean()),
        "per_signer": {
            str(signer): SignerScore(
                accuracy=float(right[signers == signer].mean()), n=int((signers == signer).sum())
            )
            for signer in np.unique(signers)
        },
        "classes": tuple(classes[i] for i in shown),
        "confusion": tuple(
            tuple(int(n) for n in row) for row in confusion_matrix(truth, guess, labels=shown)
        ),
        "unseen_classes": {
            classes[i]: int((truth == i).sum())
            for i in sorted(set(truth.tolist()))
            if not trained[i]
        },
    }


def write_predictions(
    path: Path, predicted: Mapping[str, int], *, test: Sequence[Example], classes: Sequence[str]
) -> None:
    """One line per test clip, sorted by key: key, signer's pseudonym, truth, prediction."""
    rows = [
        (e.key, e.signer_id, classes[e.target], classes[predicted[e.key]])
        for e in sorted(test, key=lambda e: e.key)
    ]
    write_bytes(path, _csv([("key", "signer_id", "truth", "predicted"), *rows]))


def write_report(out: Path, result: Result, *, names: Mapping[str, str]) -> None:
    """Write `confusion.csv`, `confusion.png` and, last, `result.json`.

    Args:
        out: The folder.
        result: What to write.
        names: What people call the classes, for the picture.
    """
    counts = [(name, *row) for name, row in zip(result.classes, result.confusion, strict=True)]
    write_bytes(out / "confusion.csv", _csv([("truth", *result.classes), *counts]))
    with write_atomic(out / "confusion.png") as file:
        file.write(confusion_picture(result, names=names))
    write_bytes(out / "result.json", readable_json(result.document()))


def read_report(out: Path) -> Result | None:
    """The result that `write_report` left in a folder; None where it is missing or incomplete."""
    names = ("confusion.csv", "confusion.png", "predictions.csv", "result.json")
    if not all((out / name).is_file() for name in names):
        return None
    try:
        document = json.loads((out / "result.json").read_bytes())
        with (out / "confusion.csv").open(encoding="utf-8", newline="") as file:
            _, *rows = csv.reader(file)
        paper = document["paper"]
        read = {
            "classes": tuple(document["classes"]),
            "confusion": tuple(tuple(int(n) for n in row[1:]) for row in rows),
            "per_signer": {k: SignerScore(**v) for k, v in document["per_signer"].items()},
            "paper": None if paper is None else Figure(**paper),
            "files": {name: str(out / name) for name in names},
        }
        return Result(**{**document, **read})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [shielded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return text.getvalue().encode()


def confusion_picture(result: Result, *, names: Mapping[str, str]) -> bytes:
    """The confusion matrix as PNG: colour is the share of the row, numbers are counts.

    Up to 30 classes the counts are written into the cells; past 100 the classes are
    numbered instead of named.
    """
    from matplotlib.figure import Figure as Canvas

    counts = np.array(result.confusion)
    size = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(4 + 0.28 * size, 32)
    figure = Canvas(figsize=(side + 1, side), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.04)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(
        f"{result.model}, {result.task}: top-1 {_percent(result.top1)} of {result.n_test} clips"
    )
    if size <= 100:
        labels = [_drawable(names.get(name, name), fallback=name) for name in result.classes]
        axes.set_xticks(range(size), labels=labels, rotation=90, fontsize=8, parse_math=False)
        axes.set_yticks(range(size), labels=labels, fontsize=8, parse_math=False)
    if size <= 30:
        for row, column in zip(*counts.nonzero(), strict=True):
            axes.text(
                column, row, str(counts[row, column]), ha="center", va="center", fontsize=8,
                color="white" if shares[row, column] > 0.5 else "black",
            )  # fmt: skip
    data = io.BytesIO()
    figure.savefig(data, format="png", bbox_inches="tight", metadata={"Software": None})
    return data.getvalue()


def _drawable(text: str, *, fallback: str) -> str:
    """The text, shortened, where matplotlib's own font can draw it; else the fallback."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    glyphs = font.get_charmap()
    chosen = text if all(ord(letter) in glyphs for letter in text) else fallback
    return chosen if len(chosen) <= 24 else chosen[:23] + "…"
