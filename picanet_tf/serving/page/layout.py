"""The page's components and event handlers. Requires gradio."""
# No `from __future__ import annotations`: gradio inspects the handlers' annotations.

import html
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.pixels import Pixel
from picanet_tf.serving.page.answers import MOST_LABELS, Page, Seen

_HELP = """## Where does the network look?
Drop a photo, then click on it. **White dot**: the query pixel. **Red**: the region that
it can attend to. **Warm colours**: its attention; each map is scaled to its own range,
shown below it."""
_LOADING = "Attention is loading. Map and cut-out are available already."
_UNKNOWN = "attention loading..."  # the modules are not known yet
_READY = "The dot starts in the foreground."

# Transparency is shown as a checkerboard.
CSS = """
#cutout img {
  background: repeating-conic-gradient(#ccc 0 25%, #fff 0 50%) 0 0 / 16px 16px;
}
#photo img { cursor: crosshair; }
#photo label { pointer-events: none; }
"""
# Downloads the file, which is written on demand.
_SAVE = """(file) => {
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""


@dataclass
class Visit:
    """State of a browser tab, shared by its handlers, which run concurrently.

    Attributes:
        seen: the photo; None until one is dropped.
    """

    seen: Seen | None = None

    def remembered(self) -> Seen:
        """Returns the photo; raises `gr.Error` if there is none."""
        if self.seen is None:
            message = "The photo is no longer available, please drop it again"
            raise gr.Error(message, print_exception=False)
        return self.seen


def build(page: Page, title: str, folder: Path):
    """Builds the page as `gradio.Blocks`.

    Args:
        page: the page's logic.
        title: name of the model.
        folder: folder for cut-outs.
    """

    def picture(**options):
        return gr.Image(interactive=False, buttons=["fullscreen"], **options)

    def tile(label):
        return picture(label=label, min_width=150, height=240)

    with gr.Blocks(
        title=f"picanet_tf: {title}", analytics_enabled=False, fill_width=True
    ) as blocks:
        state = gr.State(Visit())
        gr.Markdown(_HELP)
        with gr.Row():
            with gr.Column(scale=5, min_width=360):
                file = gr.File(label="A photo", height=130)
                photo = picture(label="Click on it", elem_id="photo", height=400)
                where = gr.Markdown(_LOADING)
                threshold = gr.Slider(
                    0,
                    1,
                    0.5,
                    step=0.01,
                    label="Threshold: minimum saliency to keep",
                )
                button = gr.Button("Download the cut-out", interactive=False)
                download = gr.File(visible="hidden")
            with gr.Column(scale=8, min_width=480):
                with gr.Row():
                    saliency = tile(page.map_title)
                    tiles = [tile(_UNKNOWN) for _ in range(2)]
                with gr.Row():
                    tiles += [tile(_UNKNOWN) for _ in range(MOST_LABELS - 2)]
                with gr.Row():
                    mask = picture(label="mask", height=280)
                    cutout = picture(label="cut-out", elem_id="cutout", height=280)

        def tiles_with(pictures=None, doing="", **options) -> dict:
            """Updates the tiles with the modules' labels; hides unused tiles."""
            if page.is_loading:
                labels = ["attention"] * MOST_LABELS
            else:
                labels = [] if page.no_attention() else page.labels
            shown = {}
            for number, part in enumerate(tiles):
                if number < len(labels):
                    if pictures:
                        options["value"] = pictures[number]
                    label = f"{labels[number]} {doing}".strip()
                    shown[part] = gr.Image(label=label, visible=True, **options)
                else:
                    shown[part] = gr.Image(visible=False)
            return shown

        def status(pixel: Pixel | None = None) -> dict:
            if page.is_loading:
                return {where: _LOADING}
            if reason := page.no_attention():
                # File names must not be interpreted as markup.
                return {where: f"No attention is shown. {html.escape(reason)}"}
            return {where: f"From pixel {pixel.x},{pixel.y}" if pixel else _READY}

        def dots(seen: Seen) -> dict:
            return dict(zip([photo, saliency], page.dotted(seen), strict=True))

        def on_loaded(visit: Visit) -> dict:
            """Waits for the attention, then shows it for the tab's photo."""
            failed = page.no_attention()
            seen = visit.seen
            if seen is None:
                return tiles_with() | status()
            if failed:
                return tiles_with() | status() | dots(seen)
            pixel, pictures = page.attention(seen)
            if visit.seen is not seen:  # Another photo has been dropped meanwhile.
                return on_loaded(visit)
            return tiles_with(pictures) | status(pixel)

        def on_drop(path: str, value: float, visit: Visit) -> dict:
            try:
                seen = visit.seen = page.drop(path)
            except PicanetError as error:
                gr.Warning(html.escape(str(error)))  # interpreted as HTML
                return {file: None}
            height, width = seen.image.shape[:2]
            label = f"{seen.name}, {width} x {height}"
            if not page.has_no_attention:
                label += ": click on it"
            results = dots(seen)
            results[photo] = gr.Image(results[photo], label=label)
            results |= tiles_with(doing="loading...", value=None) | status(seen.pixel)
            results |= zip([mask, cutout], page.cut(seen, value), strict=True)
            # Empty the drop box for the next photo.
            return results | {file: None, button: gr.Button(interactive=True)}

        def on_click(visit: Visit, event: gr.SelectData) -> dict:
            seen = visit.remembered()
            page.click(seen, *event.index)
            # While loading, a pending `on_loaded` will use this pixel.
            rest = status() if page.is_loading else on_loaded(visit)
            return dots(seen) | rest

        def on_threshold(visit: Visit, value: float):
            return page.cut(visit.seen, value) if visit.seen else (None, None)

        def on_download(visit: Visit, value: float):
            seen = visit.remembered()
            into = Path(tempfile.mkdtemp(dir=folder))
            return str(page.save_cutout(seen, value, into))

        private = {"api_visibility": "private"}
        attention = [photo, saliency, *tiles, where]
        # Tabs wait independently of each other.
        waiting = {"concurrency_limit": None, **private}
        blocks.load(on_loaded, state, attention, show_progress="hidden", **waiting)
        file.upload(
            on_drop,
            [file, threshold, state],
            [file, *attention, mask, cutout, button],
            show_progress_on=[photo],
            **private,
        ).then(
            on_loaded,
            state,
            attention,
            show_progress="minimal",
            show_progress_on=tiles,
            **waiting,
        )
        photo.select(
            on_click,
            state,
            attention,
            show_progress="hidden",
            trigger_mode="multiple",  # "always_last" would repeat the first click
            **private,
        )
        threshold.change(
            on_threshold,
            [state, threshold],
            [mask, cutout],
            show_progress="hidden",
            trigger_mode="always_last",
            **private,
        )
        button.click(
            on_download,
            [state, threshold],
            download,
            show_progress_on=button,
            **private,
        ).success(None, download, None, js=_SAVE, **private)
    return blocks


def theme():
    """Returns the page's gradio theme."""
    # gradio's own semi-bold font file has no glyphs (6.31).
    font = gr.themes.LocalFont("Source Sans Pro", weights=(400, 700))
    return gr.themes.Default(font=[font, "system-ui", "sans-serif"])
