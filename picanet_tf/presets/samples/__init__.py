"""Two photos to try things on, both in the public domain. Imports no TensorFlow.

`astronaut.png` (Eileen Collins, by NASA) and `rocket.jpg` (by SpaceX), out of
scikit-image 0.26.0's `skimage.data`.
"""

from pathlib import Path


def sample_photos() -> list[Path]:
    """The photos' paths, for as long as the package is installed."""
    return sorted(
        path
        for path in Path(__file__).parent.iterdir()
        if path.suffix in (".jpg", ".png")
    )
