"""The page's parts, and what happens when one uses them. Wants gradio."""
# Annotations stay objects here: gradio reads off them which handlers want the event.

import html
import tempfile
from pathlib import Path

import gradio as gr

from picanet_tf.errors import PicanetError
from picanet_tf.page.answers import Page, Seen
from picanet_tf.pixels import Pixel

_HELP = """## Where does the network look?
Drop a photo, then click on it. **White dot**: the pixel that looks. **Red**: the region
that it can attend to. **Warm colours**: where it does, each map over its own range,
which is written below it."""

# What is transparent is seen on a checkerboard.
CSS = """
#cutout img {
  background: repeating-conic-gradient(#ccc 0 25%, #fff 0 50%) 0 0 / 16px 16px;
}
#photo img { cursor: crosshair; }
#photo label { pointer-events: none; }
"""
# The browser is handed a file that was written when it was asked for.
_SAVE = """(file) => {
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""


def build(page: Page, title: str, folder: Path):
    """The page as `gradio.Blocks`.

    Args:
        page: what answers.
        title: the run's name.
        folder: where cut-outs are written.
    """

    def picture(**options):
        return gr.Image(interactive=False, buttons=["fullscreen"], **options)

    with gr.Blocks(
        title=f"picanet_tf: {title}", analytics_enabled=False, fill_width=True
    ) as blocks:
        state = gr.State(None)
        gr.Markdown(_HELP)
        with gr.Row():
            with gr.Column(scale=5, min_width=360):
                file = gr.File(label="A photo", height=130)
                photo = picture(label="Click on it", elem_id="photo", height=400)
                where = gr.Markdown("The dot starts in the foreground.")
                threshold = gr.Slider(
                    0,
                    1,
                    0.5,
                    step=0.01,
                    label="Threshold: what is salient from this value on is kept",
                )
                button = gr.Button("Download the cut-out", interactive=False)
                download = gr.File(visible="hidden")
            with gr.Column(scale=8, min_width=480):
                tiles = []
                for start in range(0, len(page.titles), 3):
                    with gr.Row():
                        tiles += [
                            picture(label=name, min_width=150, height=240)
                            for name in page.titles[start : start + 3]
                        ]
                with gr.Row():
                    mask = picture(label="mask", height=280)
                    cutout = picture(label="cut-out", elem_id="cutout", height=280)

        attention = [photo, *tiles, where]

        def remembered(seen: Seen | None) -> Seen:
            if seen is None:
                message = "The photo is forgotten, please drop it again"
                raise gr.Error(message, print_exception=False)
            return seen

        def look(seen: Seen, pixel: Pixel) -> dict:
            pictures = page.attention(seen, pixel)
            text = f"From pixel {pixel.x},{pixel.y}"
            return dict(zip(attention, [*pictures, text], strict=True))

        def on_drop(path: str, value: float):
            try:
                seen = page.drop(path)
            except PicanetError as error:
                gr.Warning(html.escape(str(error)))  # A message is HTML.
                return {file: None}
            height, width = seen.image.shape[:2]
            results = look(seen, page.first_pixel(seen))
            results[photo] = gr.Image(
                results[photo], label=f"{seen.name}, {width} x {height}: click on it"
            )
            parts = dict(zip([mask, cutout], page.cut(seen, value), strict=True))
            ready = gr.Button(interactive=True)
            # The emptied box takes the next photo.
            return results | parts | {file: None, state: seen, button: ready}

        def on_click(seen: Seen | None, event: gr.SelectData):
            seen = remembered(seen)
            return look(seen, page.clicked(seen, *event.index))

        def on_threshold(seen: Seen | None, value: float):
            return page.cut(seen, value) if seen else (None, None)

        def on_download(seen: Seen | None, value: float):
            into = Path(tempfile.mkdtemp(dir=folder))
            return str(page.save_cutout(remembered(seen), value, into))

        private = {"api_visibility": "private"}
        file.upload(
            on_drop,
            [file, threshold],
            [file, state, *attention, mask, cutout, button],
            show_progress_on=[photo],
            **private,
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
    # Its own semi-bold cut has no letters (6.31).
    font = gr.themes.LocalFont("Source Sans Pro", weights=(400, 700))
    return gr.themes.Default(font=[font, "system-ui", "sans-serif"])
