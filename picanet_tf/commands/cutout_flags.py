"""The flags of `picanet predict` for cut-outs."""

from __future__ import annotations

import dataclasses

from absl import flags

from picanet_tf.drawing.cutouts import CutoutOptions
from picanet_tf.drawing.edges import EDGES

# The flags belong to the command that calls `define_cutout_flags`, also in its help.
flags.disclaim_key_flags()


def define_cutout_flags() -> None:
    """Defines a flag for each field of `CutoutOptions`."""
    flags.DEFINE_enum(
        "edges",
        None,
        EDGES,
        "guided: give the map the edges of the photo; plain: resize it only. Default: "
        "guided for cut-outs, plain for the other formats.",
    )
    flags.DEFINE_string(
        "background",
        "transparent",
        "Background of cut-outs: transparent, blur (the photo's own), a colour such as "
        "white or '#ff8800', or a photo. All but transparent imply --format cutout.",
    )
    flags.DEFINE_bool(
        "matting",
        False,
        "Refine the edges of cut-outs, such as hair, with pymatting (pip install "
        "pymatting); takes seconds per photo, and once after its installation a minute "
        "or two. Implies --format cutout.",
    )
    flags.DEFINE_bool(
        "crop", False, "Crop cut-outs to the object. Implies --format cutout."
    )
    flags.DEFINE_bool(
        "largest_only", False, "Keep only the largest of several objects."
    )
    flags.DEFINE_bool("invert", False, "Keep the background instead of the object.")


def read_cutout_options() -> CutoutOptions:
    """Returns the options given by the flags; raises as `CutoutOptions`."""
    names = [field.name for field in dataclasses.fields(CutoutOptions)]
    return CutoutOptions(**{name: flags.FLAGS[name].value for name in names})
