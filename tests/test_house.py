"""The architecture: which modules may import which, read from the source."""

import ast
import pathlib

import pytest

from tests import commands

ROOT = pathlib.Path(__file__).parents[1]
LIBRARIES = ("picanet_tf", "data_pipeline")
TASKS = ("saliency", "segmentation", "detection")

# What the modules of each part of picanet_tf may import of it, beside their own part
# and core, the ground floor.
ALLOWED = {
    "core": set(),
    "drawing": set(),
    "presets": set(),
    "layers": set(),
    "backbones": {"layers", "presets"},
    "models": {"layers", "backbones", "presets"},
    "tasks": {"layers", "models", "drawing"},
    "evaluation": {"drawing"},
    **dict.fromkeys(
        TASKS,
        {"layers", "backbones", "models", "tasks", "evaluation", "drawing"},
    ),
}
# A network that is loaded finds its task by name: the registry holds names only, and
# imports a task when it is asked for one. (`tasks.base` is imported for its type.)
BY_NAME = {
    ("picanet_tf.models.base", "picanet_tf.tasks.registry"),
    ("picanet_tf.models.weights", "picanet_tf.tasks.registry"),
    ("picanet_tf.models.base", "picanet_tf.tasks.base"),
}
# The ends of the arrows: they may import all of the above but the tasks themselves,
# which they know by the registry, and one another. So may picanet_tf/__init__.py (""),
# the library's front door.
ENDS = {"training", "inference", "serving", "commands", ""}
# Modules that are ends within a part that is none.
END_MODULES = {"picanet_tf.presets.add", "picanet_tf.evaluation.run"}
# What of data_pipeline each part may import; commands anything.
PIPELINE = {
    "training": {
        *("data_pipeline.kinds", "data_pipeline.manifest", "data_pipeline.corrupt"),
        "data_pipeline.readers",
    },
    "inference": {"data_pipeline.manifest", "data_pipeline.readers"},
    "evaluation": {
        *("data_pipeline.kinds", "data_pipeline.manifest", "data_pipeline.pairs"),
        *("data_pipeline.readers", "data_pipeline.class_maps"),
        "data_pipeline.listing",
    },
}
# Whoever runs a command is spoken to here.
MAY_PRINT = {"picanet_tf.core.cli", "picanet_tf.commands"}
WITHOUT_TENSORFLOW = (
    "picanet_tf",
    *(
        f"picanet_tf.core.{path.stem}"
        for path in sorted((ROOT / "picanet_tf" / "core").glob("*.py"))
    ),
    *(
        f"picanet_tf.drawing.{path.stem}"
        for path in sorted((ROOT / "picanet_tf" / "drawing").glob("*.py"))
    ),
    "picanet_tf.tasks",
    "picanet_tf.tasks.base",
    *(f"picanet_tf.{task}.{name}" for task in TASKS for name in ("spec", "scoring")),
    "picanet_tf.presets",
    "picanet_tf.presets.add",
    "picanet_tf.presets.download",
    "picanet_tf.presets.samples",
    "picanet_tf.evaluation.run",
    "picanet_tf.inference",
    "picanet_tf.inference.files",
    "picanet_tf.inference.litert",
    "picanet_tf.inference.visualize",
    "picanet_tf.training.run",
    "picanet_tf.serving.page",
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
            "web",
        )
    ),
)
ENTRY_SCRIPTS = {path.stem for path in ROOT.glob("*.py")}
MOST_LINES = 300
MOST_LINES_OF_A_COMMAND = 150
MOST_ENTRIES = 17  # of picanet_tf's root


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
def test_modules_import_only_what_they_may(module):
    imported = imports(SOURCES[module], module)
    assert not imported & ENTRY_SCRIPTS
    if module.startswith("data_pipeline"):
        ours = {part(name) for name in imported if name.startswith("picanet_tf")}
        assert ours <= {"core"}
        return
    own = part(module)
    assert own in {*ALLOWED, *ENDS}, f"test_house.py does not know {module}"
    pipeline = {name for name in imported if name.startswith("data_pipeline")}
    assert own == "commands" or pipeline <= PIPELINE.get(own, set())
    imported = {name for name in imported if (module, name) not in BY_NAME}
    parts = {part(name) for name in imported if name.startswith("picanet_tf")}
    if own in ENDS or module in END_MODULES:
        assert not parts & set(TASKS)
    else:
        assert parts <= {"core", own} | ALLOWED[own]
        assert not imported & END_MODULES


def test_root_of_the_package_stays_small():
    entries = {path.name for path in (ROOT / "picanet_tf").iterdir()}
    assert len(entries - {"__pycache__"}) <= MOST_ENTRIES


@EACH_MODULE
def test_library_does_not_print(module):
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
def test_modules_stay_below_the_line_limit(module):
    most = MOST_LINES_OF_A_COMMAND if part(module) == "commands" else MOST_LINES
    assert len(SOURCES[module].read_text().splitlines()) <= most


def test_entry_scripts_are_short():
    for path in set(ROOT.glob("*.py")) - {ROOT / "setup.py"}:
        assert len(path.read_text().splitlines()) <= 10, path.name


def test_modules_to_be_imported_exist():
    modules = {name.removesuffix(".__init__") for name in WITHOUT_TENSORFLOW}
    assert modules <= {name.removesuffix(".__init__") for name in SOURCES}


@pytest.mark.parametrize("module", [m for m in WITHOUT_TENSORFLOW if m in SOURCES])
def test_imports_no_tensorflow(module):
    """So that --help is quick."""
    code = (
        f"import sys, {module}\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    run = commands.call("-c", code, modules=commands.LIGHT)
    assert run.stdout.strip() == "[]", run.stderr


def test_imports_finds_all_kinds_of_imports(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import os, picanet_tf.layers.renet\n"
        "from . import errors\n"
        "from ..models.context_modules import context_layer\n"
        "def late():\n"
        "    from picanet_tf import saliency\n"
    )
    assert imports(path, "picanet_tf.layers.module") == {
        "os",
        "picanet_tf.layers.renet",
        "picanet_tf.layers",
        "picanet_tf.models.context_modules",
        "picanet_tf.saliency",
    }
