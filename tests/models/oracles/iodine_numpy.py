"""One refinement step of IODINE, restated in NumPy and float64.

Written from the equations, with none of the model's code: every gradient is
a central difference of the negative log-likelihood below, every convolution
a sum over shifted pictures, leave-one-out a mixture of the other slots.
"""

import numpy as np

_STEP = 1e-5
_EPSILON = 1e-5  # of the layer norm, and the floor of the variance


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(x, 0)


def log_sum_exp(values, axis):
    peak = values.max(axis, keepdims=True)
    return peak + np.log(np.exp(values - peak).sum(axis, keepdims=True))


def convolve(maps, kernel, bias, stride=1):
    """A convolution that pads with zeros to `ceil(side / stride)` outputs."""
    size, (height, width) = kernel.shape[0], maps.shape[1:3]
    out = [-(-side // stride) for side in (height, width)]
    lack = [
        max((o - 1) * stride + size - side, 0)
        for o, side in zip(out, (height, width))
    ]
    pads = [(n // 2, n - n // 2) for n in lack]
    padded = np.pad(maps, [(0, 0), *pads, (0, 0)])
    total = np.zeros((len(maps), *out, kernel.shape[3])) + bias
    for i in range(size):
        for j in range(size):
            rows = slice(i, i + (out[0] - 1) * stride + 1, stride)
            columns = slice(j, j + (out[1] - 1) * stride + 1, stride)
            total += padded[:, rows, columns] @ kernel[i, j]
    return total


def normalize(values, axes, scale, offset):
    """Layer norm with a scale and an offset per channel."""
    centred = values - values.mean(axes, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axes, keepdims=True) + _EPSILON)
    return centred / deviation * scale + offset


def coordinates(height, width):
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.stack([rows, columns], axis=-1)


def difference(function, values):
    """Central differences along the last axis of `values`.

    `function` keeps apart what the other axes hold: its value at an index
    depends on no other index's `values`.
    """
    slopes = []
    for c in range(values.shape[-1]):
        step = np.zeros(values.shape[-1])
        step[c] = _STEP
        rise = function(values + step) - function(values - step)
        slopes.append(rise / (2 * _STEP))
    return np.stack(slopes, axis=-1)


class Refinement:
    """One step: (frame, lambda, noise, state) -> (lambda, state).

    Args:
        weights: Arrays by name: `decoder` and `encoder`, lists of (kernel,
            bias) of the convolutions; `dense`, `lstm` (None for none) and
            `head`, (kernel, bias) each; `norms`, (scale, offset) by input.
        variance: Of the pixels.
        stride: Of the encoder's convolutions.
        logistic: Whether the components are logistic.
    """

    def __init__(self, weights, variance, stride, logistic=False):
        self.weights = weights
        self.variance = variance
        self.stride = stride
        self.logistic = logistic

    def decode(self, latents, size):
        """`[B, K, Z]` -> means `[B, K, H, W, C]`, logits `[B, K, H, W]`."""
        batch, slots, width = latents.shape
        shape = (batch * slots, *size)
        tiles = np.broadcast_to(
            latents.reshape(-1, 1, 1, width), (*shape, width)
        )
        grid = np.broadcast_to(coordinates(*size), (*shape, 2))
        maps = np.concatenate([grid, tiles], axis=-1)
        *hidden, last = self.weights["decoder"]
        for kernel, bias in hidden:
            maps = elu(convolve(maps, kernel, bias))
        maps = convolve(maps, *last)
        maps = maps.reshape(batch, slots, *maps.shape[1:])
        return maps[..., :-1], maps[..., -1]

    def densities(self, frame, means):
        """log p(x_i | mu_ik), channels together: `[B, K, H, W]`."""
        error = frame[:, None] - means
        if self.logistic:
            scale = np.sqrt(3 * self.variance) / np.pi
            logs = -error / scale - np.log(scale)
            logs -= 2 * softplus(-error / scale)
        else:
            logs = -0.5 * np.square(error) / self.variance
            logs -= 0.5 * np.log(2 * np.pi * self.variance)
        return logs.sum(-1)

    def log_likelihood(self, frame, means, logits):
        """log p(x_i | z), `[B, H, W]`."""
        log_masks = logits - log_sum_exp(logits, 1)
        joint = log_masks + self.densities(frame, means)
        return log_sum_exp(joint, 1)[:, 0]

    def sample(self, parameters, noise):
        mean, raw = np.split(parameters, 2, axis=-1)
        return mean + np.sqrt(softplus(raw) + _EPSILON) * noise

    def loss(self, frame, parameters, noise):
        """-log p(x | z) + KL(q || N(0, I)), `[B]`."""
        latents = self.sample(parameters, noise)
        means, logits = self.decode(latents, frame.shape[1:3])
        mean, raw = np.split(parameters, 2, axis=-1)
        variance = softplus(raw) + _EPSILON
        divergence = 0.5 * (variance + mean**2 - 1 - np.log(variance))
        log_pixels = self.log_likelihood(frame, means, logits)
        return divergence.sum((1, 2)) - log_pixels.sum((1, 2))

    def parameter_gradient(self, frame, parameters, noise):
        """dL / d lambda, `[B, K, 2 Z]`."""

        def of_slot(k):
            def loss(values):
                changed = parameters.copy()
                changed[:, k] = values
                return self.loss(frame, changed, noise)

            return difference(loss, parameters[:, k])

        return np.stack([of_slot(k) for k in range(parameters.shape[1])], 1)

    def pixel_gradients(self, frame, means, logits):
        """dL / d mu `[B, K, H, W, C]` and dL / d logits `[B, K, H, W, 1]`."""
        by_means, by_logits = [], []
        for k in range(means.shape[1]):

            def of_means(values, k=k):
                changed = means.copy()
                changed[:, k] = values
                return -self.log_likelihood(frame, changed, logits)

            def of_logits(values, k=k):
                changed = logits.copy()
                changed[:, k] = values[..., 0]
                return -self.log_likelihood(frame, means, changed)

            by_means.append(difference(of_means, means[:, k]))
            by_logits.append(difference(of_logits, logits[:, k, ..., None]))
        return np.stack(by_means, 1), np.stack(by_logits, 1)

    def pictures(self, frame, means, logits):
        """The ten picture-sized inputs, in order: `[B, K, H, W, 17]`."""
        densities = self.densities(frame, means)
        by_means, by_logits = self.pixel_gradients(frame, means, logits)
        full = self.log_likelihood(frame, means, logits)
        slots = range(means.shape[1])
        ratios = [
            full
            - self.log_likelihood(
                frame, np.delete(means, k, 1), np.delete(logits, k, 1)
            )
            for k in slots
        ]

        def every_slot(values):
            return np.repeat(values[:, None], len(slots), axis=1)

        def normalized(name, values):
            return normalize(values, (2, 3, 4), *self.weights["norms"][name])

        grid = np.broadcast_to(
            coordinates(*frame.shape[1:3]), (*frame.shape[:3], 2)
        )
        posterior = np.exp(densities - log_sum_exp(densities, 1))
        masks = np.exp(logits - log_sum_exp(logits, 1))
        return np.concatenate(
            [
                every_slot(frame),
                means,
                masks[..., None],
                logits[..., None],
                posterior[..., None],
                normalized("mean_gradient", by_means),
                normalized("mask_logit_gradient", by_logits),
                normalized("pixel_log_likelihood", every_slot(full[..., None])),
                normalized(
                    "leave_one_out_ratio", np.stack(ratios, 1)[..., None]
                ),
                every_slot(grid),
            ],
            axis=-1,
        )

    def encode(self, pictures):
        """`[N, H, W, 17]` -> `[N, U]`."""
        for kernel, bias in self.weights["encoder"]:
            pictures = elu(convolve(pictures, kernel, bias, self.stride))
        kernel, bias = self.weights["dense"]
        return elu(pictures.mean((1, 2)) @ kernel + bias)

    def recur(self, features, state):
        kernel, bias = self.weights["lstm"]
        h, c = state
        i, g, f, o = np.split(
            np.concatenate([features, h], -1) @ kernel + bias, 4, axis=-1
        )
        c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    def __call__(self, frame, parameters, noise, state=None):
        """Returns `(parameters, state)`, refined."""
        latents = self.sample(parameters, noise)
        means, logits = self.decode(latents, frame.shape[1:3])
        pictures = self.pictures(frame, means, logits)
        code = self.encode(pictures.reshape(-1, *pictures.shape[2:]))
        gradient = normalize(
            self.parameter_gradient(frame, parameters, noise),
            2,
            *self.weights["norms"]["parameter_gradient"],
        )
        flat = [v.reshape(len(code), -1) for v in (gradient, parameters)]
        features = np.concatenate([code, *flat], axis=-1)
        if self.weights["lstm"] is not None:
            if state is None:
                count = self.weights["lstm"][1].size // 4
                state = (np.zeros((len(code), count)),) * 2
            state = self.recur(features, state)
            features = state[0]
        kernel, bias = self.weights["head"]
        update = features @ kernel + bias
        return parameters + update.reshape(parameters.shape), state
