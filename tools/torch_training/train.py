"""Trains a network with the paper's recipe on one GPU, or on the CPU.

    python -m tools.torch_training.train PACKS OUT [--encoder ENCODER.npz] [...]

PACKS and ENCODER.npz are written by `keras_models`. state.pt, weights.npz (for Keras)
and log.json are written to OUT every --save_interval seconds and at the end: after
--steps or --seconds, or on Ctrl-C. The learning rates fall at 1/2 and 3/4 of the steps
or the seconds, whichever comes first, so that a training that --seconds ends is
complete as well. `train PACKS OUT --resume` continues from OUT/state.pt with the
settings recorded there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from . import common, packs, weights
from .files import replacing
from .losses import total_loss
from .network import BGR_MEANS, PiCANet, is_encoder

FALLS = (0.5, 0.75)


class CaffeSGD:
    """SGD with momentum: v = 0.9 v + rate (g + decay w), w -= v.

    Biases and betas train at twice the rate and without decay, the encoder at `encoder`
    times the rate. `rate` is a tensor, so that a CUDA graph sees its changes.
    """

    def __init__(self, network, device, decay: float, encoder: float):
        self.rate = torch.zeros((), device=device)
        self._groups, self.velocities = {}, {}
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                continue
            factor = encoder if is_encoder(name.removeprefix("layers.")) else 1.0
            bias = "bias" in name.rpartition(".")[2]
            key = (2 * factor, 0.0) if bias else (factor, decay)
            self._groups.setdefault(key, []).append(parameter)
        for key, parameters in self._groups.items():
            self.velocities[str(key)] = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self) -> None:
        for (factor, decay), parameters in self._groups.items():
            velocities = self.velocities[str((factor, decay))]
            gradients = [parameter.grad for parameter in parameters]
            if decay:
                gradients = torch._foreach_add(gradients, parameters, alpha=decay)
            torch._foreach_mul_(velocities, 0.9)
            change = torch._foreach_mul(gradients, self.rate * factor)
            torch._foreach_add_(velocities, change)
            torch._foreach_sub_(parameters, velocities)


class Batches:
    """Draws crops at random positions, mirrored at random, of pairs on the device."""

    def __init__(self, folder: str, batch: int, size: int, seed: int, device):
        self.images, self.masks = (
            torch.from_numpy(array).to(device) for array in packs.read(folder)
        )
        side = self.images.shape[1]
        if size > side or batch > len(self.images):
            raise ValueError(
                f"{folder} has {len(self.images)} pairs of {side} pixels: give --size "
                "and --batch no larger than that"
            )
        self._size, self._device = size, device
        self._draw = torch.Generator().manual_seed(seed)
        self._left = []
        self._offsets = torch.arange(size, device=device)
        self._mean = torch.tensor(BGR_MEANS, device=device).view(1, 3, 1, 1)
        # Overwritten for each step, because a CUDA graph always reads the same memory.
        self._take = torch.zeros(batch, dtype=torch.long, device=device)
        self._geometry = torch.zeros(batch, 3, device=device)  # top, left, mirror

    def draw(self) -> None:
        """Chooses the next batch."""
        if not self._left:
            batch, count = len(self._take), len(self.images)
            order = torch.randperm(count, generator=self._draw)
            order = order[: count // batch * batch].view(-1, batch)
            geometry = torch.rand(len(order), batch, 3, generator=self._draw)
            both = (each.to(self._device) for each in (order, geometry))
            self._left = list(zip(*both, strict=True))
        take, geometry = self._left.pop()
        self._take.copy_(take)
        self._geometry.copy_(geometry)

    def read(self):
        """Returns the chosen (images, masks), float [N, 3, S, S] and [N, 1, S, S]."""
        room = self.images.shape[1] - self._size
        corner = (self._geometry[:, :2] * (room + 1)).long()
        mirrored = self._geometry[:, 2:] < 0.5
        rows = corner[:, :1] + self._offsets
        columns = corner[:, 1:] + torch.where(
            mirrored, self._offsets.flip(0), self._offsets
        )
        at = self._take[:, None, None], rows[:, :, None], columns[:, None, :]
        x = self.images[at].permute(0, 3, 1, 2).flip(1).float() - self._mean
        x = x.contiguous(memory_format=torch.channels_last)
        return x, self.masks[at][:, None].float()


def train(options: argparse.Namespace, given: Collection[str] = ()) -> None:
    """Trains a network; `given` names the settings that the command line gives."""
    output = Path(options.output)
    state_path = output / "state.pt"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    saved = None
    if options.resume:
        saved = common.load_state(state_path, "train", device)
        _check_settings(options, given, saved["settings"])
        places = {"packs": options.packs, "output": options.output}
        options = argparse.Namespace(**{**saved["settings"], **places})
    elif state_path.exists():
        raise ValueError(f"{output} holds a training: give --resume, or another folder")
    else:
        common.check_output(output)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(options.seed)
    if saved:
        network = PiCANet(options.variant, options.width, options.dropout)
    else:
        network = common.build(options, options.dropout)
    network = network.to(device, memory_format=torch.channels_last).train()
    multiplier = options.encoder_lr_multiplier if options.encoder else 1.0
    optimizer = CaffeSGD(network, device, options.weight_decay, multiplier)
    n, log, before = 0, [], 0.0
    if saved:
        network.load_state_dict(saved["network"])
        for key, velocities in optimizer.velocities.items():
            torch._foreach_copy_(velocities, saved["velocities"][key])
        n, log, before = saved["step"], saved["log"], saved["seconds"]
    torch.manual_seed(options.seed + n)  # for dropout
    batches = Batches(
        options.packs, options.batch, options.size, options.seed + n, device
    )
    output.mkdir(parents=True, exist_ok=True)
    print(
        f"{options.variant} on {device}, {len(batches.images)} pairs, from step {n}; "
        f"encoder: {options.encoder or 'random'}",
        flush=True,
    )
    losses = torch.zeros(2, device=device)

    def step():
        x, mask = batches.read()
        with torch.autocast(device.type, torch.bfloat16, enabled=options.bfloat16):
            outputs = network(x)
        total, finest = total_loss(outputs, mask)
        network.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        losses.copy_(torch.stack([total.detach(), finest.detach()]))

    def save():
        state = {
            "settings": vars(options),
            "network": network.state_dict(),
            "velocities": optimizer.velocities,
            "step": n,
            "log": log,
            "seconds": before + time.monotonic() - began,
        }
        path = output / "weights.npz"
        weights.finite_arrays(state["network"], path)  # Raises if one is not.
        # The state first: without it, the folder would count as someone else's.
        common.save_state(state, state_path)
        weights.save(state["network"], path)
        with replacing(output / "log.json") as part:
            part.write_text(json.dumps(log, indent=1) + "\n")

    use_graph = device.type == "cuda" and options.graph
    run = _capture(step, network, optimizer) if use_graph else step
    began = last_save = time.monotonic()
    first = n
    with common.Stopping() as stopping:
        while n < options.steps and not stopping.asked:
            now = time.monotonic()
            seconds = before + now - began
            if seconds >= options.seconds:
                break
            spent = max(n / options.steps, seconds / options.seconds)
            falls = sum(spent >= fall for fall in FALLS)
            optimizer.rate.fill_(options.learning_rate * 0.1**falls)
            batches.draw()
            run()
            n += 1
            if n % options.log_interval == 0:
                total, finest = losses.tolist()
                if not np.isfinite(total):
                    raise ValueError(
                        f"the loss is not finite in step {n}; {output} keeps what was "
                        "saved before"
                    )
                speed = (n - first) * options.batch / (time.monotonic() - began)
                log.append({"step": n, "loss": total, "stage1": finest})
                print(
                    f"step {n}: loss {total:.4f}, stage 1 {finest:.4f}, "
                    f"{speed:.1f} images/s",
                    flush=True,
                )
            if now - last_save > options.save_interval:
                save()
                last_save = time.monotonic()
        save()
    print(f"{n} steps; {output / 'weights.npz'}", flush=True)


def _capture(step, network, optimizer):
    """Captures the step in a CUDA graph; network and velocities are left unchanged.

    Returns:
        A function that runs the step.
    """
    state = [value.clone() for value in network.state_dict().values()]
    kept = {k: [v.clone() for v in vs] for k, vs in optimizer.velocities.items()}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(4):
            step()
    torch.cuda.current_stream().wait_stream(side)
    network.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    for value, before in zip(network.state_dict().values(), state, strict=True):
        value.copy_(before)
    for key, velocities in optimizer.velocities.items():
        torch._foreach_copy_(velocities, kept[key])
    return graph.replay


def _check_settings(
    options: argparse.Namespace, given: Collection[str], recorded: dict
) -> None:
    """Raises `ValueError` for settings that differ from those of a resumed training."""
    changed = [
        f"--{name} was {recorded.get(name)}"
        for name, value in vars(options).items()
        if name in given
        and value != recorded.get(name)
        and name not in ("packs", "output", "resume")
    ]
    if changed:
        raise ValueError(
            f"--resume keeps the settings of {options.output}: {', '.join(changed)}. "
            "Leave them out"
        )


def make_parser() -> argparse.ArgumentParser:
    parser = common.make_parser("train", __doc__)
    add, number = parser.add_argument, common.positive
    add("--resume", action="store_true", help="continue from OUT/state.pt")
    add("--steps", type=number(int), default=40_000)
    add("--seconds", type=number(float), default=float("inf"))
    add("--batch", type=number(int), default=9)
    add("--size", type=common.image_size, default=224)
    add("--learning_rate", type=number(float), default=0.01)
    add("--encoder_lr_multiplier", type=number(float), default=0.1)
    add("--weight_decay", type=common.not_negative, default=0.0005)
    add("--dropout", type=float, default=0.5)
    add("--graph", action=argparse.BooleanOptionalAction, default=True)
    add("--log_interval", type=number(int), default=100)
    add("--seed", type=int, default=0)
    return parser


def _given() -> set[str]:
    """Returns the settings that the command line gives, also those like the default."""
    parser, unset = make_parser(), object()
    # argparse sets no default where the namespace has a value already.
    before = dict.fromkeys(vars(parser.parse_args()), unset)
    after = vars(parser.parse_args(namespace=argparse.Namespace(**before)))
    return {name for name, value in after.items() if value is not unset}


def main() -> None:
    common.run(lambda options: train(options, _given()), make_parser().parse_args())


if __name__ == "__main__":
    main()
