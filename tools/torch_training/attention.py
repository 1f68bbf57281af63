"""GAP, LAP and AC of Section 3, on maps [N, C, H, W]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

KERNEL_SIZE, DILATION_RATE = 7, 2
MARGIN = DILATION_RATE * (KERNEL_SIZE - 1) // 2
GRID_SIZE = 10
MOMENTUM = 0.01  # Share of each batch in the averages of `Norm`.


def at_least_float32(x: torch.Tensor) -> torch.Tensor:
    """Converts half precision to float32; float32 and float64 stay."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def grid(side: int) -> slice:
    """Returns the centred positions of the global grid: 28 -> 0, 3, ..., 27."""
    step = (side - 1) // (GRID_SIZE - 1)
    start = (side - (GRID_SIZE - 1) * step - 1) // 2
    return slice(start, start + (GRID_SIZE - 1) * step + 1, step)


class Norm(nn.BatchNorm2d):
    """Batch normalization of maps of any dtype; its averages cover about 100 steps.

    In the first steps, they still contain a share of their initial values, 0 and 1; see
    `weights.corrected`.
    """

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-5, momentum=MOMENTUM)

    def forward(self, x):
        return super().forward(at_least_float32(x)).to(x.dtype)


class ReNet(nn.Module):
    """Bidirectional LSTMs along rows, then along columns (Sec. 3.1).

    [N, C, H, W] -> [N, 2 * units, H, W], computed in float32.
    """

    def __init__(self, channels: int, units: int):
        super().__init__()
        self.rows = nn.LSTM(channels, units, batch_first=True, bidirectional=True)
        self.columns = nn.LSTM(2 * units, units, batch_first=True, bidirectional=True)
        for lstm in (self.rows, self.columns):
            for name, parameter in lstm.named_parameters():
                if name.startswith("weight"):
                    nn.init.uniform_(parameter, -0.2, 0.2)
                    continue
                nn.init.zeros_(parameter)
                if "_ih_" in name:
                    parameter.data[units : 2 * units] = 1.0  # forget gate
                else:
                    parameter.requires_grad_(False)  # PyTorch has two; one is enough.

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            y = at_least_float32(x).permute(0, 2, 3, 1)  # [N, H, W, C]
            for lstm in (self.rows, self.columns):
                n, lines, length, c = y.shape
                y = lstm(y.reshape(n * lines, length, c))[0]
                y = y.view(n, lines, length, -1).transpose(1, 2)
        return y.permute(0, 3, 1, 2).to(x.dtype).contiguous()


class GAP(nn.Module):
    """Global attention pooling (Sec. 3.1).

    Returns the attended map [N, C, H, W], and the attention and its logits, both
    float32 [N, 100, H, W]. Unlike the local attention, these have the positions in
    axis 1.
    """

    def __init__(self, channels: int, units: int):
        super().__init__()
        self.renet = ReNet(channels, units)
        self.conv = nn.Conv2d(2 * units, GRID_SIZE**2, 1)
        self.norm = Norm(GRID_SIZE**2)

    def forward(self, x):
        logits = at_least_float32(self.norm(self.conv(self.renet(x))))
        attention = logits.softmax(1)
        context = x[:, :, grid(x.shape[2]), grid(x.shape[3])].flatten(2)
        pooled = torch.einsum("ncd,ndhw->nchw", context, attention.to(x.dtype))
        return pooled, attention, logits


class LocalAttention(nn.Module):
    """One logit per window position of each pixel: [N, H, W, 49] (Sec. 3.2)."""

    def __init__(self, channels: int, filters: int):
        super().__init__()
        self.see = nn.Conv2d(
            channels, filters, KERNEL_SIZE, padding=MARGIN, dilation=DILATION_RATE
        )
        self.conv = nn.Conv2d(filters, KERNEL_SIZE**2, 1)
        self.norm = Norm(KERNEL_SIZE**2)

    def forward(self, x):
        logits = self.norm(self.conv(F.relu(self.see(x))))
        return at_least_float32(logits).permute(0, 2, 3, 1)


class LAP(nn.Module):
    """Local attention pooling (Sec. 3.2), [N, C, H, W] -> [N, C, H, W].

    A line of the result is the sum of 7 products, each of a banded matrix [W, W + 12]
    and one of the lines that its windows cover.
    """

    def __init__(self, channels: int, filters: int):
        super().__init__()
        self.attention = LocalAttention(channels, filters)

    def forward(self, x):
        n, c, h, w = x.shape
        gates = self.attention(x).softmax(-1)
        gates = gates.reshape(n, h, w, KERNEL_SIZE, KERNEL_SIZE).permute(3, 0, 1, 2, 4)
        lines = F.pad(x, (MARGIN,) * 4).permute(0, 2, 3, 1)
        pooled = 0
        for row in range(KERNEL_SIZE):
            top = row * DILATION_RATE
            covered = lines[:, top : top + h].reshape(n * h, w + 2 * MARGIN, c)
            band = _band(gates[row]).reshape(n * h, w, w + 2 * MARGIN)
            pooled = pooled + torch.bmm(band.to(covered.dtype), covered)
        return pooled.view(n, h, w, c).permute(0, 3, 1, 2)


def _band(gates):
    """Builds the banded matrices: [N, H, W, 7] -> [N, H, W, W + 12].

    Row x has its values at x, x + 2, ..., x + 12: rows of W + 13 values, read as rows
    of W + 12, each move one further to the right.
    """
    n, h, w, _ = gates.shape
    reach = KERNEL_SIZE * DILATION_RATE
    spread = F.pad(gates[..., None], (0, DILATION_RATE - 1)).reshape(n, h, w, reach)
    width = w + 2 * MARGIN
    skewed = F.pad(spread, (0, width + 1 - reach)).reshape(n, h, w * (width + 1))
    return skewed[..., : w * width].reshape(n, h, w, width)


class AC(nn.Module):
    """Attention convolution (Sec. 3.3), [N, C, H, W] -> [N, filters, H, W]."""

    def __init__(self, channels: int, filters: int, attention_filters: int):
        super().__init__()
        self.attention = LocalAttention(channels, attention_filters)
        self.kernel = nn.Parameter(torch.empty(KERNEL_SIZE**2 * channels, filters))
        self.bias = nn.Parameter(torch.zeros(filters))
        nn.init.normal_(self.kernel, std=0.01)

    def forward(self, x):
        gates = self.attention(x).sigmoid().to(x.dtype).contiguous()
        gated = _Gate.apply(x.permute(0, 2, 3, 1).contiguous(), gates).flatten(3)
        convolved = gated @ self.kernel.to(x.dtype) + self.bias.to(x.dtype)
        return convolved.permute(0, 3, 1, 2)


class _Gate(torch.autograd.Function):
    """Multiplies windows by gates: [N, H, W, C], [N, H, W, 49] -> [N, H, W, 49, C].

    Keeps neither the windows nor the products for the backward pass.
    """

    @staticmethod
    def forward(ctx, x, gates):
        ctx.save_for_backward(x, gates)
        n, h, w, _ = gates.shape
        taps = gates.view(n, h, w, KERNEL_SIZE, KERNEL_SIZE, 1)
        return (_windows(x) * taps).flatten(3, 4)

    @staticmethod
    def backward(ctx, upstream):
        x, gates = ctx.saved_tensors
        n, h, w, c = x.shape
        wide = at_least_float32(x).dtype
        by_tap = upstream.reshape(n, h, w, KERNEL_SIZE, KERNEL_SIZE, c)
        d_gates = (_windows(x) * by_tap).flatten(3, 4).sum(-1, dtype=wide)
        d_padded = x.new_zeros((n, h + 2 * MARGIN, w + 2 * MARGIN, c), dtype=wide)
        for tap in range(KERNEL_SIZE**2):
            top, left = (DILATION_RATE * at for at in divmod(tap, KERNEL_SIZE))
            part = d_padded[:, top : top + h, left : left + w]
            part.addcmul_(
                upstream[:, :, :, tap].to(wide), gates[..., tap, None].to(wide)
            )
        d_x = d_padded[:, MARGIN : MARGIN + h, MARGIN : MARGIN + w]
        return d_x.to(x.dtype), d_gates.to(gates.dtype)


def _windows(x):
    """Returns windows [N, H, W, 7, 7, C], a view of the zero-padded [N, H, W, C]."""
    n, h, w, c = x.shape
    padded = F.pad(x, (0, 0, MARGIN, MARGIN, MARGIN, MARGIN))
    image, line, pixel, channel = padded.stride()
    return padded.as_strided(
        (n, h, w, KERNEL_SIZE, KERNEL_SIZE, c),
        (image, line, pixel, line * DILATION_RATE, pixel * DILATION_RATE, channel),
    )
