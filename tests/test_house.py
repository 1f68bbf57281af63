"""The arrows of the house: who may import whom, read off the source."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LIBRARIES = ("picanet_tf", "data_pipeline")
TASKS = ("saliency", "segmentation", "detection")
SHARED = ("plans", "seams", "voc_classes", "reporting", "pixels", "places")

# What the modules of each part of picanet_tf may import of it, beside their own part.
# errors.py and core, the ground floor, everyone may import.
ALLOWED = {
    "errors": set(),
    "core": set(),
    "presets": set(),
    "samples": set(),
    "layers": set(),
    "backbones": {"layers", "presets"},
    "context": {"layers"},
    # What several tasks share: U-Net's decoder; names of plans, shapes of records, the
    # classes of VOC, what reports are written with, what folders allow.
    "decoder": {"layers", "context"},
    **dict.fromkeys(SHARED, set()),
    "class_reports": {"reporting"},
    **dict.fromkeys(
        TASKS,
        {
            *("layers", "context", "backbones", "decoder", "presets", "weights"),
            *("class_reports", *SHARED),
        },
    ),
    "weights": {"layers", "backbones", "presets"},
    "recipes": set(TASKS),
    "networks": {"backbones", "context", "recipes", "seams", "tasks", "weights"},
    "tasks": {"layers", "context", "backbones", "seams", *TASKS},
}
# The ends of the arrows: they may import all of the above, and one another. So may
# picanet_tf/__init__.py (""), the library's front door.
ENDS = {
    *("training", "inference", "serving", "visualization", "scoring", "page"),
    *("commands", ""),
}
# A command within a part that is none of them.
END_MODULES = {"picanet_tf.presets.add"}
# What of data_pipeline each part may import; commands anything.
PIPELINE = {
    "inference": {"data_pipeline.images"},
    "serving": {"data_pipeline.images", "data_pipeline.errors"},
}
# Whoever runs a command is spoken to here.
MAY_PRINT = {"data_pipeline.cli", "picanet_tf.commands"}
WITHOUT_TENSORFLOW = (
    "picanet_tf",
    "picanet_tf.core.files",
    "picanet_tf.core.images",
    "picanet_tf.presets",
    "picanet_tf.presets.add",
    "picanet_tf.presets.download",
    "picanet_tf.samples",
    "picanet_tf.inference",
    "picanet_tf.inference.litert",
    "picanet_tf.inference.pipeline",
    "picanet_tf.saliency.prediction",
    "picanet_tf.saliency.variants",
    "picanet_tf.segmentation.variants",
    "picanet_tf.recipes",
    "picanet_tf.scoring",
    "picanet_tf.training.experiments",
    "picanet_tf.page",
    "picanet_tf.places",
    "picanet_tf.detection.results",
    "picanet_tf.detection.rendering",
    *(
        f"picanet_tf.commands.{name}"
        for name in (
            "evaluate",
            "export",
            "models",
            "predict",
            "serve",
            "train",
            "visualize",
        )
    ),
)
ENTRY_SCRIPTS = {path.stem for path in ROOT.glob("*.py")}
MOST_LINES = 400
LONGER: dict[str, int] = {}


def modules(package):
    """{dotted name: path} of a package's modules."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


SOURCES = {
    name: path for package in LIBRARIES for name, path in modules(package).items()
}
EACH_MODULE = pytest.mark.parametrize("module", SOURCES)


def imports(path, module):
    """Dotted names that a module imports, late imports too."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*base, *([source] if source else [])])
            # `from package import module` imports the module.
            names |= {
                f"{source}.{alias.name}"
                if f"{source}.{alias.name}" in SOURCES
                else source
                for alias in node.names
            }
    return names


def part(module):
    """`picanet_tf.layers.renet` -> `layers`."""
    return module.split(".")[1] if "." in module else ""


@EACH_MODULE
def test_arrows(module):
    imported = imports(SOURCES[module], module)
    assert not imported & ENTRY_SCRIPTS
    if module.startswith("data_pipeline"):
        ours = {part(name) for name in imported if name.startswith("picanet_tf")}
        assert ours <= {"core"}
        return
    own = part(module)
    if module in END_MODULES:
        own = "commands"
    assert own in {*ALLOWED, *ENDS}, f"test_house.py does not know {module}"
    parts = {part(name) for name in imported if name.startswith("picanet_tf")}
    if own not in ENDS:
        assert parts <= {"errors", "core", own} | ALLOWED.get(own, set())
    pipeline = {name for name in imported if name.startswith("data_pipeline")}
    assert own == "commands" or pipeline <= PIPELINE.get(own, set())


@EACH_MODULE
def test_nothing_prints(module):
    """The library logs. A module with a main may talk to who runs it."""
    tree = ast.parse(SOURCES[module].read_text())
    prints = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    mains = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and "__name__" in ast.dump(node.test)
    ]
    assert mains or module in MAY_PRINT or not prints, (
        f"{module} prints in lines {prints}"
    )


@EACH_MODULE
def test_no_module_grows_beyond_reading(module):
    path = SOURCES[module]
    most = LONGER.get(path.relative_to(ROOT).as_posix(), MOST_LINES)
    assert len(path.read_text().splitlines()) <= most


def test_entry_scripts_are_short():
    for path in ROOT.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 10, path.name


@pytest.mark.parametrize("module", [m for m in WITHOUT_TENSORFLOW if m in SOURCES])
def test_imports_no_tensorflow(module):
    """So that --help is quick."""
    code = (
        f"import sys, {module}\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]", run.stderr


def test_the_reader_of_imports_sees_them(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import os, picanet_tf.layers.renet\n"
        "from . import errors\n"
        "from ..context import context_layer\n"
        "def late():\n"
        "    from picanet_tf import saliency\n"
    )
    assert imports(path, "picanet_tf.layers.module") == {
        "os",
        "picanet_tf.layers.renet",
        "picanet_tf.layers",
        "picanet_tf.context",
        "picanet_tf.saliency",
    }
