"""Signers, classes and sides: counts, leaks between sides, and balance."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pandas as pd

from kslds.audit.findings import Collected, Example, Leak, Side, number, share, some, spread
from kslds.codes import CODES
from kslds.manifest import key_of
from kslds.report.numbers import side_order

_DOMINANT = (0.10, 5)  # of all rows, and times an equal share
_WHY_LEAK = (
    "A model knows the people it was trained on: how they look, where they sit, how they sign. "
    "Scores on them are usually higher than on others, so they do not tell how it will do in use."
)
_EMPTY_CLASSES = {"no_event", "no event", "no_gesture", "no_sign", "background", "---"}


def spellings(found: Collected, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with one spelling of each signer, as a build takes them for one."""
    ways: dict[str, list[str]] = defaultdict(list)
    for name in rows["signer"].dropna().unique():
        if name:
            ways[key_of(name, prefix="signer")].append(name)
    other = {name: same[0] for same in ways.values() for name in same[1:]}
    found.expect(bool(other) or not ways, "Every signer is written one way.")
    if not other:
        return rows
    again = rows["signer"].isin(list(other))
    first = ~rows["signer"].where(again).duplicated() & again
    found.add("K134", len(other), f"{number(len(other), 'spelling')} of a signer who is also "
              "written otherwise; counted as one here.", unit="spellings",
              at=some(rows, first, lambda r: f"{r.signer!r} / {other[r.signer]!r}",
                      most=found.examples))  # fmt: skip
    return rows.assign(signer=rows["signer"].where(~again, rows["signer"].map(other)))


def counts(found: Collected, rows: pd.DataFrame) -> None:
    """Rows, signers and classes: in all, and on each side."""
    facts = found.facts
    by_signer, by_class = (rows[c].value_counts() for c in ("signer", "class"))
    facts.rows, facts.signers, facts.classes = len(rows), len(by_signer), len(by_class)
    facts.by_signer, facts.by_class = (spread(c.to_numpy()) for c in (by_signer, by_class))
    facts.class_sizes = tuple(int(n) for n in by_class.to_numpy())
    facts.signer_sizes = tuple(int(n) for n in by_signer.to_numpy())
    order = sorted(rows["split"].dropna().unique(), key=side_order)
    facts.sides = tuple(
        Side(
            name=name, rows=len(held), classes=held["class"].nunique(),
            signers=held["signer"].nunique(),
            largest=round(int(held["signer"].value_counts().max()) / len(held), 4)
            if held["signer"].notna().any() else 0.0,
        )
        for name in order
        for held in [rows[rows["split"] == name]]
    )  # fmt: skip
    top = sorted(zip(by_signer.index, by_signer, strict=True), key=lambda p: (-p[1], p[0]))[:24]
    chosen = rows[rows["signer"].isin([name for name, _ in top])]
    held = Counter(zip(chosen["signer"], chosen["split"], strict=True))
    facts.top_signers = tuple(
        (name, tuple(held[name, side] for side in order) if order else (int(count),))
        for name, count in top
    )
    pairs = rows[["class", "signer"]].dropna().drop_duplicates()
    facts.signers_of_class = spread(pairs["class"].value_counts().to_numpy())


def missing(found: Collected, rows: pd.DataFrame) -> None:
    """Rows that cannot be read, or lack a label, a signer or a side."""
    facts = found.facts
    by_code: dict[str, list[Example]] = defaultdict(list)
    for problem in found.table.problems:
        by_code[problem.code].append(Example(where=problem.place, text=problem.text))
    for code, examples in sorted(by_code.items()):
        meaning = _begin_small(CODES[code].meaning)
        noun = "file" if code == "K109" else "row"
        found.add(code, len(examples), f"{number(len(examples), noun)}: {meaning}",
                  unit=f"{noun}s", examples=examples)  # fmt: skip
    found.expect("K111" in by_code, "Every boundary is a number in its unit.")
    of_sentences = [i for i, file in enumerate(found.table.files) if file.sentences]
    clips = rows[~rows["file"].isin(of_sentences)]
    if len(clips) < len(rows):
        facts.skipped.append(
            f"Signers and sides of {number(len(rows) - len(clips), 'row')}: each is a sentence and "
            "no clip. Name the folder of the clips, or a list of them, to have both looked at."
        )
    for code, column, noun in (
        ("K118", "class", "label"), ("K321", "signer", "signer"), ("K612", "split", "side"),
    ):  # fmt: skip
        mine = rows if column == "class" else clips
        if mine.empty:
            continue
        lacks = mine[column].isna() | (mine[column] == "")
        count = int(lacks.sum())
        if column == "split" and count == len(mine):
            found.add("K613", count, "No file says which rows are for training and which are not.")
            continue
        if count:
            whole = " (all of them)" if count == len(mine) else ""
            found.add(code, count, f"{number(count, 'row')}{whole} without a {noun}.",
                      at=some(mine, lacks, lambda r: f"{r.id or r.recording or 'row'}",
                               most=found.examples))  # fmt: skip
        else:
            facts.fine.append(f"Every row has a {noun}.")


def _begin_small(text: str) -> str:
    """A sentence behind a colon; a name in capitals stays one."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def sides(found: Collected, rows: pd.DataFrame) -> None:
    """Who signs on which side, and the verdict."""
    facts = found.facts
    order = [side.name for side in facts.sides]
    told = rows[rows["signer"].notna() & rows["split"].notna()]
    if not order or told.empty or len(order) < 2:
        facts.verdict = "unknown" if len(order) > 1 else "no split"
        facts.headline = (
            "Cannot be told: no row names its signer." if len(order) > 1
            else f"There is one side only, {order[0]!r}: nothing to compare." if order
            else "No split is published."
        )  # fmt: skip
        return
    signer, names = pd.factorize(told["signer"])
    signers = names.tolist()
    side = pd.Categorical(told["split"], categories=order).codes.astype(np.int64)
    shape = (len(signers), len(order))
    counts = np.bincount(signer * shape[1] + side, minlength=shape[0] * shape[1]).reshape(shape)
    empty = told["class"].str.casefold().isin(_EMPTY_CLASSES).to_numpy()
    signs = np.bincount(
        (signer * shape[1] + side)[~empty], minlength=shape[0] * shape[1]
    ).reshape(shape)  # fmt: skip
    pair = pd.factorize(told["class"])[0].astype(np.int64) * len(signers) + signer
    pairs = [
        np.unique(pair[(side == i) & told["class"].notna().to_numpy()]) for i in range(len(order))
    ]
    leaks = []
    for i in range(len(order)):
        for k in range(i + 1, len(order)):
            shared = np.flatnonzero((counts[:, i] > 0) & (counts[:, k] > 0))
            ranked = sorted(shared, key=lambda s: (-counts[s, k], str(signers[s])))
            leaks.append(
                Leak(
                    side=order[k], of=order[i], signers=int((counts[:, k] > 0).sum()),
                    shared=tuple((str(signers[s]), int(counts[s, i]), int(counts[s, k]))
                                 for s in ranked),
                    rows=int(counts[shared, k].sum()), of_rows=int(counts[:, k].sum()),
                    same_class=len(np.intersect1d(pairs[i], pairs[k])),
                    signs_rows=int(signs[shared, k].sum()) if empty.any() else None,
                    signs_of_rows=int(signs[:, k].sum()) if empty.any() else None,
                )
            )  # fmt: skip
    facts.leaks = tuple(leaks)
    _verdict(found, told, pair)
    _one_sided(found, rows)


def _verdict(found: Collected, told: pd.DataFrame, pair: Any) -> None:
    facts = found.facts
    bad = [leak for leak in facts.leaks if leak.shared]
    # What results are reported on comes first.
    bad.sort(key=lambda leak: (leak.side != "test", leak.of != "train"))
    for leak in bad:
        message = (
            f"{len(leak.shared):,} of {number(leak.signers, f'{leak.side} signer')} also "
            f"{'train' if leak.of == 'train' else f'sign in {leak.of}'}; "
            f"{leak.rows:,} of {leak.of_rows:,} {leak.side} rows "
            f"({share(leak.rows, leak.of_rows)}) are theirs"
        )
        extra = ""
        if leak.signs_rows is not None and leak.signs_of_rows is not None:
            extra = (
                f" Without the clips in which nothing is signed: {leak.signs_rows:,} of "
                f"{leak.signs_of_rows:,} ({share(leak.signs_rows, leak.signs_of_rows)})."
            )
        first = told[told["split"] == leak.side].drop_duplicates("signer")
        row_of = dict(zip(first["signer"], first.index, strict=True))
        found.add(
            "K402", len(leak.shared), f"{message}.{extra}", unit="signers",
            at=[(row_of[s], f"signer {s}: {number(a, 'row')} in {leak.of}, {b:,} in {leak.side}")
                for s, a, b in leak.shared[: found.examples]],
            title=f"signers of {leak.side} also in {leak.of}", why=_WHY_LEAK,
            action=f"Split by signer, or report {leak.side} as what it is: seen signers. Of the "
            f"published rows, {leak.of_rows - leak.rows:,} can measure unseen ones.",
        )  # fmt: skip
        facts.headline = facts.headline or f"{message}."
        if leak.same_class:
            both = np.intersect1d(
                pair[(told["split"] == leak.of).to_numpy()],
                pair[(told["split"] == leak.side).to_numpy()],
            )
            here = told[np.isin(pair, both) & (told["split"] == leak.side).to_numpy()]
            some_of = here.drop_duplicates(["class", "signer"]).head(found.examples)
            at = [(int(row), f"{name!r} by {who}") for row, name, who in
                  zip(some_of.index, some_of["class"], some_of["signer"], strict=True)]  # fmt: skip
            found.add(
                "K610", leak.same_class,
                f"{number(leak.same_class, '(class, signer) pair')} in both {leak.of} and "
                f"{leak.side}: the same person makes the same sign on both sides.",
                unit="pairs", at=at,
            )  # fmt: skip
    facts.verdict = "no" if bad else "yes"
    if not bad:
        listed = ", ".join(f"{side.signers:,} {side.name}" for side in facts.sides)
        facts.headline = f"{listed} signers, nobody on two sides."
        facts.fine.append(f"The sides are disjoint by signer: {listed}.")
    if left_out := facts.rows - len(told):
        facts.headline += f" Not judged: {number(left_out, 'row')} without a signer or a side."


def _one_sided(found: Collected, rows: pd.DataFrame) -> None:
    """Classes that occur on some sides only."""
    held = rows[["class", "split"]].dropna().drop_duplicates()
    sides = held.groupby("class")["split"].agg(lambda s: sorted(s, key=side_order))
    order = [side.name for side in found.facts.sides]
    partial = sides[sides.map(len) < len(order)]
    if partial.empty:
        found.facts.fine.append("Every class occurs on every side.")
        return
    once = rows.drop_duplicates("class")
    row_of = dict(zip(once["class"], once.index, strict=True))
    untrained = sum(order[0] not in on for on in partial)
    found.add(
        "K403", len(partial),
        f"{number(len(partial), 'class')} of {len(sides):,} missing on a side; "
        f"{untrained or 'none'} of them in {order[0]}.",
        unit="classes",
        at=[(row_of[name], f"{name!r} in {', '.join(on)} only")
            for name, on in partial.head(found.examples).items()],
    )  # fmt: skip


def recordings(found: Collected, rows: pd.DataFrame) -> None:
    """Recordings and keys on two sides."""
    if len(found.facts.sides) < 2:
        return
    for column, noun in (("id", "key"), ("recording", "recording")):
        held = rows[[column, "split"]].dropna().drop_duplicates()
        twice = held[column].duplicated(keep=False)
        if not twice.any():
            found.expect(held.empty, f"No {noun} is on two sides.")
            continue
        shared = held[twice].sort_values([column, "split"])
        count = shared[column].nunique()
        named = shared[column].unique()[: found.examples]
        at = [
            (int(g.index[0]), f"{name} in {', '.join(sorted(g['split'], key=side_order))}")
            for name, g in shared[shared[column].isin(named)].groupby(column, sort=True)
        ]
        found.add("K402", count, f"{number(count, noun)} with rows on two sides.", unit=f"{noun}s",
                  at=at, title=f"{noun} on two sides",
                  why="What a model was trained on is among what it is tested on.",
                  action="Keep all rows of it on one side.")  # fmt: skip


def balance(found: Collected, rows: pd.DataFrame) -> None:
    """One signer with too much, classes with too few signers."""
    facts = found.facts
    if facts.by_signer and facts.signers > 1:
        counts = rows["signer"].value_counts()
        total = int(counts.sum())
        most, equal = int(counts.iloc[0]), total / len(counts)
        if most > _DOMINANT[0] * total and most > _DOMINANT[1] * equal:
            name = str(counts.index[0])
            at = [(rows.index[(rows["signer"] == name).to_numpy()][0], f"signer {name}")]
            found.add(
                "K611", 1, f"One signer holds {most:,} of {total:,} rows ({share(most, total)}); "
                f"an equal share would be {equal:,.0f}.", unit="signers", at=at,
            )  # fmt: skip
        else:
            facts.fine.append(
                f"No signer dominates: the largest share of {number(len(counts), 'signer')} is "
                f"{share(most, total)}."
            )
    held = rows[["class", "signer"]].dropna()
    if held.empty:
        return
    pairs = held.drop_duplicates("class")
    many = held.drop_duplicates()["class"].value_counts()
    few = set(many[many < 2].index)
    chosen = pairs[pairs["class"].isin(few)]
    if few:
        found.add(
            "K322", len(few),
            f"{number(len(few), 'class')} of {len(many):,} signed by one signer only.",
            unit="classes",
            at=[(i, f"{c!r} by {s}") for i, c, s in
                chosen.head(found.examples).itertuples(name=None)],
        )  # fmt: skip
    else:
        facts.fine.append(f"Every class has at least {int(many.min()):,} signers.")
