"""Two photos for trials, both in the public domain. Imports no TensorFlow.

`astronaut.png` (Eileen Collins, by NASA) and `rocket.jpg` (by SpaceX), from
`skimage.data` of scikit-image 0.26.0.
"""

from pathlib import Path


def sample_photos() -> list[Path]:
    """Returns the paths of the photos, sorted by name."""
    return sorted(
        path
        for path in Path(__file__).parent.iterdir()
        if path.suffix in (".jpg", ".png")
    )
