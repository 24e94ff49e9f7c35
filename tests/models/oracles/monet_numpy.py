"""MONet in NumPy, one picture, slot, window and pixel after the other."""

import numpy as np

EPSILON = 1e-5  # of the instance norm


def relu(x):
    return np.maximum(x, 0)


def log_sigmoid(x):
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def dense(layer, x):
    return x @ np.float64(layer.kernel) + np.float64(layer.bias)


def convolve(kernel, x, stride, before, after):
    """`[H, W, C]` with zeros around it; no bias."""
    kernel = np.float64(kernel)
    side = kernel.shape[0]
    x = np.pad(x, [(before, after), (before, after), (0, 0)])
    height, width = ((n - side) // stride + 1 for n in x.shape[:2])
    y = np.zeros((height, width, kernel.shape[-1]))
    for i, j in np.ndindex(height, width):
        rows, columns = stride * i, stride * j
        window = x[rows : rows + side, columns : columns + side]
        y[i, j] = np.tensordot(window, kernel, 3)
    return y


def instance_norm(layer, x):
    """`[H, W, C]`, channel by channel."""
    y = np.zeros_like(x)
    for c in range(x.shape[-1]):
        off = x[..., c] - x[..., c].mean()
        y[..., c] = off / np.sqrt(np.mean(off**2) + EPSILON)
    if layer.scale:
        y = y * np.float64(layer.scales)
    return y + np.float64(layer.offset)


def block(parts, x):
    conv, norm = parts
    return relu(instance_norm(norm, convolve(conv.kernel, x, 1, 1, 1)))


def unet(layer, x):
    """`ScopeUNet` of a picture: `[H, W, C] -> [H, W, 1]`."""
    skips = []
    for i, parts in enumerate(layer.down):
        x = block(parts, x if i == 0 else x[::2, ::2])
        skips.append(x)
    shape = x.shape
    x = x.reshape(-1)
    for part in (*layer.dense_layers, layer.bottom):
        x = relu(dense(part, x))
    x = x.reshape(shape)
    for i, parts in enumerate(layer.up):
        skip = skips[len(skips) - 1 - i]
        if i:
            x = x.repeat(2, 0).repeat(2, 1)[: skip.shape[0], : skip.shape[1]]
        x = block(parts, np.concatenate([x, skip], -1))
    return dense_pixels(layer.head, x)


def dense_pixels(layer, x):
    """A 1x1 convolution."""
    return x @ np.float64(layer.kernel)[0, 0] + np.float64(layer.bias)


def attend(model, picture, num_slots):
    """Log-masks `[K, H, W, 1]` of a picture."""
    scope = np.zeros((*picture.shape[:2], 1))
    log_masks = []
    for _ in range(num_slots - 1):
        read = np.maximum(scope, model.log_floor)
        logits = unet(model.attention, np.concatenate([picture, read], -1))
        log_masks.append(scope + log_sigmoid(logits))
        scope = scope + log_sigmoid(-logits)
    return np.stack([*log_masks, scope])


def encode(model, picture, log_mask):
    """Mean and log-deviation of a slot, `[Z]` each."""
    read = np.maximum(log_mask, model.log_floor)
    x = np.concatenate([picture, read], -1)
    for conv in model.encoder.convs:
        # Of what is padded, less comes before; nothing, if the side is even.
        before = x.shape[0] % 2
        x = convolve(conv.kernel, x, 2, before, 1)
        x = relu(x + np.float64(conv.bias))
    x = x.reshape(-1)
    for layer in model.encoder.dense_layers:
        x = relu(dense(layer, x))
    return np.split(dense(model.head, x), 2)


def decode(decoder, latent):
    """Means `[H, W, C]` and a logit `[H, W, 1]` for each pixel."""
    lost = sum(size - 1 for size in decoder.kernel_sizes)
    height, width = (side + lost for side in decoder.image_size)
    x = np.zeros((height, width, 2 + len(latent)))
    x[..., 0] = np.linspace(-1, 1, height)[:, None]
    x[..., 1] = np.linspace(-1, 1, width)
    x[..., 2:] = latent
    for conv in decoder.convs:
        x = relu(convolve(conv.kernel, x, 1, 0, 0) + np.float64(conv.bias))
    x = dense_pixels(decoder.head, x)
    return 1 / (1 + np.exp(-x[..., :-1])), x[..., -1:]


def log_density(x, mean, deviation):
    off = (x - mean) / deviation
    return -0.5 * off**2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)


def negative_log_likelihood(picture, means, log_masks, model):
    """-sum_i log sum_k m_ik N_ik, with all constants."""
    deviations = [model.background_deviation]
    deviations += [model.object_deviation] * (len(means) - 1)
    joint = []
    for mean, log_mask, deviation in zip(means, log_masks, deviations):
        density = log_density(picture, mean, deviation)
        if model.granularity == "pixel":
            density = density.sum(-1, keepdims=True)
        joint.append(log_mask + density)
    return -np.log(np.exp(joint).sum(0)).sum()


def normalised(logits):
    """Log-softmax over the first axis."""
    return logits - np.log(np.exp(logits).sum(0))


def picture(model, pixels, noise):
    """What `MONet` returns of one picture `[H, W, C]`.

    Args:
        model: The `MONet`.
        pixels: `[H, W, C]`.
        noise: `[K, Z]`, standard normal.
    """
    num_slots = len(noise)
    log_masks = attend(model, pixels, num_slots)
    masks = np.exp(log_masks)
    posterior = [encode(model, pixels, m) for m in log_masks]
    mean, spread = (np.stack(part) for part in zip(*posterior))
    samples = mean + np.exp(spread) * noise
    drawn = [decode(model.decoder, z) for z in samples]
    means, logits = (np.stack(part) for part in zip(*drawn))
    own = normalised(logits)
    nll = negative_log_likelihood(pixels, means, log_masks, model)
    latent_kl = 0.5 * (mean**2 + np.exp(2 * spread) - 1) - spread
    kl_masks = np.sum(masks * (log_masks - own))
    loss = nll + model.kl_weight * latent_kl.sum()
    bound = -negative_log_likelihood(pixels, means, own, model)
    return {
        "masks": masks,
        "components": means,
        "recon": (masks * means).sum(0),
        "slots": mean,
        "samples": samples,
        "latent_kl": latent_kl,
        "nll": nll,
        "kl": latent_kl.sum(),
        "kl_masks": kl_masks,
        "loss": loss + model.mask_weight * kl_masks,
        "elbo": bound - latent_kl.sum(),
    }
