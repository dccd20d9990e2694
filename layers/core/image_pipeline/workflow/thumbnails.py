"""Make the files that GenerateThumbnails stores, and the result of this step. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from image_pipeline.imaging import engine
from image_pipeline.imaging.engine import Rendered, Rendition
from image_pipeline.imaging.focus import Point
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import Recipe
from image_pipeline.workflow import labels, notifications


class Thumbnails(NamedTuple):
    """The files that are made from an upload."""

    rendered: Rendered
    copies: tuple[Rendition, ...]
    """Files that only Rekognition reads."""
    labelled: Rendition | None
    """The file whose labels are detected; None when there is none."""
    upload_bytes: int
    recipe_id: str
    point: Point | None
    """The point that every crop shows; None if each recipe decided."""

    @property
    def files(self) -> list[Rendition]:
        """The files to store."""
        return [*self.rendered.renditions, *self.copies]

    def result(
        self, image_key: str, locations: Mapping[str, Mapping[str, Any]], focus_warnings: Iterable[str]
    ) -> dict[str, Any]:
        """Return the result of the step.

        Args:
            image_key: the key of the upload.
            locations: where each file is stored, by its name.
            focus_warnings: what was wrong with the point in the metadata of the upload.
        """
        rendered = self.rendered
        renditions = [{**rendition.to_dict(), **locations[rendition.file_name]} for rendition in rendered.renditions]
        warnings = [{"code": "ImageWarning", "message": text} for text in (*rendered.warnings, *focus_warnings)]
        image = {**rendered.header.to_dict(), "sizeBytes": self.upload_bytes, "sha256": rendered.sha256}
        return {
            "image": image,
            "exif": rendered.exif.to_dict(),
            "renditions": renditions,
            "recipeId": self.recipe_id,
            "focus": self.point and self.point.to_json(),
            "summary": rendered.summary.to_dict(),
            "picture": self.labelled and locations[self.labelled.file_name],
            "warnings": warnings,
            "notification": notifications.describe_image(image_key, image, renditions, warnings),
        }


def make(
    data: bytes, recipes: Sequence[Recipe], limits: Limits, point: Point | None, *, detects_labels: bool
) -> Thumbnails:
    """Make the renditions of an upload, and a copy for Rekognition if it accepts none of them.

    Args:
        data: the whole upload.
        recipes: the recipes of the upload.
        limits: the limits of the deployment.
        point: the point that every crop must show; None to let each recipe decide.
        detects_labels: whether the stack detects labels.

    Raises:
        RejectedError: as `engine.render`.
    """
    rendered = engine.render(data, recipes, limits, point)
    labelled = labels.rendition_for_labels(rendered.header, rendered.renditions, recipes)
    copies: tuple[Rendition, ...] = ()
    if detects_labels and labelled is None:
        labelled = engine.reduced(data, limits, labels.LEGIBLE_SIDE, labels.MIN_SIDE)
        copies = (labelled,)
    return Thumbnails(rendered, copies, labelled, len(data), engine.recipe_id(recipes), point)
