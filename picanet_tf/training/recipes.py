"""The defaults of a task's settings, by variant and recipe. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

from picanet_tf.core.errors import PicanetError
from picanet_tf.tasks.registry import get_spec
from picanet_tf.training.phases import parse_image_sizes

PAPER = "paper"
# AdamW's update does not grow with the gradient, so SGD's values do not suit it.
_ADAMW = {"learning_rate": 0.0005, "weight_decay": 0.01, "beta_2": 0.99}


def recipe_settings(
    task: str, variant: str | None, recipe: str, optimizer: str | None = None
) -> dict:
    """Returns the settings in which a task's recipe differs from `Experiment`'s.

    Args:
        task: name of the task.
        variant: variant to train; None for the default variant.
        recipe: name of the recipe.
        optimizer: the optimizer, if it is not the recipe's.

    Raises:
        PicanetError: if the task has no such recipe.
    """
    spec = get_spec(task)
    if recipe not in tuple(spec.recipes):  # It may be of any type.
        raise PicanetError(
            f"`recipe` of task {task} must be one of {', '.join(spec.recipes)}. "
            f"Received: {recipe!r}"
        )
    own = spec.recipes[recipe]
    adamw = (optimizer or own.get("optimizer")) == "adamw"
    return {
        **spec.training_defaults(variant),
        **(_ADAMW if adamw else {}),
        **own,
    }


def default_settings(task: str, given: Mapping) -> dict:
    """Returns `recipe_settings`, adapted to the settings that are given."""
    recipe = given.get("recipe", PAPER)
    optimizer = given.get("optimizer")
    settings = recipe_settings(task, given.get("variant"), recipe, optimizer)
    if "image_size" in given:
        settings.pop("image_sizes", None)
    elif type(given.get("image_sizes")) is str and given["image_sizes"]:
        settings["image_size"] = parse_image_sizes(given["image_sizes"])[-1][0]
    steps = given.get("steps", settings.get("steps"))
    if type(steps) is int and "warmup_steps" in settings:
        settings["warmup_steps"] = min(settings["warmup_steps"], max(0, steps // 5))
    return settings
