"""Writes a page that cuts objects out of photos in the visitor's browser.

    picanet web site
    picanet web site --attention --overwrite     also shows where the network looked
    picanet web site --model export/mine/1
    python -m http.server --directory site 8000

The folder contains page, runtime (LiteRT.js) and network: put it on any static host, or
view it with a local server, at http://localhost:8000. No photo is uploaded, and after
the first visit it works offline. The folder is an npm package as well; its README.md
explains how other pages can use it.

Browsers run the network on several threads if the host sends the headers

    Cross-Origin-Opener-Policy: same-origin
    Cross-Origin-Embedder-Policy: require-corp

and otherwise from the second visit on, when the page's service worker adds them. Hosts
other than localhost need HTTPS for both.

The network is the LiteRT file of a preset or an export. A run or .keras file is
exported first, with int8 weights, which takes half a minute and TensorFlow; so is a
preset with --attention. For an export, --attention uses the second file that picanet
export --attention writes. It is as large as the network, and browsers load it only when
a visitor asks for it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from absl import flags, logging

from picanet_tf.core import cli
from picanet_tf.core.directories import publishing
from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.locate import DESCRIPTION, Located, locate
from picanet_tf.serving import web

POSITIONAL = "OUTPUT"


def define_flags() -> None:
    flags.DEFINE_string("model", None, DESCRIPTION)
    flags.DEFINE_bool("attention", False, "Show attention: where the network looked.")
    flags.DEFINE_bool(
        "overwrite", False, "Replace OUTPUT if picanet web wrote all files in it."
    )
    cli.path_flags("model")


def main(words: list[str]) -> int:
    values = flags.FLAGS
    if len(words) != 1:
        raise PicanetError(
            "expected one OUTPUT, the folder to write. Received: "
            f"{' '.join(words) or 'none'}"
        )
    output = Path(words[0])
    web.check_output(output, values.overwrite)
    found = locate(values.model)
    with publishing(
        output, argument="OUTPUT", overwrite=values.overwrite or output.exists()
    ) as staged:
        network, attention = read_networks(found, values.attention)
        files = web.write_site(
            staged.folder,
            web.fetch_runtime(),
            web.name_of(found.name),
            network,
            attention,
            found.preset.card_path if found.preset else None,
        )
        web.check_output(output, values.overwrite)  # again, after half a minute
        size = sum((staged.folder / file).stat().st_size for file in files)
    logging.info("%d files, %.0f MB, written to %s", len(files), size / 1e6, output)
    logging.info("To look at it: python -m http.server --directory %s 8000", output)
    return 0


def read_networks(
    found: Located, attention: bool
) -> tuple[web.Network, web.Network | None]:
    """Returns the network, and the one with attention if requested; may export them.

    Raises:
        PicanetError: if a file is missing, or cannot be shown on the page.
    """
    if found.has_litert and not attention:
        return web.read_network(found.file("litert")), None
    if not found.has_network:
        path = found.file("litert")
        network = web.read_network(path)
        beside = web.read_attention(path, network)
        if beside is None:
            raise PicanetError(
                f"--attention: there is no {web.attention_name(path)} beside {path}. "
                "Export the network with picanet export --formats tflite --quantize "
                "dynamic --attention"
            )
        return network, beside
    from picanet_tf.commands.export import export
    from picanet_tf.serving.request import ExportRequest

    logging.info("Exporting %s%s", found, " with its attention" if attention else "")
    with tempfile.TemporaryDirectory() as folder:
        request = ExportRequest(
            Path(folder), 1, ("tflite",), ("dynamic",), attention=attention
        )
        export(request, found.name)
        made = Path(folder) / "1" / "tflite" / "picanet_dynamic.tflite"
        network = web.read_network(found.file("litert") if found.has_litert else made)
        if not attention:
            return network, None
        return network, web.read_network(made.with_name(web.attention_name(made)))


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
