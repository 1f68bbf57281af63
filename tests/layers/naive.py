"""The attention operations as loops over pixels and positions, in float64."""

import numpy as np


def global_attention_pool(features, attention, kernel_size, dilation_rate):
    n, height, width, channels = features.shape
    extent = (kernel_size - 1) * dilation_rate + 1
    top, left = (height - extent) // 2, (width - extent) // 2
    pooled = np.zeros((n, height, width, channels))
    for y in range(height):
        for x in range(width):
            for i in range(kernel_size**2):
                row, column = divmod(i, kernel_size)
                feature = features[
                    :, top + row * dilation_rate, left + column * dilation_rate
                ]
                pooled[:, y, x] += attention[:, y, x, i, None] * feature
    return pooled


def window(features, y, x, kernel_size, dilation_rate):
    """Yields (i, feature [N, C]) of the window at (y, x); zero outside the map."""
    n, height, width, channels = features.shape
    centre = (kernel_size - 1) // 2
    for i in range(kernel_size**2):
        row, column = divmod(i, kernel_size)
        yy = y + (row - centre) * dilation_rate
        xx = x + (column - centre) * dilation_rate
        inside = 0 <= yy < height and 0 <= xx < width
        yield i, features[:, yy, xx] if inside else np.zeros((n, channels))


def local_attention_pool(features, attention, kernel_size, dilation_rate):
    pooled = np.zeros(features.shape)
    for y in range(features.shape[1]):
        for x in range(features.shape[2]):
            for i, feature in window(features, y, x, kernel_size, dilation_rate):
                pooled[:, y, x] += attention[:, y, x, i, None] * feature
    return pooled


def attention_conv(features, gates, kernel, bias, dilation_rate, strides):
    n, height, width, _ = gates.shape
    size, filters = kernel.shape[0], kernel.shape[-1]
    outputs = np.zeros((n, height, width, filters)) + bias
    for y in range(height):
        for x in range(width):
            taps = window(features, y * strides, x * strides, size, dilation_rate)
            for i, feature in taps:
                gated = gates[:, y, x, i, None] * feature
                outputs[:, y, x] += gated @ kernel[divmod(i, size)]
    return outputs


def gradients(function, arguments, upstream, epsilon=1e-6):
    """Differentiates sum(upstream * function(*arguments)) by central differences."""
    results = []
    for argument in arguments:
        gradient = np.zeros(argument.shape)
        for index in np.ndindex(*argument.shape):
            kept = argument[index]
            argument[index] = kept + epsilon
            above = np.sum(upstream * function(*arguments))
            argument[index] = kept - epsilon
            below = np.sum(upstream * function(*arguments))
            argument[index] = kept
            gradient[index] = (above - below) / (2 * epsilon)
        results.append(gradient)
    return results
