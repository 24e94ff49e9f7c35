"""Which true objects move when a factor moves."""

import dataclasses

import gin
import numpy as np
import tensorflow as tf

from tfdecomp.evaluation.studies import study
from tfdecomp.evaluation.studies.latents import factored
from tfdecomp.metrics import factor_motion
from tfdecomp.metrics.mutual_information import NEIGHBOURS


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class FactorObjects(study.Study):
    """Gives each factor a true object, and says how well it fits (DVIP).

    One factor follows the video from the second frame on, the others stand
    still. The change is told apart by the objects' colours, which the true
    masks show (`metrics.factor_motion`): an object's share is that of the
    squared change. Scores:

    * `assigned`: mean share of factors and their objects, in the best
      one-to-one assignment for all clips; 1 if each factor is an object,
      1 / L (`chance`) if factors move all L objects alike.
    * `dominant`: mean share of the object that changes most, clip by clip;
      `dominant_all` is that of videos in which all factors move, above 1 / L
      as objects seldom change alike.
    * `follows`: how far objects' centres go along with a factor, along y and
      x, of the way they go with all factors.

    An entangled model's latents are cut into groups, by the partition that
    its mutual information is reported of (`metrics.mutual_information`), which
    sees no mask; random partitions stand beside it.

    Args:
        num_frames: Frames of each clip, at least 3; by default all there are.
        num_partitions: Random partitions of an entangled model's latents.
        num_pairs: Pairs of frames that its partition is chosen by.
        num_shown: Clips that are drawn, from the first.
    """

    name = "factor_objects"

    num_frames: int | None = None
    num_partitions: int = 5
    num_pairs: int = 1000
    num_shown: int = 4

    def look(self, subject, others):
        """Tabulates shares and draws a picture of each clip."""
        del others
        factored.require(subject, "move one factor at a time")
        condition = self.condition(subject, num_frames=self.num_frames)
        groups = self._partitions(subject, condition)
        clips, shown = self._clips(subject, condition, groups)
        found = [_scores(clips, p) for p in range(len(groups))]
        whole = factor_motion.shares(clips["changes_all"])
        result = {
            "protocol": condition.describe(),
            "num_clips": len(whole),
            **found[0],
            "dominant_all": factor_motion.dominant(whole[:, None]),
            "chance": 1.0 / whole.shape[1],
            "partitions": None,
        }
        if subject.model.entangled:
            result["partitions"] = {
                "group_of_latent": groups[0].argmax(0).tolist(),
                "random_assigned": [one["assigned"] for one in found[1:]],
                "random_dominant": [one["dominant"] for one in found[1:]],
            }
        pictures = {}
        for n, (clip, seen) in enumerate(shown.items()):
            shares = factor_motion.shares(clips["changes"][n, 0])
            shares = [whole[n], *shares]
            pictures[str(clip)] = _draw(*seen, groups[0], subject.model, shares)
        return study.Findings(result, _table(subject, result), pictures)

    def _partitions(self, subject, condition):
        """`[P, k, Z]` bool, the groups that move; the first ones count."""
        model = subject.model
        orders = [np.arange(model.latent_dim)]
        if model.entangled:
            pairs = factored.gather(
                subject, condition, self.num_pairs, NEIGHBOURS
            )
            rng = np.random.default_rng(self.seed)
            orders = [factored.information(pairs)["order"]]
            orders += [
                rng.permutation(model.latent_dim)
                for _ in range(self.num_partitions)
            ]
        return np.stack(
            [factored.members(order, model.num_factors) for order in orders]
        )

    def _clips(self, subject, condition, groups):
        """What moves in every clip, and the clips that are drawn.

        Returns:
            `changes` `[N, P, k, L]` and `changes_all` `[N, L]`, mean squared
            changes; `moves` `[N, P, k, T - 2, L, 2]` and `moves_all`
            `[N, T - 2, L, 2]`, ways of the centres in pixels. And clip to
            `(video, labels, latents)`.
        """
        follow, move = _compiled(subject.model)
        parts, shown = [], {}
        for batch, inputs in subject.batches(condition, ("num_objects",)):
            factored.check_frames(self, batch)
            valid = np.flatnonzero(batch["valid"])
            colors = _colors(condition, batch, valid)
            seen = {k: np.asarray(v) for k, v in follow(inputs).items()}
            videos = [move(seen["latents"], g) for p in groups for g in p]
            motion = [
                _motion(np.asarray(video)[valid], colors)
                for video in (seen["recon"], *videos)
            ]
            (changes_all, *changes), (moves_all, *moves) = zip(*motion)
            lead = (len(valid), *groups.shape[:2])
            part = {
                "changes": np.stack(changes, 1).reshape(*lead, -1),
                "changes_all": changes_all,
                "moves": np.stack(moves, 1).reshape(
                    *lead, *moves_all.shape[1:]
                ),
                "moves_all": moves_all,
            }
            parts.append(part)
            for n in valid[: max(self.num_shown - len(shown), 0)]:
                ids = batch["segmentation"][n, ..., 0]
                clip = int(batch["clip_index"][n])
                shown[clip] = (batch["video"][n], ids, seen["latents"][n])
        return study.join(parts), shown


def _compiled(model):
    """`(inputs -> what is followed, (latents, group) -> video)`."""

    @tf.function(autograph=False, reduce_retracing=True)
    def follow(inputs):
        seen = factored.follow(model, inputs)
        return {name: seen[name] for name in ("latents", "recon")}

    @tf.function(autograph=False, reduce_retracing=True)
    def move(latents, group):
        return model.draw(factored.move(latents, group))

    return follow, move


def _motion(video, colors):
    """`(changes [B, L], moves [B, T - 2, L, 2])` of `[B, T, H, W, C]`."""
    still, varied = np.split(video[:, factored.SHARED - 1 :], [1], axis=1)
    changes = factor_motion.object_changes(still[:, 0], varied, colors)
    moves = factor_motion.centres(varied, colors)
    moves -= factor_motion.centres(still, colors)
    return changes / varied[0].size, moves


def _colors(condition, batch, valid):
    """`[V, L, C]` of the valid clips; raises `ValueError` if there is none."""
    if "segmentation" not in batch:
        raise ValueError(
            f"{condition.dataset} has no true masks; take another --dataset"
        )
    counts = np.unique(batch["num_objects"][valid])
    if len(counts) != 1 or counts[0] < 2:
        raise ValueError(
            "each clip must have the same number of objects, two or more; "
            f"{condition.dataset} has {counts.tolist()}; take another --dataset"
        )
    video, ids = batch["video"][valid], batch["segmentation"][valid, ..., 0]
    return factor_motion.object_colors(video, ids, int(counts[0]))


def _scores(clips, p):
    """Scores of one partition."""
    changes = clips["changes"][:, p]
    shares = factor_motion.shares(changes)  # [N, k, L]
    mean = factor_motion.mean_over_clips(shares)
    chosen, assigned = factor_motion.assign(mean)
    moves = np.moveaxis(clips["moves"][:, p], 1, 2)  # [N, T', k, L, 2]
    follows = factor_motion.follows(
        moves.reshape(-1, *moves.shape[2:]),
        clips["moves_all"].reshape(-1, *moves.shape[3:]),
    )
    return {
        "assigned": assigned,
        "dominant": factor_motion.dominant(shares),
        "factors": [
            {
                "factor": i,
                "change": float(changes[:, i].sum(-1).mean()),
                "shares": mean[i].tolist(),
                "object": int(chosen[i]) + 1 if chosen[i] >= 0 else None,
                "follows": follows[i].tolist(),
            }
            for i in range(len(mean))
        ],
    }


def _table(subject, result):
    kind = "factor" if result["partitions"] is None else "group"
    count = len(result["factors"][0]["shares"])
    head = [kind, "squared change"]
    head += [f"share of object {n + 1}" for n in range(count)]
    head += ["its object"]
    head += [f"object {n + 1} follows, y, x" for n in range(count)]
    rows = [
        [f["factor"], f["change"], *f["shares"], f["object"]]
        + ["{:.2f}, {:.2f}".format(*pair) for pair in f["follows"]]
        for f in result["factors"]
    ]
    title = (
        f"{subject.name} on {result['num_clips']} clips of "
        f"{result['protocol']['dataset']}: share of factors and their objects "
        f"{result['assigned']:.3f} (chance {result['chance']:.3f}), of the "
        f"object that changes most {result['dominant']:.3f} (all factors at "
        f"once {result['dominant_all']:.3f})"
    )
    if result["partitions"] is not None:
        others = result["partitions"]["random_assigned"]
        title += "; its latents cut into groups by mutual information"
        if others:
            title += (
                f", {len(others)} times at random: {np.mean(others):.3f} "
                f"({min(others):.3f} to {max(others):.3f})"
            )
    return study.table(head, rows, title)


def _draw(video, ids, latents, groups, model, shares):
    """The clip, all factors moving, and each by itself, with its shares."""
    from tfdecomp.visualization import factors

    kind = "group" if model.entangled else "factor"
    everything = np.ones(latents.shape[-1], bool)
    moving = [
        np.asarray(model.draw(factored.move(latents[None], group)))[0]
        for group in (everything, *groups)
    ]
    names = [f"all {kind}s", *(f"{kind} {i}" for i in range(len(groups)))]
    captions = [
        f"{name} ({' : '.join(f'{100 * share:.0f}' for share in of_objects)})"
        for name, of_objects in zip(names, shares)
    ]
    base = factored.SHARED - 1
    return factors.changes(video, ids, moving, captions, base, min_side=128)
