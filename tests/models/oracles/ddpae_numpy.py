"""DDPAE in NumPy, one component, frame and pixel after the other."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def conv(kernel, x):
    """4x4 of stride 2, `[N, H, W, C]`; a pixel is padded on each side."""
    kernel = np.float64(kernel)
    x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    side = x.shape[1] // 2 - 1
    y = np.zeros((len(x), side, side, kernel.shape[-1]))
    for i, j in np.ndindex(side, side):
        window = x[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
        y[:, i, j] = np.tensordot(window, kernel, 3)
    return y


def deconv(kernel, x):
    """Its transpose: each pixel adds a window; the outermost are cut off."""
    kernel = np.float64(kernel)  # [4, 4, out, in]
    side = x.shape[1]
    y = np.zeros((len(x), 2 * side + 2, 2 * side + 2, kernel.shape[2]))
    for i, j in np.ndindex(side, side):
        added = np.einsum("ni,aboi->nabo", x[:, i, j], kernel)
        y[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += added
    return y[:, 1:-1, 1:-1]


def norm(layer, x, training):
    """Batch norm over all but channels."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    if not training:
        mean = np.float64(layer.moving_mean)
        variance = np.float64(layer.moving_variance)
    x = (x - mean) / np.sqrt(variance + 1e-5)
    return np.float64(layer.gamma) * x + np.float64(layer.beta)


def encode(layer, x, training=False):
    """`PlainEncoder`: `[N, H, W, C] -> [N, F]`."""
    x = leaky(conv(layer.convs[0].kernel, x))
    for part, following in zip(layer.convs[1:], layer.norms):
        x = leaky(norm(following, conv(part.kernel, x), training))
    return x.reshape(len(x), -1) @ np.float64(layer.head.kernel)


def decode(layer, z, training=False):
    """`PlainDecoder`: `[N, Z] -> [N, O, O, C]`."""
    x = (z @ np.float64(layer.head.kernel)).reshape(len(z), 4, 4, -1)
    for following, part in zip(layer.norms, layer.deconvs):
        x = np.maximum(norm(following, x, training), 0)
        x = deconv(part.kernel, x)
    return sigmoid(x)


def lstm(cell, read, state):
    h, c = state
    gates = np.concatenate([read, h]) @ np.float64(cell.kernel)
    i, g, f, o = np.split(gates + np.float64(cell.bias), 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def linear(layer, x):
    return x @ np.float64(layer.kernel) + np.float64(layer.bias)


def gaussian(layer, x):
    """Mean and deviation."""
    mean, raw = np.split(linear(layer, x), 2, -1)
    return mean, softplus(raw)


def sample(picture, row, column):
    """Bilinear, pixel centres at whole numbers, zero outside."""
    top, left = int(np.floor(row)), int(np.floor(column))
    value = 0.0
    for r, c in ((0, 0), (0, 1), (1, 0), (1, 1)):
        y, x = top + r, left + c
        if 0 <= y < picture.shape[0] and 0 <= x < picture.shape[1]:
            share = (1 - abs(row - y)) * (1 - abs(column - x))
            value = value + share * picture[y, x]
    return value


def pixel(coordinate, size):
    """From -1 and 1 at the outer pixels' centres."""
    return (coordinate + 1) / 2 * (size - 1)


def place(picture, pose, size):
    """`[O, O, C] -> [size, size, C]`."""
    s, tx, ty = pose
    out = np.zeros((size, size, picture.shape[-1]))
    for i, v in enumerate(np.linspace(-1, 1, size)):
        for j, u in enumerate(np.linspace(-1, 1, size)):
            row = pixel(s * v + ty, len(picture))
            out[i, j] = sample(picture, row, pixel(s * u + tx, len(picture)))
    return out


def cut(frame, pose, length):
    """`[S, S, C] -> [length, length, C]`."""
    s, tx, ty = pose
    out = np.zeros((length, length, frame.shape[-1]))
    for i, v in enumerate(np.linspace(-1, 1, length)):
        for j, u in enumerate(np.linspace(-1, 1, length)):
            row = pixel((v - ty) / s, len(frame))
            out[i, j] = sample(frame, row, pixel((u - tx) / s, len(frame)))
    return out


def constrain(raw, prior):
    s = np.clip(raw[..., :1], prior - 1, prior + 1)
    return np.concatenate([s, np.tanh(raw[..., 1:]) * (s - 0.5)], -1)


def divergence(q, prior):
    """KL of diagonal normals, by dimension."""
    (m, s), (a, b) = q, prior
    return np.log(b / s) + (s**2 + (m - a) ** 2) / (2 * b**2) - 0.5


def clip(model, video, more=0):
    """One clip by means, in the two nested loops of the paper.

    Args:
        model: A `DDPAE`, not in training.
        video: `[T, S, S, C]` float64.
        more: Frames to predict after them.

    Returns:
        `recon`, `components`, `raw` of all frames; `content`; `kl_pose`,
        `kl_initial`, `kl_content` and `nll` of those that were read.
    """
    n, count, zeros = model.num_components, len(video), np.zeros(model.units)
    told = encode(model.encoder, video)
    h = np.zeros((n, count + more, model.units))
    last = []
    for i in range(n):
        state = zeros, zeros
        for t in range(count):
            before = h[i - 1, t] if i else zeros
            read = np.concatenate([told[t], before])
            state = lstm(model.reading.cell, read, state)
            h[i, t] = state[0]
        last.append(state)
    for i in range(n):
        state = last[i]
        for t in range(count, count + more):
            read = state[0]
            if not model.independent_components:
                before = h[i - 1, t] if i else zeros
                read = np.concatenate([read, before])
            state = lstm(model.predicting.cell, read, state)
            h[i, t] = state[0]
    beta = gaussian(model.increment_head, h)
    state, first = (zeros, zeros), []
    for i in range(n):
        state = lstm(model.first, h[i, 0], state)
        first.append(state[0])
    first = gaussian(model.first_head, np.stack(first))
    raw = first[0][:, None] + np.cumsum(beta[0], 1)  # [N, T, 3]
    pose = constrain(raw, model.scale_prior)
    looks = []
    for i in range(n):
        state = zeros, zeros
        for t in range(count):
            glimpse = cut(video[t], pose[i, t], model.object_size)
            seen = encode(model.object_encoder, glimpse[None])[0]
            state = lstm(model.looking.cell, seen, state)
        looks.append(state[0])
    content = gaussian(model.content_head, np.stack(looks))
    pictures = decode(model.decoder, content[0])
    size = model.image_size[0]
    components = np.stack(
        [
            [place(pictures[i], pose[i, t], size) for i in range(n)]
            for t in range(count + more)
        ]
    )
    recon = np.minimum(components.sum(1), 1)
    off, s = video - recon[:count], model.deviation
    read = tuple(part[:, :count] for part in beta)
    start = np.array([model.scale_prior, 0, 0]), np.array([0.2, 1, 1])
    return {
        "recon": recon,
        "components": components,
        "raw": raw.swapaxes(0, 1),
        "content": content[0],
        "nll": np.sum(off**2 / (2 * s**2) + 0.5 * np.log(2 * np.pi * s**2)),
        "kl_pose": divergence(read, (0.0, 0.1)).sum(),
        "kl_initial": divergence(first, start).sum(),
        "kl_content": divergence(content, (0.0, 1.0)).sum(),
    }
