"""image_pipeline.imaging.animation.canvas"""

from hypothesis import given, settings
from hypothesis import strategies as st

from image_pipeline.imaging.animation import gif
from image_pipeline.imaging.animation.canvas import drawn_images
from image_pipeline.imaging.reader import Reader
from tests.conftest import examples
from tests.corpus import gifs

SIZE = (9, 7)
COLOURS = {index: (*gifs.QUARTERS[3 * index : 3 * index + 3], 255) for index in range(4)}
CLEAR = (0, 0, 0, 0)

boxes = st.tuples(st.integers(0, 12), st.integers(0, 9), st.integers(1, 12), st.integers(1, 9))
frames = st.tuples(boxes, st.integers(0, 7), st.sampled_from((None, 0, 3)), st.booleans(), st.integers(0, 99))


def indices(box):
    """Pixels of all four colours, different for each box."""
    _, _, width, height = box
    return [(x * y + x + box[0] + 2 * y) % 4 for y in range(height) for x in range(width)]


def model(parts):
    """The canvas during each frame, pixel by pixel, according to the specification."""
    canvas = {(x, y): CLEAR for y in range(SIZE[1]) for x in range(SIZE[0])}
    for box, disposal, transparent, _, _ in parts:
        before = dict(canvas)
        left, top, width, height = box
        covered = [(left + x, top + y) for y in range(height) for x in range(width)]
        for place, index in zip(covered, indices(box), strict=True):
            if place in canvas and index != transparent:
                canvas[place] = COLOURS[index]
        yield bytes(value for colour in canvas.values() for value in colour)
        if disposal == 2:
            canvas.update((place, CLEAR) for place in covered if place in canvas)
        elif disposal in (3, 4):
            canvas = before


@settings(max_examples=examples(150))
@given(st.lists(frames, min_size=1, max_size=6))
def test_any_sequence_of_frames_is_drawn_as_specified(parts):
    """Position (also outside the canvas), size, transparency, disposal and order of rows in any combination."""
    whole = ((0, 0, *SIZE), 1, None, False, 5)  # a first frame that is larger than the canvas would enlarge it
    parts = [whole, *parts]
    data = gifs.gif(SIZE, [
        gifs.control(transparent, disposal, delay)
        + gifs.frame(box, bytes(indices(box)), interlaced=interlaced)
        for box, disposal, transparent, interlaced, delay in parts
    ])  # fmt: skip
    animation = gif.read(Reader.of(data))
    drawn = [(image.tobytes(), milliseconds) for image, milliseconds in drawn_images(SIZE, animation.frames)]
    assert [pixels for pixels, _ in drawn] == list(model(parts))
    assert [time for _, time in drawn] == [10 * delay if delay > 1 else 100 for *_, delay in parts]
