"""What factors say of themselves, and of others, a frame later."""

import numpy as np

from tfdecomp.metrics import mutual_information

# What is read of a model with factors: `[B, T, k, d]` posterior samples and
# divergences, nats.
READ = ("samples", "latent_kl")
COLLAPSED = 0.01  # nats of mean divergence below which a latent says nothing


def num_groups(model) -> int | None:
    """Groups to cut an entangled model's latents into; None for factors."""
    if getattr(model, "entangled", False) and model.num_factors > 1:
        return model.num_factors
    return None


class Latents:
    """Pairs of a frame's latents and the next one's, the last ones seen.

    Holds no more than `num_pairs` of them, whatever the number of clips. Pairs
    of one clip depend on each other: where factors change slowly, a few long
    clips make them seem to share what they do not.

    Args:
        num_pairs: Pairs to keep.
        neighbours: `K` of the estimate.
        num_groups: For a model without factors, groups into which random
            partitions cut its latents.
    """

    def __init__(self, num_pairs, neighbours, num_groups=None):
        self.num_pairs = num_pairs
        self.neighbours = neighbours
        self.num_groups = num_groups
        self.pairs = None  # [N, 2, k, d]: a frame and the next one
        self.kl = 0.0  # [k, d], summed over frames
        self.num_frames = 0

    def add(self, samples, latent_kl=None):
        """Takes a batch of valid clips, in order.

        Args:
            samples: `[B, T, k, d]` posterior samples.
            latent_kl: The same of their divergences, nats.
        """
        pairs = np.stack([samples[:, :-1], samples[:, 1:]], axis=2)
        pairs = pairs.reshape(-1, 2, *samples.shape[2:])
        if self.pairs is not None:
            pairs = np.concatenate([self.pairs, pairs])
        first = max(len(pairs) - self.num_pairs, 0)
        self.pairs = pairs[first:].copy()  # lets the whole batch go
        if latent_kl is not None:
            self.kl = self.kl + latent_kl.sum((0, 1), dtype=np.float64)
            self.num_frames += latent_kl.shape[0] * latent_kl.shape[1]

    def scores(self) -> dict:
        """What there is of scores.

        Returns:
            `collapsed_latents`, a number of them; `mi_same` and `mi_cross`
            in bits, `mi_same_nats` and `mi_cross_nats`, all absent if there
            are too few pairs, and those of `cross` for a single factor;
            `mi_pairs` and `mi_shape`, the `N` and `[k, d]` that they are of,
            and `mi_partitions` where these are a partition's.
        """
        scores = {}
        if self.num_frames:
            collapsed = self.kl / self.num_frames < COLLAPSED
            scores["collapsed_latents"] = int(collapsed.sum())
        if self.pairs is None or len(self.pairs) <= self.neighbours:
            return scores
        before, after = self.pairs[:, 0], self.pairs[:, 1]
        shape = before.shape[1:]
        if self.num_groups is None:
            found = mutual_information.factor_scores(
                before, after, self.neighbours
            )
        else:
            found = mutual_information.partition_scores(
                before.reshape(len(before), -1),
                after.reshape(len(after), -1),
                self.num_groups,
                neighbours=self.neighbours,
            )
            shape = self.num_groups, before[0].size // self.num_groups
            scores["mi_partitions"] = mutual_information.NUM_PARTITIONS
        scores |= {"mi_pairs": len(before), "mi_shape": list(shape)}
        for name in ("same", "cross"):
            if np.isfinite(found[name]):
                nats = found[name]
                scores[f"mi_{name}"] = nats * mutual_information.BITS
                scores[f"mi_{name}_nats"] = nats
        return scores
