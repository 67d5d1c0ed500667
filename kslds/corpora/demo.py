"""The embedded demo: recordings of drawn signers, with the boundaries known exactly.

`plan` decides everything in whole milliseconds and frames; `render` draws the plan, encodes
it as phones and webcams would, and writes the boundaries as CSV and as ELAN files. What the
signers do is told in `kslds.corpora.performer`, what they look like in `kslds.corpora.puppet`.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import subprocess
import tempfile
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, Any, cast
from xml.etree import ElementTree

import numpy as np

from kslds import engine
from kslds.corpora.performer import (
    EMOTIONS,
    Cue,
    Dice,
    Form,
    Performer,
    Persona,
    form_of,
    persona,
    scene,
    tempo,
)
from kslds.corpora.puppet import Puppet
from kslds.errors import EncodeError, RecipeError
from kslds.manifest import readable_json, sha256_file, write_atomic, write_bytes
from kslds.probe import frame_ms, probe
from kslds.schema import Sign
from kslds.video import ffmpeg_exe, ffmpeg_version

MAX_SIGNS_PER_RECORDING = 40

_DRAWING = 1
"""Raised when the same parameters give other pictures, so that old ones are not kept."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Size of the demo: every signer signs every sign with every emotion, some times over."""

    signers: int = 8
    signs: int = 10
    emotions: int = 4
    repetitions: int = 1
    seed: int = 17

    def __post_init__(self) -> None:
        limits = {
            "signers": (1, 999),
            "signs": (1, 10_000),
            "emotions": (1, len(EMOTIONS)),
            "repetitions": (1, 1000),
            "seed": (0, 2**63 - 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise RecipeError(
                    f"the demo's {name} is {value!r}; expected a whole number from {low} to {high}."
                )


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What a demo consists of."""

    recordings: int
    segments: int
    frames: int
    duration_ms: int
    """Length of all recordings together."""
    drawn: int
    """Recordings drawn by this call; the others were there already."""


# -------------------------------------------------------------------------------- plan


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file, as a phone or a webcam writes it."""

    name: str
    suffix: str
    size: tuple[int, int]
    """Width and height as shown."""
    rate: Fraction = Fraction(30)
    variable: bool = False
    rotation: int = 0
    """Clockwise degrees by which a player turns the stored picture."""
    video: tuple[str, ...] = ()
    audio: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    unit: str = "frame"
    """Unit of this file's rows in the CSV."""

    def frame_time(self, number: int) -> Fraction:
        """Seconds at which a frame is taken."""
        return _tick(number) / _TICKS if self.variable else number / self.rate

    @property
    def muxer(self) -> str:
        """ffmpeg's name of the container."""
        return self.suffix.removeprefix(".")


_TICKS = Fraction(120)
# The same formula for Python and for ffmpeg: intervals of 25, 33 and 42 ms, and every
# 29 frames one is lost.
_TICK_FILTER = "setpts='4*N+mod(N*N,3)+4*floor(N/29)'"


def _tick(number: int) -> int:
    return 4 * number + number * number % 3 + 4 * (number // 29)


def _h264(*options: str) -> tuple[str, ...]:
    return (
        "-c:v", "libx264", "-preset", "superfast", "-crf", "23", "-g", "60", "-pix_fmt", "yuv420p",
        "-threads", "1", *options,
    )  # fmt: skip


def _vpx(codec: str, *, speed: str) -> tuple[str, ...]:
    return (
        "-c:v", codec, "-deadline", "realtime", "-cpu-used", speed, "-b:v", "1M", "-g", "90",
        "-lag-in-frames", "0", "-auto-alt-ref", "0", "-pix_fmt", "yuv420p", "-threads", "1",
    )  # fmt: skip


def _tags(**tags: str) -> tuple[str, ...]:
    return tuple(
        word
        for name, value in tags.items()
        for word in ("-metadata", f"{name.replace('__', '.')}={value}")
    )


_NOWHERE = "+00.0000+000.0000/"
_PHONE = _tags(
    com__apple__quicktime__location__ISO6709=_NOWHERE,
    com__apple__quicktime__make="Invented",
    com__apple__quicktime__model="Phone 1",
    com__apple__quicktime__creationdate="2024-02-01T10:00:00+0000",
)
_ANDROID = _tags(location=_NOWHERE, creation_time="2024-02-01T10:00:00Z")
_QT = ("-movflags", "use_metadata_tags")
_AAC = ("-c:a", "aac", "-b:a", "48k")

KINDS: Sequence[Kind] = (
    Kind(name="plain", suffix=".mp4", size=(640, 480), video=_h264()),
    Kind(
        name="portrait", suffix=".mov", size=(480, 640), rotation=90, video=_h264("-bf", "0"),
        audio=_AAC, tags=(*_QT, *_PHONE),
    ),
    # VP8 keeps a negative speed; with a positive one it watches the clock, and bytes differ.
    Kind(name="webcam", suffix=".webm", size=(640, 480), video=_vpx("libvpx", speed="-8"),
         unit="ms"),
    Kind(
        name="variable", suffix=".mp4", size=(640, 480), variable=True, video=_h264("-bf", "0"),
        tags=_ANDROID,
    ),
    Kind(name="ntsc", suffix=".mp4", size=(720, 480), rate=Fraction(30000, 1001), video=_h264()),
    Kind(name="audio", suffix=".mp4", size=(640, 480), rate=Fraction(25), video=_h264(), audio=_AAC,
         unit="ms"),
    Kind(name="located", suffix=".mov", size=(720, 540), rotation=180, video=_h264("-bf", "0"),
         tags=(*_QT, *_PHONE)),
    Kind(
        name="browser", suffix=".webm", size=(640, 480), variable=True,
        video=_vpx("libvpx-vp9", speed="8"), audio=("-c:a", "libopus", "-b:a", "32k"),
    ),
)  # fmt: skip
"""The kinds, dealt out in turn: eight recordings hold them all."""


@dataclass(frozen=True, kw_only=True)
class Take:
    """One recording as planned."""

    name: str
    seed: int
    signer: int
    session: int
    kind: Kind
    num_frames: int
    cues: tuple[Cue, ...]

    @property
    def media(self) -> str:
        """Name of the file."""
        return self.name + self.kind.suffix

    @property
    def signer_id(self) -> str:
        """Pseudonym of the signer."""
        return f"subject_{self.signer + 1:02d}"


def plan(demo: Demo, signs: Sequence[Sign]) -> list[Take]:
    """What will be recorded: who, what, when, and as which kind of file.

    Raises:
        RecipeError: There are fewer signs than the demo asks for.
    """
    if len(signs) < demo.signs:
        raise RecipeError(
            f"the demo asks for {demo.signs} signs; the lexicon has {len(signs)}.",
            hint="Ask for fewer, or name a larger lexicon.",
        )
    forms = [form_of(sign) for sign in signs[: demo.signs]]
    deck = [
        (form, emotion, repetition)
        for form in forms
        for emotion in EMOTIONS[: demo.emotions]
        for repetition in range(demo.repetitions)
    ]
    sessions = -(-len(deck) // MAX_SIGNS_PER_RECORDING)
    kinds = Dice("kinds", demo.seed).order(len(KINDS))
    takes: list[Take] = []
    for signer in range(demo.signers):
        order = Dice("order", demo.seed, signer).order(len(deck))
        for session, part in enumerate(np.array_split(order, sessions)):
            kind = KINDS[kinds[len(takes) % len(KINDS)]]
            cues, num_frames = _schedule(
                [deck[int(i)] for i in part], kind, persona(demo.seed, signer), demo.seed, session
            )
            takes.append(
                Take(
                    name=f"subject_{signer + 1:02d}_session_{session + 1}",
                    seed=demo.seed,
                    signer=signer,
                    session=session,
                    kind=kind,
                    num_frames=num_frames,
                    cues=cues,
                )
            )
    return takes


def _schedule(
    items: Sequence[tuple[Form, str, int]], kind: Kind, who: Persona, seed: int, session: int
) -> tuple[tuple[Cue, ...], int]:
    """When each sign starts and ends, in ms and in frames; and how many frames there are."""
    dice = Dice("schedule", seed, who.number, session)
    spans = []
    now = dice.whole(800, 1300)
    for form, emotion, _ in items:
        seconds = (form.seconds + 0.62) / (tempo(who, emotion) * dice.between(0.92, 1.08))
        length = int(1000 * min(2.5, max(1.2, seconds)))
        spans.append((now, now + length))
        now += length + dice.whole(400, 1000)
    total = spans[-1][1] + dice.whole(800, 1300)
    times: list[Fraction] = []
    while not times or times[-1] * 1000 < total:
        times.append(kind.frame_time(len(times)))
    cues = tuple(
        Cue(
            form=form,
            emotion=emotion,
            repetition=repetition,
            start_ms=start,
            stop_ms=stop,
            first_frame=bisect_left(times, Fraction(start, 1000)),
            stop_frame=bisect_left(times, Fraction(stop, 1000)),
        )
        for (form, emotion, repetition), (start, stop) in zip(items, spans, strict=True)
    )
    return cues, len(times)


# --------------------------------------------------------------------------- rendering


def _command(take: Take, path: Path) -> list[str]:
    kind = take.kind
    width, height = kind.size
    filters = ["scale=flags=bitexact+accurate_rnd:out_color_matrix=bt601:out_range=tv"]
    timing: tuple[str, ...] = ()
    if kind.variable:
        filters.append(_TICK_FILTER)
        timing = ("-fps_mode", "passthrough", "-enc_time_base", f"1/{_TICKS}")
    # The stored picture is turned against the direction in which players will turn it.
    filters += {90: ["transpose=2"], 180: ["hflip", "vflip"], 270: ["transpose=1"]}.get(
        kind.rotation, []
    )
    # ffmpeg counts the matrix anticlockwise.
    turned = ("-display_rotation", str(-kind.rotation), "-noautorotate") if kind.rotation else ()
    rate = _TICKS if kind.variable else kind.rate
    hum: tuple[str, ...] = ()
    if kind.audio:
        seconds = float(kind.frame_time(take.num_frames))
        tone = f"sine=frequency=220:sample_rate=48000:duration={seconds:.3f},volume=0.02"
        hum = ("-f", "lavfi", "-i", tone)
    return [
        ffmpeg_exe(), "-nostdin", "-y", "-loglevel", "error", *turned,
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width}x{height}",
        "-framerate", str(rate), "-i", "pipe:0", *hum,
        "-map", "0:v", *(("-map", "1:a", *kind.audio) if hum else ()),
        "-vf", ",".join(filters), *timing, *kind.video, *kind.tags,
        "-fflags", "+bitexact", "-flags", "+bitexact", "-f", kind.muxer, f"file:{path}",
    ]  # fmt: skip


def _film(take: Take, path: Path) -> None:
    """Draw and encode one recording.

    Raises:
        EncodeError: ffmpeg failed.
    """
    who, kind = persona(take.seed, take.signer), take.kind
    performer = Performer(who, take.cues, seed=take.seed, session=take.session)
    room = scene(who, seed=take.seed, session=take.session, size=kind.size)
    puppet = Puppet(who.look, room)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            _command(take, path), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
        )
        pipe = cast(IO[bytes], process.stdin)
        try:
            # A child that gave up is told by its status below.
            with suppress(BrokenPipeError):
                for number in range(take.num_frames):
                    pipe.write(puppet.frame(performer.pose(float(kind.frame_time(number)))))
            with suppress(BrokenPipeError):
                pipe.close()
            process.wait()
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        complaint = log.read(2000).decode("utf-8", "replace").strip()
    if process.returncode:
        raise EncodeError(
            f"ffmpeg ended with status {process.returncode} on {take.media}: {complaint}.",
            hint="Is the disk full?",
        )


def _record(take: Take, out: Path) -> list[tuple[int, int]]:
    """Make one recording and its ELAN file unless they are there; return its boundaries in ms."""
    media = out / "media" / take.media
    if not media.is_file():
        with write_atomic(media) as file:
            _film(take, Path(file.name))
    found = probe(media)
    if len(found.pts) != take.num_frames:
        raise EncodeError(
            f"{take.media} has {len(found.pts)} frames; {take.num_frames} were drawn.",
            hint="Delete it and run the command again.",
        )
    # From the file itself, since a container rounds times to its own unit. A frame belongs to
    # the millisecond in which it starts, so these bounds select exactly the frames of the sign.
    bounds = [
        (
            frame_ms(found.pts[cue.first_frame], found.time_base),
            frame_ms(found.pts[cue.stop_frame], found.time_base),
        )
        for cue in take.cues
    ]
    write_bytes(out / "elan" / f"{take.name}.eaf", _eaf(take, bounds))
    return bounds


# ------------------------------------------------------------------------- annotations

_MIME = {".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm"}
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TIERS = (("gloss", "sign", "signs"), ("emotion", "emotion", "emotions"))


def _eaf(take: Take, bounds: Sequence[tuple[int, int]]) -> bytes:
    """An ELAN 3.0 document: one tier of signs, and below it one of emotions."""
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "",
            "DATE": "2024-02-01T10:00:00+00:00",
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _XSI,
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )

    def add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
        return ElementTree.SubElement(parent, tag, attributes)

    count = len(take.cues)
    header = add(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    url = f"../media/{take.media}"
    add(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=url, RELATIVE_MEDIA_URL=url,
        MIME_TYPE=_MIME[take.kind.suffix],
    )  # fmt: skip
    last = add(header, "PROPERTY", NAME="lastUsedAnnotationId")
    last.text = str(2 * count)
    order = add(root, "TIME_ORDER")
    for number, ms in enumerate((ms for span in bounds for ms in span), start=1):
        add(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(ms))
    for tier_id, type_id, name in _TIERS:
        parent = {"PARENT_REF": "gloss"} if tier_id == "emotion" else {}
        tier = add(
            root, "TIER", TIER_ID=tier_id, LINGUISTIC_TYPE_REF=type_id,
            PARTICIPANT=take.signer_id, **parent,
        )  # fmt: skip
        for i, cue in enumerate(take.cues):
            value = cue.form.gloss_id if tier_id == "gloss" else cue.emotion
            holder = add(tier, "ANNOTATION")
            if tier_id == "gloss":
                annotation = add(
                    holder, "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{i + 1}",
                    TIME_SLOT_REF1=f"ts{2 * i + 1}", TIME_SLOT_REF2=f"ts{2 * i + 2}",
                    CVE_REF=f"{name}_{value}",
                )  # fmt: skip
            else:
                annotation = add(
                    holder, "REF_ANNOTATION", ANNOTATION_ID=f"a{count + i + 1}",
                    ANNOTATION_REF=f"a{i + 1}", CVE_REF=f"{name}_{value}",
                )  # fmt: skip
            add(annotation, "ANNOTATION_VALUE").text = value
    add(
        root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID="sign", TIME_ALIGNABLE="true",
        GRAPHIC_REFERENCES="false", CONTROLLED_VOCABULARY_REF="signs",
    )  # fmt: skip
    add(
        root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID="emotion", TIME_ALIGNABLE="false",
        GRAPHIC_REFERENCES="false", CONSTRAINTS="Symbolic_Association",
        CONTROLLED_VOCABULARY_REF="emotions",
    )  # fmt: skip
    add(root, "LANGUAGE", LANG_ID="und", LANG_DEF="", LANG_LABEL="undetermined (und)")
    add(
        root, "CONSTRAINT", STEREOTYPE="Symbolic_Association",
        DESCRIPTION="1-1 association with a parent annotation",
    )  # fmt: skip
    meanings = {cue.form.gloss_id: cue.form.meaning for cue in take.cues}
    used = {cue.emotion for cue in take.cues}
    vocabularies = (dict(sorted(meanings.items())), {name: "" for name in EMOTIONS if name in used})
    for (_, _, name), entries in zip(_TIERS, vocabularies, strict=True):
        vocabulary = add(root, "CONTROLLED_VOCABULARY", CV_ID=name)
        add(vocabulary, "DESCRIPTION", LANG_REF="und")
        for value, meaning in entries.items():
            entry = add(vocabulary, "CV_ENTRY_ML", CVE_ID=f"{name}_{value}")
            add(entry, "CVE_VALUE", LANG_REF="und", DESCRIPTION=meaning).text = value
    ElementTree.indent(root, " ")
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue().encode()


def _annotations(takes: Sequence[Take], bounds: Sequence[Sequence[tuple[int, int]]]) -> bytes:
    rows = [
        (
            take.media,
            cue.form.gloss_id,
            *((cue.first_frame, cue.stop_frame) if take.kind.unit == "frame" else span),
            take.kind.unit,
            take.signer_id,
            cue.emotion,
            f"session_{take.session + 1}",
        )
        for take, spans in zip(takes, bounds, strict=True)
        for cue, span in zip(take.cues, spans, strict=True)
    ]
    return _csv(("file", "label", "start", "end", "unit", "signer", "emotion", "session"), rows)


def _signers(demo: Demo) -> bytes:
    records = [dataclasses.asdict(persona(demo.seed, i).record) for i in range(demo.signers)]
    rows = [
        [str(value).lower() if isinstance(value, bool) else value for value in record.values()]
        for record in records
    ]
    return _csv(list(records[0]), rows)


# ------------------------------------------------------------------------ the whole demo

_OURS = re.compile(
    r"media/subject_\d+_session_\d+\.(mp4|mov|webm)|elan/subject_\d+_session_\d+\.eaf"
    r"|annotations\.csv|signers\.csv"
)


def _state(out: Path) -> dict[str, Any]:
    """What `demo.json` says; empty where it is missing or is not one of ours."""
    try:
        state = json.loads((out / "demo.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    files = state.get("files") if isinstance(state, dict) else None
    if not isinstance(files, dict) or not all(_OURS.fullmatch(name) for name in files):
        return {}
    return cast("dict[str, Any]", state)


def _clear(out: Path, *, parameters: dict[str, Any], files: Sequence[str]) -> bool:
    """Delete what is not a complete part of this demo; true where all of it is there.

    A file is complete once it has its name (`write_atomic`); whether it belongs to these
    parameters is what `demo.json` says, which is written before the first file.
    """
    state = _state(out)
    same = state.get("parameters") == parameters
    recorded: dict[str, str | None] = state.get("files", {})
    complete = same
    for name in sorted({*recorded, *files}):
        path, known = out / name, recorded.get(name)
        keep = same and path.is_file() and (known is None or sha256_file(path) == known)
        if not keep:
            path.unlink(missing_ok=True)
        complete = complete and keep and known is not None
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):
            leftover.unlink(missing_ok=True)
    return complete


def render(
    out: Path,
    *,
    demo: Demo,
    signs: Sequence[Sign],
    workers: int | None = None,
    progress: engine.Progress | None = None,
) -> Rendered:
    """Draw the demo's recordings and write their true boundaries.

    Writes ``media/``, ``elan/`` (one document per recording), ``annotations.csv``,
    ``signers.csv`` and, last, ``demo.json`` with the parameters and the hash of every file.
    What is complete already is kept, so a run that was stopped goes on where it was.

    Args:
        out: The folder; made where it is missing.
        demo: The size.
        signs: The lexicon; the first `demo.signs` entries are used.
        workers: Processes at a time; all cores by default.
        progress: Told after each recording.

    Raises:
        RecipeError: There are fewer signs than the demo asks for.
        EncodeError: ffmpeg failed.
    """
    takes = plan(demo, signs)
    files = [
        *(f"media/{take.media}" for take in takes),
        *(f"elan/{take.name}.eaf" for take in takes),
        "annotations.csv",
        "signers.csv",
    ]
    parameters = {
        "demo": dataclasses.asdict(demo),
        "forms": [dataclasses.asdict(form_of(sign)) for sign in signs[: demo.signs]],
        "drawing": _DRAWING,
        "ffmpeg": ffmpeg_version(),
    }
    complete = _clear(out, parameters=parameters, files=files)
    missing = sum(not (out / "media" / take.media).is_file() for take in takes)
    if not complete:
        write_bytes(
            out / "demo.json",
            readable_json({"parameters": parameters, "files": dict.fromkeys(files)}),
        )
        bounds = list(
            engine.run(
                partial(_record, out=out),
                takes,
                stage="demo",
                workers=workers,
                progress=progress,
                processes=True,
            )
        )
        write_bytes(out / "annotations.csv", _annotations(takes, bounds))
        write_bytes(out / "signers.csv", _signers(demo))
        hashes = {name: sha256_file(out / name) for name in files}
        write_bytes(out / "demo.json", readable_json({"parameters": parameters, "files": hashes}))
    return Rendered(
        recordings=len(takes),
        segments=sum(len(take.cues) for take in takes),
        frames=sum(take.num_frames for take in takes),
        duration_ms=sum(int(take.kind.frame_time(take.num_frames) * 1000) for take in takes),
        drawn=missing,
    )
