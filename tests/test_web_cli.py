"""`picanet web`, as a command: the folder that it writes, and what it refuses."""

import json
import shutil
import types

import pytest

from picanet_tf.commands import web as command
from picanet_tf.core.errors import PicanetError
from picanet_tf.serving import web
from tests import commands
from tests.inference import networks

pytestmark = pytest.mark.skipif(
    web.find_runtime() is None, reason="no runtime of the page: run make web-runtime"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Exports of a tiny network: plain, of integers, and with attention."""
    folder = tmp_path_factory.mktemp("web")
    network = networks.network("6GAP", gain=3)
    for name, options in {
        "plain": {},
        "int8": {"quantization": "int8"},
        "attention": {"attention": True},
    }.items():
        export = folder / name / "1" / "tflite"
        export.mkdir(parents=True)
        write(network, export, **{"quantization": "none", **options})
    network.save(folder / "tiny.keras")
    return folder


def write(network, folder, quantization, attention=False):
    from picanet_tf.serving import tflite

    calibration = [networks.photo((32, 32), seed) for seed in range(8)]
    for both in {False, attention}:
        path = folder / tflite.file_name(quantization, both)
        tflite.write_tflite(
            network, path, quantization, attention=both, calibration=calibration
        )


def run(*words, cwd):
    done = commands.call("-m", "picanet_tf.commands", "web", *words, cwd=cwd)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def test_site_is_written_and_overwritten(folder):
    code, said = run("site", "--model", "plain/1", cwd=folder)
    assert code == 0, said
    assert "files, " in said and "python -m http.server --directory site" in said
    model = json.loads((folder / "site" / "model.json").read_text())
    assert model["name"] == "plain/1" and "attention" not in model
    (network,) = (folder / "site").glob("*.tflite")
    assert network.name == model["file"] and model["file"].startswith("plain-1.")

    code, said = run("site", "--model", "plain/1", cwd=folder)
    assert code == 1 and "`OUTPUT` site exists already. Give --overwrite" in said
    code, said = run("site", "--model", "attention/1", "--attention", "--overwrite",
                     cwd=folder)  # fmt: skip
    assert code == 0, said
    assert not (folder / "site" / network.name).exists()
    model = json.loads((folder / "site" / "model.json").read_text())
    assert [each["label"] for each in model["attention"]["modules"]] == ["D6"]
    for each in (model, model["attention"]):
        size = (folder / "site" / each["file"]).stat().st_size
        assert (each["bytes"], each["imageSize"]) == (size, 32)


@pytest.mark.parametrize("words", [[], ["--attention"]])
def test_a_network_is_exported_first(folder, tmp_path, words):
    code, said = run("site", "--model", folder / "tiny.keras", *words, cwd=tmp_path)
    assert code == 0, said
    assert f"Exporting {folder}/tiny.keras" in said
    model = json.loads((tmp_path / "site" / "model.json").read_text())
    assert model["name"] == "tiny" and ("attention" in model) == bool(words)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_only_a_site_is_replaced(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    (tmp_path / "empty").mkdir()
    model = ("--model", folder / "plain" / "1")
    for name, said in (
        ("mine", "mine exists already, and picanet web did not write it"),
        ("mine/thesis.txt", "exists already, and picanet web did not write it"),
        (".", "`OUTPUT` . is the current folder, or holds it"),
        ("..", "`OUTPUT` .. is the current folder, or holds it"),
        ("/", "`OUTPUT` / is the current folder, or holds it"),
        ("", "is the current folder, or holds it"),
    ):
        code, errors = run(name, *model, "--overwrite", cwd=tmp_path)
        assert code == 1 and said in errors, errors
    assert (tmp_path / "mine" / "thesis.txt").is_file()
    assert run("empty", *model, cwd=tmp_path)[0] == 0
    assert (tmp_path / "empty" / "index.html").is_file()


def test_foreign_files_in_a_site_are_kept(folder, tmp_path):
    model = ("--model", folder / "plain" / "1")
    assert run("site", *model, cwd=tmp_path)[0] == 0
    site = tmp_path / "site"
    (runtime,) = site.glob("litert-*")
    (site / ".git" / "refs").mkdir(parents=True)
    (site / "CNAME").write_text("example.org")
    (runtime / "notes.txt").touch()
    before = sorted(site.rglob("*"))
    for words in ([], ["--overwrite"]):
        code, said = run("site", *model, *words, cwd=tmp_path)
        assert code == 1, said
        assert (
            "`OUTPUT` site holds a site and other files, which picanet web did not "
            f"write and would delete: .git, CNAME, {runtime.name}/notes.txt. Give "
            "another name and copy the new files over"
        ) in said
        assert sorted(site.rglob("*")) == before
    (site / "index.html").write_text("<title>Mine</title>")
    code, said = run("site", *model, "--overwrite", cwd=tmp_path)
    assert code == 1 and "site exists already, and picanet web did not write" in said


def test_file_created_meanwhile_is_kept(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("site", "--model", folder / "plain" / "1", cwd=tmp_path)[0] == 0
    read = web.read_network

    def slowly(path):
        (tmp_path / "site" / "CNAME").touch()
        return read(path)

    monkeypatch.setattr(web, "read_network", slowly)
    given = {"model": str(folder / "plain" / "1"), "attention": False}
    given = types.SimpleNamespace(**given, overwrite=True)
    monkeypatch.setattr(command, "flags", types.SimpleNamespace(FLAGS=given))
    with pytest.raises(PicanetError, match="would delete: CNAME"):
        command.main(["site"])
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert (tmp_path / "site" / "CNAME").is_file()


@pytest.mark.parametrize("content", ["{}", "{", '{"attention": []}', "[]"])
def test_json_without_the_attention_is_refused(folder, tmp_path, content):
    shutil.copytree(folder / "attention", tmp_path / "export")
    described = "export/1/tflite/picanet_float32_attention.json"
    (tmp_path / described).write_text(content)
    code, said = run("site", "--model", "export/1", "--attention", cwd=tmp_path)
    assert code == 1 and "beside it must describe: copy both from one export" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected one OUTPUT, the folder to write. Received: none"),
        (["a", "b"], "expected one OUTPUT, the folder to write. Received: a b"),
        (
            ["new", "--model", "int8/1"],
            "takes uint8 images, but the page passes float32",
        ),
        (["new", "--model", "nowhere"], "there is no nowhere"),
        (
            ["new", "--model", "plain/1", "--attention"],
            "there is no picanet_float32_att",
        ),
    ],
)
def test_invalid_arguments_are_reported(folder, words, said):
    before = sorted(folder.rglob("*"))
    code, errors = run(*words, cwd=folder)
    assert code == 1 and said in errors
    assert sorted(folder.rglob("*")) == before


def test_attention_without_its_json_is_refused(folder, tmp_path):
    given = tmp_path / "attention.tflite"
    export = folder / "attention" / "1" / "tflite"
    given.write_bytes((export / "picanet_float32_attention.tflite").read_bytes())
    code, said = run("site", "--model", given, cwd=tmp_path)
    assert code == 1 and "attention.json beside it must describe" in said
