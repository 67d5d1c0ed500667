"""Names: labels that are damaged or nearly the same, and keys that collide."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rapidfuzz.distance import OSA

from kslds import orthography
from kslds.audit.findings import Collected, number, some
from kslds.orthography import mixed_scripts

_NEAR = range(5, 41)  # letters; shorter words differ by one letter as a rule
_MAX_NEAR_LABELS = 100_000
_MAX_PREFIX = 8
_PUNCTUATION = re.compile(r"[\W_]+")
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def _fold(text: str) -> str:
    return text.casefold().replace("ё", "е")


def labels(found: Collected, rows: pd.DataFrame) -> None:
    """Labels as written: scripts, characters, collisions, near misses.

    Args:
        found: Where findings go; labels are looked at in all files.
        rows: The rows that count, so that a class of two versions is not said to be twice as large.
    """
    frame = found.table.frame
    counts = frame["label"].value_counts()
    first = frame.drop_duplicates("label").dropna(subset=["label"])
    row_of = {label: int(row) for row, label in zip(first.index, first["label"], strict=True)}
    written = sorted(row_of, key=row_of.__getitem__)

    def each(code: str, fine: str, wrong: Callable[[str], str | None]) -> None:
        hits = [(label, text) for label in written if (text := wrong(label))]
        found.expect(bool(hits), fine)
        if hits:
            rows = int(sum(counts[label] for label, _ in hits))
            found.add(
                code, len(hits), f"{number(len(hits), 'label')}, in {number(rows, 'row')}.",
                unit="labels", at=[(row_of[label], text) for label, text in hits],
            )  # fmt: skip

    def strange(label: str) -> str | None:
        odd = [c for c in label if unicodedata.category(c) in ("Cc", "Cf")]
        names = ", ".join(dict.fromkeys(f"U+{ord(c):04X}" for c in odd))
        return f"{label!r} has {names}" if odd else None

    each(
        "K303",
        "No word mixes Cyrillic and Latin letters.",
        lambda t: ", ".join(f"{word!r}" + _foreign(word) for word in mixed_scripts(t)) or None,
    )
    each("K603", "No label has an invisible character.", strange)
    each(
        "K604",
        "Every label is in Unicode normal form C.",
        lambda t: None if unicodedata.is_normalized("NFC", t) else f"{t!r}",
    )
    each("K605", "No label has blanks around it, or two in a row.",
         lambda t: f"{t!r}" if t != t.strip() or re.search(r"\s\s", t) else None)  # fmt: skip
    size = frame["class"].value_counts()
    size.update(rows["class"].value_counts())
    once = frame.drop_duplicates("class").dropna(subset=["class"])
    names = list(once["class"])
    place = {name: int(row) for row, name in zip(once.index, once["class"], strict=True)}

    def groups(
        code: str, fine: str, key: Callable[[str], str], *, known: set[Any], what: str
    ) -> set[Any]:
        members: dict[str, list[str]] = defaultdict(list)
        for name in names:
            if folded := key(name):
                members[folded].append(name)
        hits = [tuple(g) for g in members.values() if len(g) > 1 and not _all_known(g, known)]
        found.expect(bool(hits), fine)
        if hits:
            found.add(
                code, len(hits), f"{number(len(hits), 'group')} of labels {what}.", unit="groups",
                at=[(place[g[0]], " / ".join(f"{n!r} ({size.get(n, 0):,})" for n in g))
                    for g in hits],
            )  # fmt: skip
        return known | {frozenset((a, b)) for g in hits for a in g for b in g}

    known = groups("K601", "No two labels differ by letter case or ё alone.", _fold, known=set(),
                   what="that folding letter case and ё would merge; kept apart, they are "
                   "different classes")  # fmt: skip
    known = groups("K602", "No two labels are the same to the eye, in letters of two scripts.",
                   lambda t: t.translate(orthography.TO_CYRILLIC), known=known,
                   what="that look the same, in letters of two scripts")  # fmt: skip
    known = groups("K607", "No two labels differ by punctuation or spacing alone.",
                   lambda t: _PUNCTUATION.sub("", _fold(t)), known=known,
                   what="that differ by punctuation or spacing alone")  # fmt: skip
    _near(found, names, place, known)


def _all_known(group: Sequence[str], known: set[Any]) -> bool:
    return all(frozenset((group[0], other)) in known for other in group[1:])


def _foreign(word: str) -> str:
    """Which letters of a mixed word are the few."""
    latin = [c for c in word if orthography.has_latin(c)]
    cyrillic = [c for c in word if orthography.has_cyrillic(c)]
    few, script = (latin, "Latin") if len(latin) <= len(cyrillic) else (cyrillic, "Cyrillic")
    return f" with {script} {', '.join(few)}"


def _near(
    found: Collected, names: Sequence[str], place: Mapping[str, int], known: set[Any]
) -> None:
    """Labels one letter apart: those that become equal when each loses at most one letter."""
    words = [name for name in names if len(name) in _NEAR]
    if len(words) > _MAX_NEAR_LABELS:
        found.facts.skipped.append(
            f"Nearly equal labels: {len(words):,} labels are more than {_MAX_NEAR_LABELS:,}."
        )
        return
    shorter: dict[str, list[str]] = defaultdict(list)
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    for name in words:
        folded = _fold(name)
        cuts = {folded[:i] + folded[i + 1 :] for i, c in enumerate(folded) if c.isalpha()}
        for cut in sorted({folded, *cuts}):
            # A full bucket holds variants of one word; its first members stand for it.
            for other in shorter[cut][:4]:
                pair = frozenset((name, other))
                if (len(pair) == 2 and pair not in known and pair not in pairs
                        and OSA.distance(folded, _fold(other), score_cutoff=1) == 1):  # fmt: skip
                    pairs[pair] = (other, name)
            shorter[cut].append(name)
    found.expect(bool(pairs), "No two labels of five letters or more are one letter apart.")
    if pairs:
        found.add(
            "K606", len(pairs), f"{number(len(pairs), 'pair')} of labels one letter apart.",
            unit="pairs", at=[(place[b], f"{a!r} / {b!r}") for a, b in pairs.values()],
        )  # fmt: skip


def keys(found: Collected, rows: pd.DataFrame) -> None:
    """Keys and rows that are there twice, and keys that are easily mixed up."""
    named = rows[rows["id"].notna()]
    twice = named.duplicated(["file", "id"], keep="first")
    found.expect(bool(twice.any()) or named.empty, "Every key is that of one row.")
    if twice.any():
        at: list[tuple[int, str]] = []
        distinct = int((~twice).sum())
        again = named[twice].head(found.examples)
        for row, file, key in zip(again.index, again["file"], again["id"], strict=True):
            same_key = (named["file"] == file).to_numpy() & (named["id"] == key).to_numpy()
            other = int(named.index[same_key][0])
            at.append((int(row), f"{key} is that of {found.table.place(other)}, too"))
        found.add("K608", int(twice.sum()), f"{number(int(twice.sum()), 'row')} with the key of "
                  f"another; {distinct:,} keys for {len(named):,} rows.", at=at)  # fmt: skip
    free = rows[rows["id"].isna() & rows["recording"].notna()]
    same = free.duplicated(["file", "recording", "start", "end", "class"], keep="first")
    found.expect(bool(same.any()) or free.empty, "No row is there twice.")
    if same.any():
        found.add("K119", int(same.sum()),
                  f"Rows that repeat the recording, boundaries and label "
                  f"of another: {int(same.sum()):,}.",
                  at=some(free, same, lambda r: str(r.recording), most=found.examples))  # fmt: skip
    if not named.empty:
        _alike(found, named.drop_duplicates("id"))


def _alike(found: Collected, named: pd.DataFrame) -> None:
    """Keys that a tool which strips, pads or folds them takes for each other."""
    ids: list[str] = named["id"].tolist()
    everything = set(ids)
    table = found.table
    alike = False
    for what, key in (
        ("letter case or blanks", lambda t: t.strip().casefold()),
        ("leading zeros", lambda t: _ZEROS.sub("", t.strip().casefold())),
    ):
        folded: dict[str, int] = {}
        hits = []
        for position, text in enumerate(ids):
            first = folded.setdefault(key(text), position)
            if first != position and (what != "leading zeros" or
                                      ids[first].casefold() != text.casefold()):  # fmt: skip
                hits.append((first, position))
        if hits:
            alike = True
            found.add(
                "K609", len(hits),
                f"Keys that differ from another by {what} alone: {len(hits):,}.",
                unit="keys", title=f"keys that differ by {what} alone",
                at=[(int(named.index[b]), f"{ids[b]!r} and {ids[a]!r} "
                     f"({table.place(int(named.index[a]))})") for a, b in hits[: found.examples]],
            )  # fmt: skip
    position_of = {text: i for i, text in enumerate(ids)}
    lengths = {len(text) for text in ids}
    pairs = []
    for i, text in enumerate(ids):
        for k in range(1, min(_MAX_PREFIX, len(text) - 6) + 1):
            if not (text[k - 1].isalpha() or text[k - 1] in "_-"):
                break
            if len(text) - k in lengths and text[k:] in everything:
                pairs.append((position_of[text[k:]], i, text[:k]))
                break
    if pairs:
        alike = True
        _prefixed(found, named, pairs)
    found.expect(alike, "No two keys differ by letter case, leading zeros or a prefix alone.")


def _prefixed(found: Collected, named: pd.DataFrame, pairs: Sequence[tuple[int, int, str]]) -> None:
    base = named.iloc[[a for a, _, _ in pairs]]
    long = named.iloc[[b for _, b, _ in pairs]]

    def equal(*columns: str) -> int:
        same = np.ones(len(pairs), dtype=bool)
        for column in columns:
            a, b = base[column], long[column]
            same &= (a.notna().to_numpy() & b.notna().to_numpy()
                     & (a.reset_index(drop=True) == b.reset_index(drop=True)).fillna(False)
                     .to_numpy(dtype=bool))  # fmt: skip
        return int(same.sum())

    lead = long["length"].to_numpy(na_value=-1) == base["begin"].to_numpy(na_value=-2)
    agree = [
        f"{count:,} {what}"
        for what, count in (
            ("of the same signer", equal("signer")),
            ("on the same side", equal("split")),
            ("of the same picture size", equal("width", "height")),
            ("with the same label", equal("class")),
            ("exactly as long as what comes before its begin", int(lead.sum())),
        )
        if count
    ]
    prefixes = Counter(prefix for _, _, prefix in pairs)
    shown = ", ".join(f"{count:,} with {prefix!r}" for prefix, count in prefixes.most_common(4))
    labels = Counter(long["class"].dropna())
    usual = labels.most_common(1)
    of = f" Their label is {usual[0][0]!r}." if usual and usual[0][1] == len(pairs) else ""
    found.add(
        "K609", len(pairs),
        f"Keys that are the key of another row with a prefix: {shown}.{of} "
        f"{'Beside that other row: ' + ', '.join(agree) if agree else 'Nothing else agrees'}.",
        unit="keys", title="keys that are another key with a prefix",
        why="A tool that reads keys as UUIDs or strips prefixes takes the two rows for one; and "
        "rows that share a recording have to stay on one side.",
        at=[(int(named.index[b]), f"{named['id'].iat[b]} is {prefix!r} + the key at "
             f"{found.table.place(int(named.index[a]))}") for a, b, prefix in
            pairs[: found.examples]],
    )  # fmt: skip
