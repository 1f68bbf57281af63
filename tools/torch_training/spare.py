"""Trains on spare CPU time, and continues where it stopped.

    nice -n 19 python -m tools.torch_training.spare PACKS OUT --weights WEIGHTS.npz

Starts from --weights, an .npz of the whole network, or from --encoder; if OUT has a
state.pt with the same variant and width, continues from that. Ends on Ctrl-C, SIGTERM,
or after --seconds. AdamW at a constant rate, with a moving average of the weights over
the last tenth of the images seen, at most 8,000: OUT/weights.npz, updated every
--save_interval seconds, holds the average, and so is a finished network at any time.
`--fall SECONDS` ends with rates that fall linearly to 0. The training sleeps while
OUT/pause is younger than 20 minutes: `touch` it before timing other work.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from . import common, packs, weights
from .files import replacing
from .losses import total_loss
from .network import BGR_MEANS, PiCANet, is_encoder

DROPOUT = 0.3
PAUSE_SECONDS = 1200
WARMUP_STEPS = 50
CLIP_NORM = 5.0
# Files in OUT before the first state.
_OWN = ("pid", "pause", "images.npy", "masks.npy", "packs.sha256", "log.jsonl")


def mapped_pairs(folder: str, output: Path) -> list[np.ndarray]:
    """Decodes the packs once, to files that are mapped into memory (2.7 GB)."""
    paths = [output / "images.npy", output / "masks.npy"]
    digest, known = packs.fingerprint(folder), output / "packs.sha256"
    if not known.exists() or known.read_text() != digest:
        known.unlink(missing_ok=True)
        for path, array in zip(paths, packs.read(folder), strict=True):
            with replacing(path) as part:
                np.save(part, array)
        known.write_text(digest)
    return [np.load(path, mmap_mode="r") for path in paths]


def draw_batch(images, masks, take, size: int, rng):
    """Draws crops of 0.8 to 1 of the side, and changes them at random.

    They are mirrored or not, and up to 15% brighter or darker.

    Args:
        images: RGB uint8 [P, S, S, 3].
        masks: uint8 [P, S, S], 0 or 1.
        take: indices of the pairs.
        size: side of the crops after resizing, in pixels.
        rng: a NumPy generator.

    Returns:
        (images, masks): float [N, 3, size, size], BGR minus `BGR_MEANS`, and
        [N, 1, size, size] in 0..1.
    """
    side = images.shape[1]
    part = int(rng.integers(side * 13 // 16, side + 1))
    top, left = rng.integers(0, side - part + 1, 2)
    window = (take, slice(top, top + part), slice(left, left + part))
    x = torch.from_numpy(images[window]).permute(0, 3, 1, 2).flip(1).float()
    mask = torch.from_numpy(masks[window])[:, None].float()
    x = F.interpolate(
        x, (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    brightness = rng.uniform(0.85, 1.15, (len(take), 1, 1, 1)).astype(np.float32)
    x = x * torch.from_numpy(brightness) - torch.tensor(BGR_MEANS).view(1, 3, 1, 1)
    mask = F.interpolate(mask, (size, size), mode="area")
    mirrored = torch.from_numpy(rng.random(len(take)) < 0.5)
    x[mirrored], mask[mirrored] = x[mirrored].flip(3), mask[mirrored].flip(3)
    return x.contiguous(memory_format=torch.channels_last), mask


class Training:
    """The network, its average and its optimizer, as stored in OUT/state.pt."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.output = options, Path(options.output)
        self.seen, saved = 0, None
        if (self.output / "state.pt").exists():
            saved = common.load_state(self.output / "state.pt", "spare")
            for name in ("variant", "width"):
                if saved["settings"][name] != getattr(options, name):
                    raise ValueError(
                        f"{self.output} has the {name} {saved['settings'][name]}: give "
                        "it again, or another folder"
                    )
            self.network = PiCANet(options.variant, options.width, DROPOUT)
            self.network.load_state_dict(saved["network"])
            self.seen = saved["seen"]
        elif options.weights:
            self.network = PiCANet(options.variant, options.width, DROPOUT)
            weights.load(self.network, options.weights)
        elif options.encoder or not options.freeze_blocks:
            self.network = common.build(options, DROPOUT)
        else:
            raise ValueError(
                f"blocks 1 to {options.freeze_blocks} would stay random: give "
                "--weights, --encoder or --freeze_blocks 0"
            )
        start = options.weights or options.encoder or "random weights"
        print(f"from {self.output / 'state.pt' if saved else start}", flush=True)
        self.network = self.network.to(memory_format=torch.channels_last).train()
        now = weights.corrected(self.network.state_dict())
        state = saved["average"] if saved else now
        self.average = {name: value.detach().clone() for name, value in state.items()}
        groups = {True: [], False: []}
        for name, parameter in self.network.named_parameters():
            layer = name.removeprefix("layers.")
            encoder = is_encoder(layer)
            if encoder and int(layer[len("block")]) <= options.freeze_blocks:
                parameter.requires_grad_(False)
            if parameter.requires_grad:
                groups[encoder].append(parameter)
        self.trained = groups[True] + groups[False]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": groups[True], "factor": options.encoder_lr_multiplier},
                {"params": groups[False], "factor": 1.0},
            ],
            lr=options.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            foreach=True,
        )
        if not saved:
            return
        if len(saved["optimizer"]["state"]) != len(self.trained):
            print("AdamW's moments start anew: other blocks are frozen", flush=True)
        else:
            factors = [group["factor"] for group in self.optimizer.param_groups]
            self.optimizer.load_state_dict(saved["optimizer"])
            for group, factor in zip(self.optimizer.param_groups, factors, strict=True):
                group["factor"] = factor

    def step(self, x, mask, rate: float) -> float:
        """Takes a step; returns the loss of stage 1.

        Raises:
            ValueError: if the loss is not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bfloat16):
            outputs = self.network(x)
        total, finest = total_loss(outputs, mask)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, CLIP_NORM)
        self.optimizer.step()
        if not np.isfinite(total.item()):
            raise ValueError(
                f"the loss is not finite after {self.seen} images; "
                f"{self.output} keeps what was saved before"
            )
        self.seen += len(x)
        self._update_average(len(x))
        return finest.item()

    @torch.no_grad()
    def _update_average(self, batch: int) -> None:
        """Averages over a tenth of the steps, at most 1,000; 150 while rates fall."""
        steps = min(150 if self.options.fall else 1000, self.seen / batch / 10 + 1)
        for name, value in weights.corrected(self.network.state_dict()).items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 / steps)
            else:
                self.average[name].copy_(value)

    def save(self) -> None:
        """Writes state.pt and weights.npz; raises `OSError` or `ValueError`."""
        state = {
            "settings": vars(self.options),
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "seen": self.seen,
        }
        path = self.output / "weights.npz"
        weights.finite_arrays(self.average, path)  # Raises if one is not.
        # The state first: without it, the folder would count as someone else's.
        common.save_state(state, self.output / "state.pt")
        weights.save(self.average, path)


def train(options: argparse.Namespace) -> None:
    if options.fall > options.seconds or options.fall and options.seconds == np.inf:
        raise ValueError(
            "--fall must be the last of --seconds: give both, --fall at most --seconds"
        )
    output = Path(options.output)
    if not (output / "state.pt").exists():
        begun = _OWN if (output / "pid").exists() else ("pause",)
        common.check_output(output, begun)
    output.mkdir(parents=True, exist_ok=True)
    lock = open(output / "pid", "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ValueError(f"another process is training in {output}") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    training = Training(options)
    images, masks = mapped_pairs(options.packs, output)
    if options.batch > len(images):
        raise ValueError(f"{options.packs} has {len(images)} pairs, fewer than --batch")
    rng = np.random.default_rng([training.seen, os.getpid()])
    pause, order, steps, loss = output / "pause", [], 0, 0.0
    began = saved = time.monotonic()
    with common.Stopping() as stopping:
        while not stopping.asked and time.monotonic() - began < options.seconds:
            if pause.exists() and time.time() - pause.stat().st_mtime < PAUSE_SECONDS:
                time.sleep(2)
                began += 2
                continue
            if len(order) < options.batch:
                order = rng.permutation(len(images)).tolist()
            take, order = sorted(order[: options.batch]), order[options.batch :]
            x, mask = draw_batch(images, masks, take, options.size, rng)
            left = options.seconds - (time.monotonic() - began)
            rate = options.learning_rate * min(1.0, (steps + 1) / WARMUP_STEPS)
            if options.fall:
                rate *= min(1.0, max(0.0, left) / options.fall)
            finest = training.step(x, mask, rate)
            steps += 1
            loss = finest if steps == 1 else 0.98 * loss + 0.02 * finest
            if time.monotonic() - saved > options.save_interval or steps in (10, 50):
                seconds = time.monotonic() - began
                entry = {
                    "seen": training.seen,
                    "seconds_an_image": round(seconds / steps / options.batch, 3),
                    "stage1": round(loss, 4),
                    "rate": rate,
                    "size": options.size,
                }
                print(json.dumps(entry), flush=True)
                with open(output / "log.jsonl", "a") as log:
                    log.write(json.dumps(entry) + "\n")
                if steps not in (10, 50):
                    training.save()
                    saved = time.monotonic()
        training.save()
    print(f"{training.seen} images seen; {output / 'weights.npz'}", flush=True)


def make_parser() -> argparse.ArgumentParser:
    parser = common.make_parser("spare", __doc__)
    add, number = parser.add_argument, common.positive
    add("--weights", default="", help="an .npz of the whole network")
    add("--size", type=common.image_size, default=160)
    add("--batch", type=number(int), default=8)
    add("--learning_rate", type=number(float), default=4e-4)
    add("--encoder_lr_multiplier", type=number(float), default=0.2)
    add(
        "--freeze_blocks",
        type=int,
        choices=range(6),
        default=2,
        help="first blocks of VGG16 that stay as they are",
    )
    add("--seconds", type=number(float), default=float("inf"))
    add(
        "--fall",
        type=common.not_negative,
        default=0.0,
        help="seconds at the end in which the rates fall to 0",
    )
    return parser


def main() -> None:
    common.run(train, make_parser().parse_args())


if __name__ == "__main__":
    main()
