"""What today's TensorFlow answers and trains, for an older one to be held against.

`python -m tests.tf215.reference build/tf215` writes there

- `export/1/`: an export with all three signatures;
- `answers.npz`: {signature/in or out/tensor name: array};
- `training.npz`: {start or gradients or end/variable's path: array}.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from picanet_tf.backbones.vgg16_weights import CONV_LAYERS
from picanet_tf.saliency import build_model
from picanet_tf.serving.exporting import export
from picanet_tf.serving.request import ExportRequest
from picanet_tf.serving.saved_model import ATTENTION, DEFAULT, IMAGE_BYTES, Loaded
from picanet_tf.training import optimizer as optimizers
from tests.serving.networks import encoded, photo, pixels, trained_like
from tests.serving.test_decoding import exif

EVERY_ATTENTION = "6GAP_54AC_32LAP"
STEPS = 50


def write_answers(folder: Path) -> None:
    """Exports a tiny network and asks each signature of what is on disk."""
    network = trained_like(EVERY_ATTENTION)
    version, _ = export(network, ExportRequest(folder / "export"), [photo()])
    files = [
        encoded(photo((40, 70), seed=5), "JPEG", exif=exif("little", 6)),
        encoded(photo((90, 50), seed=6), "PNG"),
    ]
    image = {"image": pixels(3, seed=3)}
    requests = {
        DEFAULT: image,
        ATTENTION: image,
        IMAGE_BYTES: {"image_bytes": np.array(files)},
    }
    loaded = Loaded(version)
    arrays = {}
    for signature, inputs in requests.items():
        for name, value in inputs.items():
            arrays[f"{signature}/in/{name}"] = value
        for name, value in loaded(signature, **inputs).items():
            # Strings come as objects, which an .npz holds as pickles only.
            value = np.array(value.tolist()) if value.dtype == object else value
            arrays[f"{signature}/out/{name}"] = value
    np.savez(folder / "answers.npz", **arrays)


def write_training(folder: Path) -> None:
    """Trains with the paper's recipe on random gradients.

    The encoder without fc6 and fc7 is pretrained; the rates fall twice on the way.
    """
    variables = build_model("6GAP_5AC", 32, width=1 / 32).trainable_variables
    groups = optimizers.make_groups(
        CONV_LAYERS, encoder_lr_multiplier=0.1, weight_decay=0.0005
    )
    optimizer = optimizers.make_optimizer(
        optimizers.assign([variable.path for variable in variables], groups),
        learning_rate=0.01,
        schedule=optimizers.Schedule(steps=STEPS, boundaries=(20, 40)),
        momentum=0.9,
    )
    optimizer.build(variables)
    rng = np.random.default_rng(0)
    arrays = {}
    for variable in variables:
        # Not as built: betas of 0 and gammas of 1 would hide what is done to them.
        variable.assign(rng.normal(0, 1, variable.shape))
        arrays[f"start/{variable.path}"] = variable.numpy()
        gradients = rng.normal(0, 1, (STEPS, *variable.shape)).astype(np.float32)
        arrays[f"gradients/{variable.path}"] = gradients
    for step in range(STEPS):
        gradients = [
            arrays[f"gradients/{variable.path}"][step] for variable in variables
        ]
        optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)
    for variable in variables:
        arrays[f"end/{variable.path}"] = variable.numpy()
    np.savez(folder / "training.npz", **arrays)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    write_answers(target)
    write_training(target)
