import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from absl import flags

from data_pipeline import verify
from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from tests import commands
from tests.data_pipeline.conftest import make_pairs

ROOT = Path(__file__).parents[2]


def command(*words) -> subprocess.CompletedProcess:
    return commands.call("-m", *words)


def test_help_exits_0():
    for module in ("convert", "verify"):
        result = command(f"data_pipeline.{module}", "--help")
        assert result.returncode == 0, result.stderr
        assert f"python -m data_pipeline.{module}" in result.stdout
    assert "DIR" in result.stdout


def test_importing_commands_does_not_import_tensorflow():
    modules = "catalog pairs manifest convert verify tfrecord".split()
    imports = "; ".join(f"import data_pipeline.{module}" for module in modules)
    folder = ROOT / "picanet_tf" / "core"
    for path in folder.glob("[a-z]*.py"):
        imports += f"; import picanet_tf.core.{path.stem}"
    code = f"{imports}; import sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    "words, message",
    [
        (["--nope"], "Unknown command line flag 'nope'"),
        ([], "--dataset is missing"),
        (["--dataset=duts"], "--output is missing"),
        (["--dataset=duts", "--output=o"], "--dataset duts needs --source"),
        (["--dataset=pairs", "--output=o", "--images=i"], "needs --masks"),
        (["--dataset=dutz", "--output=o"], "one of duts, ecssd"),
        (["--dataset=voc2021", "--output=o"], "pairs, voc2012, class-maps, voc2007, "),
        (["--dataset=sod", "--output=o", "extra"], "unexpected argument 'extra'"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(words, message):
    result = command("data_pipeline.convert", *words)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1 and result.stdout == ""


def test_convert_and_verify(tmp_path, capsys):
    folder = make_pairs(tmp_path / "ECSSD", 3)
    (folder / "masks").rename(folder / "ground_truth_mask")
    output = tmp_path / "deep" / "out"
    result = command(
        "data_pipeline.convert",
        *("--dataset", "ecssd", "--source", tmp_path, "--output", output),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{output}: ECSSD, masks, 3 records in 1 shard\n"

    assert verify.main([str(output)]) == 0
    assert capsys.readouterr().out.endswith("3 records in 1 shard: all well\n")

    content = bytearray((output / "00000.tfrecord").read_bytes())
    content[100] ^= 1
    (output / "00000.tfrecord").write_bytes(content)
    result = command("data_pipeline.verify", output)
    assert result.returncode == 1
    assert "00000.tfrecord: offset 0: wrong checksum" in result.stdout


@pytest.mark.parametrize(
    ("number", "to_workers"),
    [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGTERM, False)],
)
def test_interrupted_conversion_leaves_nothing_behind(tmp_path, number, to_workers):
    # Large enough to be at work when the signal comes; workers may get it as well.
    make_pairs(tmp_path, 1, height=300, width=400)
    for kind, copy in itertools.product(("images", "masks"), range(1, 300)):
        os.link(tmp_path / kind / "im0.png", tmp_path / kind / f"im{copy}.png")
    process = commands.start(
        *("-m", "data_pipeline.convert", "--dataset", "pairs", "--workers=2"),
        *(f"--images={tmp_path}/images", f"--masks={tmp_path}/masks"),
        f"--output={tmp_path}/new/out",
        new_session=True,
    )
    deadline = time.monotonic() + 20
    # Until it writes, and so has imported all: in that Python loses exceptions.
    while not list(tmp_path.glob("new/.out.*.tmp/*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    (os.killpg if to_workers else os.kill)(process.pid, number)
    _, stderr = process.communicate(timeout=30)
    # By itself, or by the signal, as Python ends when Ctrl-C fell into an `exec`; for
    # a shell these are the same.
    assert process.returncode in (128 + number, -number), stderr
    said = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert f"python -m data_pipeline.convert: {said}\n" in stderr
    assert "Traceback" not in stderr, stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "masks"]
    deadline = time.monotonic() + 10
    with pytest.raises(ProcessLookupError):  # No worker is left of the group.
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.02)


def outcome(main, capsys, **options) -> tuple[int, str]:
    with pytest.raises(SystemExit) as exit_info:
        cli.run(main, argv=["program"], **options)
    return exit_info.value.code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def unparsed_flags():
    yield
    flags.FLAGS.unparse_flags()


def test_exit_codes(capsys):
    def fails(error):
        def main(_):
            raise error

        return main

    assert outcome(lambda _: None, capsys) == (0, "")
    assert outcome(lambda _: 3, capsys) == (3, "")
    code, err = outcome(fails(PicanetError("a.png: too small")), capsys)
    assert (code, err) == (1, "program: error: a.png: too small\n")
    code, err = outcome(fails(PermissionError(13, "Permission denied", "/x")), capsys)
    assert (code, err) == (1, "program: error: /x: Permission denied\n")
    code, err = outcome(fails(OSError(28, "No space left on device")), capsys)
    assert (code, err) == (1, "program: error: No space left on device\n")
    code, err = outcome(fails(KeyboardInterrupt()), capsys)
    assert (code, err) == (130, "program: interrupted\n")

    def breaks_when_interrupted(_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise AssertionError("Concurrent access?")  # noqa: B904

    assert outcome(breaks_when_interrupted, capsys) == (130, "program: interrupted\n")
    with pytest.raises(ZeroDivisionError):  # A bug of ours keeps its traceback.
        cli.run(fails(ZeroDivisionError()), argv=["program"])
    with pytest.raises(OSError, match="odd"):
        cli.run(fails(OSError(71, "odd")), argv=["program"])


@pytest.fixture
def steps_flag():
    flags.DEFINE_integer("steps", 3, "")
    flags.DEFINE_string("output", "", "")
    yield
    delattr(flags.FLAGS, "steps")
    delattr(flags.FLAGS, "output")


@pytest.mark.parametrize(
    ("library", "command"),
    [
        (
            "`steps` must be at least 1. Received: steps=0",
            "--steps must be at least 1. Received: 0",
        ),
        (
            "`steps` and `output` go together. Received: steps=1, output=a=b",
            "--steps and --output go together. Received: 1, a=b",
        ),
        (
            # What is no flag of the command is left as it is.
            "`steps` goes to `build_model`: `width` 2. Received: steps=3, width=2",
            "--steps goes to `build_model`: `width` 2. Received: 3, width=2",
        ),
        ("the steps=3 of `output`", "the steps=3 of --output"),
    ],
)
def test_errors_name_flags_instead_of_arguments(library, command, steps_flag, capsys):
    def main(_):
        raise PicanetError(library)

    assert outcome(main, capsys) == (1, f"program: error: {command}\n")


@pytest.mark.parametrize("size", [1, 1_000_000])  # In Python's buffer, and beyond.
@pytest.mark.parametrize("words", [[], ["--help"]])
def test_closed_output_is_reported_in_one_line(size, words):
    script = (
        "import sys; from picanet_tf.core import cli; "
        f"sys.modules['__main__'].__doc__ = text = 'a' * {size}; "
        "cli.run(lambda _: print(text))"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert done.returncode == 1
    assert (
        done.stderr == "-c: error: the output was closed before all of it was written\n"
    )


def test_positional_arguments(capsys):
    seen = []
    with pytest.raises(SystemExit):
        cli.run(seen.extend, positional="DIR", argv=["program", "a", "b"])
    assert seen == ["a", "b"]
    with pytest.raises(SystemExit) as exit_info:
        cli.run(seen.extend, argv=["program", "a"])
    assert exit_info.value.code == 1


def test_non_utf8_names_are_printed_escaped(tmp_path):
    code = "from picanet_tf.core import cli; cli.run(lambda _: print('caf\\udce9'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=ROOT,
        env={"PYTHONUTF8": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"caf\\udce9\n")


def main_without(name, cause=None):
    def main(_):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name) from cause

    return main


def test_missing_package_is_reported_in_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(main_without("tensorflow.keras"), argv=["program"])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "program: error: the package tensorflow is required, but not"
    )
    assert said.count("\n") == 1
    with pytest.raises(ModuleNotFoundError):  # a bug of ours keeps its traceback
        cli.run(main_without("picanet_tf.nowhere"), argv=["program"])
    with pytest.raises(SystemExit) as stop:  # an import that Ctrl-C broke off
        cli.run(main_without("numpy", KeyboardInterrupt()), argv=["program"])
    assert stop.value.code == 130
