"""K-RSL and KRSL-NM-20: signs and sentences told apart by brows, head and mouth.

Non-manual annotation comes as one tab-separated export of ELAN with Russian headers: a
column for each tier, blank lines between files, one or more tiers on a row. Every cell of
a tier becomes a segment. Without it, every media file is one segment from start to end.

What a recording is stands in its name, in several spellings that mean the same:
``gen_q_neut_dev.upala_mir.eaf`` is the video ``gen_q-dev_upala-mira``, that is kind of
sentence, emotion (neutral where left out), sentence, signer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path, PurePosixPath

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.table import read_cells
from kslds.corpora.times import parse_time
from kslds.errors import AnnotationError, RecipeError

ABOUT = About(
    title="K-RSL and KRSL-NM-20",
    what="Kazakh-Russian Sign Language, recorded to study what brows, head, mouth and body add "
    "to the hands: question and statement, emotion, emotional question and statement, and "
    "minimal pairs",
    size="KRSL-NM-20: 20 classes (10 signs, each in statements and in questions), 5 signers, "
    "about 260 clips a class, 5,200 clips. Non-manual annotation: 270 recordings, 9 signers, "
    "10 sentences in 3 kinds, 1,206 rows",
    licence="none stated",
    citation="Mukushev et al., Evaluation of Manual and Non-manual Components for Sign Language "
    "Recognition, LREC 2020; Imashev et al., A Dataset for Linguistic Understanding, Visual "
    "Evaluation, and Recognition of Sign Languages: The K-RSL, CoNLL 2020",
    access="KRSL-NM-20: krslproject.github.io/krsl20, 20 folders of isolated signs. Non-manual "
    "annotation: github.com/kuzanna2016/non-manuals-2021, an ELAN export and meta_video.tsv. "
    "How the folders of the 20 classes and the files of the other configurations are named is "
    "not public: the folder as the class and the emotion in the name are guesses.",
    defects=(
        (
            "the times of the ELAN export are late by four frames (133 ms at 30 frames a second, "
            "274 ms below 14.6)",
            'options = { delay = "paper" } subtracts what the authors subtract; what would '
            "begin before 0 begins at 0",
        ),
        (
            "the authors also stretch what is left to the length of the recording",
            'options = { delay = "paper-stretched" } does the same, rounded down to whole ms',
        ),
        (
            "names in the export, in meta_video.tsv and of the videos are spelled differently",
            "they are joined by their parts; rows that cannot be joined are dropped and named "
            "(K103)",
        ),
        (
            "whether a recording is a question or a statement stands in its name only",
            "each clip of a tier has it in `sentence`: st-dev_upala, gen_q-dev_upala (yes or no), "
            "part_q-dev_upala (what, who, where)",
        ),
        (
            "rows of the export have 8 or 9 cells",
            "a last cell that is left out is empty",
        ),
        (
            "the paper leaves out one signer per class, so that a signer may be trained on and "
            "tested in different classes",
            'results on unseen signers need [split] by = "signer" or "loso"',
        ),
    ),
)

CONFIGS = ("all", "question-statement", "emotion", "emotional-question-statement", "minimal-pairs")

_START, _END = "Время начала - миллисекунды", "Время окончания - миллисекунды"
_FILE, _PATH = "Файл", "Путь к файлу"
_ENGLISH: Mapping[str, str] = {
    "Begin Time - msec": _START,
    "End Time - msec": _END,
    "File": _FILE,
    "File Name": _FILE,
    "File Path": _PATH,
}
"""What ELAN calls these columns in English; the export that is published is in Russian."""
_NO_TIER = re.compile(
    r"(?:Begin Time|End Time|Duration|Время \w+|Длительность|Продолжительность) - .*"
)
_META = ("video_name", "fps", "frame_count")
_EXPECTED = (
    f"an ELAN export with {_START}, {_END} and {_FILE}, or a list of videos with {', '.join(_META)}"
)

_DELAYS_MS: Sequence[tuple[int, int]] = (
    (30_000, 133), (28_220, 141), (28_140, 142), (23_090, 173), (22_880, 174), (22_810, 175),
    (19_540, 204), (19_240, 207), (19_220, 208), (16_580, 241), (14_730, 271), (14_680, 272),
    (14_600, 273), (0, 274),
)  # fmt: skip
"""The authors' delays: from this many frames in 1000 s on, this many ms; a rate between two
points has the delay of the lower one. At the points that is four frames, rounded down."""

_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("gen_q", "general_q", "general_question", "polar_q"), "gen_q"),
    **dict.fromkeys(("part_q", "partial_q", "partial_question", "wh_q"), "part_q"),
    **dict.fromkeys(("st", "statement", "utv"), "st"),
}
_EMOTIONS: Mapping[str, str] = {
    **dict.fromkeys(("neut", "neutral"), "neutral"),
    **dict.fromkeys(("ang", "anger", "angry"), "angry"),
    **dict.fromkeys(("surp", "surpr", "surprise", "surprised"), "surprised"),
    **dict.fromkeys(("hap", "happy", "joy"), "happy"),
    **dict.fromkeys(("sad", "sadness"), "sad"),
}
_SIGNERS: Mapping[str, str] = {"mir": "mira"}
"""A signer whom the published names spell in two ways; other spellings are other people."""
_SHORTEST = 3
"""Letters that a shortened word has at least (``mal``, ``est``)."""
_WORD = re.compile(r"[-_. ]+")


@dataclass(frozen=True, kw_only=True)
class _Name:
    """What the name of a recording says."""

    kind: str | None
    """``st``, ``gen_q`` or ``part_q``; None where it is not that of a sentence."""
    emotion: str | None
    words: tuple[str, ...]
    """The sentence or sign."""
    signer: str | None

    @property
    def title(self) -> str:
        """The kind and words of a sentence, as ``gen_q-dev_upala``; only the words of a sign."""
        words = "_".join(self.words)
        return words if self.kind is None else f"{self.kind}-{words}"

    @property
    def config(self) -> str:
        """The configuration that it belongs to."""
        if self.kind is not None:
            neutral = self.emotion in (None, "neutral")
            return "question-statement" if neutral else "emotional-question-statement"
        return "minimal-pairs" if self.emotion is None else "emotion"


@dataclass(frozen=True, kw_only=True)
class _Video:
    """A row of meta_video.tsv."""

    fps: Fraction
    num_frames: int

    @property
    def duration_ms(self) -> Fraction:
        """How long it lasts."""
        return 1000 * self.num_frames / self.fps


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per cell of a tier, or one per media file where there is no export.

    The `sentence` of a cell says what its recording is: a statement (``st-dev_upala``), a
    general question (``gen_q-dev_upala``), a partial one (``part_q-dev_upala``), or a sign.
    Without an export that is the label of a sentence.

    Options: ``config``, one of `CONFIGS`; ``delay``, ``paper`` (the default), ``paper-stretched``,
    ``none`` or a number of ms. `source.tiers` chooses tiers by name or pattern; all by default.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is neither an ELAN export nor a list of videos, or the delay
            depends on a list of videos that is not given.
        RecipeError: An option or its value is not known, or no tier has the name.
    """
    options = choose(source, adapter="krsl", known={"config": CONFIGS, "delay": ("",)})
    delay = options["delay"] or "paper"
    if not re.fullmatch(r"none|paper|paper-stretched|[0-9]{1,6}", delay):
        raise RecipeError(
            f"[ingest] options: delay = {delay!r:.40} is not one of paper, paper-stretched, none, "
            "or a number of ms."
        )
    exports: list[Path] = []
    videos: dict[str, _Video] = {}
    for path in source.files:
        header = _header(path)
        if is_export(header):
            exports.append(path)
        elif set(_META) <= set(header):
            for name, video in _videos(path, header):
                if videos.setdefault(name, video) != video:
                    raise AnnotationError(
                        f"{path}: the video {name!r:.80} has another frame rate or length here "
                        "than in another list of videos.",
                        hint="Name one of the lists.",
                    )
        else:
            raise wrong_file(path, adapter="krsl", found=header, expected=_EXPECTED)
    if exports and delay.startswith("paper") and not videos:
        raise AnnotationError(
            f"{exports[0]}: the delay depends on the frame rate of each video, and no list of "
            f"videos ({', '.join(_META)}) is given.",
            hint='Add meta_video.tsv to `annotations`, or set options = { delay = "none" }.',
        )
    reader = _Reader(source=source, config=options["config"], delay=delay, videos=videos)
    for path in exports:
        yield from reader.segments(path)
    if not exports:
        yield from reader.recordings()


def delay_ms(fps: Fraction) -> int:
    """How late the times of the ELAN export are, as its authors found, by the video's rate."""
    return next(delay for rate, delay in _DELAYS_MS if 1000 * fps >= rate)


def is_export(header: Sequence[str]) -> bool:
    """Is this the header of an ELAN export with tiers for columns, in Russian or English?"""
    found = {_ENGLISH.get(name.strip(), name.strip()) for name in header}
    return {_START, _END} <= found and bool(found & {_FILE, _PATH})


class _Reader:
    """Reads exports with one set of options."""

    def __init__(
        self, *, source: Source, config: str, delay: str, videos: Mapping[str, _Video]
    ) -> None:
        self._source, self._config, self._delay = source, config, delay
        self._videos = videos
        self._media = {name: parse_name(PurePosixPath(name).stem) for name in source.media}
        self._known = {name: parse_name(name) for name in videos}
        self._joined: dict[str, tuple[str | None, str | None]] = {}

    def recordings(self) -> Iterator[Annotation]:
        """Every media file as one segment; its sentence is its class, else its folder is."""
        for name, said in self._media.items():
            folders = [part for part in PurePosixPath(name).parts[:-1] if part not in CONFIGS]
            if self._is_left_out(name, said):
                continue
            label = folders[-1] if folders and said.kind is None else said.title
            yield Annotation(
                source=name,
                recording=name,
                start="0",
                end=END,
                unit="ms",
                label=label,
                emotion=said.emotion,
                signer=said.signer,
            )

    def segments(self, path: Path) -> Iterator[Annotation]:
        """The cells of the chosen tiers of an export."""
        rows = read_cells(path, names=_NAMES)
        first, cells = next(rows)
        written = [unicodedata.normalize("NFC", cell).strip() for cell in cells]
        header = [_ENGLISH.get(name, name) for name in written]
        names = dict(zip(header, written, strict=True))
        tiers = self._tiers(path, header, line=first)
        for line, cells in rows:
            where = f"{path.name}:{line}"
            values = [unicodedata.normalize("NFC", cell).strip() for cell in cells]
            if len(values) > len(header):
                reason = f"{len(values)} cells, but the header has {len(header)}"
                yield _problem(where, "", "K124", reason)
                continue
            row = dict(zip(header, values, strict=False))
            file = row.get(_FILE) or PurePosixPath(row.get(_PATH, "").replace("\\", "/")).name
            stem = file.removesuffix(".eaf")
            if not stem:
                column = names.get(_FILE) or names[_PATH]
                yield _problem(where, "", "K103", f"column {column!r}: is empty")
                continue
            said = parse_name(stem)
            if self._is_left_out(stem, said):
                continue
            if not any(row.get(tier) for tier in tiers):
                if not any(row.get(tier) for tier in _tiers(header)):
                    yield _problem(where, stem, "K118", "no tier of the row has a value")
                continue
            for tier in tiers:
                if row.get(tier):
                    yield self._segment(row, tier, said, stem, f"{where}:{tier}", names)

    def _segment(
        self,
        row: Mapping[str, str],
        tier: str,
        said: _Name,
        stem: str,
        where: str,
        names: Mapping[str, str],
    ) -> Annotation:
        """A cell; `names` are what the file calls its columns."""
        meant, recording = self._join(stem, said)
        if recording is None:
            reason = f"{stem!r:.80} fits no media file, or several"
            return _problem(where, stem, "K103", reason)
        video = self._videos.get(meant or "")
        if video is None and self._delay.startswith("paper"):
            reason = f"{stem!r:.80} fits no video of the list, or several: its delay is unknown"
            return _problem(where, recording, "K103", reason)
        times, notes = [], []
        for column in (_START, _END):
            try:
                time = parse_time(row.get(column, ""), unit="ms")
            except ValueError as error:
                return _problem(where, recording, "K111", f"column {names[column]!r}: {error}")
            times.append(str(self._undelayed(time.ms or 0, video)))
            if time.decimal_comma:
                said_so = f"column {names[column]!r}: {row[column]!r} was read with a decimal comma"
                notes.append(("K116", said_so))
        return Annotation(
            source=where,
            recording=recording,
            start=times[0],
            end=times[1],
            unit="ms",
            start_column=names[_START],
            end_column=names[_END],
            label=row[tier],
            emotion=said.emotion,
            # The media may spell it otherwise; then all clips of a recording spell it as they do.
            sentence=(self._media.get(recording) or self._known.get(meant or "") or said).title,
            signer=(self._known.get(meant or "") or said).signer,
            tier=tier,
            duration_ms=None if video is None else int(video.duration_ms),
            notes=tuple(notes),
        )

    def _undelayed(self, ms: int, video: _Video | None) -> int:
        """A time of the export as a time of the recording, not below 0."""
        if self._delay == "none":
            return ms
        if video is None or self._delay.isdigit():
            return max(0, ms - int(self._delay))
        delay = delay_ms(video.fps)
        rest = max(0, ms - delay)
        if self._delay == "paper":
            return rest
        whole = video.duration_ms
        return int(rest * whole / (whole - delay)) if whole > delay else rest

    def _tiers(self, path: Path, header: Sequence[str], *, line: int) -> list[str]:
        found = _tiers(header)
        if len(set(header)) != len(header):
            raise AnnotationError(
                f"{path}, line {line}: two columns have the same name.", hint="Export it again."
            )
        wanted = self._source.tiers
        absent = [w for w in wanted if not any(fnmatchcase(tier, w) for tier in found)]
        if absent:
            raise RecipeError(
                f"[ingest] tiers: {path.name} has no tier {absent[0]!r:.40}.",
                hint=f"It has {', '.join(found)}.",
            )
        return [t for t in found if not wanted or any(fnmatchcase(t, w) for w in wanted)]

    def _is_left_out(self, name: str, said: _Name) -> bool:
        folders = {part.casefold() for part in PurePosixPath(name).parts[:-1]}
        named = next((config for config in CONFIGS[1:] if config in folders), said.config)
        return self._config not in ("all", named)

    def _join(self, stem: str, said: _Name) -> tuple[str | None, str | None]:
        """The video of the list and the media file that a name of the export means."""
        if stem not in self._joined:
            meant = _best(stem, said, self._known)
            file = _best(stem, said, self._media)
            if file is None and meant is not None:
                file = _best(meant, self._known[meant], self._media)
            if file is None and not _any_like(said, self._media):
                file = meant or stem  # it is not there; ingesting says so
            self._joined[stem] = meant, file
        return self._joined[stem]


_NAMES = (_START, _END, _FILE, _PATH, *_ENGLISH)


def _tiers(header: Sequence[str]) -> list[str]:
    """The columns that are tiers."""
    return [n for n in header if n and n not in _NAMES and not _NO_TIER.fullmatch(n)]


def _any_like(said: _Name, names: Mapping[str, _Name]) -> bool:
    return any(_alike(said, other) for other in names.values())


def _best(stem: str, said: _Name, names: Mapping[str, _Name]) -> str | None:
    """The name that means the same recording: the very name, else the only one alike."""
    same = [name for name in names if PurePosixPath(name).stem == stem or name == stem]
    same = same or [name for name, other in names.items() if other == said]
    same = same or [name for name, other in names.items() if _alike(said, other)]
    return same[0] if len(same) == 1 else None


def _alike(one: _Name, other: _Name) -> bool:
    """Are these two spellings of a name, shortened differently?

    Words are shortened at their end (``sob``, ``sobaka``), where zh may stand for g (``beg``,
    ``bezhit``); ``devupala`` is ``dev``, ``upala``. Signers are never shortened.
    """
    if one.kind != other.kind or (one.emotion or "neutral") != (other.emotion or "neutral"):
        return False
    if one.signer != other.signer:
        return False
    if len(one.words) != len(other.words):
        return "".join(one.words) == "".join(other.words)
    pairs = zip(one.words, other.words, strict=True)
    return all(_shortens(x.replace("zh", "g"), y.replace("zh", "g")) for x, y in pairs)


def _shortens(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) >= _SHORTEST and long.startswith(short))


def parse_name(stem: str) -> _Name:
    """What a name such as ``part_q-neut-papa.bezhit-x`` says; case does not matter."""
    words = [w for w in _WORD.split(unicodedata.normalize("NFC", stem).casefold()) if w]
    kind = None
    for length in (2, 1):
        first = "_".join(words[:length]).rstrip("0123456789")
        if first in _KINDS and len(words) > length:
            kind, words = _KINDS[first], words[length:]
            break
    emotion = None
    if len(words) > 1 and words[0].rstrip("0123456789") in _EMOTIONS:
        emotion, words = _EMOTIONS[words[0].rstrip("0123456789")], words[1:]
    if kind is not None and emotion is None:
        emotion = "neutral"
    signer = words.pop() if len(words) > 1 else None
    signer = _SIGNERS.get(signer or "", signer)
    return _Name(kind=kind, emotion=emotion, words=tuple(words), signer=signer)


def _header(path: Path) -> list[str]:
    _, cells = next(read_cells(path, names=(*_NAMES, *_META)))
    return [unicodedata.normalize("NFC", cell).strip() for cell in cells]


def _videos(path: Path, header: Sequence[str]) -> Iterator[tuple[str, _Video]]:
    """The videos of a list such as meta_video.tsv, by name."""
    rows = read_cells(path, names=_META)
    next(rows)
    seen: dict[str, int] = {}
    for line, cells in rows:
        if len(cells) > len(header):
            raise AnnotationError(
                f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}.",
                hint="Fetch it again.",
            )
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        name, fps, count = (row.get(column, "") for column in _META)
        if not name or not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,12})?", fps) or Fraction(fps) == 0:
            raise AnnotationError(
                f"{path}, line {line}: expected a name and a frame rate such as 28.222, found "
                f"{name!r:.40} and {fps!r:.40}."
            )
        if not re.fullmatch(r"[0-9]{1,9}", count):
            raise AnnotationError(
                f"{path}, line {line}: expected a number of frames, found {count!r:.40}."
            )
        if seen.setdefault(name, line) != line:
            raise AnnotationError(
                f"{path}, line {line}: the video {name!r:.80} is that of line {seen[name]} too.",
                hint="Delete one of the lines.",
            )
        yield unicodedata.normalize("NFC", name), _Video(fps=Fraction(fps), num_frames=int(count))


def _problem(where: str, recording: str, code: str, reason: str) -> Annotation:
    return Annotation(
        source=where, recording=recording, start=None, end=None, unit="ms", problem=(code, reason)
    )
