"""Who and what is the same in several datasets: signs, signers, and keys that stay apart."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from kslds import schema
from kslds.codes import CODES
from kslds.corpora import table
from kslds.errors import AnnotationError, MissingFile, RecipeError, UsageError
from kslds.manifest import (
    Dataset,
    key_of,
    unshielded,
)
from kslds.orthography import TO_CYRILLIC, fold, fold_yo
from kslds.schema import Issue, Segment, Sign, Signer

MAX_NAME = 40
_SCOPES = (None, "internal", "research", "publication")


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """The `[merge]` part of a recipe, with paths resolved.

    Raises:
        RecipeError: A value is not one of those allowed.
    """

    datasets: tuple[str, ...]
    """The folders of built datasets; each has its own name."""
    map: str | None = None
    """A CSV with the columns corpus, gloss_id (or label) and merged_id."""
    same_signers: str | None = None
    """A CSV with the columns corpus, signer_id and person: rows with one person are one signer."""
    labels: str = "apart"
    """Signs that the table does not map: ``apart`` puts the corpus before the key of each;
    ``together`` takes the same entry of a lexicon for the same sign, and without a lexicon the
    same label, as written."""
    unmapped: str = "keep"
    """Signs that the table does not map: ``keep``, ``drop`` or ``error``."""
    similar: str = "warn"
    """Clips that show the same in other bytes (smaller, cut, encoded anew, mirrored): ``warn``,
    ``drop`` that of the dataset whose name comes later, or ``ignore`` and compare none."""

    def __post_init__(self) -> None:
        for key, known in (
            ("labels", ("apart", "together")),
            ("unmapped", ("keep", "drop", "error")),
            ("similar", ("warn", "drop", "ignore")),
        ):
            if getattr(self, key) not in known:
                raise RecipeError(
                    f"[merge] {key} = {getattr(self, key)!r} is not one of {', '.join(known)}."
                )
        if len(self.datasets) < 2:
            raise RecipeError("[merge] datasets: expected two or more.")
        if self.map is None and self.unmapped != "keep":
            raise RecipeError(f'[merge] unmapped = "{self.unmapped}" needs a table, the key map.')


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A dataset that is merged into another."""

    name: str
    """A key; it stands before the keys of signers."""
    dataset: Dataset
    licence: str | None
    """Of recordings that state none."""
    rendering: Mapping[str, Any]
    """What has to be the same in all: size, fit, fps, encodings."""
    published_signers: Set[str] = frozenset()
    """Keys under which the collection itself publishes its signers; they give nobody away."""


# --------------------------------------------------------------------------- names


def issue(code: str, *, table: str, key: str, message: str) -> Issue:
    """An issue with the severity and the advice of its code."""
    known = CODES[code]
    return Issue(
        severity=known.severity, code=code, table=table, key=key, message=message, hint=known.action
    )


def joined(corpus: str, key: str) -> str:
    """A key with its corpus before it; cut, with a hash, where that is too long for a key."""
    name = f"{corpus}-{key}"
    if len(name) <= schema.MAX_KEY_CHARS:
        return name
    return f"{name[: schema.MAX_KEY_CHARS - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@dataclass(kw_only=True)
class Names:
    """Keeps what is different from getting the same name."""

    what: str
    owners: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def claim(self, name: str, *owner: str) -> str:
        """The name itself.

        Raises:
            UsageError: Somebody else has it.
        """
        other = self.owners.setdefault(name, owner)
        if other != owner:
            raise UsageError(
                f"{self.what} {' '.join(owner)} and {' '.join(other)} would both be called "
                f"{name!r}.",
                hint="Give one of the datasets another name, or change the table.",
            )
        return name


@dataclass(frozen=True, kw_only=True)
class Signs:
    """Which sign of the merged dataset a segment shows."""

    options: MergeOptions
    mapped: Mapping[tuple[str, str, str], str]
    """Corpus, column (``gloss_id`` or ``label``) and value → merged_id."""
    meant: Mapping[tuple[str, str], str]
    """What `one_key_each` returned."""
    names: Names = field(default_factory=lambda: Names(what="the signs"))
    used: set[tuple[str, str, str]] = field(default_factory=set)

    def _row(self, corpus: str, segment: Segment) -> tuple[str, str, str] | None:
        """The key in `mapped`."""
        columns = (("gloss_id", segment.gloss_id), ("label", segment.label))
        keys = ((corpus, column, value or "") for column, value in columns)
        return next((key for key in keys if key in self.mapped), None)

    def _meant(self, corpus: str, segment: Segment) -> str:
        gloss = segment.gloss_id or ""
        return self.meant.get((corpus, gloss), gloss)

    def find(self, corpus: str, segment: Segment) -> str | None:
        """The merged sign; None where the table does not map it and it is to be left out."""
        row = self._row(corpus, segment)
        if row is not None:
            self.used.add(row)
            return self.names.claim(self.mapped[row], "of the table")
        gloss = segment.gloss_id or ""
        if self.options.unmapped != "keep":
            return None
        if self.options.labels == "together":
            return self._meant(corpus, segment)
        return self.names.claim(joined(corpus, gloss), gloss, "of", corpus)

    def differ(self, one: tuple[str, Segment], other: tuple[str, Segment]) -> bool:
        """Do these, each of a corpus, show two signs? By the table, else as if put together."""
        rows = self._row(*one), self._row(*other)
        first, second = (self.mapped[row] if row else None for row in rows)
        if first and second:
            return first != second
        if not (first or second) and one[1].label is not None and one[1].label == other[1].label:
            return False  # a number of a class too, where both have the recording
        a, b = self._meant(*one), self._meant(*other)
        return a != b and (first or a) != (second or b)


def one_key_each(corpora: Sequence[Corpus]) -> dict[tuple[str, str], str]:
    """Corpus and ``gloss_id`` → the key that the sign has where signs are put together.

    Entries of lexicons are one sign where they have one key, unless both are spelled and share
    no spelling. A sign that was made of a label is that of an entry which alone has the label
    among its spellings, else of the same label as written: its key says nothing, since each
    corpus gives the plain one to the first of several labels that are spelled alike in ASCII.
    A label without a letter is the number of a class, which says nothing in another corpus.
    """
    entries: dict[str, set[str]] = {}
    found: dict[tuple[str, str], str] = {}
    labels: dict[str, list[tuple[str, str]]] = {}
    for corpus in corpora:
        signs = [(sign, _spellings(sign)) for sign in corpus.dataset.read("signs", Sign)]
        made = Counter(s for sign, spelled in signs if sign.source == "label" for s in spelled)
        for sign, spelled in signs:
            where = (corpus.name, sign.gloss_id)
            # Where one dataset has two signs of one label, an earlier merge kept them apart.
            if sign.source == "label" and [made[word] for word in spelled] == [1]:
                labels.setdefault(next(iter(spelled)), []).append(where)
                continue
            key = sign.gloss_id
            if spelled and entries.get(key) and not spelled & entries[key]:
                key = _hashed(key, " ".join(sorted(spelled)))
            entries.setdefault(key, set()).update(spelled)
            found[where] = key
    used = set(entries)
    spelling: dict[str, list[str]] = defaultdict(list)
    for key, words in entries.items():
        for word in words:
            spelling[word].append(key)
    # Where a plain key is free, the label that has it in the first corpus keeps it.
    for label, places in labels.items():
        if not any(map(str.isalpha, label)):
            for where in places:
                key = joined(*where)
                found[where] = key if key not in used else _hashed(key, label)
                used.add(found[where])
            continue
        of = spelling.get(label, [])
        free = (key for _, key in places if key not in used)
        key = of[0] if len(of) == 1 else next(free, None) or _hashed(places[0][1], label)
        used.add(key)
        found.update(dict.fromkeys(places, key))
    return found


def _spellings(sign: Sign) -> set[str]:
    words = (sign.kk, sign.kk_latn, sign.ru, sign.en, *sign.aliases)
    return {unicodedata.normalize("NFC", word) for word in words if word}


def _hashed(key: str, text: str) -> str:
    """A key with a hash of what it stands for."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{key[: schema.MAX_KEY_CHARS - 9]}_{digest}"


def read_map(path: str | None, *, corpora: Sequence[Corpus]) -> dict[tuple[str, str, str], str]:
    """The mapping table.

    Raises:
        MissingFile: There is none.
        AnnotationError: A row is not usable, or two rows contradict each other.
    """
    found: dict[tuple[str, str, str], str] = {}
    if path is None:
        return found
    _check_there(path, what="map")
    name = Path(path).name
    for line, row in table.read_rows(Path(path), names=("corpus", "merged_id")):
        where = f"{name}, line {line}"
        corpus = corpus_of(row["corpus"], corpora=corpora, where=where)
        merged = row["merged_id"]
        if not merged:
            continue  # not mapped: `unmapped` says what happens to it
        if len(merged) > schema.MAX_KEY_CHARS or not re.fullmatch(schema.KEY_PATTERN, merged):
            raise AnnotationError(
                f"{where}: {merged!r:.60} cannot be the key of a sign.",
                hint=f"Use up to {schema.MAX_KEY_CHARS} of the characters a-z, 0-9, _ and -.",
            )
        column = "gloss_id" if row.get("gloss_id") else "label"
        if not row.get(column):
            raise AnnotationError(
                f"{where}: which sign of {corpus}?", hint="Fill in gloss_id or label."
            )
        # A label may have been copied from a CSV that kslds wrote.
        key = (corpus, column, unshielded(row[column]))
        if found.setdefault(key, merged) != merged:
            raise AnnotationError(
                f"{where}: {row[column]!r} of {corpus} is mapped to {found[key]!r} already.",
                hint="Keep one of the rows.",
            )
    return found


def strange(signs: Signs, *, corpora: Sequence[Corpus]) -> Iterator[Issue]:
    """Rows of the table that no clip which crosses needed, with what may have been meant."""
    unused = sorted(set(signs.mapped) - signs.used)
    for corpus in corpora:
        rows = [(column, value) for name, column, value in unused if name == corpus.name]
        if not rows:
            continue
        segments = corpus.dataset.arrow("segments")
        there = sorted(
            (column, value)
            for column in ("gloss_id", "label")
            for value in segments[column].unique().to_pylist()
            if value is not None
        )
        looks = [_look(value) for _, value in there]
        for column, value in rows:
            text = f"{corpus.name} has no clip of the {column} {value!r} that the table maps"
            near = process.extract(_look(value), looks, scorer=fuzz.ratio, score_cutoff=60)
            if near and (column, value) not in there:
                # Where several look the same, that of the same letters.
                best = max(near, key=lambda n: (n[1], fuzz.ratio(value, there[n[2]][1])))
                text += "; nearest: the {} {!r}".format(*there[best[2]])
            yield issue("K705", table="signs", key=value, message=text)


def _look(text: str) -> str:
    """What a label looks like, whatever its letter case, blanks and the alphabet of a letter."""
    letters = "".join(re.findall(r"[^\W_]", text))
    return fold_yo(fold(letters.translate(TO_CYRILLIC)))


def _check_there(path: str, *, what: str) -> None:
    if not Path(path).is_file():
        raise MissingFile(f"there is no table {path}.", hint=f"See [merge] {what}, or the option.")


def corpus_of(text: str, *, corpora: Sequence[Corpus], where: str) -> str:
    """The name of the corpus that a cell means.

    Raises:
        AnnotationError: There is none.
    """
    names = [corpus.name for corpus in corpora]
    key = key_of(text, prefix="corpus")
    if key not in names:
        raise AnnotationError(
            f"{where}: there is no corpus {text!r:.60}.", hint=f"There are {', '.join(names)}."
        )
    return key


# --------------------------------------------------------------------------- people


@dataclass(frozen=True, kw_only=True)
class People:
    """Who is who in the merged dataset."""

    ids: Mapping[tuple[str, str], str]
    """Corpus and signer_id → merged signer_id."""
    signers: tuple[Signer, ...]
    """Those who have not withdrawn."""
    withdrawn: frozenset[str]
    """Merged signer_ids; somebody who withdrew from one corpus has withdrawn from all."""

    def find(self, corpus: str, signer_id: str | None) -> str | None:
        """The merged id of a signer, also of one who is not in the table of signers."""
        if signer_id is None:
            return None
        return self.ids.get((corpus, signer_id)) or joined(corpus, signer_id)


def who_is_who(corpora: Sequence[Corpus], *, same_signers: str | None) -> People:
    """Signers with the names that they have in the merged dataset.

    Args:
        corpora: Where they come from.
        same_signers: The table that says who is one person.

    Raises:
        AnnotationError: The table names somebody who is not there, or makes two of one.
        UsageError: Two signers would have one name.
    """
    rows = {
        (corpus.name, signer.signer_id): signer
        for corpus in corpora
        for signer in corpus.dataset.read("signers", Signer)
    }
    persons: dict[tuple[str, str], str] = {}
    if same_signers is not None:
        _check_there(same_signers, what="same_signers")
        columns = ("corpus", "signer_id", "person")
        for line, row in table.read_rows(Path(same_signers), names=columns, known=columns):
            where = f"{Path(same_signers).name}, line {line}"
            corpus_name = corpus_of(row["corpus"], corpora=corpora, where=where)
            key = (corpus_name, key_of(row["signer_id"], prefix="signer"))
            person = key_of(row["person"], prefix="signer")
            # A name that is not there may be a slip, and would put one person on two sides.
            if key not in rows or not row["person"]:
                raise AnnotationError(
                    f"{where}: {row['corpus']} has no signer {row['signer_id']!r:.60}, or no "
                    "person is named.",
                    hint="Write signer and person as the tables of signers do.",
                )
            if persons.setdefault(key, person) != person:
                raise AnnotationError(
                    f"{where}: {row['signer_id']} of {row['corpus']} is two persons.",
                    hint="Keep one of the rows.",
                )
    names = Names(what="the signers")
    ids = {
        key: names.claim(persons[key], "the person", persons[key])
        if key in persons
        else names.claim(joined(*key), key[1], "of", key[0])
        for key in sorted(rows)
    }
    grouped: dict[str, list[Signer]] = defaultdict(list)
    for key in sorted(rows):
        grouped[ids[key]].append(rows[key])
    withdrawn = {name for name, group in grouped.items() if any(s.consent_withdrawn for s in group)}
    signers = [_one_signer(n, group) for n, group in grouped.items() if n not in withdrawn]
    return People(ids=ids, signers=tuple(signers), withdrawn=frozenset(withdrawn))


def _one_signer(signer_id: str, rows: Sequence[Signer]) -> Signer:
    """One row for one person: the narrowest consent, and of all else what is stated first."""
    narrowest = min(
        rows,
        key=lambda s: _SCOPES.index(s.consent_scope) if s.consent_scope in _SCOPES else 0,
    )
    stated = {
        f.name: next((v for row in rows if (v := getattr(row, f.name)) is not None), None)
        for f in dataclasses.fields(Signer)
    }
    consent = {name: getattr(narrowest, name) for name in ("consent_scope", "consent_date")}
    return Signer(**{**stated, **consent, "signer_id": signer_id})
