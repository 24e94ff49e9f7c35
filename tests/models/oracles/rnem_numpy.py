"""R-NEM in NumPy, one group, pair and pixel window after the other."""

import numpy as np


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(layer, x):
    return x @ np.float64(layer.kernel) + np.float64(layer.bias)


def conv(layer, x, stride):
    """4x4, `[N, H, W, C]`; of what is padded, less comes before."""
    kernel = np.float64(layer.kernel)
    after = 1 if stride == 2 else 2
    x = np.pad(x, [(0, 0), (1, after), (1, after), (0, 0)])
    side = (x.shape[1] - 4) // stride + 1
    y = np.zeros((len(x), side, side, kernel.shape[-1]))
    for i, j in np.ndindex(side, side):
        rows, columns = stride * i, stride * j
        window = x[:, rows : rows + 4, columns : columns + 4]
        y[:, i, j] = np.tensordot(window, kernel, 3)
    return y + np.float64(layer.bias)


def norm(layer, x):
    """Moments of an example, scales and offsets of channels."""
    axes = tuple(range(1, x.ndim))
    mean, deviation = x.mean(axes, keepdims=True), x.std(axes, keepdims=True)
    x = (x - mean) / np.maximum(deviation, 1e-6)
    return np.float64(layer.scale) * x + np.float64(layer.offset)


def encode(layer, x):
    """`ResidualEncoder` with ELU: `[N, H, W, C] -> [N, F]`."""
    for part, following in zip(layer.convs, layer.norms):
        x = elu(norm(following, conv(part, x, 2)))
    return elu(norm(layer.norms[-1], dense(layer.dense, x.reshape(len(x), -1))))


def draw(layer, x):
    """`GroupDecoder` with ReLU: `[N, D] -> [N, H, W, C]`."""
    for part, following in zip(layer.denses, layer.norms):
        x = relu(norm(following, dense(part, x)))
    x = x.reshape(-1, *layer.grid)
    for part, following in zip(layer.convs, [*layer.norms[2:], None]):
        x = conv(part, x.repeat(2, 1).repeat(2, 2), 1)
        x = x if following is None else relu(norm(following, x))
    return sigmoid(x)


def interact(layer, h):
    """`PairwiseInteraction` of one clip: `[K, D] -> (e, E)`, pair by pair."""

    def mlp(name, x, activation=relu):
        return activation(norm(layer.norms[name], dense(layer.denses[name], x)))

    e = mlp("encoder", h)
    total = np.zeros_like(e)
    for k, i in np.ndindex(len(h), len(h)):
        if i == k:
            continue
        pair = mlp("embedding", np.concatenate([e[k], e[i]])[None])
        effect = mlp("effect", pair)
        if layer.attention:
            hidden = mlp("attention_hidden", pair, np.tanh)
            effect = effect * sigmoid(dense(layer.gate, hidden))
        total[k] += effect[0]
    return e, total


def advance(model, h, residual):
    """One clip: `[K, D], [K, H, W, 1] -> (h, psi)` of the next frame."""
    read = encode(model.encoder, residual)
    told = [h, read]
    if model.interaction is not None:
        told = [*interact(model.interaction, h), read]
    u = dense(model.update, np.concatenate(told, 1))
    shown = sigmoid(norm(model.norm, u))
    h = shown if model.normalize_state else sigmoid(u)
    return h, draw(model.decoder, shown)


def responsibilities(psi, x):
    likelihood = np.where(x > 0, psi, 1 - psi) + 1e-6
    return likelihood / likelihood.sum(0)


def clip(model, video, gamma):
    """All frames of one clip without flips.

    Args:
        model: A `RNEM`.
        video: `[T, H, W, 1]` of zeros and ones.
        gamma: gamma_0 `[K, H, W, 1]`.

    Returns:
        `masks`, `components`, `slots` `[T, K, ...]`; `nll`, `inter`.
    """
    h = np.zeros((len(gamma), model.state_dim))
    psi = np.zeros(gamma.shape)
    records, nll, inter = [], 0.0, 0.0
    for t, x in enumerate(video):
        if t:
            h, psi = advance(model, h, gamma * (video[t - 1] - psi))
            gamma = responsibilities(psi, x)
            nll -= np.sum(gamma * np.log(np.where(x > 0, psi, 1 - psi)))
            inter -= np.sum((1 - gamma) * np.log(1 - psi))
        records.append((gamma, psi, h))
    masks, components, slots = map(np.array, zip(*records))
    return {
        "masks": masks,
        "components": components,
        "slots": slots,
        "nll": nll,
        "inter": inter,
    }
