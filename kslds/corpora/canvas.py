"""The canvas of the demo's drawings: a camera, curves, and the rooms behind the signer.

Body coordinates: the origin is the pit of the signer's neck, the unit is an average shoulder
width, `x` runs to the viewer's right and `y` down. Rooms are painted in shares of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aggdraw
import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Colour = tuple[int, int, int]

DARK: Colour = (38, 28, 30)
WHITE: Colour = (244, 242, 238)


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


def closed_curve(points: Sequence[Point], *, steps: int = 4) -> list[Point]:
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


def mirrored(half: Sequence[Point]) -> list[Point]:
    """The outline whose right half, from the top down or up, this is."""
    return [*half, *((-x, y) for x, y in reversed(half))]


def oval(rx: float, ry: float, *, cx: float = 0.0, cy: float = 0.0, n: int = 20) -> list[Point]:
    """An ellipse as a polygon of `n` corners."""
    return [
        (cx + rx * math.cos(2 * math.pi * i / n), cy + ry * math.sin(2 * math.pi * i / n))
        for i in range(n)
    ]


_HALF_TURN = [(math.cos(a), math.sin(a)) for a in (math.pi * (i / 6 - 0.5) for i in range(7))]


def capsule(p: Point, q: Point, at_p: float, at_q: float) -> list[Point]:
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


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """A colour between two: 0 the first, 1 the second."""
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, b_


def open_curve(points: Sequence[Point]) -> list[Point]:
    """A smooth curve through the points, from the first to the last."""
    closed = closed_curve([points[0], *points, points[-1]], steps=4)
    return [*closed[4 : 4 * len(points)], points[-1]]


class Canvas:
    """aggdraw behind a camera: takes body coordinates and unlit colours."""

    def __init__(self, scene: Scene) -> None:
        self.size = (scene.width, scene.height)
        self._light = scene.light
        self._draw = aggdraw.Draw("RGB", self.size, "white")
        self._brushes: dict[Colour, aggdraw.Brush] = {}
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
        """Replace the whole picture by packed RGB."""
        self._draw.frombytes(pixels)

    def pixels(self) -> bytes:
        """The picture as packed RGB."""
        data: bytes = self._draw.tobytes()
        return data

    def _brush(self, colour: Colour) -> aggdraw.Brush:
        brush = self._brushes.get(colour)
        if brush is None:
            brush = self._brushes[colour] = aggdraw.Brush(self.lit(colour))
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
    ) -> None:
        """A filled polygon in body coordinates, with an outline of this width in body units."""
        brush = self._brush(fill)
        if edge is None:
            self._draw.polygon(self._flat(points), brush)
        else:
            self._draw.polygon(self._flat(points), self._pen(edge, width), brush)

    def stroke(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """A line in body coordinates."""
        self._draw.line(self._flat(points), self._pen(colour, width))

    def dot(self, centre: Point, radius: float, colour: Colour) -> None:
        """A disc in body coordinates."""
        x, y = self._flat((centre,))
        r = radius * self.scale
        self._draw.ellipse((x - r, y - r, x + r, y + r), self._brush(colour))

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """A line in shares of the picture, its width in shares of the height."""
        w, h = self.size
        flat = [c for x, y in points for c in (x * w, y * h)]
        self._draw.line(flat, aggdraw.Pen(self.lit(colour), width * h))

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """A rectangle in shares of the picture; for backgrounds."""
        w, h = self.size
        corners = (x0 * w, y0 * h, x1 * w, y0 * h, x1 * w, y1 * h, x0 * w, y1 * h)
        self._draw.polygon(corners, self._brush(colour))


# ------------------------------------------------------------------------------- rooms


def paint_room(canvas: Canvas, scene: Scene) -> npt.NDArray[np.uint8]:
    """The static background, (height, width, 3)."""
    rng = np.random.Generator(np.random.PCG64(scene.seed))
    wall, accent = scene.wall, scene.accent
    canvas.box(0, 0, 1, 1, wall)
    canvas.box(0, 0.86, 1, 1, mix(wall, DARK, 0.35))
    canvas.box(0, 0.85, 1, 0.865, mix(wall, WHITE, 0.5))
    ROOMS[scene.room](canvas, wall, accent, rng)
    w, h = canvas.size
    picture = np.frombuffer(canvas.pixels(), np.uint8).reshape(h, w, 3).astype(np.float32)
    # Light falls off across the wall and towards the corners.
    across = np.linspace(-1, 1, w, dtype=np.float32)[None, :, None]
    height = np.linspace(-1, 1, h, dtype=np.float32)[:, None, None]
    picture *= 1 + 0.16 * scene.light_from * across - 0.07 * (across**2 + height**2)
    return np.clip(picture, 17, 238).astype(np.uint8)


def _plain(canvas: Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    canvas.box(0.0, 0.0, 0.012, 1.0, mix(wall, accent, 0.3))


def _window(canvas: Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    left = 0.03 if rng.random() < 0.5 else 0.66
    canvas.box(left, 0.06, left + 0.31, 0.62, mix(WHITE, wall, 0.1))
    canvas.box(left + 0.015, 0.08, left + 0.295, 0.6, (150, 190, 222))
    canvas.box(left + 0.015, 0.44, left + 0.295, 0.6, (120, 152, 120))
    canvas.box(left + 0.148, 0.08, left + 0.162, 0.6, WHITE)
    canvas.box(left + 0.015, 0.3, left + 0.295, 0.315, WHITE)
    canvas.box(left - 0.02, 0.62, left + 0.33, 0.645, mix(WHITE, wall, 0.3))


def _shelves(canvas: Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    wood = (133, 98, 66)
    left = 0.0 if rng.random() < 0.5 else 0.64
    canvas.box(left, 0.02, left + 0.36, 0.85, mix(wood, DARK, 0.45))
    for row in range(4):
        top = 0.05 + row * 0.2
        x = left + 0.012
        while x < left + 0.33:
            thick = float(rng.uniform(0.012, 0.03))
            high = float(rng.uniform(0.1, 0.165))
            tone = mix(accent, (int(rng.integers(40, 220)), 90, int(rng.integers(40, 200))), 0.6)
            if rng.random() < 0.85:
                canvas.box(x, top + 0.175 - high, x + thick, top + 0.175, tone)
            x += thick + 0.003
        canvas.box(left, top + 0.175, left + 0.36, top + 0.19, wood)


def _panel(canvas: Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    low = mix(wall, accent, 0.5)
    canvas.box(0, 0.55, 1, 1, low)
    canvas.box(0, 0.54, 1, 0.56, mix(low, WHITE, 0.5))
    for i in range(9):
        canvas.box(i / 9 + 0.02, 0.6, (i + 1) / 9 - 0.01, 0.95, mix(low, DARK, 0.1))


def _picture(canvas: Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A wall hanging with ram's horns, the commonest ornament of Kazakh felt."""
    left = 0.04 if rng.random() < 0.5 else 0.7
    canvas.box(left, 0.08, left + 0.26, 0.6, accent)
    canvas.box(left + 0.02, 0.105, left + 0.24, 0.575, mix(accent, DARK, 0.4))
    gold = (208, 168, 84)
    horn = open_curve([(0, 1), (0, 0.25), (0.3, 0), (0.62, 0.12), (0.62, 0.42), (0.38, 0.45)])
    for row in range(4):
        for column in range(3):
            x, y = left + 0.06 + column * 0.07, 0.13 + row * 0.108
            for side in (-1, 1):
                canvas.line([(x + side * 0.045 * u, y + 0.085 * v) for u, v in horn], gold, 0.009)


def _curtain(canvas: Canvas, wall: Colour, accent: Colour, rng: np.random.Generator) -> None:
    folds = 22
    for i in range(folds):
        shade = 0.12 + 0.1 * math.sin(i * 2.1) + 0.05 * float(rng.random())
        canvas.box(i / folds, 0, (i + 1) / folds + 0.002, 1, mix(accent, DARK, shade))
    canvas.box(0, 0, 1, 0.035, mix(accent, DARK, 0.5))


_Painter = Callable[[Canvas, Colour, Colour, np.random.Generator], None]

ROOMS: Mapping[str, _Painter] = {
    "plain": _plain,
    "window": _window,
    "shelves": _shelves,
    "panel": _panel,
    "picture": _picture,
    "curtain": _curtain,
}
"""What can be seen behind a signer."""
