"""Draws maps as greyscale, heat map or overlay. Does not import TensorFlow."""

from __future__ import annotations

import base64

import numpy as np
from PIL import Image

from picanet_tf.core.resizing import bands

# Google's Turbo colormap (Anton Mikhailov, 2019, Apache-2.0) as 256 RGB values, so that
# predictions can be drawn without matplotlib.
_TURBO = np.frombuffer(
    base64.b85decode(
        "FcLd56+<%^N;Df$H6B<tAzwEnW;iEpIVy8HEqOaHfIKpWJvECyIFUa)mp?w7KtQ5FL#IJTtU^h#L"
        "QAznPP#-<zeH5SL{`T|S<6LS&qZF-Mq$=QWZFh%-9~BPMr-3oZstdE=|^+xM|SQ<c<@Ji@<x61Mu"
        "7H4g7`*-`bLNQMT-1IjQvE9{zH-eLX`hOmj6JR|2~`kJ)ZtMp#3_d{5YliH>mnGtN1gm_c5>aFS7"
        "J5wDK&s@G80PD7@<@zUd{v=Oe@9BE{k$$KM~x-5$%@9L?Ap(A65!(i+sz8P&}g*UA{#$Qawj7~R4"
        "c-oO~(y&2-W8RNMc<hC5<v>oTNAL*|k>Z~H`swM2FC+?&w@1ZR4o-gs6GV+);^OQLBkv#Q|KlX}4"
        "_lHLKgi82;PWgRO`g&FRc3Jy#UHorh{A^|YX=(jtZT@0${$F+eTzURkeg9T~|5JqjQHcLei~mcH|"
        "4EYnN0$CXnf^kY{y?AoKcW3Sr2IUm{5q-oIjs9QulhH!`8KrpHn;aRx%M@@^)$ZpG{N&U!|^o6@H"
        "EKpG|TNY&FnPL>NL{nHPq)d*X1?Y<Tl&lHr?Pi-`_Xk-8bXgIOW+m=hr#u)j8|aIqcCo?$0{!%{u"
        "YRI`YXn^v62&#X9!GI`_dk_`W&$ygB;1Is3Rc`?fdyvo`#(HvO(O{j4<psWbkkGXA77{-H4bo-h8"
        "JE&iD-{+28LlPdm@DgBKn{fZ|1hb8=kBm03O`+gz%dms6D9{F`0_;MWgZyNS&8TDxx^kx_HV-@mX"
        "6!BdX@LLk^SP|`25bRSA>rf8rP7UZw4ChG<<wpzTMGE3W3gJNs-#-Z5JqX-82iiFY*f$2&H3rl(1"
        "=2AE&@TnfEd<Of1j;G|$S4EFCIiDI1HmH#z99m<AOg7_0=FFkv>O4k8Ue2u0jw7RsTKjJ6al0Y0i"
        "hBBo)7_>4*{4C0hJ8_k_!Qj3IU4=0*D9#g$DwG1_FKs0(t}k"
    ),
    np.uint8,
).reshape(256, 3)


def grey(values: np.ndarray) -> np.ndarray:
    """Converts float in 0..1 to uint8 in 0..255, rounded."""
    return np.uint8(np.round(np.clip(values, 0, 1) * 255))


def binary(values: np.ndarray, threshold: float) -> np.ndarray:
    """Thresholds float in 0..1 to uint8: 255 if >= threshold, else 0."""
    return np.uint8(values >= threshold) * np.uint8(255)


def heat(values: np.ndarray, colormap: str = "turbo") -> np.ndarray:
    """Applies Turbo or a matplotlib colormap: float [H, W] 0..1 -> uint8 [H, W, 3]."""
    if colormap == "turbo":
        table = _TURBO
    else:
        from matplotlib import colormaps

        table = np.uint8(np.round(colormaps[colormap](np.arange(256))[:, :3] * 255))
    return table[grey(values)]


def overlay(image: np.ndarray, values: np.ndarray, opacity: float = 0.55) -> np.ndarray:
    """Blends a heat map of `values` over the image.

    Args:
        image: uint8 [H, W, 3].
        values: float [H, W] in 0..1; the image is unchanged where they are NaN.
        opacity: opacity of the heat map, 0..1.

    Returns:
        uint8 [H, W, 3].
    """
    mixed = np.empty_like(image)
    # In bands of rows, because all at once would take 70 bytes per pixel.
    for band in bands(image.shape[:2], 2**18):
        colours = heat(np.nan_to_num(values[band])).astype(np.float32)
        colours *= np.float32(opacity)
        colours += np.float32(1 - opacity) * image[band]
        mixed[band] = np.round(colours)
    return np.where(np.isnan(values)[..., np.newaxis], image, mixed)


def as_rgb(values: np.ndarray) -> np.ndarray:
    """Repeats uint8 [H, W] to uint8 [H, W, 3]."""
    return np.repeat(values[..., np.newaxis], 3, axis=-1)


def scale_to(image: np.ndarray, longest: int) -> np.ndarray:
    """Scales a uint8 image to `longest` pixels on its longer side."""
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def resize_map(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes float [H, W] bilinearly to float32 with `size` (height, width)."""
    if values.shape == tuple(size):
        return values
    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
