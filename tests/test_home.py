"""`~` in the path flags of all commands, which shells do not expand in --flag=~/x."""

import json

import pytest
from absl import flags

from picanet_tf.core import cli
from picanet_tf.training.run_directory import RunDirectory
from tests import commands
from tests.test_train_cli import TINY, data, run  # noqa: F401

# String flags that are no paths. A new flag is one of these, or a path.
NO_PATHS = {
    *("allowed_hosts", "allowed_origins", "beam", "dataset", "formats", "host"),
    *("image_sizes", "label", "mask_suffix", "name", "pixel", "quantize"),
    *("rate_boundaries", "recipe", "server", "signature"),
    *("split", "url", "variant"),
}
LIST_FLAGS = """
import importlib, json, sys
from absl import logging  # has flags
from absl import flags
before = set(flags.FLAGS)
module = importlib.import_module(sys.argv[1])
if hasattr(module, "define_flags") and not sys.argv[1].startswith("deploy"):
    module.define_flags()
else:
    from deploy import common
    common.define_flags("a", "b")
from picanet_tf.core import cli
print(json.dumps({
    name: type(flags.FLAGS[name].parser).__name__
    for name in flags.FLAGS if name not in before
}))
"""


@pytest.mark.parametrize(
    "module",
    [
        *(f"picanet_tf.commands.{name}" for name in (
            "evaluate", "export", "predict", "serve", "train", "visualize", "web"
        )),
        *("data_pipeline.convert", "deploy.common", "picanet_tf.presets.add"),
    ],
)  # fmt: skip
def test_every_string_flag_is_a_path_or_known_not_to_be(module):
    done = commands.call("-c", LIST_FLAGS, module, modules=commands.LIGHT)
    assert done.returncode == 0, done.stderr
    parsers = json.loads(done.stdout.splitlines()[-1])
    strings = {
        name
        for name, parser in parsers.items()
        if parser in ("ArgumentParser", "ListParser")
    }
    # A client's --model is a name on its server.
    known = NO_PATHS | ({"model"} if module.startswith("deploy") else set())
    assert strings <= known, f"call cli.path_flags for {strings - known}"
    assert "_PathParser" in parsers.values()


@pytest.fixture
def parsed(monkeypatch):
    """Parses words by flags of the kinds that there are; {name: value}."""
    monkeypatch.setenv("HOME", "/home/me")
    values = flags.FlagValues()
    monkeypatch.setattr(cli.flags, "FLAGS", values)
    flags.DEFINE_string("output", None, "", values)
    for name in ("model", "predictions", "input"):
        flags.DEFINE_multi_string(name, [], "", values)
    cli.path_flags("output", "input")
    cli.path_flags("model", separator=",")
    cli.path_flags("predictions", separator="=")

    def parse(*words):
        values(["program", *words])
        return {name: values[name].value for name in values if values[name].present}

    return parse


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--output=~/out"], {"output": "/home/me/out"}),
        (["--output", "~"], {"output": "/home/me"}),
        (["--output", "a/~/b"], {"output": "a/~/b"}),
        (["--output=~draft.png"], {"output": "~draft.png"}),  # as editors name files
        (["--output=~nobody-of-this-name/x"], {"output": "~nobody-of-this-name/x"}),
        (["--model=~/a,b,~/c"], {"model": ["/home/me/a,b,/home/me/c"]}),
        (["--model=a", "--model=~/b"], {"model": ["a", "/home/me/b"]}),
        (["--predictions", "DSS=~/d"], {"predictions": ["DSS=/home/me/d"]}),
        (["--predictions=~/d"], {"predictions": ["/home/me/d"]}),
        (["--input=~/a,~/b"], {"input": ["/home/me/a,~/b"]}),  # a comma in a name
    ],
)
def test_tilde_is_expanded_in_path_flags(words, expected, parsed):
    assert parsed(*words) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output=a", "--output=b"], "--output=b: already defined as a"),
        (["--output="], "--output=: an empty name, perhaps of an unset variable"),
        (["--model", ""], "--model=: an empty name, perhaps of an unset variable"),
    ],
)
def test_paths_that_would_be_ignored_are_refused(words, said, parsed):
    with pytest.raises(flags.Error, match=said):
        parsed(*words)


def test_tilde_is_expanded_in_positional_arguments(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    seen = []
    with pytest.raises(SystemExit):
        cli.run(
            seen.extend, positional="FILE", argv=["program", "~/*.jpg", "~x", "-", "a~"]
        )
    flags.FLAGS.unparse_flags()
    assert seen == ["/home/me/*.jpg", "~x", "-", "a~"]


@pytest.mark.slow
def test_no_command_makes_a_folder_called_tilde(data, tmp_path):  # noqa: F811
    """HOME is the folder that the commands run in."""
    photos = data.parent
    (tmp_path / "photos").symlink_to(photos)
    for words in (
        ("-m", "data_pipeline.convert", "--dataset=pairs", "--images=~/photos/images",
         "--masks=~/photos/masks", "--output=~/records"),
        ("-m", "data_pipeline.verify", "~/records"),
        ("train.py", "--tfrecords=~/records", *TINY, "--run=~/run"),
        ("predict.py", "~/photos/images/a.png", "--model=~/run", "--output=~/maps"),
        ("evaluate.py", "--model=~/run,picanet_vgg16_duts", "--tfrecords=~/records",
         "--predictions", "Mine=~/photos/masks", "--output=~/report"),
    ):  # fmt: skip
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, (words, done.stderr)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"photos", "records", "run", "maps", "report"} <= names
    assert not any("~" in name for name in names)
    made = RunDirectory(tmp_path / "run").load_experiment()
    assert made.tfrecords == str(tmp_path / "records")
