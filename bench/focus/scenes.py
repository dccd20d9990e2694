"""Draw scenes with a subject at a known place. The same seed always gives the same scenes."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageChops, ImageDraw

Size = tuple[int, int]
Colour = tuple[int, int, int]

_SIZES: tuple[Size, ...] = ((480, 320), (320, 480), (480, 270), (480, 360), (360, 480))
_SKINS: tuple[Colour, ...] = ((241, 194, 160), (198, 134, 96), (120, 72, 46))


@dataclass(frozen=True)
class Scene:
    """An image with one subject."""

    image: Image.Image
    subject: tuple[float, float, float, float]
    """(left, top, right, bottom) as fractions of the width and height of the image."""


def scenes(seed: int, count: int) -> Iterator[Scene]:
    """Yield scenes: a person, a flower, an animal, a sign or a ball anywhere, before any of five backgrounds.

    Up to two soft patches of another colour distract, and all scenes have noise.
    """
    dice = Random(seed)  # noqa: S311  not for security
    noise = _noise(dice, (480, 480), 1)
    for _ in range(count):
        size = dice.choice(_SIZES)
        image = dice.choice(_BACKGROUNDS)(dice, size)
        for _ in range(dice.randrange(3)):
            _distract(dice, image)
        figure = dice.choice(_SUBJECTS)(dice, round(min(size) * dice.uniform(0.18, 0.5)))
        left, top = (dice.randrange(size[side] - figure.size[side]) for side in (0, 1))
        image.paste(figure, (left, top), figure)
        strength = dice.uniform(0.01, 0.06)
        grain = noise.crop((0, 0, *size)).point([round(128 + strength * (value - 128)) for value in range(256)])
        image = ImageChops.add(image, Image.merge("RGB", [grain] * 3), offset=-128)
        box = (left, top, left + figure.width, top + figure.height)
        yield Scene(image, tuple(place / size[at % 2] for at, place in enumerate(box)))  # type: ignore[arg-type]


# Backgrounds ----------------------------------------------------------------------------------------------------------


def _gradient(dice: Random, size: Size) -> Image.Image:
    ramp = Image.linear_gradient("L").rotate(dice.choice((0, 90, 180, 270))).resize(size)
    start, end = (Image.new("RGB", size, _colour(dice, (0, 0.6))) for _ in range(2))
    return Image.composite(start, end, ramp)


def _texture(dice: Random, size: Size) -> Image.Image:
    """Draw grass, sand or leaves: a fine pattern over the whole image."""
    dark = _colour(dice, (0, 0.7), (0.1, 0.5))
    light = _colour(dice, (0, 0.7), (0.3, 0.9))
    pattern = _noise(dice, size, dice.choice((2, 4, 8)))
    return Image.composite(Image.new("RGB", size, light), Image.new("RGB", size, dark), pattern)


def _blur(dice: Random, size: Size) -> Image.Image:
    """Draw large soft shapes, as behind a close subject."""
    return Image.composite(_gradient(dice, size), _gradient(dice, size), _noise(dice, size, 60))


def _landscape(dice: Random, size: Size) -> Image.Image:
    image = _gradient(dice, size)
    horizon = round(size[1] * dice.uniform(0.35, 0.75))
    image.paste(_texture(dice, (size[0], size[1] - horizon)), (0, horizon))
    return image


def _wall(dice: Random, size: Size) -> Image.Image:
    image = Image.new("RGB", size, _colour(dice, (0, 0.5)))
    draw = ImageDraw.Draw(image)
    joint = _colour(dice, (0, 0.3))
    step = dice.randrange(18, 50)
    for row, top in enumerate(range(0, size[1], step)):
        draw.line((0, top, size[0], top), joint, 2)
        for left in range((row % 2) * step, size[0], 2 * step):
            draw.line((left, top, left, top + step), joint, 2)
    return image


def _distract(dice: Random, image: Image.Image) -> None:
    """Add a soft patch of another colour."""
    width, height = (round(length * dice.uniform(0.1, 0.4)) for length in image.size)
    mask = Image.radial_gradient("L").point([max(0, 200 - 2 * value) for value in range(256)]).resize((width, height))
    place = dice.randrange(image.width - width), dice.randrange(image.height - height)
    image.paste(_colour(dice, (0, 0.6)), place, mask)


# Subjects -------------------------------------------------------------------------------------------------------------


def _person(dice: Random, side: int) -> Image.Image:
    figure = Image.new("RGBA", (side, round(side * 1.4)))
    draw = ImageDraw.Draw(figure)
    width, height = figure.size
    draw.ellipse((0, height * 0.62, width - 1, height * 1.6), _colour(dice))
    draw.ellipse((width * 0.2, 0, width * 0.8, height * 0.62), _colour(dice, (0.2, 0.6), (0.1, 0.4)))
    draw.ellipse((width * 0.26, height * 0.1, width * 0.74, height * 0.66), dice.choice(_SKINS))
    for eye in (0.4, 0.6):
        draw.ellipse((width * (eye - 0.04), height * 0.31, width * (eye + 0.04), height * 0.36), (30, 20, 20))
    mouth = (width * 0.4, height * 0.4, width * 0.6, height * 0.54)
    draw.arc(mouth, 20, 160, (150, 50, 50), max(1, side // 40))
    return figure


def _flower(dice: Random, side: int) -> Image.Image:
    figure = Image.new("RGBA", (side, side))
    colour = _colour(dice, (0.5, 1), (0.5, 1))
    petal = Image.new("RGBA", (side, side))
    outline = _darker(colour, 2)
    ImageDraw.Draw(petal).ellipse((side * 0.38, 0, side * 0.62, side * 0.5), colour, outline=outline)
    for turn in range(0, 360, 45):
        figure.alpha_composite(petal.rotate(turn))
    heart = (side * 0.38, side * 0.38, side * 0.62, side * 0.62)
    ImageDraw.Draw(figure).ellipse(heart, _colour(dice, (0.3, 1), (0.3, 1)))
    return figure


def _animal(dice: Random, side: int) -> Image.Image:
    """Draw a body and a head with fur, whose colours may be those of the background."""
    figure = Image.new("RGBA", (round(side * 1.4), side))
    width, height = figure.size
    mask = Image.new("L", figure.size)
    shape = ImageDraw.Draw(mask)
    shape.ellipse((0, height * 0.3, width * 0.75, height - 1), 255)
    shape.ellipse((width * 0.55, 0, width - 1, height * 0.6), 255)
    figure.paste(_texture(dice, figure.size), mask=mask)
    for eye in (0.7, 0.85):
        place = (width * eye, height * 0.2, width * eye + height * 0.08, height * 0.28)
        ImageDraw.Draw(figure).ellipse(place, (10, 10, 10))
    return figure


def _sign(dice: Random, side: int) -> Image.Image:
    figure = Image.new("RGBA", (side, round(side * 0.7)), _colour(dice))
    width, height = figure.size
    ink = _colour(dice)
    for line in (0.2, 0.4, 0.6):
        end = width * dice.uniform(0.5, 0.9)
        ImageDraw.Draw(figure).rectangle((width * 0.1, height * line, end, height * (line + 0.1)), ink)
    return figure


def _ball(dice: Random, side: int) -> Image.Image:
    figure = Image.new("RGBA", (side, side))
    colour = _colour(dice, (0.3, 1), (0.4, 1))
    dark, light = (Image.new("RGB", (side, side), shade) for shade in (_darker(colour, 3), colour))
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).ellipse((0, 0, side - 1, side - 1), 255)
    figure.paste(Image.composite(dark, light, Image.radial_gradient("L").resize((side, side))), mask=mask)
    return figure


# Parts ----------------------------------------------------------------------------------------------------------------


def _noise(dice: Random, size: Size, grain: int) -> Image.Image:
    """Draw grey noise whose spots have about `grain` pixels."""
    small = max(2, size[0] // grain), max(2, size[1] // grain)
    spots = Image.frombytes("L", small, dice.randbytes(small[0] * small[1]))
    return spots.resize(size, Image.Resampling.BICUBIC)


def _colour(dice: Random, saturation: tuple[float, float] = (0, 1), value: tuple[float, float] = (0.1, 1)) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(dice.random(), dice.uniform(*saturation), dice.uniform(*value))
    return round(red * 255), round(green * 255), round(blue * 255)


def _darker(colour: Colour, times: int) -> Colour:
    red, green, blue = colour
    return red // times, green // times, blue // times


_BACKGROUNDS = (_gradient, _texture, _blur, _landscape, _wall)
_SUBJECTS = (_person, _flower, _animal, _sign, _ball)
