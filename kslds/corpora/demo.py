"""The embedded demo: recordings of drawn signers, with the boundaries known exactly.

What a sign looks like follows from its `gloss_id` alone (`form_of`): a place, a movement, a
hand shape and one or two hands, drawn from small sets, so that signs differ and some differ in
one feature only. How a signer signs follows from the seed and the signer's number
(`persona`): body, clothes, room, camera, speed, handedness and a way of their own of making
each sign, which is what makes unseen signers hard. An emotion is a face, and a change of
tempo, size and posture that is smaller than the differences between signers.

`plan` decides everything in whole milliseconds and frames; `render` draws the plan, encodes
it as phones and webcams would, and writes the boundaries as CSV and as ELAN files.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
import re
import subprocess
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, cast
from xml.etree import ElementTree

import numpy as np

from kslds import engine
from kslds.corpora.puppet import (
    GARMENTS,
    ROOMS,
    Colour,
    Face,
    Hand,
    Look,
    Pose,
    Puppet,
    Scene,
)
from kslds.errors import EncodeError, RecipeError
from kslds.manifest import readable_json, sha256_file, write_atomic, write_bytes
from kslds.probe import frame_ms, probe
from kslds.schema import Sign, Signer
from kslds.video import ffmpeg_exe, ffmpeg_version

EMOTIONS = ("neutral", "happy", "sad", "angry")
"""The emotions of KSL-Emo, in the order in which they are used."""

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


def _dice(*parts: object) -> np.random.Generator:
    """Random numbers that depend on these values only."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


# ------------------------------------------------------------------------------- signs

_PLACES: Mapping[str, tuple[float, float, float]] = {
    "forehead": (0.16, -0.62, 0.36),
    "temple": (0.42, -0.5, 0.26),
    "cheek": (0.32, -0.26, 0.36),
    "chin": (0.06, -0.1, 0.42),
    "chest": (0.06, 0.42, 0.36),
    "far-shoulder": (-0.34, 0.2, 0.36),
    "high": (0.62, -0.12, 0.5),
    "space": (0.38, 0.48, 0.62),
    "side": (0.8, 0.4, 0.4),
    "low": (0.3, 0.9, 0.5),
}
"""Side, down and near of the dominant hand's palm, see `Hand`."""

_MOVEMENTS = (
    "line", "line-back", "arc", "circle", "zigzag", "tap", "wave", "twist", "open", "flutter", "push",
)  # fmt: skip

# Thumb, index, middle, ring, pinky, spread, out.
_SHAPES: Mapping[str, tuple[float, ...]] = {
    "flat": (0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1),
    "five": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0),
    "fist": (0.9, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0),
    "index": (0.9, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0),
    "vee": (0.9, 0.0, 0.0, 1.0, 1.0, 1.2, 0.0),
    "three": (0.0, 0.0, 0.0, 1.0, 1.0, 0.8, 1.0),
    "ell": (0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0),
    "wye": (0.0, 1.0, 1.0, 1.0, 0.0, 0.6, 1.0),
    "claw": (0.4, 0.5, 0.5, 0.5, 0.5, 1.0, 0.9),
    "pinch": (0.8, 0.62, 0.66, 0.7, 0.74, 0.0, 0.3),
    "hook": (0.9, 0.5, 1.0, 1.0, 1.0, 0.0, 0.0),
    "thumb": (0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a sign looks like when nobody in particular makes it."""

    gloss_id: str
    place: str
    movement: str
    shape: str
    end_shape: str
    hands: str
    """`one`, `mirror`, `alternate` (two hands in turn) or `base` (one acts on the other)."""
    heading: float
    """Direction of the movement: 0 up, positive outwards, radians."""
    size: float
    repeats: int
    aim: float
    pitch: float
    turn: float
    seconds: float
    """Length of the movement itself."""
    syllables: int
    """How often the mouth opens with it."""


def form_of(sign: Sign) -> Form:
    """The form of a sign; depends on `gloss_id` and `num_hands` only."""
    dice = _dice("form", sign.gloss_id)
    place = str(dice.choice(list(_PLACES)))
    movement = str(dice.choice(_MOVEMENTS))
    shape = str(dice.choice(list(_SHAPES)))
    end_shape = str(dice.choice([name for name in _SHAPES if name != shape]))
    two = str(dice.choice(["mirror", "alternate", "base"]))
    both = bool(dice.random() < 0.4) if sign.num_hands is None else sign.num_hands == 2
    heading = float(dice.choice(8)) * math.pi / 4 + float(dice.uniform(-0.2, 0.2))
    repeats = int(dice.choice([1, 1, 2, 3]))
    near_face = _PLACES[place][1] < 0.3
    return Form(
        gloss_id=sign.gloss_id,
        place=place,
        movement=movement,
        shape=shape,
        end_shape=end_shape if movement == "open" else shape,
        hands=two if both else "one",
        heading=heading,
        size=float(dice.uniform(0.34, 0.6)),
        repeats=max(2, repeats) if movement in ("tap", "wave", "twist", "line-back") else repeats,
        aim=float(dice.choice([-1.2, -0.7, -0.2, 0.2] if near_face else [-1.5, -0.9, -0.4, 0.1])),
        pitch=float(dice.choice([0.0, 0.3, 0.8])),
        turn=float(dice.choice([0.0, -0.8, -1.6, 3.0])),
        seconds=float(dice.uniform(0.6, 0.8)) + 0.14 * repeats,
        syllables=int(dice.integers(1, 4)),
    )


def _stroke(form: Form, u: float, *, heading: float, size: float, repeats: int) -> Hand:
    """How far the hand is from its place after a share `u` of the movement (as differences)."""
    side, down, near, aim, turn, flutter = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    ahead = (math.sin(heading), -math.cos(heading))
    beside = (ahead[1], -ahead[0])
    wave = math.sin(2 * math.pi * repeats * u)
    swing = 0.5 - 0.5 * math.cos(2 * math.pi * repeats * u)
    along = across = 0.0
    match form.movement:
        case "line":
            along = size * (u - 0.5)
        case "line-back":
            along = size * (swing - 0.5)
        case "arc":
            along, across = size * (u - 0.5), 0.45 * size * math.sin(math.pi * u)
        case "circle":
            turns = 2 * math.pi * repeats * u
            along, across = 0.42 * size * math.sin(turns), 0.42 * size * math.cos(turns)
        case "zigzag":
            along, across = size * (u - 0.5), 0.22 * size * math.sin(6 * math.pi * u)
        case "tap":
            along, near = 0.45 * size * (swing - 0.5), -0.15 * swing
        case "wave":
            aim, along = 0.55 * wave, 0.12 * size * wave
        case "twist":
            turn, along = 1.2 * wave, 0.1 * size * wave
        case "open":
            along, near = 0.35 * size * (u - 0.5), 0.2 * u
        case "flutter":
            along, flutter = 0.6 * size * (u - 0.5), 0.25
        case "push":
            near, down = 0.45 * size * (swing - 0.3), 0.25 * size * (swing - 0.5)
    side += along * ahead[0] + across * beside[0]
    down += along * ahead[1] + across * beside[1]
    fingers = [flutter * (0.5 + 0.5 * math.sin(2 * math.pi * (4 * u - 0.2 * i))) for i in range(4)]
    return Hand(side, down, near, aim, 0.0, turn, 0.0, *fingers, 0.0, 0.0)


def _plus(hand: Hand, change: Hand) -> Hand:
    return Hand(*[a + b for a, b in zip(hand, change, strict=True)])


# ----------------------------------------------------------------------------- signers


@dataclass(frozen=True, kw_only=True)
class Mood:
    """What an emotion does to a signer."""

    face: Face
    tempo: float = 1.0
    size: float = 1.0
    lift: float = 0.0
    nod: float = 0.0
    tilt: float = 0.0
    attack: float = 1.0
    """Above 1 a movement starts fast and holds, below 1 it starts slowly."""
    bounce: float = 0.0


_MOODS: Mapping[str, Mood] = {
    "neutral": Mood(face=Face()),
    "happy": Mood(
        face=Face(raise_=0.35, smile=1.0, lids=0.78, jaw=0.22),
        tempo=1.05, size=1.04, lift=0.01, nod=-0.012, tilt=0.05, bounce=0.006,
    ),
    "sad": Mood(
        face=Face(slant=1.0, smile=-0.85, lids=0.66, raise_=0.1, gaze=(0.0, 0.7)),
        tempo=0.9, size=0.92, lift=-0.025, nod=0.045, tilt=-0.05, attack=0.94,
    ),
    "angry": Mood(
        face=Face(slant=-1.0, smile=-0.45, lids=0.86, raise_=-0.6, narrow=0.7),
        tempo=1.1, size=1.06, lift=0.02, nod=0.025, attack=1.14,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Persona:
    """A signer: what they look like, how they sign, and what the table says of them."""

    record: Signer
    look: Look
    number: int
    left_handed: bool
    speed: float
    size: float
    place: tuple[float, float]
    """How far to the side and down all their signs lie from where they usually lie."""
    expression: float
    """How much of an emotion shows."""
    habit: float
    """How much their own versions of the signs differ from the usual ones."""
    tilt: float
    rest: str
    room: str
    wall: Colour
    accent: Colour
    light: tuple[float, float, float]
    light_from: float
    noise: float


_SKINS: Sequence[Colour] = (
    (240, 206, 178), (232, 190, 156), (222, 176, 138), (206, 156, 118), (186, 134, 98), (150, 104, 76),
)  # fmt: skip
_HAIR_COLOURS: Sequence[Colour] = ((34, 28, 28), (52, 38, 32), (84, 58, 42), (128, 88, 56))
_GREY: Colour = (150, 148, 146)
_CLOTHS: Sequence[Colour] = (
    (52, 92, 140), (146, 58, 60), (64, 122, 88), (196, 184, 164), (70, 66, 84), (206, 150, 70),
    (104, 84, 140), (38, 124, 136), (226, 222, 214), (176, 98, 120),
)  # fmt: skip
_TRIMS: Sequence[Colour] = (
    (222, 190, 104),
    (236, 234, 228),
    (44, 54, 92),
    (150, 52, 58),
    (60, 140, 150),
)
_WALLS: Sequence[Colour] = (
    (198, 202, 198), (216, 202, 182), (158, 174, 192), (176, 190, 168), (206, 186, 186), (132, 140, 150),
)  # fmt: skip


def _pick(dice: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(dice.integers(len(options)))]


def persona(seed: int, number: int) -> Persona:
    """The signer of this number, counted from 0."""
    dice = _dice("persona", seed, number)
    woman = bool(dice.random() < 0.5)
    age = str(dice.choice(["18-29", "30-44", "45-59", "60+"], p=[0.35, 0.3, 0.2, 0.15]))
    hair = str(
        dice.choice(["long", "bun", "short", "scarf", "curly"] if woman else
                    ["short", "buzz", "curly", "cap", "short"])
    )  # fmt: skip
    garment = _pick(dice, GARMENTS)
    cloth, trim = _pick(dice, _CLOTHS), _pick(dice, _TRIMS)
    hair_colour = _GREY if age == "60+" else _pick(dice, _HAIR_COLOURS)
    bearded = not woman and dice.random() < 0.45
    look = Look(
        skin=_pick(dice, _SKINS),
        hair_colour=_pick(dice, _CLOTHS) if hair == "scarf" else hair_colour,
        hair=hair,
        garment=garment,
        cloth=cloth,
        trim=trim,
        legs=_pick(dice, ((48, 52, 74), (70, 60, 52), (36, 36, 40))),
        iris=_pick(dice, ((70, 46, 32), (96, 66, 40), (74, 92, 84))),
        shoulders=float(dice.uniform(0.92, 1.06)) * (0.95 if woman else 1.05),
        build=float(dice.uniform(0.86, 1.24)),
        arms=float(dice.uniform(0.93, 1.07)),
        head=float(dice.uniform(0.93, 1.07)),
        face=float(dice.uniform(0.9, 1.1)),
        long_sleeves=hair == "scarf" or bool(dice.random() < 0.6),
        glasses=bool(dice.random() < 0.25),
        beard=_pick(dice, ("full", "moustache")) if bearded else "none",
        brow_weight=float(dice.uniform(0.75, 1.35)),
        smile=float(dice.uniform(-0.8, 0.8)),
        frown=float(dice.uniform(-0.7, 0.7)),
    )
    # One of every five signers is left-handed, whatever the seed.
    left_handed = number % 5 == int(_dice("left", seed, number // 5).integers(5))
    warmth = float(dice.uniform(-0.07, 0.07))
    bright = float(dice.uniform(0.78, 1.06))
    record = Signer(
        signer_id=f"subject_{number + 1:02d}",
        age_band=age,
        gender="female" if woman else "male",
        handedness="left" if left_handed else "right",
        hearing_status=str(dice.choice(["deaf", "deaf", "hard-of-hearing", "coda", "hearing"])),
        region="invented",
        consent_scope="publication",
        consent_date="2024-01-15",
    )
    return Persona(
        record=record,
        look=look,
        number=number,
        left_handed=left_handed,
        speed=float(dice.uniform(0.86, 1.22)),
        size=float(dice.uniform(0.8, 1.2)),
        place=(float(dice.normal(0, 0.05)), float(dice.normal(0, 0.06))),
        expression=float(dice.uniform(0.55, 1.0)),
        habit=float(dice.uniform(0.7, 1.3)),
        tilt=float(dice.normal(0, 0.045)),
        rest=str(dice.choice(["sides", "clasped", "thighs"])),
        room=_pick(dice, ROOMS),
        wall=_pick(dice, _WALLS),
        accent=_pick(dice, _CLOTHS),
        light=(bright * (1 + warmth), bright, bright * (1 - warmth)),
        light_from=float(dice.uniform(-1, 1)),
        noise=float(dice.uniform(0.6, 2.4)),
    )


_REST: Mapping[str, tuple[Hand, Hand]] = {
    "sides": (
        Hand(0.6, 1.3, 0.12, 3.0, 0.1, -1.7, 0.3, 0.3, 0.35, 0.4, 0.45, 0.1, 0.3),
        Hand(0.6, 1.3, 0.12, 3.0, 0.1, -1.7, 0.3, 0.3, 0.35, 0.4, 0.45, 0.1, 0.3),
    ),
    "clasped": (
        Hand(0.03, 0.98, 0.5, -1.85, 0.0, 2.9, 0.4, 0.35, 0.4, 0.4, 0.45, 0.0, 0.2),
        Hand(0.02, 1.03, 0.42, -1.75, 0.0, 2.9, 0.4, 0.3, 0.35, 0.4, 0.4, 0.0, 0.2),
    ),
    "thighs": (
        Hand(0.34, 1.24, 0.4, -2.7, 0.3, 2.9, 0.2, 0.15, 0.15, 0.2, 0.25, 0.2, 0.4),
        Hand(0.34, 1.24, 0.4, -2.7, 0.3, 2.9, 0.2, 0.15, 0.15, 0.2, 0.25, 0.2, 0.4),
    ),
}


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


def _vpx(codec: str) -> tuple[str, ...]:
    return (
        "-c:v", codec, "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "90",
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
    Kind(name="webcam", suffix=".webm", size=(640, 480), video=_vpx("libvpx"), unit="ms"),
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
        name="browser", suffix=".webm", size=(640, 480), variable=True, video=_vpx("libvpx-vp9"),
        audio=("-c:a", "libopus", "-b:a", "32k"),
    ),
)  # fmt: skip
"""The kinds, dealt out in turn: eight recordings hold them all."""


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One sign of a recording. Times are of the plan; frames are exact, stop exclusive."""

    form: Form
    emotion: str
    repetition: int
    start_ms: int
    stop_ms: int
    first_frame: int
    stop_frame: int


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
    kinds = _dice("kinds", demo.seed).permutation(len(KINDS))
    takes: list[Take] = []
    for signer in range(demo.signers):
        order = _dice("order", demo.seed, signer).permutation(len(deck))
        for session, part in enumerate(np.array_split(order, sessions)):
            kind = KINDS[int(kinds[len(takes) % len(KINDS)])]
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
    dice = _dice("schedule", seed, who.number, session)
    spans = []
    now = int(dice.integers(800, 1300))
    for form, emotion, _ in items:
        tempo = who.speed * _MOODS[emotion].tempo * float(dice.uniform(0.92, 1.08))
        length = int(1000 * min(2.5, max(1.2, (form.seconds + 0.62) / tempo)))
        spans.append((now, now + length))
        now += length + int(dice.integers(400, 1000))
    total = spans[-1][1] + int(dice.integers(800, 1300))
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


def _scene(take: Take, who: Persona) -> Scene:
    """The signer's room, with the camera put up anew for every session."""
    dice = _dice("scene", take.seed, take.signer, take.session)
    width, height = take.kind.size
    return Scene(
        width=width,
        height=height,
        room=who.room,
        wall=who.wall,
        accent=who.accent,
        light=who.light,
        light_from=who.light_from,
        zoom=float(dice.uniform(0.94, 1.06)),
        shift=(float(dice.normal(0, 0.04)), float(dice.normal(0.0, 0.03))),
        roll=float(dice.normal(0, 0.025)),
        yaw=float(dice.uniform(0, 0.4)),
        noise=who.noise,
        seed=int(dice.integers(2**32)),
    )


# -------------------------------------------------------------------------- performing


def _ease(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


class Performer:
    """Turns a planned recording into poses.

    Args:
        take: The recording.
    """

    def __init__(self, take: Take) -> None:
        self.take = take
        self.who = persona(take.seed, take.signer)
        self._starts = [cue.start_ms for cue in take.cues]
        dice = _dice("performance", take.seed, take.signer, take.session)
        self._phases = dice.uniform(0, 2 * math.pi, 6).tolist()
        self._jitter = [dice.normal(0, 1, 12).tolist() for _ in take.cues]
        blinks = dice.uniform(1.4, 4.5, 2 + int(take.kind.frame_time(take.num_frames) / 1.4))
        self._blinks = np.cumsum(blinks).tolist()

    def poses(self) -> Iterator[Pose]:
        """The pose of every frame, in order."""
        for number in range(self.take.num_frames):
            yield self.pose(float(self.take.kind.frame_time(number)))

    def pose(self, now: float) -> Pose:
        """The pose at a time, in seconds."""
        who, phases = self.who, self._phases
        rest, rest_other = _REST[who.rest]
        breath = 0.008 * math.sin(1.5 * now + phases[0])
        idle = Hand(0.008 * math.sin(0.9 * now + phases[1]), breath, 0.0, *([0.0] * 10))
        dominant, other = _plus(rest, idle), _plus(rest_other, idle)
        blink = self._blink(now)
        # An expression begins a little before the hands and outlasts them.
        number = bisect_right(self._starts, int((now + 0.2) * 1000)) - 1
        if number < 0:
            return self._posture(dominant, other, Mood(face=Face()), 0.0, 0.0, now, blink)
        cue, jitter = self.take.cues[number], self._jitter[number]
        start, stop = cue.start_ms / 1000, cue.stop_ms / 1000
        shown = _ease((now - start + 0.2) / 0.35) * (1 - _ease((now - stop) / 0.4))
        mood = _MOODS[cue.emotion]
        strength = shown * who.expression * min(1.0, max(0.3, 0.85 + 0.15 * jitter[0]))
        jaw = 0.0
        if start <= now < stop:
            share = (now - start) / (stop - start)
            jaw = 0.3 * max(0.0, math.sin(math.pi * 2 * cue.form.syllables * share))
            dominant, other = self._sign(cue, mood, share, jitter, dominant, other)
        # Heads and shoulders also move with a sign for no reason of feeling.
        mood = dataclasses.replace(
            mood,
            nod=mood.nod * (1 + 0.5 * jitter[6]) + 0.018 * jitter[7],
            tilt=mood.tilt * (1 + 0.5 * jitter[6]) + 0.035 * jitter[8],
            lift=mood.lift * (1 + 0.5 * jitter[6]) + 0.012 * jitter[9],
        )
        return self._posture(dominant, other, mood, strength, jaw, now, blink)

    def _blink(self, now: float) -> float:
        since = now - self._blinks[max(0, bisect_right(self._blinks, now) - 1)]
        return 1 - math.sin(math.pi * since / 0.16) if 0 <= since < 0.16 else 1.0

    def _sign(
        self, cue: Cue, mood: Mood, share: float, jitter: Sequence[float], rest: Hand, other: Hand
    ) -> tuple[Hand, Hand]:
        """Both hands after a share of the time of a sign: raised, moved, lowered."""
        raised, lowered = 0.21, 0.8
        u = min(1.0, max(0.0, (share - raised) / (lowered - raised)))
        u = 1 - (1 - u) ** max(0.6, mood.attack + 0.1 * jitter[10])
        active = _ease(share / raised) * (1 - _ease((share - lowered) / (1 - lowered)))
        acting = rest.towards(self._hand(cue.form, mood, u, jitter), active)
        match cue.form.hands:
            case "mirror":
                second = other.towards(self._hand(cue.form, mood, u, jitter), active)
            case "alternate":
                second = other.towards(self._hand(cue.form, mood, 1 - u, jitter), active)
            case "base":
                flat = Hand(0.02, 0.62, 0.5, -1.5, 0.0, 1.2, *_SHAPES["flat"])
                second = other.towards(flat, active)
            case _:
                second = other
        return acting, second

    def _hand(self, form: Form, mood: Mood, u: float, jitter: Sequence[float]) -> Hand:
        """The hand in the middle of a sign, in this signer's way of making it."""
        who = self.who
        dice = _own_way(self.take.seed, who.number, form.gloss_id)
        own = [value * who.habit for value in dice.deviations]
        side, down, near = _PLACES[form.place]
        if form.hands in ("mirror", "alternate"):
            # Two hands side by side, not on top of each other.
            side = max(side, 0.22)
        elif form.hands == "base":
            side, down = 0.05, 0.45
        size = form.size * who.size * mood.size * (1 + 0.16 * own[0] + 0.1 * jitter[4])
        change = _stroke(
            form,
            u,
            heading=form.heading + 0.25 * own[1] + 0.1 * jitter[5],
            size=size,
            repeats=form.repeats + dice.extra,
        )
        shape = _SHAPES[form.shape]
        if form.end_shape != form.shape:
            ends = zip(shape, _SHAPES[form.end_shape], strict=True)
            shape = tuple(a + (b - a) * _ease(u * 1.3 - 0.15) for a, b in ends)
        centre = Hand(
            side + who.place[0] + 0.07 * own[2] + 0.03 * jitter[1],
            (down - 0.1) * (0.9 + 0.1 * who.size) + 0.1 + who.place[1] + 0.07 * own[3]
            + 0.03 * jitter[2],
            near,
            form.aim + 0.15 * own[4] + 0.05 * jitter[3],
            form.pitch,
            form.turn + 0.15 * own[5],
            *shape,
        )  # fmt: skip
        return _plus(centre, change)

    def _posture(
        self,
        dominant: Hand,
        other: Hand,
        mood: Mood,
        strength: float,
        jaw: float,
        now: float,
        blink: float,
    ) -> Pose:
        who, phases, face = self.who, self._phases, mood.face
        wander = math.sin(0.37 * now + phases[2]) + 0.6 * math.sin(0.83 * now + phases[3])
        bounce = mood.bounce * strength * math.sin(11 * now)
        return Pose(
            dominant=dominant,
            other=other,
            left_handed=who.left_handed,
            face=Face(
                raise_=face.raise_ * strength + 0.12 * math.sin(0.6 * now + phases[4]),
                slant=face.slant * strength,
                lids=(1 + (face.lids - 1) * strength) * blink,
                smile=face.smile * strength,
                jaw=max(jaw, face.jaw * strength),
                narrow=face.narrow * strength,
                gaze=(0.25 * wander, face.gaze[1] * strength),
            ),
            sway=0.012 * wander,
            lift=mood.lift * strength + 0.004 * math.sin(1.5 * now + phases[0]) + bounce * 0.5,
            tilt=who.tilt + mood.tilt * strength + 0.02 * math.sin(0.5 * now + phases[5]),
            nod=mood.nod * strength + bounce,
            look=0.25 * math.sin(0.29 * now + phases[1]),
        )


@dataclass(frozen=True, kw_only=True)
class _OwnWay:
    """How one signer's version of one sign differs from the usual one."""

    deviations: tuple[float, ...]
    extra: int


@cache
def _own_way(seed: int, signer: int, gloss_id: str) -> _OwnWay:
    dice = _dice("own way", seed, signer, gloss_id)
    return _OwnWay(deviations=tuple(dice.normal(0, 1, 6).tolist()), extra=int(dice.random() < 0.15))


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
    performer = Performer(take)
    puppet = Puppet(performer.who.look, _scene(take, performer.who))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            _command(take, path), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
        )
        pipe = cast(IO[bytes], process.stdin)
        try:
            for pose in performer.poses():
                pipe.write(puppet.frame(pose))
            pipe.close()
            process.wait()
        except BrokenPipeError:
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
    for tier_id, type_id, _ in _TIERS:
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
                    CVE_REF=f"cve_{value}",
                )  # fmt: skip
            else:
                annotation = add(
                    holder, "REF_ANNOTATION", ANNOTATION_ID=f"a{count + i + 1}",
                    ANNOTATION_REF=f"a{i + 1}", CVE_REF=f"cve_{value}",
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
    vocabularies = (
        sorted({cue.form.gloss_id for cue in take.cues}),
        [name for name in EMOTIONS if any(cue.emotion == name for cue in take.cues)],
    )
    for (_, _, name), values in zip(_TIERS, vocabularies, strict=True):
        vocabulary = add(root, "CONTROLLED_VOCABULARY", CV_ID=name)
        add(vocabulary, "DESCRIPTION", LANG_REF="und")
        for value in values:
            entry = add(vocabulary, "CV_ENTRY_ML", CVE_ID=f"cve_{value}")
            add(entry, "CVE_VALUE", LANG_REF="und", DESCRIPTION="").text = value
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


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
        "signs": [[sign.gloss_id, sign.num_hands] for sign in signs[: demo.signs]],
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
