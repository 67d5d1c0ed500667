"""KRSL-OnlineSchool: broadcast lessons with a sign language interpreter in a corner.

A lesson is an hour and more, annotated in pieces. Pieces come from tables and ELAN files,
read as their own adapters read them, and from transcripts of speech recognition: WebVTT,
SRT, or a JSON list of objects with start, end (seconds) and text, and maybe ``words``, a list of
such objects with ``word`` for ``text``. The text of a cue (of a word, where words have times) is
the translation of the gloss and of the sentence that it overlaps most (`kslds.transcript`). Where
a lesson has neither, its cues are its segments. A transcript belongs to the recording of its
name: ``lesson1.vtt`` and ``lesson1.ru.vtt`` to ``lesson1.mp4``.

Speech is ahead of its interpretation, by seconds: the times of a transcript are those of
the speech, later by ``lag_ms`` if that is known.
"""

from __future__ import annotations

import dataclasses
import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

from kslds.corpora import About, Annotation, Source, choose, elan, known_as, table, wrong_file
from kslds.corpora.jsonl import read_json
from kslds.corpora.table import read_cells, read_lines, read_rows
from kslds.corpora.times import parse_time
from kslds.errors import AnnotationError, RecipeError
from kslds.probe import SUFFIXES

ABOUT = About(
    title="KRSL-OnlineSchool",
    what="lessons for grades 1 to 11 that Kazakhstan's television broadcast from 2020 on, "
    "interpreted into Kazakh-Russian Sign Language in an inset of the picture",
    size="4,547 lessons, 890 hours, 7 interpreters; about 325 hours annotated with glosses, "
    "4,009 lessons with a transcript of speech recognition",
    licence="none stated",
    citation="Mukushev et al., Towards Large Vocabulary Kazakh-Russian Sign Language Dataset: "
    "KRSL-OnlineSchool, LREC 2022 sign language workshop",
    access="krslproject.github.io/online-school describes it; no annotation file is public, so "
    "the formats here are the usual ones for such data, a guess: tables, ELAN, WebVTT, SRT, JSON.",
    defects=(
        (
            "the interpreter fills a corner of the picture",
            "[clips] crop cuts the inset out",
        ),
        (
            "a transcript follows the speech, the interpreter some seconds behind",
            'options = { lag_ms = "2500" } makes a transcript so much later, here 2.5 s; the times '
            "are left as they are without it",
        ),
        (
            "a transcript says what was spoken, not what was signed",
            "each cue, or each word that has times, is taken for the translation of the gloss and "
            "of the sentence that it overlaps most (the earlier of two alike), if that has none; "
            "of a lesson without glosses and sentences the cues are the segments; options = { "
            "transcripts = … } decides otherwise",
        ),
        (
            "cues of a transcript overlap",
            "they are kept, and named (K311)",
        ),
        (
            "a lesson may have transcripts in two languages, lesson1.ru.vtt and lesson1.kk.vtt",
            'options = { language = "ru" } reads those only; without it all are read, and what is '
            "said in Kazakh goes into `translation_kk`",
        ),
        (
            "a transcript does not name the interpreter",
            "a table with the columns recording and signer does",
        ),
    ),
)

_MAX_BYTES = 64 << 20
_MAX_CHARS = 10_000
"""Longest line and longest text of a cue."""
_MAX_CUES = 1_000_000

_LANGUAGE = re.compile(r"\.[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})?")
_STAMP = r"(?:[0-9]{1,4}:)?[0-9]{1,4}:[0-9]{1,2}(?:[.,][0-9]{1,9})?"
_TIMING = re.compile(rf"\s*(?P<start>{_STAMP})\s*-->\s*(?P<end>{_STAMP})(?:\s.*)?")
_NO_CUE = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_TAG = re.compile(r"</?(?:[A-Za-z][^<>]*|[0-9][0-9:.]*)?>")
_ASS_TAG = re.compile(r"\{\\[^{}]*\}")


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per cue, row or ELAN annotation, file by file.

    A table with the columns ``recording`` and ``signer`` and without times says who interprets
    which lesson; it counts where a segment does not say it. Tables and ELAN files take
    `source.columns`, `source.unit` and `source.tiers` as their adapters do.

    Options: ``transcripts``: ``align`` (default), by which the text of a cue is the translation
    of the segment that it overlaps most, or a segment itself where the recording has no other;
    ``keep``, by which a cue is a segment itself; ``both``; or ``ignore``. ``language``: only the
    transcripts whose name states it, as ``lesson1.ru.vtt`` does, or states none. Without it,
    what a transcript beside others says in Kazakh is the `translation_kk`. ``lag_ms``: how much
    later all cues become.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is none of these, or too large, or a recording has transcripts in
            two other languages than Kazakh, which would be mixed.
        RecipeError: An option or its value is not known.
    """
    values = ("align", "keep", "both", "ignore")
    known = {"transcripts": values, "language": ("",), "lag_ms": ("",)}
    options = choose(source, adapter="online-school", known=known)
    transcripts, lag_ms = options["transcripts"], options["lag_ms"] or "0"
    if not re.fullmatch("[0-9]{1,5}", lag_ms):
        raise RecipeError(
            f"[ingest] options: lag_ms = {lag_ms!r:.40}: expected a whole number of ms up to "
            'five digits, such as "2500".'
        )
    signers: dict[str, str] = {}
    files, texts = [], []
    for path in source.files:
        if path.suffix.lower() in _TRANSCRIPTS:
            texts.append(path)
        elif path.suffix.lower() != ".eaf" and _names_signers(path, source):
            signers.update(_signers(path))
        else:
            files.append(path)
    annotated = set()
    for path in files:
        read_file = elan.read if path.suffix.lower() == ".eaf" else table.read
        for row in read_file(dataclasses.replace(source, files=(path,), options={})):
            stem = _stem(row.recording)
            if row.problem is None and (row.label or row.sentence):
                annotated.add(stem)
            yield row if row.signer else dataclasses.replace(row, signer=signers.get(stem))
    if transcripts == "ignore":
        return
    spoken = _languages(texts, source, wanted=options["language"])
    if transcripts != "keep":
        _check_languages(spoken)
    for path, (stem, language) in spoken.items():
        # Beside another transcript of the lesson, the Kazakh one has a field of its own.
        beside = _is_kazakh(language) and any(
            other == stem and not _is_kazakh(its) for other, its in spoken.values()
        )
        how = "keep" if transcripts == "align" and stem not in annotated else transcripts
        for cue in _cues(path, recording=stem, language=language):
            used = _used(cue, how, int(lag_ms), kazakh=beside)
            if used is not None:
                yield dataclasses.replace(used, signer=signers.get(stem))


def _languages(
    texts: Sequence[Path], source: Source, *, wanted: str
) -> dict[Path, tuple[str, str]]:
    """Each transcript that is read → the stem of its recording, and its language."""
    stems = {_stem(name) for name in source.media}
    meant = {path: _meant(path, stems) for path in texts}
    return {
        path: (stem, language)
        for path, (stem, language) in meant.items()
        if wanted in ("", language) or not language
    }


def _check_languages(spoken: Mapping[Path, tuple[str, str]]) -> None:
    """Refuse transcripts of which two would be mixed in one translation."""
    seen: dict[str, tuple[Path, str]] = {}
    for path, (stem, language) in spoken.items():
        if _is_kazakh(language) or not language:
            continue
        other, its = seen.setdefault(stem, (path, language))
        if its != language:
            raise AnnotationError(
                f"{other.name} and {path.name} are transcripts of one recording in two languages, "
                "which would be mixed in its translations.",
                hint='Choose one: [ingest] options = { language = "ru" }; or transcripts = "keep".',
            )


def _is_kazakh(language: str) -> bool:
    return language.casefold().partition("-")[0] in ("kk", "kaz")


def _stem(recording: str) -> str:
    """The name of a recording without folders and ending."""
    path = PurePosixPath(unicodedata.normalize("NFC", recording.replace("\\", "/")))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _names_signers(path: Path, source: Source) -> bool:
    _, cells = next(read_cells(path, names=("recording", "signer", "start", "end")))
    header = {cell.strip() for cell in cells}
    return {"recording", "signer"} <= header and source.columns.get("start", "start") not in header


def _signers(path: Path) -> Iterator[tuple[str, str]]:
    """Stem of a recording → its interpreter."""
    seen: dict[str, str] = {}
    for line, row in read_rows(path, names=("recording", "signer")):
        stem, signer = _stem(row["recording"]), row["signer"]
        if not stem or not signer:
            raise AnnotationError(f"{path.name}:{line}: the recording or the signer is empty.")
        if seen.setdefault(stem, signer) != signer:
            raise AnnotationError(
                f"{path.name}:{line}: {stem!r:.80} has two signers, {seen[stem]!r:.40} and "
                f"{signer!r:.40}.",
                hint="Keep one of the rows.",
            )
        yield stem, signer
    if not seen:
        raise AnnotationError(
            f"{path} has no row; expected a recording and its signer a line.",
            hint="Export it again, or take it out of the recipe.",
        )


# Transcripts


def _meant(path: Path, stems: set[str]) -> tuple[str, str]:
    """The recording that a transcript belongs to, and its language, if its name states it."""
    stem = unicodedata.normalize("NFC", path.stem)
    language = _LANGUAGE.fullmatch(stem, max(stem.rfind("."), 0))
    if stem in stems or language is None:
        return stem, ""
    return stem[: language.start()], language[0].removeprefix(".")


def _cues(path: Path, *, recording: str, language: str) -> Iterator[Annotation]:
    """The cues of a transcript as segments."""
    if path.is_file() and path.stat().st_size > _MAX_BYTES:
        raise AnnotationError(
            f"{path} is larger than {_MAX_BYTES >> 20} MiB; that is no transcript.",
            hint="Name the right file, or split it.",
        )
    tier = f"transcript.{language}" if language else "transcript"
    for number, cue in enumerate(_TRANSCRIPTS[path.suffix.lower()](path)):
        if number == _MAX_CUES:
            raise AnnotationError(f"{path} has more than {_MAX_CUES} cues; that is not a lesson.")
        yield dataclasses.replace(cue, recording=recording, tier=tier)


def _used(cue: Annotation, transcripts: str, lag_ms: int, *, kazakh: bool) -> Annotation | None:
    """A cue (or word, which has no sentence) as the options want it; None where they do not."""
    if cue.problem is not None:
        return cue
    sentence = None if transcripts == "align" else cue.sentence
    spoken = None if transcripts == "keep" else cue.spoken
    if sentence is None and spoken is None:
        return None
    if lag_ms:
        try:
            times = [
                str((parse_time(text or "", unit=cue.unit).ms or 0) + lag_ms)
                for text in (cue.start, cue.end)
            ]
        except ValueError as error:
            return dataclasses.replace(cue, problem=("K111", str(error)))
        cue = dataclasses.replace(cue, start=times[0], end=times[1], unit="ms")
    return dataclasses.replace(
        cue,
        sentence=sentence,
        spoken=None if kazakh else spoken,
        spoken_kk=spoken if kazakh else None,
    )


def _subtitles(path: Path) -> Iterator[Annotation]:
    """The cues of a WebVTT or SRT file."""
    heading = ""
    for number, block in enumerate(_blocks(path)):
        lines = [text for _, text in block]
        heading = heading or lines[0]
        if _NO_CUE.match(lines[0]):
            continue
        # Above the times may stand the number or name of the cue.
        at = next((n for n, text in enumerate(lines[:2]) if "-->" in text), None)
        if at is None:
            if number == 0 and not heading.startswith("WEBVTT"):
                break
            if number > 0:
                reason = f"{lines[0]!r:.80} stands between empty lines without times"
                yield _problem(f"{path.name}:{block[0][0]}", "K124", reason)
            continue
        for cue in _parts(block):
            yield _subtitle(cue, path.name)
    else:
        if heading:
            return
    raise wrong_file(path, found=[heading] if heading else [], expected=_EXPECTED)


def _parts(block: Sequence[tuple[int, str]]) -> Iterator[Sequence[tuple[int, str]]]:
    """The cues of a block: where the empty line is missing, each begins with its times.

    A number above the times belongs to them.
    """
    timed = [place for place, (_, text) in enumerate(block) if _TIMING.fullmatch(text)]
    begins = [
        place - 1 if place > 1 and block[place - 1][1].isdigit() else place for place in timed[1:]
    ]
    for start, end in pairwise([0, *begins, len(block)]):
        yield block[start:end]


def _subtitle(block: Sequence[tuple[int, str]], name: str) -> Annotation:
    """A cue from its lines, which have times in the first or second."""
    lines = [text for _, text in block]
    where = f"{name}:{block[0][0]}"
    at = next(n for n, text in enumerate(lines) if "-->" in text)
    timing = _TIMING.fullmatch(lines[at])
    if timing is None:
        reason = f"{lines[at]!r:.80} is not two times such as 00:01:02.500 --> 00:01:04.000"
        return _problem(where, "K111", reason)
    # A comma is how SRT writes the point of a decimal fraction.
    start, end = (timing[part].replace(",", ".") for part in ("start", "end"))
    return _cue(where, start, end, "timecode", " ".join(lines[at + 1 :]))


def _blocks(path: Path) -> Iterator[list[tuple[int, str]]]:
    """The lines between empty lines, each with its number."""
    block: list[tuple[int, str]] = []
    chars = 0
    for number, line in enumerate(read_lines(path), start=1):
        chars = chars + len(line) if line.strip() else 0
        if chars > _MAX_CHARS:
            raise AnnotationError(
                f"{path}, line {number}: more than {_MAX_CHARS} characters without an empty line; "
                "that is not a transcript."
            )
        if line.strip():
            block.append((number, line.strip()))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _json(path: Path) -> Iterator[Annotation]:
    """The cues of a JSON list, also of one below the key ``segments``, each before its words."""
    value = read_json(path)  # numbers stay text: times are read exactly
    if isinstance(value, dict):
        if not isinstance(value.get("segments"), list):
            raise wrong_file(path, found=value, expected=_EXPECTED)
        value = value["segments"]
    if value == []:
        return
    first = value[0] if isinstance(value, list) else None
    found = list(first) if isinstance(first, dict) else []
    if known_as(found) or not {"start", "end", "text"} <= set(found):
        raise wrong_file(path, found=found, expected=_EXPECTED, adapter="online-school")
    for number, row in enumerate(value, start=1):
        where = f"{path.name}:{number}"
        cue = row if isinstance(row, dict) else {}
        start, end, text = (cue.get(key) for key in ("start", "end", "text"))
        if not (isinstance(start, str) and isinstance(end, str)):
            yield _problem(where, "K111", "start or end is missing or not a number of seconds")
        elif not isinstance(text, str):
            yield _problem(where, "K118", "text is missing or not text")
        else:
            whole = _cue(where, start, end, "s", text)
            words = _words(where, cue.get("words")) if whole.problem is None else []
            yield dataclasses.replace(whole, spoken=None) if words else whole
            yield from words


def _words(where: str, found: object) -> list[Annotation]:
    """The words of a cue; one without times, or that lasts no time, is said with the one before.

    None where no word has times: then the cue is said as a whole.
    """
    words: list[Annotation] = []
    before = ""
    for number, row in enumerate(found if isinstance(found, list) else [], start=1):
        word = row if isinstance(row, dict) else {}
        start, end = word.get("start"), word.get("end")
        text = word.get("word", word.get("text"))
        told = _cue(f"{where}:{number}", str(start), str(end), "s", str(text or ""))
        if told.problem is not None:
            continue
        if _lasts(start, end):
            spoken = f"{before} {told.spoken}".strip()
            words.append(dataclasses.replace(told, sentence=None, spoken=spoken))
            before = ""
        elif words:
            spoken = f"{words[-1].spoken} {told.spoken}"
            words[-1] = dataclasses.replace(words[-1], spoken=spoken)
        else:
            before = f"{before} {told.spoken}".strip()
    return words


def _lasts(start: object, end: object) -> bool:
    """Are these two times, with a ms between them?"""
    try:
        times = [parse_time(str(time), unit="s").ms for time in (start, end)]
    except ValueError:
        return False
    return (times[0] or 0) < (times[1] or 0)


_EXPECTED = (
    "a transcript: WebVTT, SRT, or a JSON list of objects with start, end (seconds) and text"
)


def _cue(where: str, start: str, end: str, unit: str, text: str) -> Annotation:
    """A cue as a segment; its tags and escapes are taken out of the text."""
    plain = html.unescape(_ASS_TAG.sub("", _TAG.sub("", text[:_MAX_CHARS])))
    plain = " ".join(unicodedata.normalize("NFC", plain).split())
    if not plain:
        return _problem(where, "K118", "the cue has no text")
    if len(text) > _MAX_CHARS:
        return _problem(where, "K118", f"the text of the cue has more than {_MAX_CHARS} characters")
    return Annotation(
        source=where, recording="", start=start, end=end, unit=unit, sentence=plain, spoken=plain
    )


def _problem(where: str, code: str, reason: str) -> Annotation:
    return Annotation(
        source=where, recording="", start=None, end=None, unit="ms", problem=(code, reason)
    )


_TRANSCRIPTS: Mapping[str, Callable[[Path], Iterator[Annotation]]] = {
    ".vtt": _subtitles,
    ".srt": _subtitles,
    ".json": _json,
}
