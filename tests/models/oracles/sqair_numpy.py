"""SQAIR in NumPy: one particle, one frame, one slot after the other."""

import numpy as np
import scipy.stats


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def mlp(layer, x):
    pairs = list(zip(layer.kernels, layer.biases))
    for i, (kernel, bias) in enumerate(pairs):
        x = x @ np.float64(kernel) + np.float64(bias)
        if i < len(pairs) - 1:
            x = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)
    return x


def plain(cell, x, h):
    x = x @ np.float64(cell.kernel) + h @ np.float64(cell.recurrent_kernel)
    return np.tanh(x + np.float64(cell.bias))


def gru(cell, x, h):
    z, r, n = np.split(x @ np.float64(cell.kernel) + np.float64(cell.bias), 3)
    u, v, w = np.split(np.float64(cell.recurrent_kernel), 3, axis=1)
    z, r = sigmoid(z + h @ u), sigmoid(r + h @ v)
    return z * h + (1 - z) * np.tanh(n + (r * h) @ w)


def box(where, size, least=0.0, most=1.0):
    """`(y, x, h, w)` in pixels."""
    side = least + (most - least) * sigmoid(where[:2])
    return np.concatenate([(np.tanh(where[2:]) + 1) / 2 * size, side * size])


def sample(picture, row, column):
    """Bilinear, pixel centres at whole numbers, zero outside."""
    top, left = int(np.floor(row)), int(np.floor(column))
    value = np.zeros(picture.shape[-1])
    for y, x in ((top + i, left + j) for i in (0, 1) for j in (0, 1)):
        if 0 <= y < picture.shape[0] and 0 <= x < picture.shape[1]:
            share = (1 - abs(row - y)) * (1 - abs(column - x))
            value = value + share * picture[y, x]
    return value


def cut(frame, where, length, size_range):
    """The window of a box in `length` by `length` samples."""
    y, x, h, w = box(where, np.array(frame.shape[:2]), *size_range)
    out = np.zeros((length, length, frame.shape[-1]))
    for i, j in np.ndindex(length, length):
        row = y + h * ((i + 0.5) / length - 0.5) - 0.5
        column = x + w * ((j + 0.5) / length - 0.5) - 0.5
        out[i, j] = sample(frame, row, column)
    return out


def place(sprite, where, shape, size_range):
    """A sprite in its box, on a frame."""
    y, x, h, w = box(where, np.array(shape), *size_range)
    out, length = np.zeros((*shape, sprite.shape[-1])), len(sprite)
    for i, j in np.ndindex(*shape):
        row = length * (i + 0.5 - (y - h / 2)) / h - 0.5
        column = length * (j + 0.5 - (x - w / 2)) / w - 0.5
        out[i, j] = sample(sprite, row, column)
    return out


def normal(value, mean, deviation):
    return scipy.stats.norm.logpdf(value, mean, deviation).sum()


def bernoulli(value, logit):
    return -softplus(-logit if value else logit)


class Particle:
    """One particle of one clip; sums of its log-densities.

    Args:
        model: A `SQAIR`.
        noise: `(normal [T, 2 K, 4 + A], uniform [T, 2 K])`.
    """

    def __init__(self, model, noise):
        self.model, self.noise = model, noise
        self.slots = model.num_slots - 1
        self.q = self.p = self.choices = self.pixels = 0.0
        self.known, self.last_id = [], 0
        look = model.glimpse_encoder
        self.size, self.range = look.size, look.size_range

    def look(self, frame, where, mask=None):
        glimpse = cut(frame, where, self.size, self.range)
        if mask is not None:
            glimpse = glimpse * mask.reshape(self.size, self.size, 1)
        told = mlp(self.model.glimpse_encoder.encoder, glimpse.ravel())
        loc, raw = np.split(told, 2)
        return loc, softplus(raw) + 0.01

    def frame(self, t, picture):
        """Reads a frame: `(recon, known objects)`."""
        code = mlp(self.model.image_encoder.network, picture.ravel())
        kept = self.propagate(t, picture)
        found = self.discover(t, picture, code, kept)
        self.known = kept + found
        recon = np.zeros(picture.shape)
        for each in self.known:
            side, channels = self.model.decoder.size, picture.shape[-1]
            sprite = mlp(self.model.decoder.network, each["what"])
            sprite = sprite.reshape(side, side, channels)
            sprite = sprite * float(self.model.decoder.scale)
            shape = picture.shape[:2]
            recon += place(sprite, each["where"], shape, self.range)
        self.pixels += normal(picture, recon, self.model.deviation)
        return recon, self.known

    def propagate(self, t, picture):
        layer, prior = self.model.propagation, self.model.prior
        mixing = np.eye(4) + np.float64(layer.mixing())
        state, kept = np.float64(layer.start), []
        last = np.zeros(self.model.what_dim + 5)
        for k, known in enumerate(self.known):
            what, where, h = known["what"], known["where"], known["hidden"]
            eps, u = self.noise[0][t, k], self.noise[1][t, k]
            mask = sigmoid(mlp(layer.mask, h) + 1)
            near, _ = self.look(picture, where + 0.1 * mlp(layer.bias, h), mask)
            own = np.concatenate([last, near, what, where, [1.0], h])
            state = plain(layer.relation, own, state)
            raw = mlp(layer.where, np.concatenate([state, where, h]))
            spread = softplus(raw[4:] - 4) + 0.01
            factor = np.diag(spread) @ mixing
            there = where + raw[:4] + factor @ eps[:4]
            seen, seen_scale = self.look(picture, there, mask)
            read = np.concatenate([state, there, seen, seen_scale])
            h = gru(layer.temporal, read, h)
            loc, raw_scale = np.split(mlp(layer.what, h), 2)
            f, i, r = np.split(0.9999 * sigmoid(mlp(layer.gates, h) + 1), 3)
            mean = f * what + (1 - i) * seen + (1 - r) * loc
            scale = (1 - i) * seen_scale
            scale = scale + (1 - r) * (softplus(raw_scale) + 0.01)
            now = mean + scale * eps[4:]
            logit = mlp(layer.keep, np.concatenate([state, h, now]))[0]
            logit += layer.keep_bias
            stays = u < sigmoid(logit)
            last = np.concatenate([now, there, [float(stays)]])
            # The prior.
            before = np.concatenate([where, what])
            hp = gru(prior.cell, before, known["prior"])
            told = mlp(prior.head, hp)
            size = len(before)
            expected = before + told[:size]
            spreads = softplus(told[size : 2 * size]) + 0.01
            prior_logit = told[-1] + prior.keep_bias
            self.choices += bernoulli(stays, logit)
            self.q += bernoulli(stays, logit)
            self.p += bernoulli(stays, prior_logit)
            if not stays:
                continue
            self.q += scipy.stats.multivariate_normal.logpdf(
                there, where + raw[:4], factor @ factor.T
            )
            self.q += normal(now, mean, scale)
            self.p += normal(np.concatenate([there, now]), expected, spreads)
            kept.append(
                {
                    "what": now,
                    "where": there,
                    "hidden": h,
                    "prior": hp,
                    "id": known["id"],
                }
            )
        return kept

    def discover(self, t, picture, code, kept):
        layer, room = self.model.discovery, self.slots - len(kept)
        told = sum(
            mlp(layer.summary, np.concatenate([each["what"], each["where"]]))
            for each in kept
        ) + np.zeros(layer.units)
        state, places = (
            np.float64(layer.start),
            np.zeros(self.model.prior.units),
        )
        last, before = np.zeros(self.model.what_dim + 5), np.zeros(4)
        found = []
        for j in range(room):
            eps = self.noise[0][t, self.slots + j]
            u = self.noise[1][t, self.slots + j]
            read = np.concatenate([code, told, last])
            state = plain(layer.recurrence, read, state)
            mean, raw = np.split(mlp(layer.where, state), 2)
            spread = softplus(raw - 3) + 0.01
            where = mean + spread * eps[:4]
            loc, scale = self.look(picture, where)
            what = loc + scale * eps[4:]
            logit = mlp(layer.more, np.concatenate([state, what]))[0]
            logit += layer.presence_bias
            more = u < sigmoid(logit)
            self.choices += bernoulli(more, logit)
            self.q += bernoulli(more, logit)
            if not more:
                break
            self.q += normal(where, mean, spread) + normal(what, loc, scale)
            # The prior of places, given those before.
            prior = self.model.place_prior
            places = plain(prior.cell, before, places)
            mean, raw = np.split(mlp(prior.head, places), 2)
            one = np.log(np.expm1(0.99))
            mean = mean + np.array(prior.first_mean)
            self.p += normal(where, mean, softplus(raw + one) + 0.01)
            self.p += normal(what, 0, 1)
            last, before = np.concatenate([what, where, [1.0]]), where
            self.last_id += 1
            found.append(
                {
                    "what": what,
                    "where": where,
                    "hidden": np.float64(layer.first_hidden),
                    "prior": np.zeros(self.model.prior.units),
                    "id": self.last_id,
                }
            )
        ratio = self.model.success_prob
        self.p += np.log(
            ratio ** len(found) / sum(ratio ** np.arange(room + 1))
        )
        return found


def clip(model, video, noise):
    """One particle of a clip.

    Args:
        model: A `SQAIR` without a mean image, with the geometric prior.
        video: `[T, H, W, C]` float64.
        noise: See `Particle`.

    Returns:
        The `Particle` after the clip, and by frame `(recon, objects)`.
    """
    particle = Particle(model, noise)
    frames = [particle.frame(t, np.float64(p)) for t, p in enumerate(video)]
    return particle, frames
