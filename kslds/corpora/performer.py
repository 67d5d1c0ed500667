"""How the demo's signers sign: signs, signers, emotions, and from these a pose for any instant.

What a sign looks like follows from its `gloss_id` alone (`form_of`): a place, a movement, a
hand shape and one or two hands, drawn from small sets, so that signs differ and some differ in
one feature only. How a signer signs follows from the seed and the signer's number
(`persona`): body, clothes, room, camera, speed, handedness and a way of their own of making
each sign, which is what makes unseen signers hard. An emotion is a face, and a change of
tempo, size and posture that is smaller than the differences between signers and takes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from kslds.corpora.canvas import ROOMS, Colour, Scene
from kslds.corpora.puppet import GARMENTS, Face, Hand, Look, Pose
from kslds.schema import Sign, Signer

T = TypeVar("T")

EMOTIONS = ("neutral", "happy", "sad", "angry")
"""The emotions of KSL-Emo, in the order in which they are used."""


class Dice:
    """Random numbers that depend on the given values only."""

    def __init__(self, *parts: object) -> None:
        digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
        self._rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))

    def between(self, low: float, high: float) -> float:
        """Anywhere from `low` to `high`."""
        return float(self._rng.uniform(low, high))

    def around(self, spread: float) -> float:
        """Near zero, with this standard deviation."""
        return float(self._rng.normal(0, spread))

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` up to, not including, `high`."""
        return int(self._rng.integers(low, high))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self._rng.random() < probability)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.whole(0, len(options))]

    def order(self, count: int) -> list[int]:
        """The numbers below `count`, shuffled."""
        return [int(i) for i in self._rng.permutation(count)]


def _dealt(options: Sequence[T], number: int, *parts: object) -> T:
    """The option for this number, as if they were dealt out like cards: each comes as often."""
    order = Dice("deal", *parts, number // len(options)).order(len(options))
    return options[order[number % len(options)]]


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
    "line", "line-back", "arc", "circle", "zigzag", "tap", "wave", "twist", "open", "flutter",
    "push",
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
    meaning: str
    """In words, for the vocabulary of the ELAN files."""
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


# Chosen so that the ten known words of KSL-Emo hold pairs that differ in one feature only.
_FORMS = 0


def form_of(sign: Sign) -> Form:
    """The form of a sign; its movement depends on `gloss_id` and `num_hands` only."""
    dice = Dice("form", _FORMS, sign.gloss_id)
    place = dice.pick(list(_PLACES))
    movement = dice.pick(_MOVEMENTS)
    shape = dice.pick(list(_SHAPES))
    end_shape = dice.pick([name for name in _SHAPES if name != shape])
    two = dice.pick(["mirror", "alternate", "base"])
    both = dice.chance(0.4)
    if sign.num_hands is not None:
        both = sign.num_hands == 2
    repeats = dice.pick([1, 1, 2, 3])
    if movement in ("tap", "wave", "twist", "line-back"):
        repeats = max(2, repeats)
    near_face = _PLACES[place][1] < 0.3
    return Form(
        gloss_id=sign.gloss_id,
        meaning=sign.kk or sign.en or sign.ru or "",
        place=place,
        movement=movement,
        shape=shape,
        end_shape=end_shape if movement == "open" else shape,
        hands=two if both else "one",
        heading=dice.whole(0, 8) * math.pi / 4 + dice.between(-0.2, 0.2),
        size=dice.between(0.34, 0.6),
        repeats=repeats,
        aim=dice.pick([-1.2, -0.7, -0.2, 0.2] if near_face else [-1.5, -0.9, -0.4, 0.1]),
        pitch=dice.pick([0.0, 0.3, 0.8]),
        turn=dice.pick([0.0, -0.8, -1.6, 3.0]),
        seconds=dice.between(0.6, 0.8) + 0.14 * repeats,
        syllables=dice.whole(1, 4),
    )


def _stroke(form: Form, u: float) -> Hand:
    """How far the hand is from its place after a share `u` of the movement (as differences)."""
    size, repeats = form.size, form.repeats
    side, down, near, aim, turn, flutter = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    ahead = (math.sin(form.heading), -math.cos(form.heading))
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
    fore, middle, ring, pinky = (
        flutter * (0.5 + 0.5 * math.sin(2 * math.pi * (4 * u - 0.2 * i))) for i in range(4)
    )
    return Hand(side, down, near, aim, 0.0, turn, 0.0, fore, middle, ring, pinky, 0.0, 0.0)


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
        tempo=0.9, size=0.94, lift=-0.02, nod=0.036, tilt=-0.05, attack=0.95,
    ),
    "angry": Mood(
        face=Face(slant=-1.0, smile=-0.45, lids=0.86, raise_=-0.6, narrow=0.7),
        tempo=1.1, size=1.05, lift=0.018, nod=0.022, attack=1.1,
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
    (240, 206, 178), (232, 190, 156), (222, 176, 138), (206, 156, 118), (186, 134, 98),
    (150, 104, 76),
)  # fmt: skip
_LEGS: Sequence[Colour] = ((48, 52, 74), (70, 60, 52), (36, 36, 40))
_IRISES: Sequence[Colour] = ((70, 46, 32), (96, 66, 40), (74, 92, 84))
_HAIR_OF = {
    True: ("long", "bun", "scarf", "short", "curly"),
    False: ("short", "cap", "buzz", "curly", "short"),
}
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
    (198, 202, 198), (216, 202, 182), (158, 174, 192), (176, 190, 168), (206, 186, 186),
    (132, 140, 150),
)  # fmt: skip


def persona(seed: int, number: int) -> Persona:
    """The signer of this number, counted from 0."""
    dice = Dice("persona", seed, number)
    woman = _dealt((True, False), number, seed, "gender")
    hair = _dealt(_HAIR_OF[woman], number // 2, seed, "hair", woman)
    age = dice.pick(["18-29", "18-29", "30-44", "30-44", "45-59", "60+"])
    # One of every five signers is left-handed, whatever the seed.
    left_handed = _dealt((True, False, False, False, False), number, seed, "left")
    warmth, bright = dice.between(-0.07, 0.07), dice.between(0.78, 1.06)
    return Persona(
        record=Signer(
            signer_id=f"subject_{number + 1:02d}",
            age_band=age,
            gender="female" if woman else "male",
            handedness="left" if left_handed else "right",
            hearing_status=dice.pick(["deaf", "deaf", "hard-of-hearing", "coda", "hearing"]),
            region="invented",
            consent_scope="publication",
            consent_date="2024-01-15",
        ),
        look=_look(dice, seed, number, hair=hair, woman=woman, grey=age == "60+"),
        number=number,
        left_handed=left_handed,
        speed=dice.between(0.86, 1.22),
        size=dice.between(0.8, 1.2),
        place=(dice.around(0.05), dice.around(0.06)),
        expression=dice.between(0.55, 1.0),
        habit=dice.between(0.7, 1.3),
        tilt=dice.around(0.045),
        rest=_dealt(list(_REST), number, seed, "rest"),
        room=_dealt(list(ROOMS), number, seed, "room"),
        wall=_dealt(_WALLS, number, seed, "wall"),
        accent=_dealt(_CLOTHS, number, seed, "accent"),
        light=(bright * (1 + warmth), bright, bright * (1 - warmth)),
        light_from=dice.between(-1, 1),
        noise=dice.between(0.6, 2.4),
    )


def _look(dice: Dice, seed: int, number: int, *, hair: str, woman: bool, grey: bool) -> Look:
    hair_colour = _GREY if grey else dice.pick(_HAIR_COLOURS)
    return Look(
        skin=_dealt(_SKINS, number, seed, "skin"),
        hair_colour=dice.pick(_CLOTHS) if hair == "scarf" else hair_colour,
        hair=hair,
        garment=_dealt(GARMENTS, number, seed, "garment"),
        cloth=_dealt(_CLOTHS, number, seed, "cloth"),
        trim=_dealt(_TRIMS, number, seed, "trim"),
        legs=dice.pick(_LEGS),
        iris=dice.pick(_IRISES),
        shoulders=dice.between(0.92, 1.06) * (0.95 if woman else 1.05),
        build=dice.between(0.86, 1.24),
        arms=dice.between(0.93, 1.07),
        head=dice.between(0.93, 1.07),
        face=dice.between(0.9, 1.1),
        long_sleeves=hair == "scarf" or dice.chance(0.6),
        glasses=dice.chance(0.25),
        beard="none" if woman else dice.pick(["none", "none", "moustache", "full"]),
        brow_weight=dice.between(0.75, 1.35),
        smile=dice.between(-0.8, 0.8),
        frown=dice.between(-0.7, 0.7),
    )


def tempo(who: Persona, emotion: str) -> float:
    """How fast the signer signs with this emotion; 1 is average."""
    return who.speed * _MOODS[emotion].tempo


_REST: Mapping[str, tuple[Hand, Hand]] = {
    "sides": (
        Hand(0.54, 1.4, 0.12, -3.0, 0.1, -1.6, 0.3, 0.3, 0.35, 0.4, 0.45, 0.1, 0.3),
        Hand(0.54, 1.4, 0.12, -3.0, 0.1, -1.6, 0.3, 0.3, 0.35, 0.4, 0.45, 0.1, 0.3),
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


def scene(who: Persona, *, seed: int, session: int, size: tuple[int, int]) -> Scene:
    """The signer's room, with the camera put up anew for every session.

    Args:
        who: The signer.
        seed: The demo's.
        session: Number of the session.
        size: Width and height of the picture as shown, in pixels.
    """
    dice = Dice("scene", seed, who.number, session)
    return Scene(
        width=size[0],
        height=size[1],
        room=who.room,
        wall=who.wall,
        accent=who.accent,
        light=who.light,
        light_from=who.light_from,
        zoom=dice.between(0.94, 1.06),
        shift=(dice.around(0.04), dice.around(0.03)),
        roll=dice.around(0.025),
        yaw=dice.between(0, 0.4),
        noise=who.noise,
        seed=dice.whole(0, 2**32),
    )


# -------------------------------------------------------------------------- performing


@dataclass(frozen=True, kw_only=True)
class _Staged:
    """A cue as this signer makes it this time."""

    start: float
    stop: float
    """Seconds."""
    form: Form
    mood: Mood
    strength: float
    """How much of the emotion shows."""
    centre: Hand
    end_shape: Hand
    """The centre with the hand shape of the end."""


def _stage(cue: Cue, who: Persona, *, seed: int, session: int) -> _Staged:
    form, mood = cue.form, _MOODS[cue.emotion]
    own = Dice("own way", seed, who.number, form.gloss_id)
    if own.chance(0.06):
        # As from another town: a sign of its own for the same thing.
        other = form_of(Sign(gloss_id=f"{form.gloss_id} {own.whole(0, 2)}"))
        form = dataclasses.replace(other, gloss_id=form.gloss_id)
    if own.chance(0.12) and form.hands == "mirror":
        form = dataclasses.replace(form, hands="one")
    habit = who.habit
    now = Dice("take", seed, who.number, session, cue.first_frame)
    form = dataclasses.replace(
        form,
        heading=form.heading + habit * own.around(0.2) + now.around(0.1),
        size=form.size * who.size * mood.size * (1 + habit * own.around(0.16) + now.around(0.1)),
        repeats=form.repeats + own.chance(0.12),
    )
    side, down, near = _PLACES[form.place]
    if form.hands in ("mirror", "alternate"):
        side = max(side, 0.22)  # Two hands side by side, not on top of each other.
    elif form.hands == "base":
        side, down = 0.05, 0.45
    spot = (
        side + who.place[0] + habit * own.around(0.055) + now.around(0.025),
        (down - 0.1) * (0.9 + 0.1 * who.size) + 0.1 + who.place[1] + habit * own.around(0.055)
        + now.around(0.025),
        near,
        form.aim + habit * own.around(0.15) + now.around(0.05),
        form.pitch,
        form.turn + habit * own.around(0.15),
    )  # fmt: skip
    share = 1 + now.around(0.5)
    # Heads and shoulders also move with a sign for no reason of feeling.
    mood = dataclasses.replace(
        mood,
        nod=mood.nod * share + now.around(0.018),
        tilt=mood.tilt * share + now.around(0.035),
        lift=mood.lift * share + now.around(0.012),
        attack=max(0.6, mood.attack + now.around(0.1)),
    )
    return _Staged(
        start=cue.start_ms / 1000,
        stop=cue.stop_ms / 1000,
        form=form,
        mood=mood,
        strength=who.expression * min(1.0, max(0.4, 0.85 + now.around(0.15))),
        centre=Hand(*spot, *_SHAPES[form.shape]),
        end_shape=Hand(*spot, *_SHAPES[form.end_shape]),
    )


def _ease(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


class Performer:
    """Gives the pose of a signer at any time of a recording.

    Args:
        who: The signer.
        cues: What is signed when, in order.
        seed: The demo's.
        session: Number of the session.
    """

    def __init__(self, who: Persona, cues: Sequence[Cue], *, seed: int, session: int) -> None:
        self.who = who
        self._staged = [_stage(cue, who, seed=seed, session=session) for cue in cues]
        self._starts = [staged.start for staged in self._staged]
        dice = Dice("performance", seed, who.number, session)
        self._phases = [dice.between(0, 2 * math.pi) for _ in range(6)]
        self._blinks = [dice.between(0, 4)]
        while self._blinks[-1] < self._staged[-1].stop + 4:
            self._blinks.append(self._blinks[-1] + dice.between(1.4, 4.5))

    def pose(self, now: float) -> Pose:
        """The pose at a time, in seconds."""
        phases = self._phases
        breath = 0.008 * math.sin(1.5 * now + phases[0])
        idle = Hand(0.008 * math.sin(0.9 * now + phases[1]), breath, 0.0, *([0.0] * 10))
        dominant, other = (_plus(hand, idle) for hand in _REST[self.who.rest])
        # An expression begins a little before the hands and outlasts them.
        number = bisect_right(self._starts, now + 0.2) - 1
        if number < 0:
            return self._posture(dominant, other, _MOODS["neutral"], 0.0, 0.0, now)
        staged = self._staged[number]
        shown = _ease((now - staged.start + 0.2) / 0.35) * (1 - _ease((now - staged.stop) / 0.4))
        jaw = 0.0
        if staged.start <= now < staged.stop:
            share = (now - staged.start) / (staged.stop - staged.start)
            jaw = 0.3 * max(0.0, math.sin(2 * math.pi * staged.form.syllables * share))
            dominant, other = _sign(staged, share, dominant, other)
        return self._posture(dominant, other, staged.mood, shown * staged.strength, jaw, now)

    def _eyelids(self, now: float) -> float:
        since = now - self._blinks[max(0, bisect_right(self._blinks, now) - 1)]
        return 1 - math.sin(math.pi * since / 0.16) if 0 <= since < 0.16 else 1.0

    def _posture(
        self, dominant: Hand, other: Hand, mood: Mood, strength: float, jaw: float, now: float
    ) -> Pose:
        """The pose with these hands; `jaw` is what the mouth does for the word."""
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
                lids=(1 + (face.lids - 1) * strength) * self._eyelids(now),
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


_RAISED, _LOWERED = 0.21, 0.8
"""Shares of a sign's time: until the one the hand is raised, from the other on lowered."""


def _sign(staged: _Staged, share: float, rest: Hand, other: Hand) -> tuple[Hand, Hand]:
    """Both hands after a share of the time of a sign."""
    u = min(1.0, max(0.0, (share - _RAISED) / (_LOWERED - _RAISED)))
    u = 1 - (1 - u) ** staged.mood.attack
    active = _ease(share / _RAISED) * (1 - _ease((share - _LOWERED) / (1 - _LOWERED)))

    def acting(u: float) -> Hand:
        shaped = staged.centre.towards(staged.end_shape, _ease(u * 1.3 - 0.15))
        return _plus(shaped, _stroke(staged.form, u))

    match staged.form.hands:
        case "mirror":
            second = acting(u)
        case "alternate":
            second = acting(1 - u)
        case "base":
            second = Hand(0.02, 0.62, 0.5, -1.5, 0.0, 1.2, *_SHAPES["flat"])
        case _:
            second = other
    return rest.towards(acting(u), active), other.towards(second, active)
