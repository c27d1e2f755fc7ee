"""The networks once more in NumPy, from the papers' descriptions: slow, in float64, one plain operation after another.

Parameters come as a list in the order in which a network uses them.
"""

import numpy as np


def convolution(x, weight, bias=None, stride=1, padding=0):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    y = np.einsum("nchwij,ocij->nohw", windows, weight, optimize=True)
    return y if bias is None else y + bias[:, None, None]


def single_channels(x, weight, stride=1, padding=0):
    """A convolution of each channel by itself; weight (channels, 1, height, width)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwij,cij->nchw", windows, weight[:, 0], optimize=True)


def batch_norm(x, gamma, beta, mean=None, variance=None):
    """By the batch's own statistics unless others are given."""
    mean = x.mean(axis=(0, 2, 3)) if mean is None else mean
    variance = x.var(axis=(0, 2, 3)) if variance is None else variance
    scale = gamma / np.sqrt(variance + 1e-5)
    return x * scale[:, None, None] + (beta - mean * scale)[:, None, None]


def relu(x):
    return np.where(x > 0, x, 0)


def prelu(x, slope):
    return np.where(x > 0, x, slope.reshape(-1, 1, 1) * x)


def max_pool(x):
    n, c, h, w = x.shape
    return x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def lenet(x, parameters):
    take = iter(parameters)
    for _ in range(3):
        for _ in range(2):
            x = prelu(convolution(x, next(take), next(take), padding=2), next(take))
        x = max_pool(x)
    weight, bias = take
    return x.reshape(len(x), -1) @ weight.T + bias


def convnet(x, parameters):
    take = iter(parameters)
    x = convolution(x, next(take), next(take), stride=2, padding=3)
    x = max_pool(relu(convolution(x, next(take), next(take), padding=2)))
    x = relu(convolution(x, next(take), next(take), stride=2, padding=1))
    x = relu(convolution(x, next(take), next(take), padding=1)).mean(axis=(2, 3))
    weight, bias = take
    return x @ weight.T + bias


def resnet(depth, training):
    def network(x, parameters):
        take = iter(parameters)

        def norm(x):
            gamma, beta, mean, variance = (next(take) for _ in range(4))
            return batch_norm(x, gamma, beta) if training else batch_norm(x, gamma, beta, mean, variance)

        x = norm(convolution(x, next(take), padding=1))
        for stage in range(3):
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                y = relu(norm(convolution(x, next(take), stride=stride, padding=1)))
                y = norm(convolution(y, next(take), padding=1))
                if stride == 2:
                    x = norm(convolution(x, next(take), stride=2))
                x = relu(x + y)
        x = x.mean(axis=(2, 3))
        rest = list(take)
        return x @ rest[0].T + rest[1] if rest else x

    return network


def _normalizing(take, training):
    """Batch normalization by the next four parameters."""

    def norm(x):
        gamma, beta, mean, variance = (next(take) for _ in range(4))
        return batch_norm(x, gamma, beta) if training else batch_norm(x, gamma, beta, mean, variance)

    return norm


def iresnet(blocks, training):
    def network(x, parameters):
        take = iter(parameters)
        norm = _normalizing(take, training)
        x = prelu(norm(convolution(x, next(take), padding=1)), next(take))
        for count in blocks:
            for block in range(count):
                stride = 1 if block else 2
                y = norm(convolution(norm(x), next(take), padding=1))
                y = norm(convolution(prelu(y, next(take)), next(take), stride=stride, padding=1))
                x = y + (norm(convolution(x, next(take), stride=2)) if stride == 2 else x)
        x = norm(x).reshape(len(x), -1) @ next(take).T + next(take)
        return norm(x[:, :, None, None])[:, :, 0, 0]

    return network


def mobilefacenet(x, parameters, training=True):
    take = iter(parameters)
    norm = _normalizing(take, training)
    x = prelu(norm(convolution(x, next(take), stride=2, padding=1)), next(take))
    x = prelu(norm(single_channels(x, next(take), padding=1)), next(take))
    for count, first_stride in ((5, 2), (1, 2), (6, 1), (1, 2), (2, 1)):
        for block in range(count):
            stride = 1 if block else first_stride
            y = prelu(norm(convolution(x, next(take))), next(take))
            y = prelu(norm(single_channels(y, next(take), stride=stride, padding=1)), next(take))
            y = norm(convolution(y, next(take)))
            x = x + y if stride == 1 and x.shape == y.shape else y
    x = prelu(norm(convolution(x, next(take))), next(take))
    x = norm(single_channels(x, next(take))).reshape(len(x), -1) @ next(take).T
    return norm(x[:, :, None, None])[:, :, 0, 0]
