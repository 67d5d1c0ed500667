"""An articulated signer, drawn in flat colours.

The body lives in a space of its own: the origin is the pit of the neck, the unit is an
average shoulder width, `x` runs to the viewer's right, `y` down and `z` towards the viewer.
Joints are solved in three dimensions and projected straight onto the picture, so that a hand
that comes forward or turns shortens as a real one does. A hand is described from its own side
(`Hand`), so that mirroring a signer is a change of sign.

Nothing here knows about signs, time or files; `kslds.corpora.performer` decides what the
signer does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from kslds.corpora.canvas import (
    DARK,
    WHITE,
    Canvas,
    Colour,
    Point,
    Scene,
    capsule,
    closed_curve,
    mirrored,
    mix,
    open_curve,
    oval,
    paint_room,
)

Vector = tuple[float, float, float]

HAIR = ("short", "long", "bun", "curly", "scarf", "cap", "buzz")
"""Hair and headwear; `cap` is a takiya, `scarf` a headscarf."""
GARMENTS = ("plain", "stripes", "shirt", "ornament", "vest")
"""Tops; `ornament` has an embroidered collar and front."""

_OUTER, _UPPER_ARM, _FOREARM = 0.45, 0.74, 0.64
_HAND = 1.18
"""Hands are drawn somewhat too large, as illustrators do where they matter."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a signer looks. Lengths are factors of an average body's."""

    skin: Colour
    hair_colour: Colour
    hair: str
    garment: str
    cloth: Colour
    trim: Colour
    legs: Colour
    iris: Colour
    shoulders: float = 1.0
    build: float = 1.0
    arms: float = 1.0
    head: float = 1.0
    face: float = 1.0
    """Width of the face."""
    long_sleeves: bool = True
    glasses: bool = False
    beard: Literal["none", "moustache", "full"] = "none"
    brow_weight: float = 1.0
    smile: float = 0.0
    """The mouth at rest, -1 to 1: some faces look sad or cheerful without meaning it."""
    frown: float = 0.0
    """The brows at rest, -1 to 1."""


class Hand(NamedTuple):
    """Place, direction and shape of one hand, seen from the hand's own side.

    Curls run from 0 (straight) to 1 (closed).
    """

    side: float
    """Palm centre's distance from the midline towards the hand's own side, body units."""
    down: float
    near: float
    """Palm centre's distance in front of the body."""
    aim: float = 0.0
    """Direction of the fingers: 0 up, positive outwards, negative inwards, ±π down."""
    pitch: float = 0.0
    """How far the fingers point at the viewer, radians."""
    turn: float = 0.0
    """Rotation about the fingers: 0 palm to the viewer, π back of the hand, -π/2 palm inwards."""
    thumb: float = 0.2
    fore: float = 0.15
    """The index finger."""
    middle: float = 0.2
    ring: float = 0.25
    pinky: float = 0.3
    spread: float = 0.2
    out: float = 0.5
    """How far the thumb stands off."""

    def towards(self, other: Hand, share: float) -> Hand:
        """The hand on its way to another: 0 this one, 1 the other."""
        return Hand(*[a + (b - a) * share for a, b in zip(self, other, strict=True)])


@dataclass(frozen=True, kw_only=True)
class Face:
    """An expression; all zero (and `lids` 1) is a neutral face."""

    raise_: float = 0.0
    """Height of the brows, -1 to 1."""
    slant: float = 0.0
    """Inner ends of the brows: 1 up (sad), -1 down (angry)."""
    lids: float = 1.0
    """Opening of the eyes: 0 closed, 1 open, 1.2 wide."""
    smile: float = 0.0
    """Corners of the mouth, -1 down to 1 up."""
    jaw: float = 0.0
    """Opening of the mouth, 0 to 1."""
    narrow: float = 0.0
    """0 a mouth at rest, 1 pressed or rounded."""
    gaze: Point = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Everything that moves, at one instant."""

    dominant: Hand
    other: Hand
    left_handed: bool = False
    face: Face = Face()
    sway: float = 0.0
    """Shift of the upper body to the viewer's right, body units."""
    lift: float = 0.0
    """How far the shoulders are raised, body units."""
    tilt: float = 0.0
    """Head to the viewer's right, radians."""
    nod: float = 0.0
    """Head lowered, body units."""
    look: float = 0.0
    """Head turned to the viewer's right, -1 to 1."""


# ------------------------------------------------------------------------------ signer

_NOISE_FRAMES = 2
_TORSO = mirrored(
    [(0.0, -0.03), (0.14, -0.05), (0.3, -0.01), (0.43, 0.05), (0.5, 0.18), (0.46, 0.45),
     (0.41, 0.8), (0.39, 1.1), (0.43, 1.5), (0.0, 1.52)]
)  # fmt: skip
_HEAD = [(0.0, -0.36), (0.14, -0.335), (0.235, -0.23), (0.272, -0.06), (0.262, 0.09),
         (0.215, 0.235), (0.12, 0.34), (0.0, 0.372)]  # fmt: skip
_BEHIND = {
    "long": [(-0.3, -0.2), (-0.33, 0.3), (-0.3, 0.62), (0.3, 0.62), (0.33, 0.3), (0.3, -0.2)],
    "scarf": [(-0.3, -0.25), (-0.33, 0.25), (-0.42, 0.6), (0.42, 0.6), (0.33, 0.25), (0.3, -0.25)],
}
# Thickness, how far down it comes at the sides, and where it begins there.
_HAIRLINES = {
    "short": (0.045, -0.03, 0.25),
    "long": (0.045, 0.12, 0.25),
    "bun": (0.045, -0.02, 0.25),
    "curly": (0.06, 0.05, 0.25),
    "cap": (0.02, -0.03, 0.25),
    "buzz": (0.012, -0.03, 0.262),
}
_CURLS = ((-0.26, -0.16), (-0.2, -0.31), (-0.08, -0.39), (0.07, -0.395), (0.19, -0.32),
          (0.26, -0.17))  # fmt: skip
_CAP = [(-0.275, -0.2), (-0.25, -0.36), (-0.12, -0.45), (0.12, -0.45), (0.25, -0.36),
        (0.275, -0.2), (0.0, -0.235)]  # fmt: skip
_HOOD = [(0.0, -0.42), (0.2, -0.38), (0.31, -0.2), (0.32, 0.1), (0.25, 0.33), (0.1, 0.44),
         (0.0, 0.45)]  # fmt: skip
_HOOD_OPENING = [(0.0, -0.265), (0.12, -0.245), (0.195, -0.15), (0.215, 0.02), (0.19, 0.18),
                 (0.11, 0.315), (0.0, 0.345)]  # fmt: skip
_SCARF_FRONT = [(0.0, 0.36), (0.22, 0.3), (0.34, 0.56), (0.1, 0.74), (-0.16, 0.7), (-0.32, 0.56),
                (-0.22, 0.3)]  # fmt: skip
_BEARD = [(0.0, 0.39), (0.13, 0.355), (0.225, 0.24), (0.262, 0.08), (0.2, 0.13), (0.12, 0.145),
          (0.0, 0.125)]  # fmt: skip
# Palm in its own plane: along the fingers, towards the thumb.
_PALM = closed_curve(
    [(0.0, -0.055), (0.07, -0.085), (0.17, -0.092), (0.2, -0.045), (0.215, 0.02), (0.2, 0.075),
     (0.15, 0.092), (0.06, 0.088), (0.0, 0.055)], steps=2,
)  # fmt: skip
# Along, sidewards, length, radius, share of the spread: index, middle, ring, pinky.
_FINGERS = (
    (0.185, 0.07, 0.2, 0.033, 1.0),
    (0.2, 0.024, 0.225, 0.034, 0.3),
    (0.19, -0.024, 0.21, 0.033, -0.4),
    (0.165, -0.068, 0.165, 0.029, -1.2),
)


class Puppet:
    """Draws one signer in front of one background.

    Args:
        look: The signer.
        scene: The room, the light and the camera.
    """

    def __init__(self, look: Look, scene: Scene) -> None:
        self.look = look
        self._canvas = Canvas(scene)
        background = paint_room(self._canvas, scene)
        self._background = background.tobytes()
        self._skin_edge = mix(look.skin, (70, 20, 10), 0.38)
        self._skin_shade = mix(look.skin, (90, 30, 20), 0.14)
        self._cloth_edge = mix(look.cloth, DARK, 0.42)
        self._torso = closed_curve(
            [(x * look.shoulders * (look.build if y > 0.3 else 1.0), y) for x, y in _TORSO], steps=3
        )
        self._head = closed_curve(mirrored(_HEAD)[:-1], steps=3)
        rng = np.random.Generator(np.random.PCG64(scene.seed))
        count = scene.width * scene.height * 3
        grain = rng.standard_normal(count * _NOISE_FRAMES, dtype=np.float32) * scene.noise
        # Added with wrap-around, which `Canvas.lit` leaves room for: much faster than clipping.
        self._noise = np.clip(np.round(grain), -16, 16).astype(np.int8).view(np.uint8)
        self._offsets = rng

    def frame(self, pose: Pose) -> bytes:
        """The picture, packed RGB bytes of (height, width, 3). Call in the order of the frames."""
        canvas = self._canvas
        canvas.fill_from(self._background)
        self._draw_behind(pose)
        self._draw_body(pose)
        self._draw_head(pose)
        side = 1.0 if pose.left_handed else -1.0
        self._draw_arm(pose.other, -side, pose)
        self._draw_arm(pose.dominant, side, pose)
        pixels = np.frombuffer(canvas.pixels(), np.uint8)
        start = int(self._offsets.integers(self._noise.size - pixels.size + 1))
        return (pixels + self._noise[start : start + pixels.size]).tobytes()

    # body

    def _draw_behind(self, pose: Pose) -> None:
        if self.look.hair in _BEHIND:
            outline = closed_curve(_BEHIND[self.look.hair])
            self._on_head(pose, outline, mix(self.look.hair_colour, DARK, 0.25))

    def _draw_body(self, pose: Pose) -> None:
        canvas, look = self._canvas, self.look
        dx, lift = pose.sway, pose.lift
        wide = 0.43 * look.shoulders * look.build
        canvas.shape(
            [(-wide, 1.35), (wide, 1.35), (wide * 1.06, 3.2), (-wide * 1.06, 3.2)], look.legs
        )
        canvas.stroke([(0, 1.6), (0, 3.2)], mix(look.legs, DARK, 0.4), 0.012)
        # The chest moves with the sway, the hips stay; only the shoulders are raised.
        torso = [
            (
                x + dx * max(0.0, 1 - y / 1.5),
                y - lift * max(0.0, 1 - abs(y) / 0.5) * min(1.0, abs(x) * 3),
            )
            for x, y in self._torso
        ]
        canvas.shape(torso, look.cloth, edge=self._cloth_edge)
        self._draw_garment(dx)
        neck = 0.115 * look.face * look.head
        head = self._head_centre(pose)
        canvas.shape(
            [(dx - neck * 1.15, 0.03), (dx, 0.1), (dx + neck * 1.15, 0.03),
             (head[0] + neck, head[1] + 0.2), (head[0] - neck, head[1] + 0.2)],
            self._skin_shade,
        )  # fmt: skip
        if look.garment in ("shirt", "vest"):
            collar = mix(look.trim, WHITE, 0.25)
            for side in (-1, 1):
                canvas.shape(
                    [(dx + side * 0.16, -0.06), (dx, 0.1), (dx + side * 0.1, 0.19),
                     (dx + side * 0.22, 0.03)],
                    collar, edge=self._cloth_edge, width=0.008,
                )  # fmt: skip

    def _draw_garment(self, dx: float) -> None:
        canvas, look = self._canvas, self.look
        wide = 0.385 * look.shoulders * look.build
        if look.garment == "stripes":
            for i in range(6):
                y = 0.3 + i * 0.2
                left = dx * (1 - y / 1.5)
                canvas.shape(
                    [(left - wide, y), (left + wide, y), (left + wide, y + 0.08),
                     (left - wide, y + 0.08)],
                    look.trim,
                )  # fmt: skip
        elif look.garment == "shirt":
            canvas.stroke([(dx, 0.12), (0, 1.5)], self._cloth_edge, 0.012)
            for i in range(5):
                canvas.dot((dx * (1 - i / 5), 0.27 + i * 0.25), 0.018, look.trim)
        elif look.garment == "ornament":
            canvas.shape(
                [(dx - 0.07, 0.05), (dx + 0.07, 0.05), (0.07, 1.5), (-0.07, 1.5)], look.trim
            )
            zigzag = [
                (dx * (1 - y / 1.5) + (0.04 if i % 2 else -0.04), y)
                for i, y in enumerate(0.14 + 0.09 * k for k in range(15))
            ]
            canvas.stroke(zigzag, mix(look.cloth, DARK, 0.2), 0.02)
        elif look.garment == "vest":
            for side in (-1, 1):
                canvas.shape(
                    [(dx + side * 0.17, 0.0), (dx + side * 0.06, 0.45), (side * 0.05, 1.5),
                     (side * wide, 1.5), (side * wide, 0.6), (dx + side * 0.36, 0.08)],
                    mix(look.trim, DARK, 0.35), edge=self._cloth_edge,
                )  # fmt: skip

    # head

    def _head_centre(self, pose: Pose) -> Point:
        reach = 0.12 + 0.372 * self.look.head
        return (
            pose.sway + reach * math.sin(pose.tilt),
            pose.nod - pose.lift * 0.2 - reach * math.cos(pose.tilt),
        )

    def _on_head(
        self,
        pose: Pose,
        points: Sequence[Point],
        colour: Colour,
        *,
        depth: float = 0.0,
        width: float = 0.0,
        edge: Colour | None = None,
    ) -> None:
        """Draw in coordinates of the head; `depth` says how far a turn of the head moves it."""
        cx, cy = self._head_centre(pose)
        wide, high = self.look.head * self.look.face, self.look.head
        cosine, sine = math.cos(pose.tilt), math.sin(pose.tilt)
        shift = depth * pose.look
        # A lowered head shows its features lower.
        drop = depth * pose.nod * 0.5
        placed = []
        for x, y in points:
            px, py = (x + shift) * wide, (y + drop) * high
            placed.append((cx + px * cosine - py * sine, cy + px * sine + py * cosine))
        if width:
            self._canvas.stroke(placed, colour, width)
        else:
            self._canvas.shape(placed, colour, edge=edge)

    def _draw_head(self, pose: Pose) -> None:
        look = self.look
        if look.hair != "scarf":
            for side in (-1, 1):
                ear = oval(0.05, 0.08, cx=side * 0.275, cy=0.02, n=12)
                self._on_head(pose, ear, self._skin_shade, edge=self._skin_edge)
        self._on_head(pose, self._head, look.skin, edge=self._skin_edge)
        cheek = oval(0.055, 0.035, cx=-0.15, cy=0.12, n=10)
        blush = mix(look.skin, (220, 104, 92), 0.22)
        self._on_head(pose, cheek, blush, depth=0.07)
        self._on_head(pose, [(-x, y) for x, y in cheek], blush, depth=0.07)
        self._draw_beard(pose)
        self._draw_mouth(pose)
        self._draw_eyes(pose)
        nose = [(0.012, -0.03), (0.035, 0.075), (0.0, 0.092), (-0.02, 0.086)]
        self._on_head(pose, nose, self._skin_edge, width=0.014, depth=0.1)
        self._draw_hair(pose)

    def _draw_eyes(self, pose: Pose) -> None:
        look, face = self.look, pose.face
        opening = 0.042 * max(0.0, min(1.25, face.lids))
        brow_y = -0.118 - 0.045 * face.raise_ + 0.015 * look.frown
        slant = 0.05 * face.slant - 0.02 * look.frown
        for side in (-1, 1):
            cx = side * 0.112
            if opening > 0.008:
                white = oval(0.056, opening, cx=cx, cy=-0.02, n=14)
                self._on_head(pose, white, WHITE, depth=0.08)
                gx, gy = cx + 0.02 * face.gaze[0], -0.02 + 0.012 * face.gaze[1]
                r = min(0.032, opening * 0.95)
                self._on_head(pose, oval(0.032, r, cx=gx, cy=gy, n=12), look.iris, depth=0.085)
                pupil = oval(0.016, min(0.017, r), cx=gx, cy=gy, n=8)
                self._on_head(pose, pupil, DARK, depth=0.085)
            lid = [
                (cx + 0.06 * math.cos(a), -0.018 - (opening + 0.004) * math.sin(a))
                for a in (math.pi * i / 6 for i in range(7))
            ]
            self._on_head(pose, lid, DARK, width=0.018, depth=0.08)
            brow = [
                (side * 0.05, brow_y - slant),
                (side * 0.11, brow_y - 0.022 - slant * 0.1),
                (side * 0.178, brow_y + 0.004 + slant * 0.55),
            ]
            colour = look.hair_colour if look.hair != "scarf" else (52, 38, 32)
            thick = 0.026 * look.brow_weight
            self._on_head(pose, brow, mix(colour, DARK, 0.4), width=thick, depth=0.085)
            if look.glasses:
                rim = [*oval(0.088, 0.075, cx=cx, cy=-0.015, n=16), (cx + 0.088, -0.015)]
                self._on_head(pose, rim, (44, 40, 46), width=0.016, depth=0.09)
        if look.glasses:
            bridge = [(-0.026, -0.03), (0.026, -0.03)]
            self._on_head(pose, bridge, (44, 40, 46), width=0.016, depth=0.09)

    def _draw_mouth(self, pose: Pose) -> None:
        look, face = self.look, pose.face
        smile = max(-1.2, min(1.2, face.smile + 0.45 * look.smile))
        half = 0.092 * (1 + 0.22 * max(0.0, smile)) * (1 - 0.4 * face.narrow)
        y = 0.2
        lip = mix(look.skin, (168, 44, 52), 0.55)
        steps = [i / 4 - 1 for i in range(9)]
        corner = 0.055 * smile
        upper = [(half * s, y - corner * (s * s - 0.35) - 0.012 * face.jaw) for s in steps]
        if face.jaw < 0.08:
            self._on_head(pose, upper, lip, width=0.026 - 0.008 * face.narrow, depth=0.085)
            return
        gap = 0.11 * face.jaw
        lower = [
            (x, uy + gap * (1 - (s * s) ** 1.5)) for (x, uy), s in zip(upper, steps, strict=True)
        ]
        self._on_head(pose, [*upper, *reversed(lower)], (92, 30, 36), depth=0.085)
        if face.jaw > 0.2:
            teeth = [(x * 0.8, uy) for x, uy in upper]
            bottom = [(x, uy + gap * 0.28) for x, uy in reversed(teeth)]
            self._on_head(pose, [*teeth, *bottom], WHITE, depth=0.085)
        self._on_head(pose, [*upper, *reversed(lower), upper[0]], lip, width=0.018, depth=0.085)

    def _draw_beard(self, pose: Pose) -> None:
        look = self.look
        colour = mix(look.hair_colour, look.skin, 0.15)
        if look.beard == "full":
            self._on_head(pose, mirrored(_BEARD), colour)
            self._on_head(pose, oval(0.115, 0.045, cy=0.205, n=14), look.skin, depth=0.07)
        elif look.beard == "moustache":
            for side in (-1, 1):
                self._on_head(
                    pose, [(0, 0.128), (side * 0.06, 0.132), (side * 0.115, 0.18), (0, 0.165)],
                    colour, depth=0.09,
                )  # fmt: skip

    def _draw_hair(self, pose: Pose) -> None:
        look, colour = self.look, self.look.hair_colour
        edge = mix(colour, DARK, 0.35)
        if look.hair == "scarf":
            hood, opening = open_curve(_HOOD), open_curve(_HOOD_OPENING)
            for side in (-1, 1):
                ring = [(side * x, y) for x, y in [*hood, *reversed(opening)]]
                self._on_head(pose, ring, colour)
            self._on_head(pose, closed_curve(_SCARF_FRONT), colour, edge=edge)
            band = open_curve([(-0.25, -0.3), (0.0, -0.36), (0.25, -0.3)])
            self._on_head(pose, band, mix(colour, WHITE, 0.35), width=0.02)
            return
        thick, sideburn, hairline = _HAIRLINES[look.hair]
        outer = open_curve(
            [(0.285 + 0.3 * thick, sideburn), (0.285 + 0.5 * thick, -0.16),
             (0.19, -0.33 - thick), (0.0, -0.37 - thick)]
        )  # fmt: skip
        inner = open_curve([(0.0, -0.25), (0.13, -0.235), (0.215, -0.15), (hairline, sideburn)])
        # On the side of the parting the fringe is combed up.
        rise = 0.05 if look.hair in ("long", "short") else 0.0
        parted = [(-x, y - rise * max(0.0, 1 - 4 * x)) for x, y in inner]
        crown = [*outer, *((-x, y) for x, y in reversed(outer))]
        self._on_head(pose, [*crown, *reversed(parted), *inner], colour, edge=edge)
        if look.hair == "bun":
            self._on_head(pose, oval(0.11, 0.1, cy=-0.46, n=16), colour, edge=edge)
        elif look.hair == "curly":
            for x, y in _CURLS:
                self._on_head(pose, oval(0.095, 0.09, cx=x, cy=y, n=12), colour)
        elif look.hair == "cap":
            self._on_head(pose, _CAP, mix(look.trim, DARK, 0.55), edge=DARK)
            zigzag = [(-0.26 + i * 0.0433, -0.3 + (0.035 if i % 2 else -0.01)) for i in range(13)]
            self._on_head(pose, zigzag, (222, 184, 96), width=0.014)

    # arms

    def _draw_arm(self, hand: Hand, side: float, pose: Pose) -> None:
        """One arm; `side` is 1 where it is on the viewer's right, -1 on the left."""
        canvas, look = self._canvas, self.look
        shoulder = (_OUTER * look.shoulders, 0.13 - pose.lift, 0.0)
        along, across, normal = _hand_frame(hand)
        sway = pose.sway * side
        centre = (hand.side + sway, hand.down - pose.lift * 0.3, hand.near)
        wrist = tuple(c - 0.1 * _HAND * a for c, a in zip(centre, along, strict=True))
        shoulder = (shoulder[0] + sway, shoulder[1], shoulder[2])
        elbow, wrist = _elbow(shoulder, (wrist[0], wrist[1], wrist[2]), look.arms)
        s, e, w = ((side * p[0], p[1]) for p in (shoulder, elbow, wrist))
        thick = 0.5 + 0.5 * look.build
        sleeve, skin = look.cloth, look.skin
        if look.garment == "vest":
            sleeve = mix(look.trim, WHITE, 0.55)
        edge = mix(sleeve, DARK, 0.42)
        if look.long_sleeves:
            canvas.shape(capsule(s, e, 0.125 * thick, 0.098 * thick), sleeve, edge=edge)
            cuff = (e[0] + (w[0] - e[0]) * 0.9, e[1] + (w[1] - e[1]) * 0.9)
            canvas.shape(capsule(e, w, 0.07 * thick, 0.056), skin, edge=self._skin_edge)
            canvas.shape(capsule(e, cuff, 0.097 * thick, 0.074 * thick), sleeve, edge=edge)
        else:
            half = (s[0] + (e[0] - s[0]) * 0.55, s[1] + (e[1] - s[1]) * 0.55)
            canvas.shape(capsule(s, e, 0.09 * thick, 0.075 * thick), skin, edge=self._skin_edge)
            canvas.shape(capsule(s, half, 0.128 * thick, 0.118 * thick), sleeve, edge=edge)
            canvas.shape(capsule(e, w, 0.077 * thick, 0.056), skin, edge=self._skin_edge)
        self._draw_hand(hand, wrist, side, along, across, normal)

    def _draw_hand(
        self, hand: Hand, wrist: Vector, side: float, along: Vector, across: Vector, normal: Vector
    ) -> None:
        canvas, skin, edge = self._canvas, self.look.skin, self._skin_edge
        wx, wy, _ = wrist

        def place(f: float, s: float, n: float = 0.0) -> Point:
            return (
                side * (wx + _HAND * (f * along[0] + s * across[0] + n * normal[0])),
                wy + _HAND * (f * along[1] + s * across[1] + n * normal[1]),
            )

        def bone(start: Point, stop: Point, at_start: float, at_stop: float) -> None:
            outline = capsule(start, stop, at_start * _HAND, at_stop * _HAND)
            canvas.shape(outline, skin, edge=edge, width=0.009)

        def finger(number: int) -> None:
            f, s, length, radius, share = _FINGERS[number]
            curl = hand[7 + number]
            swing = 0.2 * hand.spread * share
            cosine, sine = math.cos(swing), math.sin(swing)
            first, second = 1.35 * curl, 1.35 * curl + 1.55 * curl
            l1, l2 = length * 0.5, length * 0.5
            k = l1 * math.cos(first)
            knee = (f + k * cosine, s + k * sine, l1 * math.sin(first))
            k += l2 * math.cos(second)
            tip = (f + k * cosine, s + k * sine, knee[2] + l2 * math.sin(second))
            a, b, c = place(f - 0.03, s), place(*knee), place(*tip)
            bone(a, b, radius, radius * 0.96)
            bone(b, c, radius * 0.96, radius * 0.85)

        def thumb() -> None:
            lean = 0.35 + 0.85 * hand.out
            bend = hand.thumb * 1.5
            knee = (
                0.06 + 0.1 * math.cos(lean),
                0.07 + 0.1 * math.sin(lean),
                0.03 + 0.05 * hand.thumb,
            )
            tip = (
                knee[0] + 0.09 * math.cos(lean - bend),
                knee[1] + 0.09 * math.sin(lean - bend),
                knee[2] + 0.04 * hand.thumb,
            )
            a, b, c = place(0.05, 0.05), place(*knee), place(*tip)
            bone(a, b, 0.042, 0.036)
            bone(b, c, 0.036, 0.03)

        def palm() -> None:
            # Its thickness, seen when the hand is edge-on.
            bone(place(0.02, 0), place(0.17, 0), 0.05, 0.05)
            canvas.shape([place(f, s) for f, s in _PALM], skin, edge=edge, width=0.009)
            wide = 0.044 * _HAND
            canvas.shape(capsule(place(-0.02, 0), place(0.1, 0), wide, wide), skin)

        # What is nearer to the viewer is drawn later.
        order = (3, 2, 1, 0) if across[2] > 0 else (0, 1, 2, 3)
        if normal[2] >= 0:
            palm()
            for number in order:
                finger(number)
            thumb()
        else:
            thumb()
            for number in order:
                finger(number)
            palm()


def _hand_frame(hand: Hand) -> tuple[Vector, Vector, Vector]:
    """Unit vectors along the fingers, towards the thumb and out of the palm."""
    ca, sa = math.cos(hand.aim), math.sin(hand.aim)
    cp, sp = math.cos(hand.pitch), math.sin(hand.pitch)
    ct, st = math.cos(hand.turn), math.sin(hand.turn)
    along = (sa * cp, -ca * cp, sp)
    side, front = (-ca, -sa, 0.0), (-sp * sa, sp * ca, cp)
    across = (
        side[0] * ct + front[0] * st, side[1] * ct + front[1] * st, side[2] * ct + front[2] * st
    )  # fmt: skip
    normal = (
        front[0] * ct - side[0] * st, front[1] * ct - side[1] * st, front[2] * ct - side[2] * st
    )  # fmt: skip
    return along, across, normal


def _elbow(shoulder: Vector, wrist: Vector, arms: float) -> tuple[Vector, Vector]:
    """Elbow and reachable wrist of an arm that hangs down and out from the line between them."""
    upper, fore = _UPPER_ARM * arms, _FOREARM * arms
    line = [w - s for s, w in zip(shoulder, wrist, strict=True)]
    distance = math.sqrt(sum(c * c for c in line)) or 1e-6
    line = [c / distance for c in line]
    reach = min(max(distance, abs(upper - fore) + 0.05), (upper + fore) * 0.999)
    share = (upper**2 - fore**2 + reach**2) / (2 * reach)
    height = math.sqrt(max(0.0, upper**2 - share**2))
    pole = (0.55, 1.0, -0.35)
    lean = sum(p * c for p, c in zip(pole, line, strict=True))
    off = [p - lean * c for p, c in zip(pole, line, strict=True)]
    size = math.sqrt(sum(c * c for c in off)) or 1.0
    x, y, z = (
        s + share * c + height * o / size for s, c, o in zip(shoulder, line, off, strict=True)
    )
    wx, wy, wz = (s + reach * c for s, c in zip(shoulder, line, strict=True))
    return (x, y, z), (wx, wy, wz)
