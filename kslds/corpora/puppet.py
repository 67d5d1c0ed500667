"""An articulated signer, drawn in flat colours: the picture side of the demo recordings.

The body lives in a space of its own: the origin is the pit of the neck, the unit is an
average shoulder width, `x` runs to the viewer's right, `y` down and `z` towards the viewer.
Joints are solved in three dimensions and projected straight onto the picture, so that a hand
that comes forward or turns shortens as a real one does. A hand is described from its own side
(`Hand`), so that mirroring a signer is a change of sign.

Nothing here knows about signs, time or files; `kslds.corpora.demo` decides what the signer does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import aggdraw
import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Vector = tuple[float, float, float]
Colour = tuple[int, int, int]

HAIR = ("short", "long", "bun", "curly", "scarf", "cap", "buzz")
"""Hair and headwear; `cap` is a takiya, `scarf` a headscarf."""
GARMENTS = ("plain", "stripes", "shirt", "ornament", "vest")
"""Tops; `ornament` has an embroidered collar and front."""
ROOMS = ("plain", "window", "shelves", "panel", "picture", "curtain")
"""Backgrounds."""

_OUTER, _UPPER_ARM, _FOREARM = 0.45, 0.74, 0.64


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


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where a signer stands and how the camera sees it."""

    width: int
    height: int
    room: str
    wall: Colour
    accent: Colour
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on red, green and blue: colour and strength of the light."""
    light_from: float = 0.0
    """-1 (left) to 1 (right)."""
    zoom: float = 1.0
    shift: Point = (0.0, 0.0)
    """Where the signer stands off the centre, in shoulder widths."""
    roll: float = 0.0
    """Tilt of the camera, radians."""
    yaw: float = 0.0
    """How far from the side the camera looks, radians; foreshortens the width."""
    noise: float = 2.0
    """Standard deviation of the sensor's noise, in grey levels of 255; up to 4."""
    seed: int = 0


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


def _smooth(points: Sequence[Point], *, steps: int = 4) -> list[Point]:
    """A closed Catmull-Rom curve through the points."""
    result = []
    count = len(points)
    for i in range(count):
        a, b, c, d = (points[(i + k) % count] for k in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            result.append(
                tuple(
                    0.5
                    * (
                        2 * q
                        + (r - p) * t
                        + (2 * p - 5 * q + 4 * r - s) * t * t
                        + (3 * q - p - 3 * r + s) * t**3
                    )
                    for p, q, r, s in zip(a, b, c, d, strict=True)
                )
            )
    return [(x, y) for x, y in result]


def _mirrored(half: Sequence[Point]) -> list[Point]:
    return [*half, *((-x, y) for x, y in reversed(half))]


def _oval(rx: float, ry: float, *, cx: float = 0.0, cy: float = 0.0, n: int = 20) -> list[Point]:
    return [
        (cx + rx * math.cos(2 * math.pi * i / n), cy + ry * math.sin(2 * math.pi * i / n))
        for i in range(n)
    ]


_HALF_TURN = [(math.cos(a), math.sin(a)) for a in (math.pi * (i / 6 - 0.5) for i in range(7))]


def _capsule(p: Point, q: Point, at_p: float, at_q: float) -> list[Point]:
    """Outline of a limb from `p` to `q` with these radii."""
    dx, dy = q[0] - p[0], q[1] - p[1]
    length = math.hypot(dx, dy) or 1.0
    dx, dy = dx / length, dy / length
    far = [
        (q[0] + at_q * (c * dx - s * dy), q[1] + at_q * (c * dy + s * dx)) for c, s in _HALF_TURN
    ]
    near = [
        (p[0] - at_p * (c * dx - s * dy), p[1] - at_p * (c * dy + s * dx)) for c, s in _HALF_TURN
    ]
    return far + near


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, b_


_DARK: Colour = (38, 28, 30)
_WHITE: Colour = (244, 242, 238)


class _Canvas:
    """aggdraw behind a camera: takes body coordinates and unlit colours."""

    def __init__(self, scene: Scene) -> None:
        self.size = (scene.width, scene.height)
        self._light = scene.light
        self._draw = aggdraw.Draw("RGB", self.size, "white")
        self._brushes: dict[tuple[Colour, int], aggdraw.Brush] = {}
        self._pens: dict[tuple[Colour, float], aggdraw.Pen] = {}
        # The signing space is 2.9 wide, and from above the head to the hips 2.7 high.
        self.scale = scene.zoom * min(scene.width / 2.9, scene.height / 2.7)
        cosine, sine = math.cos(scene.roll), math.sin(scene.roll)
        flat = math.cos(scene.yaw)
        self._xx, self._xy = self.scale * cosine * flat, -self.scale * sine
        self._yx, self._yy = self.scale * sine * flat, self.scale * cosine
        self._origin = (
            scene.width / 2 + scene.shift[0] * self.scale,
            scene.height * 0.41 + scene.shift[1] * self.scale,
        )

    def lit(self, colour: Colour) -> Colour:
        """The colour in this light; never so near to black or white that noise wraps around."""
        r, g, b = (
            min(238, max(17, round(c * f))) for c, f in zip(colour, self._light, strict=True)
        )
        return r, g, b

    def fill_from(self, pixels: bytes) -> None:
        self._draw.frombytes(pixels)

    def bytes(self) -> bytes:
        data: bytes = self._draw.tobytes()
        return data

    def _brush(self, colour: Colour, opacity: int) -> aggdraw.Brush:
        brush = self._brushes.get((colour, opacity))
        if brush is None:
            brush = aggdraw.Brush(self.lit(colour), opacity)
            self._brushes[colour, opacity] = brush
        return brush

    def _pen(self, colour: Colour, width: float) -> aggdraw.Pen:
        width = round(max(width * self.scale, 0.7), 1)
        pen = self._pens.get((colour, width))
        if pen is None:
            pen = self._pens[colour, width] = aggdraw.Pen(self.lit(colour), width)
        return pen

    def _flat(self, points: Sequence[Point]) -> list[float]:
        ox, oy = self._origin
        xx, xy, yx, yy = self._xx, self._xy, self._yx, self._yy
        flat = []
        for x, y in points:
            flat.append(ox + xx * x + xy * y)
            flat.append(oy + yx * x + yy * y)
        return flat

    def shape(
        self,
        points: Sequence[Point],
        fill: Colour,
        *,
        edge: Colour | None = None,
        width: float = 0.012,
        opacity: int = 255,
    ) -> None:
        brush = self._brush(fill, opacity)
        if edge is None:
            self._draw.polygon(self._flat(points), brush)
        else:
            self._draw.polygon(self._flat(points), self._pen(edge, width), brush)

    def stroke(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        self._draw.line(self._flat(points), self._pen(colour, width))

    def dot(self, centre: Point, radius: float, colour: Colour) -> None:
        x, y = self._flat((centre,))
        r = radius * self.scale
        self._draw.ellipse((x - r, y - r, x + r, y + r), self._brush(colour, 255))

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """A rectangle in shares of the picture; for backgrounds."""
        w, h = self.size
        corners = (x0 * w, y0 * h, x1 * w, y0 * h, x1 * w, y1 * h, x0 * w, y1 * h)
        self._draw.polygon(corners, self._brush(colour, 255))


# ------------------------------------------------------------------------------- rooms


def _paint_room(canvas: _Canvas, scene: Scene) -> npt.NDArray[np.uint8]:
    """The static background, (height, width, 3)."""
    rng = np.random.Generator(np.random.PCG64(scene.seed))
    wall, accent = scene.wall, scene.accent
    canvas.box(0, 0, 1, 1, wall)
    canvas.box(0, 0.86, 1, 1, _mix(wall, _DARK, 0.35))
    canvas.box(0, 0.85, 1, 0.865, _mix(wall, _WHITE, 0.5))
    _ROOM_PAINTERS.get(scene.room, _plain)(canvas, wall, accent, rng)
    w, h = canvas.size
    picture = np.frombuffer(canvas.bytes(), np.uint8).reshape(h, w, 3).astype(np.float32)
    # Light falls off across the wall and towards the corners.
    across = np.linspace(-1, 1, w, dtype=np.float32)[None, :, None]
    height = np.linspace(-1, 1, h, dtype=np.float32)[:, None, None]
    picture *= 1 + 0.16 * scene.light_from * across - 0.07 * (across**2 + height**2)
    return np.clip(picture, 17, 238).astype(np.uint8)


def _plain(canvas: _Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    canvas.box(0.0, 0.0, 0.012, 1.0, _mix(wall, accent, 0.3))


def _window(canvas: _Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    left = 0.03 if rng.random() < 0.5 else 0.66
    canvas.box(left, 0.06, left + 0.31, 0.62, _mix(_WHITE, wall, 0.1))
    canvas.box(left + 0.015, 0.08, left + 0.295, 0.6, (150, 190, 222))
    canvas.box(left + 0.015, 0.44, left + 0.295, 0.6, (120, 152, 120))
    canvas.box(left + 0.148, 0.08, left + 0.162, 0.6, _WHITE)
    canvas.box(left + 0.015, 0.3, left + 0.295, 0.315, _WHITE)
    canvas.box(left - 0.02, 0.62, left + 0.33, 0.645, _mix(_WHITE, wall, 0.3))


def _shelves(canvas: _Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    wood = (133, 98, 66)
    left = 0.0 if rng.random() < 0.5 else 0.64
    canvas.box(left, 0.02, left + 0.36, 0.85, _mix(wood, _DARK, 0.45))
    for row in range(4):
        top = 0.05 + row * 0.2
        x = left + 0.012
        while x < left + 0.33:
            thick = float(rng.uniform(0.012, 0.03))
            high = float(rng.uniform(0.1, 0.165))
            tone = _mix(accent, (int(rng.integers(40, 220)), 90, int(rng.integers(40, 200))), 0.6)
            if rng.random() < 0.85:
                canvas.box(x, top + 0.175 - high, x + thick, top + 0.175, tone)
            x += thick + 0.003
        canvas.box(left, top + 0.175, left + 0.36, top + 0.19, wood)


def _panel(canvas: _Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    low = _mix(wall, accent, 0.5)
    canvas.box(0, 0.55, 1, 1, low)
    canvas.box(0, 0.54, 1, 0.56, _mix(low, _WHITE, 0.5))
    for i in range(9):
        canvas.box(i / 9 + 0.02, 0.6, (i + 1) / 9 - 0.01, 0.95, _mix(low, _DARK, 0.1))


def _picture(canvas: _Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A wall hanging with a border of ram's horns in their simplest form: paired hooks."""
    left = 0.04 if rng.random() < 0.5 else 0.7
    canvas.box(left, 0.08, left + 0.26, 0.6, accent)
    canvas.box(left + 0.02, 0.105, left + 0.24, 0.575, _mix(accent, _DARK, 0.4))
    gold = (208, 168, 84)
    for row in range(4):
        for column in range(3):
            x, y = left + 0.06 + column * 0.07, 0.165 + row * 0.115
            for side in (-1, 1):
                canvas.box(*_box(x, x + side * 0.022, y, y + 0.012), gold)
                canvas.box(*_box(x + side * 0.015, x + side * 0.022, y, y + 0.045), gold)
            canvas.box(x - 0.004, y - 0.02, x + 0.004, y + 0.055, gold)


def _box(x0: float, x1: float, y0: float, y1: float) -> tuple[float, float, float, float]:
    return min(x0, x1), y0, max(x0, x1), y1


def _curtain(canvas: _Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    folds = 22
    for i in range(folds):
        shade = 0.12 + 0.1 * math.sin(i * 2.1) + 0.05 * float(rng.random())
        canvas.box(i / folds, 0, (i + 1) / folds + 0.002, 1, _mix(accent, _DARK, shade))
    canvas.box(0, 0, 1, 0.035, _mix(accent, _DARK, 0.5))


_ROOM_PAINTERS = {
    "plain": _plain,
    "window": _window,
    "shelves": _shelves,
    "panel": _panel,
    "picture": _picture,
    "curtain": _curtain,
}


# ------------------------------------------------------------------------------ signer

_NOISE_FRAMES = 2
_TORSO = _mirrored(
    [(0.0, -0.03), (0.14, -0.05), (0.3, -0.01), (0.43, 0.05), (0.5, 0.18), (0.46, 0.45),
     (0.41, 0.8), (0.39, 1.1), (0.43, 1.5), (0.0, 1.52)]
)  # fmt: skip
_HEAD = [(0.0, -0.36), (0.14, -0.335), (0.235, -0.23), (0.272, -0.06), (0.262, 0.09),
         (0.215, 0.235), (0.12, 0.34), (0.0, 0.372)]  # fmt: skip
# Palm in its own plane: along the fingers, towards the thumb.
_PALM = _smooth(
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
        self._canvas = _Canvas(scene)
        background = _paint_room(self._canvas, scene)
        self._background = background.tobytes()
        self._skin_edge = _mix(look.skin, (70, 20, 10), 0.38)
        self._skin_shade = _mix(look.skin, (90, 30, 20), 0.14)
        self._cloth_edge = _mix(look.cloth, _DARK, 0.42)
        self._torso = _smooth(
            [(x * look.shoulders * (look.build if y > 0.3 else 1.0), y) for x, y in _TORSO], steps=3
        )
        self._head = _smooth(_mirrored(_HEAD)[:-1], steps=3)
        rng = np.random.Generator(np.random.PCG64(scene.seed))
        count = scene.width * scene.height * 3
        grain = rng.standard_normal(count * _NOISE_FRAMES, dtype=np.float32) * scene.noise
        # Added with wrap-around, which `_Canvas.lit` leaves room for: much faster than clipping.
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
        pixels = np.frombuffer(canvas.bytes(), np.uint8)
        start = int(self._offsets.integers(self._noise.size - pixels.size + 1))
        return (pixels + self._noise[start : start + pixels.size]).tobytes()

    # body

    def _draw_behind(self, pose: Pose) -> None:
        look = self.look
        if look.hair == "long":
            self._on_head(
                pose, [(-0.3, -0.2), (-0.33, 0.3), (-0.3, 0.62), (0.3, 0.62), (0.33, 0.3), (0.3, -0.2)],
                _mix(look.hair_colour, _DARK, 0.25), smooth=True,
            )  # fmt: skip
        elif look.hair == "scarf":
            self._on_head(
                pose, [(-0.3, -0.25), (-0.33, 0.25), (-0.42, 0.6), (0.42, 0.6), (0.33, 0.25),
                       (0.3, -0.25)],
                _mix(look.hair_colour, _DARK, 0.25), smooth=True,
            )  # fmt: skip

    def _draw_body(self, pose: Pose) -> None:
        canvas, look = self._canvas, self.look
        dx, lift = pose.sway, pose.lift
        wide = 0.43 * look.shoulders * look.build
        canvas.shape(
            [(-wide, 1.35), (wide, 1.35), (wide * 1.06, 3.2), (-wide * 1.06, 3.2)], look.legs
        )
        canvas.stroke([(0, 1.6), (0, 3.2)], _mix(look.legs, _DARK, 0.4), 0.012)
        torso = [
            # The chest moves with the sway, the hips stay.
            (x + dx * max(0.0, 1 - y / 1.5), y - lift * max(0.0, 1 - abs(y) / 0.5) * min(1, abs(x) * 3))
            for x, y in self._torso
        ]  # fmt: skip
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
            collar = _mix(look.trim, _WHITE, 0.25)
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
            canvas.stroke(zigzag, _mix(look.cloth, _DARK, 0.2), 0.02)
        elif look.garment == "vest":
            for side in (-1, 1):
                canvas.shape(
                    [(dx + side * 0.17, 0.0), (dx + side * 0.06, 0.45), (side * 0.05, 1.5),
                     (side * wide, 1.5), (side * wide, 0.6), (dx + side * 0.36, 0.08)],
                    _mix(look.trim, _DARK, 0.35), edge=self._cloth_edge,
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
        smooth: bool = False,
        depth: float = 0.0,
        width: float = 0.0,
        edge: Colour | None = None,
        opacity: int = 255,
    ) -> None:
        """Draw in coordinates of the head; `depth` says how far a turn of the head moves it."""
        cx, cy = self._head_centre(pose)
        wide, high = self.look.head * self.look.face, self.look.head
        cosine, sine = math.cos(pose.tilt), math.sin(pose.tilt)
        shift = depth * pose.look
        # A lowered head shows its features lower.
        drop = depth * pose.nod * 0.5
        placed = []
        for x, y in _smooth(points) if smooth else points:
            px, py = (x + shift) * wide, (y + drop) * high
            placed.append((cx + px * cosine - py * sine, cy + px * sine + py * cosine))
        if width:
            self._canvas.stroke(placed, colour, width)
        else:
            self._canvas.shape(placed, colour, edge=edge, opacity=opacity)

    def _draw_head(self, pose: Pose) -> None:
        look = self.look
        if look.hair != "scarf":
            for side in (-1, 1):
                ear = _oval(0.05, 0.08, cx=side * 0.275, cy=0.02, n=12)
                self._on_head(pose, ear, self._skin_shade, edge=self._skin_edge)
        self._on_head(pose, self._head, look.skin, edge=self._skin_edge)
        cheek = _oval(0.055, 0.035, cx=-0.15, cy=0.12, n=10)
        blush = _mix(look.skin, (220, 104, 92), 0.22)
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
                white = _oval(0.056, opening, cx=cx, cy=-0.02, n=14)
                self._on_head(pose, white, _WHITE, depth=0.08)
                gx, gy = cx + 0.02 * face.gaze[0], -0.02 + 0.012 * face.gaze[1]
                r = min(0.032, opening * 0.95)
                self._on_head(pose, _oval(0.032, r, cx=gx, cy=gy, n=12), look.iris, depth=0.085)
                pupil = _oval(0.016, min(0.017, r), cx=gx, cy=gy, n=8)
                self._on_head(pose, pupil, _DARK, depth=0.085)
            lid = [
                (cx + 0.06 * math.cos(a), -0.018 - (opening + 0.004) * math.sin(a))
                for a in (math.pi * i / 6 for i in range(7))
            ]
            self._on_head(pose, lid, _DARK, width=0.018, depth=0.08)
            brow = [
                (side * 0.05, brow_y - slant),
                (side * 0.11, brow_y - 0.022 - slant * 0.1),
                (side * 0.178, brow_y + 0.004 + slant * 0.55),
            ]
            colour = look.hair_colour if look.hair != "scarf" else (52, 38, 32)
            thick = 0.026 * look.brow_weight
            self._on_head(pose, brow, _mix(colour, _DARK, 0.4), width=thick, depth=0.085)
            if look.glasses:
                rim = [*_oval(0.088, 0.075, cx=cx, cy=-0.015, n=16), (cx + 0.088, -0.015)]
                self._on_head(pose, rim, (44, 40, 46), width=0.016, depth=0.09)
        if look.glasses:
            bridge = [(-0.026, -0.03), (0.026, -0.03)]
            self._on_head(pose, bridge, (44, 40, 46), width=0.016, depth=0.09)

    def _draw_mouth(self, pose: Pose) -> None:
        look, face = self.look, pose.face
        smile = max(-1.2, min(1.2, face.smile + 0.45 * look.smile))
        half = 0.092 * (1 + 0.22 * max(0.0, smile)) * (1 - 0.4 * face.narrow)
        y = 0.2
        lip = _mix(look.skin, (168, 44, 52), 0.55)
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
            self._on_head(pose, [*teeth, *bottom], _WHITE, depth=0.085)
        self._on_head(pose, [*upper, *reversed(lower), upper[0]], lip, width=0.018, depth=0.085)

    def _draw_beard(self, pose: Pose) -> None:
        look = self.look
        colour = _mix(look.hair_colour, look.skin, 0.15)
        if look.beard == "full":
            outline = _mirrored([(0.0, 0.39), (0.13, 0.355), (0.225, 0.24), (0.262, 0.08),
                                 (0.2, 0.13), (0.12, 0.145), (0.0, 0.125)])  # fmt: skip
            half = outline[:7]
            self._on_head(pose, [*half, *((-x, y) for x, y in reversed(half))], colour)
            self._on_head(pose, _oval(0.115, 0.045, cy=0.205, n=14), look.skin, depth=0.07)
        elif look.beard == "moustache":
            for side in (-1, 1):
                self._on_head(
                    pose, [(0, 0.128), (side * 0.06, 0.132), (side * 0.115, 0.18), (0, 0.165)],
                    colour, depth=0.09,
                )  # fmt: skip

    def _draw_hair(self, pose: Pose) -> None:
        look = self.look
        colour = look.hair_colour
        edge = _mix(colour, _DARK, 0.35)
        if look.hair == "scarf":
            hood = _mirrored([(0.0, -0.42), (0.2, -0.38), (0.31, -0.2), (0.32, 0.1), (0.25, 0.33),
                              (0.1, 0.44), (0.0, 0.45)])  # fmt: skip
            opening = [(0.0, -0.265), (0.12, -0.245), (0.195, -0.15), (0.215, 0.02),
                       (0.19, 0.18), (0.11, 0.315), (0.0, 0.345)]  # fmt: skip
            half = [(x, y) for x, y in hood[:7]]
            for side in (-1, 1):
                ring = [(side * x, y) for x, y in _open_curve(half)]
                hole = [(side * x, y) for x, y in reversed(_open_curve(opening))]
                self._on_head(pose, [*ring, *hole], colour)
            front = [(0.0, 0.36), (0.22, 0.3), (0.34, 0.56), (0.1, 0.74), (-0.16, 0.7), (-0.32, 0.56),
                     (-0.22, 0.3)]  # fmt: skip
            self._on_head(pose, front, colour, smooth=True, edge=edge)
            band = [
                (side, y) for side, y in _open_curve([(-0.25, -0.3), (0.0, -0.36), (0.25, -0.3)])
            ]
            self._on_head(pose, band, _mix(colour, _WHITE, 0.35), width=0.02)
            return
        if look.hair in ("short", "long", "bun", "curly", "cap", "buzz"):
            thick = {"buzz": 0.012, "cap": 0.02, "curly": 0.06}.get(look.hair, 0.045)
            side_y = {"long": 0.12, "curly": 0.05, "bun": -0.02}.get(look.hair, -0.03)
            outer = [(0.285 + thick * 0.3, side_y), (0.285 + thick * 0.5, -0.16), (0.19, -0.33 - thick),
                     (0.0, -0.37 - thick)]  # fmt: skip
            inner = [(0.0, -0.25), (0.13, -0.235), (0.215, -0.15), (0.25, side_y)]
            if look.hair == "buzz":
                inner = [(0.0, -0.27), (0.15, -0.25), (0.225, -0.17), (0.262, side_y)]
            right = _open_curve(outer)
            left = [(-x, y) for x, y in reversed(right)]
            fringe = _open_curve(inner)
            parted = [(-x, y - (0.05 if look.hair in ("long", "short") else 0) * (1 - abs(x) * 4) * (x < 0.2))
                      for x, y in fringe]  # fmt: skip
            self._on_head(pose, [*right, *left, *reversed(parted), *fringe], colour, edge=edge)
        if look.hair == "bun":
            self._on_head(pose, _oval(0.11, 0.1, cy=-0.46, n=16), colour, edge=edge)
        elif look.hair == "curly":
            for x, y in ((-0.26, -0.16), (-0.2, -0.31), (-0.08, -0.39), (0.07, -0.395), (0.19, -0.32),
                         (0.26, -0.17)):  # fmt: skip
                self._on_head(pose, _oval(0.095, 0.09, cx=x, cy=y, n=12), colour)
        elif look.hair == "cap":
            top = [(-0.275, -0.2), (-0.25, -0.36), (-0.12, -0.45), (0.12, -0.45), (0.25, -0.36),
                   (0.275, -0.2), (0.0, -0.235)]  # fmt: skip
            self._on_head(pose, top, look.trim, edge=_mix(look.trim, _DARK, 0.4))
            zigzag = [(-0.26 + i * 0.0433, -0.3 + (0.035 if i % 2 else -0.01)) for i in range(13)]
            self._on_head(pose, zigzag, (222, 184, 96), width=0.014)

    # arms

    def _draw_arm(self, hand: Hand, side: float, pose: Pose) -> None:
        """One arm; `side` is 1 where it is on the viewer's right, -1 on the left."""
        canvas, look = self._canvas, self.look
        shoulder = (_OUTER * look.shoulders, 0.13 - pose.lift, 0.0)
        along, across, normal = _hand_frame(hand)
        sway = pose.sway * side
        palm = (hand.side + sway, hand.down - pose.lift * 0.3, hand.near)
        wrist = tuple(p - 0.1 * a for p, a in zip(palm, along, strict=True))
        shoulder = (shoulder[0] + sway, shoulder[1], shoulder[2])
        elbow, wrist = _elbow(shoulder, (wrist[0], wrist[1], wrist[2]), look.arms)
        s, e, w = ((side * p[0], p[1]) for p in (shoulder, elbow, wrist))
        thick = 0.5 + 0.5 * look.build
        sleeve, skin = look.cloth, look.skin
        if look.garment == "vest":
            sleeve = _mix(look.trim, _WHITE, 0.55)
        edge = _mix(sleeve, _DARK, 0.42)
        if look.long_sleeves:
            canvas.shape(_capsule(s, e, 0.125 * thick, 0.098 * thick), sleeve, edge=edge)
            cuff = (e[0] + (w[0] - e[0]) * 0.9, e[1] + (w[1] - e[1]) * 0.9)
            canvas.shape(_capsule(e, w, 0.07 * thick, 0.052), skin, edge=self._skin_edge)
            canvas.shape(_capsule(e, cuff, 0.097 * thick, 0.074 * thick), sleeve, edge=edge)
        else:
            half = (s[0] + (e[0] - s[0]) * 0.55, s[1] + (e[1] - s[1]) * 0.55)
            canvas.shape(_capsule(s, e, 0.09 * thick, 0.075 * thick), skin, edge=self._skin_edge)
            canvas.shape(_capsule(s, half, 0.128 * thick, 0.118 * thick), sleeve, edge=edge)
            canvas.shape(_capsule(e, w, 0.077 * thick, 0.052), skin, edge=self._skin_edge)
        self._draw_hand(hand, wrist, side, along, across, normal)

    def _draw_hand(
        self, hand: Hand, wrist: Vector, side: float, along: Vector, across: Vector, normal: Vector
    ) -> None:
        canvas, skin, edge = self._canvas, self.look.skin, self._skin_edge
        wx, wy, _ = wrist

        def place(f: float, s: float, n: float = 0.0) -> Point:
            return (
                side * (wx + f * along[0] + s * across[0] + n * normal[0]),
                wy + f * along[1] + s * across[1] + n * normal[1],
            )

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
            canvas.shape(_capsule(a, b, radius, radius * 0.96), skin, edge=edge, width=0.009)
            canvas.shape(_capsule(b, c, radius * 0.96, radius * 0.85), skin, edge=edge, width=0.009)

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
            canvas.shape(_capsule(a, b, 0.042, 0.036), skin, edge=edge, width=0.009)
            canvas.shape(_capsule(b, c, 0.036, 0.03), skin, edge=edge, width=0.009)

        def palm() -> None:
            # Its thickness, seen when the hand is edge-on.
            canvas.shape(_capsule(place(0.02, 0), place(0.17, 0), 0.05, 0.05), skin, edge=edge)
            canvas.shape([place(f, s) for f, s in _PALM], skin, edge=edge, width=0.009)
            canvas.shape(_capsule(place(-0.02, 0), place(0.1, 0), 0.044, 0.044), skin)

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


def _open_curve(points: Sequence[Point]) -> list[Point]:
    """A smooth curve through the points, from the first to the last."""
    closed = _smooth([points[0], *points, points[-1]], steps=4)
    return [*closed[4 : 4 * len(points)], points[-1]]


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
