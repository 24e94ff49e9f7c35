"""Where training runs: one device, several, or several hosts."""

import json
import os

import gin
import keras
import tensorflow as tf

PRECISIONS = ("float32", "mixed_bfloat16")


@gin.configurable(module="training")
def set_precision(policy="float32"):
    """Sets Keras' dtype policy; call it before a model is built.

    Args:
        policy: "float32" or "mixed_bfloat16" (weights, likelihoods, KL and
            recurrent state stay float32 in both).

    Raises:
        ValueError: If the policy is another one.
    """
    if policy not in PRECISIONS:
        raise ValueError(
            f"PRECISION must be one of {PRECISIONS}, got {policy!r} "
            "(float16 would need loss scaling; bfloat16 does not)"
        )
    keras.config.set_dtype_policy(policy)


def keep_sums_plain():
    """Turns off a graph rewrite that breaks large nested loops.

    Where TensorFlow expects a graph to need much memory, it turns sums of
    gradients into temporary variables. In loops inside loops these survive
    the call, and the next one fails with "Already exists: ... tmp_var". No
    public option reaches this rewrite.
    """
    from tensorflow.python.eager import context as tf_context

    context = tf_context.context()
    config = tf.compat.v1.ConfigProto()
    if context._config is not None:
        config.CopyFrom(context._config)
    rewrites = config.graph_options.rewrite_options
    rewrites.memory_optimization = rewrites.NO_MEM_OPT
    context._config = config
    context._thread_local_data.function_call_options = None  # a cache


def set_rewrites(arithmetic):
    """Sets which rewrites the graphs made from now on may undergo.

    Args:
        arithmetic: See `Settings.rewrite_arithmetic`.
    """
    tf.config.optimizer.set_experimental_options(
        {"arithmetic_optimization": arithmetic}
    )


def make_strategy(devices=None) -> tf.distribute.Strategy:
    """The strategy that fits the machine.

    Args:
        devices: Names such as `["GPU:0", "GPU:1"]`; by default all GPUs, or
            the CPU where there is none.

    Returns:
        `MirroredStrategy` (also for one device), or
        `MultiWorkerMirroredStrategy` where `TF_CONFIG` names several hosts.

    Raises:
        ValueError: If `TF_CONFIG` is no valid JSON.
    """
    keep_sums_plain()
    if num_hosts() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if devices is None:
        devices = [d.name for d in tf.config.list_logical_devices("GPU")]
    return tf.distribute.MirroredStrategy(devices or ["CPU:0"])


def is_chief(strategy) -> bool:
    """Whether this process writes the files; one process of a run does."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if resolver.task_type == "chief":
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    return not has_chief and resolver.task_id == 0


def wait_for_all(strategy):
    """Returns once every host of the run is here."""

    @tf.function
    def meet():
        def one():
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.ones([]))

        return strategy.run(one)

    if num_hosts() > 1:
        meet()


class Hosts:
    """What the hosts of a run tell one another.

    All must ask the same questions in the same order.

    Args:
        strategy: The strategy of the run.
    """

    def __init__(self, strategy):
        self.strategy = strategy
        self._sum = tf.function(self._summed)

    def any(self, flag) -> bool:
        """Whether one of the hosts says yes."""
        if num_hosts() == 1:
            return bool(flag)
        return self._summed_over_hosts([float(bool(flag))])[0] > 0.0

    def from_chief(self, flag) -> bool:
        """The chief's yes or no, on every host."""
        return self.any(flag and is_chief(self.strategy))

    def check_same_step(self, step):
        """Refuses hosts that begin at different steps of a run.

        Raises:
            ValueError: On all hosts, if they do.
        """
        if num_hosts() == 1:
            return
        total, squares, count = self._summed_over_hosts([step, step**2, 1.0])
        if total**2 != squares * count:
            raise ValueError(
                f"this host goes on from step {step}, others from another "
                f"one (from {total / count:.0f} on average); give all hosts "
                "the same --workdir, in a folder that they share"
            )

    def _summed_over_hosts(self, numbers):
        sums = self._sum(tf.constant(numbers, tf.float64))
        local = self.strategy.experimental_local_results(sums)[0]
        return [float(number) for number in local]

    def _summed(self, numbers):
        def one(numbers):
            context = tf.distribute.get_replica_context()
            here = tf.identity(numbers)  # on this replica's device
            return context.all_reduce(tf.distribute.ReduceOp.SUM, here)

        return self.strategy.run(one, args=(numbers,))


def distribute(strategy, dataset):
    """Deals the global batches of a dataset out to the replicas.

    Every host reads all clips and keeps its share, so that a batch holds the
    same clips however many hosts there are.
    """
    policy = tf.data.experimental.AutoShardPolicy
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        policy.DATA if num_hosts() > 1 else policy.OFF
    )
    return strategy.experimental_distribute_dataset(
        dataset.with_options(options)
    )


def check_batch(batch_size, micro_batch_size, replicas):
    """Clips per replica and micro-batch.

    Args:
        batch_size: Clips per step, all replicas together.
        micro_batch_size: Clips that a replica holds in memory at a time;
            `None` for all of them.
        replicas: Number of replicas.

    Returns:
        `(clips per replica, clips per micro-batch)`.

    Raises:
        ValueError: If one does not divide the other.
    """
    if batch_size % replicas:
        raise ValueError(
            f"BATCH_SIZE is {batch_size}, which {replicas} devices cannot "
            f"share; take a multiple of {replicas}"
        )
    share = batch_size // replicas
    micro = min(micro_batch_size or share, share)
    if share % micro:
        raise ValueError(
            f"training.run.micro_batch_size is {micro_batch_size}, which does "
            f"not divide the {share} clips of a device; take a divisor"
        )
    return share, micro


def num_hosts() -> int:
    """Hosts of the run, as `TF_CONFIG` names them."""
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return 1
    try:
        cluster = json.loads(text).get("cluster", {})
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"the environment variable TF_CONFIG is no valid JSON: {error}"
        ) from error
    return sum(len(cluster.get(job, ())) for job in ("chief", "worker"))
