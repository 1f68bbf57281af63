"""Measures the effect of guided edges on the quality and time of cut-outs.

    python -m benchmarks.cutouts IMAGES MASKS [MODEL]

Scores the maps of a model at the masks' size: as resized; with their odds squared,
which the guided edges include; and with `--edges guided`. Max F, mean F and MAE
are those of `picanet evaluate`, boundary F is that of the thresholded maps (0.5) with a
tolerance of three pixels. Times are for a photo of 12 megapixels, relative to the
prediction of its map.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.common import ROOT, median_seconds, report
from picanet_tf.core.images import list_images, read_image, read_mask
from picanet_tf.drawing.edges import guide_edges, sharpen
from picanet_tf.drawing.foreground import estimate_foreground
from picanet_tf.drawing.matting import refine_alpha
from picanet_tf.evaluation.samples import Sample
from picanet_tf.inference import load_model
from picanet_tf.saliency.evaluation import evaluate

METHODS = {
    "plain": lambda saliency, image: saliency,
    "odds squared": lambda saliency, image: sharpen(saliency),
    "guided": guide_edges,
}
TOLERANCE = 3  # pixels


def main(images: str, masks: str, name: str = "picanet_vgg16_duts") -> None:
    model = load_model(name)
    masks = {path.stem: path for path in list_images(masks)}
    samples = [
        Sample(path.stem, read_mask(masks[path.stem]), read_image(path))
        for path in list_images(images)
    ]
    maps = model.predict([sample.image for sample in samples])
    rows = []
    for label, refine in METHODS.items():
        found = [
            (sample, refine(saliency, sample.image))
            for sample, saliency in zip(samples, maps, strict=True)
        ]
        scores = evaluate(found, panel_images=0).scores.scores
        edges = [boundary_f(values, sample.truth) for sample, values in found]
        rows.append(
            {
                "edges": label,
                **{key: f"{scores[key]:.4f}" for key in ("max_f", "mean_f", "mae")},
                "boundary F": f"{np.nanmean(edges):.4f}",
                "images": len(samples),
            }
        )
    report("cutouts", rows)
    report("cutouts_time", times(model))


def boundary_f(saliency: np.ndarray, mask: np.ndarray) -> float:
    """Returns F1 of the boundary pixels within `TOLERANCE` of the other boundary."""
    found, truth = (boundary(values) for values in (saliency >= 0.5, mask >= 128))
    if not truth.any():
        return float("nan")
    side = 2 * TOLERANCE + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    hits = (
        (found & cv2.dilate(truth, disc)).sum(),
        (truth & cv2.dilate(found, disc)).sum(),
    )
    precision, recall = hits[0] / max(1, found.sum()), hits[1] / truth.sum()
    return 2 * precision * recall / max(precision + recall, 1e-9)


def boundary(inside: np.ndarray) -> np.ndarray:
    """Returns the inner boundary pixels of a region, uint8 [H, W] of 0 and 1."""
    inside = np.uint8(inside)
    return inside - cv2.erode(inside, np.ones((3, 3), np.uint8))


def times(model) -> list[dict]:
    photo = Image.open(Path(ROOT) / "samples" / "images" / "astronaut.png")
    image = np.asarray(photo.convert("RGB").resize((4000, 3000), Image.BICUBIC))
    saliency = model.predict(image)
    alpha = guide_edges(saliency, image)
    seconds = {
        "map": lambda: model.predict(image),
        "guided edges": lambda: guide_edges(saliency, image),
        "foreground colours": lambda: estimate_foreground(image, alpha),
        "matting": lambda: refine_alpha(alpha, image),
    }
    seconds = {label: median_seconds(run, 3) for label, run in seconds.items()}
    return [
        {"step": label, "relative to the map": value / seconds["map"]}
        for label, value in seconds.items()
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
