"""Validation: labels against the lexicon, boundaries, signers, consent, rendered clips.

What is wrong with the data is returned as `Issue`s, all at once. A finding about a label
is reported once, with its count and first place; one about a boundary once per segment.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kslds import pack
from kslds.codes import CODES
from kslds.engine import Progress
from kslds.errors import CorruptData, UsageError, ValidationFailed
from kslds.lexicon import Lexicon
from kslds.manifest import Dataset, write_parquet
from kslds.orthography import mixed_scripts, slug
from kslds.schema import Issue, Segment, Sign, Signer, arrow_schema

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = ("error", "drop", "keep")

RECHECKED = ("K103", "K112", "K113", "K114", "K118")
"""Codes of reading that are checked here again, as tables may have been edited by hand.

Reading drops such rows and so never leaves an issue of these codes behind."""

_SEVERITY = {"error": "error", "drop": "warning", "keep": "info"}
_RANK = {"error": 0, "warning": 1, "info": 2}
_MAX_SUGGESTIONS = 1000
_MAX_SHOWN = 60
_COLUMNS = (
    "segment_id", "recording_id", "start_ms", "end_ms", "label", "sentence", "tier", "annotator",
    "signer_id", "source",
)  # fmt: skip
_ROLES = re.compile(
    "actor|adult|annotator|boy|child|children|client|coda|control|deaf|demo|dev|donor|female|girl|"
    "group|hand|hearing|informant|interpreter|left|main|male|man|model|native|new|nobody|none|old|"
    "other|participant|patient|performer|person|presenter|pupil|recording|right|second|session|set|"
    "sign|signer|soda|source|speaker|student|subject|target|teacher|test|third|train|unknown|user|"
    "val|validation|video|volunteer|woman"
)
"""Words that pseudonyms are made of."""

_HOW = {
    "case": "only when letter case and separators are ignored",
    "lookalike": "only when look-alike letters are exchanged",
    "ascii": "only by its ASCII form",
    "latin_old": "only in a Latin alphabet before 2021",
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What counts as wrong.

    Raises:
        UsageError: `unknown` is none of ``error``, ``drop``, ``keep``, or a number is negative
            or `min_ms` over `max_ms`.
    """

    unknown: str = "error"
    """A label that the lexicon does not have: ``error`` stops the build, ``drop`` leaves its
    segments out, ``keep`` makes it a class of its own."""
    min_ms: int = 150
    """Segments shorter than this are implausible. Syllables of conversational American Sign
    Language last 250 ms on average (Wilbur & Nolen 1986, doi:10.1177/002383098602900306) and
    a sign has at least one; the shortest of Slovo's 20,000 signs lasts 17 frames, 570 ms at
    30 fps."""
    max_ms: int = 15_000
    """Segments with a label longer than this are implausible. The longest of Slovo's signs
    lasts 270 frames, 9 s at 30 fps; recordings that nobody trimmed reach 30 s (KSL-Emo).
    Sentences may be of any length."""
    min_signers: int = 2
    """Signers that a class needs, to be on both sides of a split by signer."""
    pseudonyms: Set[str] = frozenset()
    """Keys of signers that are known not to be names, whatever they look like."""

    def __post_init__(self) -> None:
        if self.unknown not in UNKNOWN:
            raise UsageError(
                f"unknown = {self.unknown!r}: expected one of {', '.join(map(repr, UNKNOWN))}."
            )
        for name in ("min_ms", "min_signers"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} = {getattr(self, name)}: expected 0 or more.")
        if self.max_ms < self.min_ms:
            raise UsageError(f"max_ms = {self.max_ms} is less than min_ms = {self.min_ms}.")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What validation found, the worst first."""

    issues: tuple[Issue, ...]

    def _count(self, severity: str) -> int:
        return sum(issue.severity == severity for issue in self.issues)

    @property
    def errors(self) -> int:
        """Number of errors."""
        return self._count("error")

    @property
    def warnings(self) -> int:
        """Number of warnings."""
        return self._count("warning")


def validate(
    dataset: Dataset,
    *,
    lexicon: Lexicon | None,
    rules: Rules,
    progress: Progress | None = None,
) -> Report:
    """Check a dataset, and resolve its labels.

    Sets `gloss_id` in `segments` (null for a label that stays unknown), writes the entries
    in use to `signs` and all findings to `issues`; findings of other stages are kept.

    Args:
        dataset: Holds `signers`, `recordings` and `segments`; `clips` where they exist.
        lexicon: The vocabulary; None makes every label a class of its own.
        rules: What counts as wrong.
        progress: Told after the checks of the tables, and after each pack of clips.

    Raises:
        IncompleteDataset: Nothing has been ingested yet.
        CorruptData: A table cannot be read or lacks a column.
    """
    segments = dataset.arrow("segments")
    schema = arrow_schema(Segment)
    if missing := [name for name in schema.names if name not in segments.column_names]:
        raise CorruptData(
            f"{dataset.path('segments')} has no column {missing[0]!r}.", hint="Ingest again."
        )
    packs = sorted((dataset.root / "clips").glob("*/*.tar"))
    told = progress or (lambda stage, done, total: None)
    told("validate", 0, 1 + len(packs))
    found = _Findings(frame=segments.select(_COLUMNS).to_pandas())
    issues = found.issues
    issues += lexicon.problems if lexicon else ()
    known, kept = _labels(found, lexicon=lexicon, rules=rules)
    gloss_ids = [known.get(label) for label in segments["label"].to_pylist()]
    found.frame["gloss_id"] = gloss_ids
    _scripts(found)
    _boundaries(found, dataset=dataset, rules=rules)
    _overlaps(found)
    _signers(found, dataset=dataset, rules=rules)
    _classes(found, rules=rules)
    present: set[str] = set()
    damaged: list[str] = []
    for done, path in enumerate(packs, start=1):
        told("validate", done, 1 + len(packs))
        try:
            present.update(member.key for member in pack.read_index(path)[0])
        except CorruptData:
            damaged.append(path.name)
    _clips(found, dataset=dataset, present=present, damaged=damaged)
    told("validate", 1 + len(packs), 1 + len(packs))

    entries = {**(lexicon.by_id if lexicon else {}), **kept}
    dataset.write("signs", (entries[key] for key in sorted({g for g in gloss_ids if g})))
    if segments["gloss_id"].to_pylist() != gloss_ids:
        column = segments.column_names.index("gloss_id")
        resolved = segments.set_column(column, "gloss_id", pa.array(gloss_ids, pa.string()))
        write_parquet(dataset.path("segments"), resolved.select(schema.names).cast(schema))
    if dataset.has("issues"):
        old = dataset.read("issues", Issue)
        issues += (i for i in old if not i.code.startswith("K3") and i.code not in RECHECKED)
    dataset.write("issues", issues)
    return Report(issues=tuple(sorted(issues, key=_order)))


# --------------------------------------------------------------------------- findings


@dataclass(kw_only=True)
class _Findings:
    """The segments under examination, and what was found so far."""

    frame: pd.DataFrame
    issues: list[Issue] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Plain lists: thousands of labels look up a few rows each.
        self._keys: list[str] = self.frame["segment_id"].tolist()
        self._sources: list[str] = self.frame["source"].tolist()

    def add(
        self,
        code: str,
        *,
        table: str,
        key: str,
        message: str,
        hint: str | None = None,
        severity: str | None = None,
    ) -> None:
        known = CODES[code]
        self.issues.append(
            Issue(
                severity=severity or known.severity,
                code=code,
                table=table,
                key=key,
                message=message,
                hint=hint or known.action,
            )
        )

    def by(self, column: str) -> dict[str, np.ndarray]:
        """Value of a column → positions of its rows, sorted by value; null is left out."""
        groups = self.frame.groupby(column, sort=True).indices
        return {str(value): np.asarray(rows) for value, rows in sorted(groups.items())}

    def rows(self, chosen: np.ndarray | pd.Series[bool]) -> list[Any]:
        """The chosen rows as named tuples."""
        return list(self.frame[np.asarray(chosen)].itertuples(index=False))

    def first(self, rows: np.ndarray) -> tuple[str, str]:
        """Of some segments, the key of the first, and words: how many and where."""
        places = ((self._sources[row], self._keys[row]) for row in rows.tolist())
        source, key = min(places, key=_place)
        if len(rows) == 1:
            return key, f"1 segment, at {source}"
        return key, f"{len(rows)} segments, first at {source}"


def _place(source_and_key: tuple[str, str]) -> tuple[str, int, str, str]:
    """Sorts ``annotations.csv:10`` after ``annotations.csv:9``."""
    source, key = source_and_key
    name, _, line = source.rpartition(":")
    return name, len(line), line, key


def _order(issue: Issue) -> tuple[int, str, str, str, str]:
    return _RANK[issue.severity], issue.code, issue.table, issue.key, issue.message


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…")


# --------------------------------------------------------------------------- labels


def _labels(
    found: _Findings, *, lexicon: Lexicon | None, rules: Rules
) -> tuple[dict[str, str], dict[str, Sign]]:
    """Label → `gloss_id` where there is one, and the classes made of labels themselves."""
    known: dict[str, str] = {}
    own: list[str] = []
    suggestions = 0
    met: dict[str, str] = {}  # labels without regard to case
    for label, rows in found.by("label").items():
        if lexicon is None:
            own.append(label)
            continue
        match = lexicon.match(label, suggest=suggestions < _MAX_SUGGESTIONS)
        if match.gloss_id is not None:
            known[label] = match.gloss_id
            met.setdefault(label.casefold(), label)
        elif rules.unknown == "keep":
            own.append(label)
        if match.gloss_id is not None and match.how not in _HOW:
            continue
        key, where = found.first(rows)
        shown = [lexicon.describe(gloss_id) for gloss_id in match.candidates]
        code, severity, hint = "K302", None, None
        if match.gloss_id is not None:
            entry = lexicon.describe(match.gloss_id)
            message = f"label {_quoted(label)} is {entry} {_HOW[match.how]} ({where})"
            if match.how == "case" and met[label.casefold()] != label:
                # Two spellings that meet in one entry may have been two signs: С and с.
                severity = "warning"
                message += f", as is {_quoted(met[label.casefold()])}"
        elif match.how == "ambiguous":
            code, severity = "K304", _SEVERITY[rules.unknown]
            message = f"label {_quoted(label)} could be {' or '.join(shown[:5])} ({where})"
        else:
            code, severity, suggestions = "K301", _SEVERITY[rules.unknown], suggestions + 1
            hint = f"nearest: {', '.join(shown)}" if shown else None
            message = f"label {_quoted(label)} is not in the lexicon {lexicon.name!r} ({where})"
        found.add(code, table="segments", key=key, message=message, hint=hint, severity=severity)
    slugs = _slugs(own, taken=lexicon.by_id if lexicon else ())
    signs = {key: Sign(gloss_id=key, aliases=[label], source="label") for label, key in slugs}
    return known | dict(slugs), signs


def _slugs(labels: Iterable[str], *, taken: Iterable[str]) -> list[tuple[str, str]]:
    """A key of its own for each label: its slug, or the slug and a hash where that is taken."""
    used, result = set(taken), []
    for label in labels:
        digest = hashlib.sha256(unicodedata.normalize("NFC", label).encode()).hexdigest()
        plain = slug(label)
        keys = (plain, *(f"{plain}_{digest[:length]}" for length in (8, 16, 64)))
        key = next(k for k in keys if k not in used)
        used.add(key)
        result.append((label, key))
    return result


def _scripts(found: _Findings) -> None:
    places: dict[str, list[np.ndarray]] = defaultdict(list)
    for column in ("label", "sentence"):
        for text, rows in found.by(column).items():
            for word in dict.fromkeys(mixed_scripts(text)):
                places[word].append(rows)
    for word, parts in sorted(places.items()):
        key, where = found.first(np.unique(np.concatenate(parts)))
        odd = [c for c in word if unicodedata.name(c, "").startswith("LATIN")]
        script, other = "Latin", "Cyrillic"
        if 2 * len(odd) > sum(c.isalpha() for c in word):
            odd = [c for c in word if unicodedata.name(c, "").startswith("CYRILLIC")]
            script, other = other, script
        letters = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in dict.fromkeys(odd))
        found.add(
            "K303",
            table="segments",
            key=key,
            message=f"the word {_quoted(word)} is {other} but for the {script} {letters} ({where})",
        )


# --------------------------------------------------------------------------- boundaries


def _boundaries(found: _Findings, *, dataset: Dataset, rules: Rules) -> None:
    recordings = dataset.frame("recordings").set_index("recording_id")
    frame = found.frame
    frame["file"] = frame["recording_id"].map(recordings["source_file"])
    frame["limit"] = frame["recording_id"].map(recordings["end_ms"]).fillna(-1).astype("int64")
    # One frame of tolerance, as for reading: a span that ends so close past the last frame
    # still selects the same frames.
    one_frame = -(-1000 * recordings["avg_fps_den"] // recordings["avg_fps_num"].clip(lower=1))
    slack = frame["recording_id"].map(one_frame).fillna(0).astype("int64")
    start, end = frame["start_ms"], frame["end_ms"]
    lost = frame["file"].isna()
    span = end - start
    ordered = ~lost & (span > 0)
    outside = (start < -slack) | (start >= frame["limit"]) | (end > frame["limit"] + slack)
    labelled = frame["label"].notna()
    checks: tuple[tuple[str, Any, str], ...] = (
        ("K103", lost, "recording {r.recording_id!r} is not in the table of recordings"),
        ("K112", ~lost & (span < 0),
         "the end ({r.end_ms} ms) is before the start ({r.start_ms} ms)"),
        ("K113", ~lost & (span == 0), "start and end are both {r.start_ms} ms"),
        ("K114", ordered & outside,
         "[{r.start_ms}, {r.end_ms}) ms is outside {r.file}, which has {r.limit} ms"),
        ("K118", ~labelled & frame["sentence"].isna(), "neither a label nor a sentence"),
        ("K312", ordered & (span < rules.min_ms),
         "{what} lasts {ms} ms, less than {rules.min_ms} ms"),
        ("K313", ordered & labelled & (span > rules.max_ms),
         "{what} lasts {ms} ms, more than {rules.max_ms} ms"),
    )  # fmt: skip
    for code, chosen, message in checks:
        for row in found.rows(chosen):
            what = _quoted(row.label) if isinstance(row.label, str) else "the sentence"
            text = message.format(r=row, rules=rules, what=what, ms=row.end_ms - row.start_ms)
            found.add(code, table="segments", key=row.segment_id, message=f"{row.source}: {text}")


def _overlaps(found: _Findings) -> None:
    """One finding for each segment that starts before an earlier one of its tier has ended."""
    frame = found.frame[found.frame["end_ms"] > found.frame["start_ms"]]
    # Sentences span the signs they are made of, on one tier in many tables.
    lines = [frame[c] for c in ("recording_id", "tier", "signer_id", "annotator")]
    group = frame.groupby([*lines, frame["label"].isna()], dropna=False, sort=False).ngroup()
    frame = frame.assign(group=group).sort_values(
        ["group", "start_ms", "end_ms", "segment_id"], ignore_index=True
    )
    reach = frame.groupby("group")["end_ms"].cummax()
    # The segment that reaches furthest so far; the first of a group always does.
    furthest = np.maximum.accumulate(np.where(frame["end_ms"] == reach, np.arange(len(frame)), 0))
    same = frame["group"].eq(frame["group"].shift())
    overlapping = np.flatnonzero(same & (frame["start_ms"] < reach.shift()))
    later = frame.iloc[overlapping].itertuples(index=False)
    earlier = frame.iloc[furthest[overlapping - 1]].itertuples(index=False)
    for row, other in zip(later, earlier, strict=True):
        tier = f" on the tier {row.tier!r}" if isinstance(row.tier, str) else ""
        found.add(
            "K311",
            table="segments",
            key=str(row.segment_id),
            message=f"{row.source}: [{row.start_ms}, {row.end_ms}) ms overlaps "
            f"[{other.start_ms}, {other.end_ms}) ms of {other.source}{tier}",
        )


# --------------------------------------------------------------------------- people, clips


def _signers(found: _Findings, *, dataset: Dataset, rules: Rules) -> None:
    frame = found.frame
    nameless = frame["signer_id"].isna()
    for recording, rows in found.by("recording_id").items():
        rows = rows[nameless.to_numpy()[rows]]
        if len(rows):
            key, where = found.first(rows)
            file = frame["file"].iloc[rows[0]]
            name = file if isinstance(file, str) else recording
            found.add(
                "K321", table="segments", key=key, message=f"{name}: no signer is named ({where})"
            )
    signers = {s.signer_id: s for s in dataset.read("signers", Signer)}
    clips: dict[str, int] = defaultdict(int)
    if dataset.has("clips"):
        for signer_id in dataset.arrow("clips")["signer_id"].to_pylist():
            clips[signer_id] += signer_id is not None
    segments = found.by("signer_id")
    for signer_id in sorted({*segments, *(s for s, count in clips.items() if count)}):
        signer = signers.get(signer_id)
        rows = segments.get(signer_id, np.array([], dtype=int))
        key, where = found.first(rows) if len(rows) else ("", _number(clips[signer_id], "clip"))
        if signer_id not in rules.pseudonyms and _is_name(signer_id):
            found.add(
                "K325", table="signers", key=signer_id,
                message=f"signer {signer_id!r} looks like the name of a person ({where})",
            )  # fmt: skip
        if signer is None:
            found.add(
                "K321", table="segments", key=key or signer_id,
                message=f"signer {signer_id!r} is not in the table of signers ({where})",
                hint="Add a row for the signer to the file of signers, or correct the name.",
            )  # fmt: skip
        elif signer.consent_withdrawn:
            found.add(
                "K324", table="signers", key=signer_id,
                message=f"signer {signer_id!r} has withdrawn consent and is still here ({where})",
            )  # fmt: skip
        elif signer.consent_scope != "publication":
            scope = f"to {signer.consent_scope!r} only" if signer.consent_scope else "to nothing"
            found.add(
                "K323", table="signers", key=signer_id,
                message=f"signer {signer_id!r} is recorded as consenting {scope} ({where})",
            )  # fmt: skip


def _is_name(signer_id: str) -> bool:
    """Could this key be a person's name? Pseudonyms have a number, or words for roles."""
    if re.search(r"[0-9]", signer_id) or re.fullmatch(r"signer_[a-f]{8,}", signer_id):
        return False
    words = re.split(r"[_-]+", signer_id)
    return any(len(word) >= 3 and not _ROLES.fullmatch(word) for word in words)


def _classes(found: _Findings, *, rules: Rules) -> None:
    signer_ids = np.array(found.frame["signer_id"].tolist(), dtype=object)
    named = found.frame["signer_id"].notna().to_numpy()
    for gloss_id, rows in found.by("gloss_id").items():
        signers = sorted(set(signer_ids[rows[named[rows]]]))
        if len(signers) < rules.min_signers:
            _, where = found.first(rows)
            names = f" ({', '.join(signers)})" if signers else ""
            found.add(
                "K322",
                table="signs",
                key=gloss_id,
                message=f"{gloss_id!r} has {len(signers)} of {rules.min_signers} signers{names} "
                f"({where})",
            )


def _clips(
    found: _Findings, *, dataset: Dataset, present: Set[str], damaged: Sequence[str]
) -> None:
    """Is every clip that counts as rendered in a pack whose size matches its index?"""
    if not dataset.has("clips"):
        return
    table = dataset.arrow("clips")
    rendered = table.filter(table["width"].is_valid())
    if not rendered.num_rows:
        return
    missing: dict[str, list[str]] = defaultdict(list)
    names = ("clip_id", "source_file")
    for clip_id, file in zip(*(rendered[name].to_pylist() for name in names), strict=True):
        if clip_id not in present:
            missing[file].append(clip_id)
    why = f"; {_number(len(damaged), 'pack')} damaged, first {damaged[0]}" if damaged else ""
    for file, clip_ids in sorted(missing.items()):
        found.add(
            "K331",
            table="clips",
            key=min(clip_ids),
            message=f"{file}: {_number(len(clip_ids), 'rendered clip')} in no complete pack, first "
            f"{min(clip_ids)}{why}",
        )


def stop_on_errors(found: Report) -> None:
    """Refuse to go on with what validation calls errors.

    Raises:
        ValidationFailed: There is at least one.
    """
    errors = [issue for issue in found.issues if issue.severity == "error"]
    if errors:
        unknown = any(issue.code == "K301" for issue in errors)
        raise ValidationFailed(
            f"validation found {len(errors)} error(s).",
            issues=errors,
            hint="Correct them and run again"
            + ("; for unknown labels see [lexicon] unknown." if unknown else "."),
        )
