"""The section of the page about several annotators: how far they agree, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kslds.manifest import is_hashed
from kslds.report.markup import Html, count, el, listed, table
from kslds.report.numbers import read_json

_MAX_NAMES = 5


def section(folder: Path, *, most: int) -> Sequence[object]:
    """What `reports/agreement.json` says.

    Args:
        folder: Where it lies, if anything was annotated by several people.
        most: So many rows of a list are shown.
    """
    path = folder / "agreement.json"
    if not path.is_file():
        return [el("p", "Nothing was annotated by several people.")]
    found = read_json(path)
    return [*_summary(found), *_numbers(found), *_to_look_at(found, most=most)]


def _summary(found: Mapping[str, Any]) -> Sequence[object]:
    shared = found["groups"] - found["groups_by_annotators"].get("1", 0)
    rule = found["rule"]
    became = (
        "Each annotator’s segment is a clip of its own; a rule under [consensus] would make one "
        "of them."
        if rule == "none"
        else f"One segment stands for each group: its boundaries follow the rule “{rule}”, its "
        "label is the one with the most votes."
    )
    names = [name for name in found["annotators"] if is_hashed(name, prefix="annotator")]
    hashed = (
        el("p", f"{listed(names, most=_MAX_NAMES)}: the name has letters beyond a-z and could be "
           "a person’s, so it is not spelled out. To see who it is, look in your own "
           "annotations at the place that agreement.csv gives under “sources”. Pseudonyms such as "
           "a1 are shown as they are.")
        if names
        else ""
    )  # fmt: skip
    return [
        el("p", f"Of {count(found['groups'], 'group')} of segments that mean the same sign (IoU of "
           f"at least {found['min_iou']:g}), {shared:,} are by more than one annotator. {became}"),
        table("Who drew how much", ("Annotator", "Segments"), list(found["annotators"].items())),
        hashed,
    ]  # fmt: skip


def _numbers(found: Mapping[str, Any]) -> Sequence[object]:
    apart = [
        (name, *(_number(spread[key], digits) for key in ("mean", "median", "min", "max")))
        for name, spread, digits in (
            ("Overlap (IoU)", found["iou"], 3),
            ("Between the starts, ms", found["start_ms"], 1),
            ("Between the ends, ms", found["end_ms"], 1),
        )
        if spread
    ]
    labels = [
        (name, kind["compared"], kind["agreed"], _number(kind["krippendorff_alpha"], 3))
        for name, kind in (("Labels", found["labels"]), ("Emotions", found["emotions"]))
    ]
    pairs = [
        (f"{row['a']} and {row['b']}", row["shared"], row["only_a"], row["only_b"],
         _number(row["iou"], 3), _number(row["start_ms"], 1), _number(row["end_ms"], 1),
         row["same_label"], _number(row["cohen_kappa"], 3))
        for row in found["pairs"]
    ]  # fmt: skip
    return [
        table("How far boundaries are apart", ("", "Mean", "Median", "Least", "Most"), apart)
        if apart
        else el("p", "No two annotators have drawn the same sign, so there is nothing to compare."),
        table("Agreement on labels", ("", "Groups compared", "All agree", "Krippendorff’s alpha"),
              labels),
        table("Pairs of annotators, on recordings that both have worked on", ("Annotators", "Both",
              "Only the first", "Only the second", "IoU", "Starts apart, ms", "Ends apart, ms",
              "Same label", "Cohen’s kappa"), pairs),
        el("p", "Alpha and kappa are 1 where all agree, and 0 where they agree no more often than "
           "by chance; – stands where that is not defined, as where only one label was given. They "
           "compare the labels of signs that were drawn by both; what one of them has not drawn is "
           "counted beside them."),
    ]  # fmt: skip


def _to_look_at(found: Mapping[str, Any], *, most: int) -> Sequence[object]:
    review = [
        (_place(r), r["said"], r["became"], "yes" if r["tied"] else "")
        for r in found["review"][:most]
    ]
    missing = [
        (_place(r), r["said"], r["not_by"], r["became"]) for r in found.get("missing", [])[:most]
    ]
    furthest = [
        (_place(r), _number(r["iou"], 3), _number(r["start_apart_ms"], 1),
         _number(r["end_apart_ms"], 1))
        for r in found["furthest"]
    ]  # fmt: skip
    lists = (
        ("To look at: labels differ", ("Where", "Who says what", "Became", "Vote tied"), review,
         found["differing"]),
        ("To look at: not marked by all who worked on the recording",
         ("Where", "Who says what", "Not marked by", "Became"), missing, found.get("missed", 0)),
        ("To look at: boundaries furthest apart",
         ("Where", "IoU", "Starts apart, ms", "Ends apart, ms"), furthest, len(furthest)),
    )  # fmt: skip
    return [
        *(table(title, header, rows, more=number - len(rows))
          if rows else el("p", f"{title}: none.")
          for title, header, rows, number in lists),
        el("p", "Every group, to open in a spreadsheet: ",
           el("a", "agreement.csv", href="agreement.csv")),
    ]  # fmt: skip


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['file']}, {row['start_ms']:,} to {row['end_ms']:,} ms"


def _number(value: float | None, digits: int) -> Html:
    return el("td", "–" if value is None else f"{value:,.{digits}f}", class_="n")
