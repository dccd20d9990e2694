"""Draw landscapes for the pictures of the web page. Each is the same in every run."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageOps

SHARPNESS = 2
"""How much larger a scene is drawn than it is saved, so that all edges are smooth."""

_EDGE = 179
"""The value of Pillow's radial gradient at the middle of its edges."""

Size = tuple[int, int]
Point = tuple[float, float]

WIDE, CLASSIC, SQUARE, PORTRAIT, TALL = (1200, 640), (1200, 800), (900, 900), (720, 900), (640, 960)


def scenes() -> Iterator[tuple[str, bytes]]:
    """Yield names and JPEG files."""
    for number, (name, size, draw) in enumerate(_SCENES):
        canvas = Canvas((size[0] * SHARPNESS, size[1] * SHARPNESS), random.Random(number))  # noqa: S311 - not a secret
        draw(canvas)
        data = io.BytesIO()
        canvas.finished(size).save(data, "JPEG", quality=92)
        yield name, data.getvalue()


class Canvas:
    """A picture that is drawn from back to front. All positions and lengths are fractions of its size."""

    def __init__(self, size: Size, dice: random.Random) -> None:
        self.image = Image.new("RGB", size)
        self.dice = dice

    def sky(self, *colours: str) -> None:
        """Fill the picture with colours, from top to bottom."""
        strip = Image.new("RGB", (1, len(colours)))
        for row, colour in enumerate(colours):
            strip.putpixel((0, row), _rgb(colour))
        margin = self._height // (2 * len(colours))  # the middle of the outer pixels is at the edges
        tall = strip.resize((1, self._height + 2 * margin), Image.Resampling.BICUBIC)
        self.image.paste(tall.crop((0, margin, 1, margin + self._height)).resize(self.image.size))

    def glow(self, at: Point, radius: float, colour: str, strength: float = 1) -> None:
        """Add light that fades with the distance."""
        side = round(2 * radius * self._width)
        fade = Image.radial_gradient("L").point(lambda value: round(255 * strength * max(0, 1 - value / _EDGE) ** 1.5))
        mask = Image.new("L", self.image.size)
        left, top = self._place(at)
        mask.paste(fade.resize((side, side)), (left - side // 2, top - side // 2))
        light = Image.composite(
            Image.new("RGB", self.image.size, _rgb(colour)), Image.new("RGB", self.image.size), mask
        )
        self.image = ImageChops.screen(self.image, light)

    def disc(self, at: Point, radius: float, colour: str) -> None:
        """Draw a sun or a moon."""
        (x, y), reach = self._place(at), radius * self._width
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)

    def stars(self, count: int, lowest: float) -> None:
        """Draw stars above a height."""
        for _ in range(count):
            x, y = self._place((self.dice.random(), self.dice.random() * lowest))
            reach = self.dice.choice((1, 1, 1, 2, 3)) * self._width / 1600
            light = self.dice.randint(120, 255)
            self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(light, light, min(255, light + 20)))

    def ridge(self, base: float, height: float, colour: str, *, roughness: float = 0.5, detail: int = 8) -> None:
        """Draw mountains (rough) or hills (smooth, with little detail)."""
        heights = [self.dice.random(), self.dice.random()]
        spread = 1.0
        for _ in range(detail):
            middles = [(a + b) / 2 + spread * self.dice.uniform(-0.5, 0.5) for a, b in pairwise(heights)]
            heights = [value for pair in zip(heights, middles, strict=False) for value in pair] + heights[-1:]
            spread *= roughness
        low, high = min(heights), max(heights)
        step = 1 / (len(heights) - 1)
        outline = [
            (number * step, base - height * (value - low) / (high - low)) for number, value in enumerate(heights)
        ]
        self.shape([(0, 1), *(_smooth(outline) if detail < 6 else outline), (1, 1)], colour)

    def ridges(
        self, bases: Sequence[float], height: float, far: str, near: str, *, roughness: float = 0.5, detail: int = 8
    ) -> None:
        """Draw ridges behind each other; the far ones have the colour of the haze."""
        for number, base in enumerate(bases):
            colour = _mixed(far, near, number / (len(bases) - 1))
            self.ridge(base, height, colour, roughness=roughness, detail=detail)

    def shape(self, points: Sequence[Point], colour: str) -> None:
        """Fill a polygon."""
        self._draw.polygon([self._place(point) for point in points], fill=colour)

    def conifers(self, ground: float, height: float, colour: str, count: int) -> None:
        """Draw a row of trees."""
        for number in range(count):
            x = (number + self.dice.random()) / count
            tall = height * self.dice.uniform(0.55, 1)
            wide = tall * 0.2 * self._height / self._width
            foot = ground + self.dice.uniform(-0.01, 0.02)
            for level in range(4):
                top, reach = foot - tall * (1 - level * 0.2), wide * (0.4 + level * 0.2)
                self.shape([(x, top), (x - reach, top + tall * 0.42), (x + reach, top + tall * 0.42)], colour)
        self.shape([(0, ground), (1, ground), (1, 1), (0, 1)], colour)

    def mirror(self, shore: float, tint: str) -> None:
        """Turn everything below a height into water that reflects what is above."""
        line = round(shore * self._height)
        depth = self._height - line
        above = ImageOps.flip(self.image.crop((0, max(0, line - depth), self._width, line)))
        water = Image.blend(
            above.resize((self._width, depth)), Image.new("RGB", (self._width, depth), _rgb(tint)), 0.35
        )
        self.image.paste(water.filter(ImageFilter.BoxBlur(self._width // 500)), (0, line))
        for _ in range(60):
            y = line + round(depth * self.dice.random() ** 1.6)
            x, length = self.dice.random() * self._width, self._width * self.dice.uniform(0.03, 0.14)
            ends = (x - length, y, x + length, y)
            self._draw.line(ends, fill=self._lighter(x, y), width=max(1, self._width // 900))

    def _lighter(self, x: float, y: int) -> tuple[int, ...]:
        """Return the colour at a place, a little lighter."""
        red, green, blue = self.image.getpixel((min(self._width - 1, round(x)), min(self._height - 1, y)))  # type: ignore[misc]
        return tuple(min(255, round(value * 1.12 + 6)) for value in (red, green, blue))

    def houses(self, ground: float, height: float, colour: str, light: str | None) -> None:
        """Draw a skyline; with a light, some windows are lit."""
        x = -0.02
        while x < 1:
            wide, tall = self.dice.uniform(0.035, 0.085), height * self.dice.uniform(0.35, 1) ** 1.3
            self.shape([(x, ground - tall), (x + wide, ground - tall), (x + wide, 1), (x, 1)], colour)
            if light:
                self._windows(x, ground - tall, wide, tall, light)
            x += wide + self.dice.choice((0.0, 0.0, 0.006))

    def _windows(self, left: float, top: float, wide: float, tall: float, light: str) -> None:
        columns, rows = round(wide / 0.011), round(tall / 0.022)
        for column in range(1, columns):
            for row in range(1, rows):
                if self.dice.random() < 0.3:
                    x, y = left + column * wide / columns, top + row * tall / rows
                    self.shape([(x, y), (x + 0.004, y), (x + 0.004, y + 0.01), (x, y + 0.01)], light)

    def balloon(self, at: Point, radius: float, colours: Sequence[str]) -> None:
        """Draw a balloon with stripes."""
        (x, y), reach = self._place(at), radius * self._width
        for number, part in enumerate((1, 0.68, 0.32)):
            box = (x - reach * part, y - reach, x + reach * part, y + reach)
            self._draw.ellipse(box, fill=colours[number % len(colours)])
        outline = ((-0.7, 0.7), (0.7, 0.7), (0.16, 1.35), (-0.16, 1.35))
        self._draw.polygon([(x + reach * across, y + reach * down) for across, down in outline], fill=colours[1])
        self._draw.rectangle((x - reach * 0.17, y + reach * 1.5, x + reach * 0.17, y + reach * 1.75), fill="#5b3a29")

    def finished(self, size: Size) -> Image.Image:
        """Return the picture with smooth edges and a little grain."""
        image = self.image.resize(size, Image.Resampling.LANCZOS)
        grain = Image.effect_noise(size, 18).convert("RGB")
        return ImageChops.overlay(image, Image.blend(Image.new("RGB", size, "#808080"), grain, 0.22))

    @property
    def _draw(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)

    @property
    def _width(self) -> int:
        return self.image.width

    @property
    def _height(self) -> int:
        return self.image.height

    def _place(self, point: Point) -> tuple[int, int]:
        return round(point[0] * self._width), round(point[1] * self._height)


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue, *_ = ImageColor.getrgb(colour)
    return red, green, blue


def _mixed(first: str, second: str, part: float) -> str:
    mixed = (round(a + (b - a) * part) for a, b in zip(_rgb(first), _rgb(second), strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _smooth(outline: Sequence[Point]) -> list[Point]:
    """Cut the corners of a line, by the algorithm of Chaikin."""
    points = list(outline)
    for _ in range(5):
        cut = [
            (ax + (bx - ax) * part, ay + (by - ay) * part)
            for (ax, ay), (bx, by) in pairwise(points)
            for part in (0.25, 0.75)
        ]
        points = [points[0], *cut, points[-1]]
    return points


def _alps(canvas: Canvas) -> None:
    canvas.sky("#2b4a7f", "#6f8fbf", "#f2c6a0", "#f7e3c4")
    canvas.glow((0.68, 0.46), 0.6, "#ffb070")
    canvas.disc((0.68, 0.42), 0.035, "#fff1d6")
    canvas.ridges((0.62, 0.7, 0.8, 0.92), 0.28, "#b79aa8", "#1d2b45", roughness=0.52)


def _lake(canvas: Canvas) -> None:
    canvas.sky("#7fb4dd", "#b9d9ee", "#eef4f3", "#eef4f3")
    canvas.ridge(0.56, 0.36, "#8aa6bf", roughness=0.55)
    canvas.ridge(0.58, 0.22, "#5c7d94", roughness=0.55)
    canvas.conifers(0.58, 0.12, "#2f4f4a", 46)
    canvas.mirror(0.6, "#3d6b7d")


def _sunset(canvas: Canvas) -> None:
    canvas.sky("#3b1e54", "#a33a6b", "#f2784b", "#ffc46b", "#ffc46b")
    canvas.glow((0.42, 0.6), 0.55, "#ffb454")
    canvas.disc((0.42, 0.57), 0.07, "#fff0c2")
    canvas.ridge(0.64, 0.06, "#5a2a56", roughness=0.5)
    canvas.mirror(0.64, "#5a2456")


def _night(canvas: Canvas) -> None:
    canvas.sky("#050a1e", "#0d1b3e", "#20406b", "#3d6a8f")
    canvas.stars(420, 0.75)
    canvas.glow((0.7, 0.22), 0.3, "#8fb4e8", 0.7)
    canvas.disc((0.7, 0.22), 0.05, "#f4f1de")
    canvas.ridges((0.8, 0.87), 0.2, "#27456b", "#142440", roughness=0.5)
    canvas.conifers(0.93, 0.3, "#070d1b", 17)


def _aurora(canvas: Canvas) -> None:
    canvas.sky("#04121f", "#07283a", "#0f4a52", "#12343f")
    canvas.stars(260, 0.6)
    for x, y, colour in (
        (0.2, 0.35, "#1fd18a"),
        (0.42, 0.25, "#38e39b"),
        (0.62, 0.36, "#2cc6a8"),
        (0.84, 0.22, "#7a5bd6"),
    ):
        canvas.glow((x, y), 0.3, colour, 0.75)
    canvas.ridge(0.66, 0.16, "#0a2430", roughness=0.52)
    canvas.conifers(0.68, 0.16, "#04141b", 40)
    canvas.mirror(0.7, "#05202a")


def _dunes(canvas: Canvas) -> None:
    canvas.sky("#f3b27a", "#f8d3a4", "#fbe8cf", "#fbe8cf")
    canvas.glow((0.25, 0.3), 0.4, "#fff2d0")
    canvas.disc((0.25, 0.27), 0.05, "#fff8e6")
    canvas.ridges((0.55, 0.68, 0.82, 0.98), 0.2, "#e9a568", "#8f4a2c", roughness=0.4, detail=3)


def _city(canvas: Canvas) -> None:
    canvas.sky("#1b1f4b", "#5b3a7e", "#d9658b", "#f9a66c")
    canvas.glow((0.5, 0.85), 0.6, "#ff9d5c", 0.7)
    canvas.houses(0.9, 0.42, "#6a4a7d", None)
    canvas.houses(0.96, 0.5, "#3a2c5a", "#d98a5a")
    canvas.houses(1.0, 0.4, "#181430", "#ffd27a")


def _fog(canvas: Canvas) -> None:
    canvas.sky("#cfd8d6", "#e3e8e4", "#dfe6e1")
    for number in range(6):
        part = number / 5
        canvas.conifers(0.42 + part * 0.52, 0.24 + part * 0.2, _mixed("#bccac6", "#1f3a35", part), 15 - number * 2)


def _meadow(canvas: Canvas) -> None:
    canvas.sky("#4f9fdc", "#94cbee", "#d9eff7", "#d9eff7")
    canvas.glow((0.85, 0.15), 0.4, "#fff6c9", 0.8)
    canvas.ridges((0.6, 0.7, 0.82), 0.14, "#9cc59a", "#4f9448", roughness=0.4, detail=3)
    for _ in range(900):
        depth = canvas.dice.random() ** 0.6
        at = (canvas.dice.random(), 0.8 + depth * 0.2)
        canvas.disc(at, 0.001 + 0.003 * depth, canvas.dice.choice(("#fff7e0", "#f6c945", "#e8596e", "#fff7e0")))


def _balloons(canvas: Canvas) -> None:
    canvas.sky("#5aa0d6", "#a8d0ea", "#fbe3c8", "#fbd9b0")
    canvas.ridges((0.86, 0.93, 1.0), 0.14, "#c9a58f", "#6d4a45", roughness=0.5)
    canvas.balloon((0.34, 0.3), 0.15, ("#d9483b", "#f3b13c", "#d9483b"))
    canvas.balloon((0.72, 0.5), 0.09, ("#2f6fb2", "#f4efe3", "#2f6fb2"))
    canvas.balloon((0.18, 0.66), 0.05, ("#3c8f6a", "#f4d35e", "#3c8f6a"))


def _canyon(canvas: Canvas) -> None:
    canvas.sky("#3f7fb5", "#9cc6dd", "#f6dcc0")
    canvas.ridges((0.5, 0.62, 0.76, 0.92), 0.2, "#d79a78", "#6b2a22", roughness=0.62)


def _coast(canvas: Canvas) -> None:
    canvas.sky("#8fd0e0", "#c9ecec", "#f3f7ee", "#f3f7ee")
    canvas.ridge(0.52, 0.1, "#8fb0b5", roughness=0.5)
    canvas.mirror(0.52, "#1f9aa8")
    canvas.ridge(1.0, 0.26, "#e7cfa0", roughness=0.3, detail=2)
    canvas.ridge(1.06, 0.22, "#d8b57c", roughness=0.3, detail=2)


def _winter(canvas: Canvas) -> None:
    canvas.sky("#6d8fc4", "#b4c6e4", "#f1dfe3", "#f6e9e6")
    canvas.ridge(0.62, 0.34, "#a9b8d6", roughness=0.56)
    canvas.ridges((0.74, 0.84), 0.12, "#d5deee", "#eef2f8", roughness=0.4, detail=3)
    canvas.conifers(0.88, 0.18, "#3d5273", 16)
    canvas.ridge(0.93, 0.07, "#f7f9fc", roughness=0.4, detail=3)


def _waves(canvas: Canvas) -> None:
    canvas.sky("#f6efe2", "#f2e2cd")
    canvas.disc((0.66, 0.26), 0.13, "#e4572e")
    canvas.ridges((0.55, 0.66, 0.77, 0.88, 1.0), 0.16, "#8fc1c4", "#17394f", roughness=0.45, detail=3)


_SCENES: list[tuple[str, Size, Callable[[Canvas], None]]] = [
    ("alps/first light.jpg", WIDE, _alps),
    ("coast/beach.jpg", CLASSIC, _coast),
    ("posters/waves.jpg", PORTRAIT, _waves),
    ("alps/lake.jpg", CLASSIC, _lake),
    ("city/evening.jpg", CLASSIC, _city),
    ("north/aurora.jpg", WIDE, _aurora),
    ("festival/balloons.jpg", PORTRAIT, _balloons),
    ("desert/dunes.jpg", CLASSIC, _dunes),
    ("north/fog.jpg", TALL, _fog),
    ("coast/sunset.jpg", WIDE, _sunset),
    ("north/night.jpg", SQUARE, _night),
    ("spring/meadow.jpg", CLASSIC, _meadow),
    ("desert/canyon.jpg", CLASSIC, _canyon),
    ("alps/winter.jpg", SQUARE, _winter),
]
