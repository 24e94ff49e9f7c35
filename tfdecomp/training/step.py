"""The compiled part of training: N optimizer steps in one call."""

import tensorflow as tf

from tfdecomp import types
from tfdecomp.training import optimizers
from tfdecomp.training import strategy as strategy_lib

# What a call hands to the next one, and a checkpoint keeps.
CARRY = ("updates", "skipped", "streak", "beta")


class TrainStep:
    """Runs optimizer steps on the device and returns their scalars.

    Args:
        strategy: The `tf.distribute` strategy that holds the weights.
        settings: The run's `Settings`.
        noise_seed: int32 from which every clip's seed is made.
        averages: EMA variables, one per trainable weight; may be empty.

    Attributes:
        names: Names of the scalars of a step, known after the first call.
    """

    def __init__(self, strategy, settings, noise_seed, averages=()):
        self.strategy = strategy
        self.settings = settings
        self.model = settings.model
        self.noise_seed = noise_seed
        self.averages = list(averages)
        self.weights = [v.value for v in self.model.trainable_variables]
        self.share, self.micro = strategy_lib.check_batch(
            settings.batch_size,
            settings.micro_batch_size,
            strategy.num_replicas_in_sync,
        )
        self.names = ()
        self._row_names = ()
        self._call = tf.function(self._steps, autograph=False)
        self._micro_gradients = (
            tf.function(self._gradients, jit_compile=True, autograph=False)
            if settings.jit_compile
            else self._gradients
        )

    def initial_carry(self):
        """State before the first step."""
        beta = self.settings.beta_schedule
        start = 0.0 if beta is None else beta.start
        zero = tf.constant(0, tf.int64)
        return {
            "updates": zero,
            "skipped": zero,
            "streak": zero,
            "beta": tf.constant(start, tf.float32),
        }

    def __call__(
        self, iterator, first_step, num_steps, carry, stops=0, resumed_at=0
    ):
        """Takes steps `first_step ... first_step + num_steps - 1`.

        Args:
            iterator: Yields batches.
            first_step: Number of the first step, from 0.
            num_steps: How many steps.
            carry: From the call before, or `initial_carry()`.
            stops: Early stops so far.
            resumed_at: Step of the last one.

        Returns:
            `([num_steps, len(names)] float32, carry)`.
        """
        return self._call(
            iterator,
            tf.constant(first_step, tf.int64),
            tf.constant(num_steps, tf.int32),
            carry,
            (tf.constant(stops, tf.int32), tf.constant(resumed_at, tf.int64)),
        )

    def _steps(self, iterator, first_step, num_steps, carry, stage):
        """`num_steps` steps; the graph holds one."""

        def body(i, rows, carry):
            step = first_step + tf.cast(i, tf.int64)
            row, carry = self._step(next(iterator), step, carry, stage)
            return i + 1, rows.write(i, row), carry

        rows = tf.TensorArray(tf.float32, num_steps, infer_shape=False)
        _, rows, carry = tf.while_loop(
            lambda i, *_: i < num_steps,
            body,
            (tf.constant(0), rows, carry),
            parallel_iterations=1,
        )
        return rows.stack(), carry

    def _step(self, batch, step, carry, stage):
        """One step across replicas: `(scalars [S], carry)`."""
        fed = self._fed(step, carry, stage)
        rate_factor = self._rate_factor(stage)
        gradients, row, norm = self.strategy.run(
            self._replica_gradients, args=(batch, fed)
        )
        norm = self._first(norm)
        row = tf.unstack(self._first(row), len(self._row_names))
        scalars = dict(zip(self._row_names, row), gradient_norm=norm)
        is_taken = tf.math.is_finite(norm) & tf.math.is_finite(scalars["loss"])
        carry = self._next_carry(carry, is_taken, scalars)
        self._update(
            gradients,
            optimizers.clip_factor(norm, self.settings.clip_norm),
            step,
            carry["updates"],
            is_taken,
            rate_factor,
        )
        scalars |= fed | self.settings.optimizer.rates(step, rate_factor)
        scalars["is_taken"] = tf.cast(is_taken, tf.float32)
        self.names = tuple(sorted(scalars))
        return tf.stack([scalars[name] for name in self.names]), carry

    def _update(self, gradients, factor, step, count, is_taken, rate_factor):
        self.settings.optimizer.update(
            self.strategy,
            self.weights,
            gradients,
            factor=factor,
            step=step,
            count=count,
            is_taken=is_taken,
            rate_factor=rate_factor,
        )
        if self.averages:
            optimizers.update_average(
                self.strategy,
                self.averages,
                self.weights,
                self.settings.ema_decay,
                is_taken,
            )

    def _rate_factor(self, stage):
        """What early stops have left of the learning rates."""
        rule = self.settings.early_stopping
        return 1.0 if rule is None else rule.rate(stage[0])

    def _fed(self, step, carry, stage):
        """Scheduled weights of this step."""
        rule, fed = self.settings.early_stopping, {}
        for name, schedule in self.settings.schedules.items():
            value = (
                schedule(step)
                if rule is None
                else rule.value(name, schedule, step, *stage)
            )
            fed[name] = tf.cast(value, tf.float32)
        if self.settings.beta_schedule is not None:
            fed[self.settings.beta_schedule.name] = carry["beta"]
        return fed

    def _next_carry(self, carry, is_taken, scalars):
        taken = tf.cast(is_taken, tf.int64)
        beta = carry["beta"]
        if self.settings.beta_schedule is not None:
            rule = self.settings.beta_schedule
            beta = tf.where(
                is_taken, rule.next(beta, scalars[rule.source]), beta
            )
        return {
            "updates": carry["updates"] + taken,
            "skipped": carry["skipped"] + 1 - taken,
            "streak": (carry["streak"] + 1) * (1 - taken),
            "beta": beta,
        }

    def _first(self, value):
        """The value on this host's first replica; all have the same."""
        return self.strategy.experimental_local_results(value)[0]

    def _replica_gradients(self, batch, fed):
        """Gradients and scalars of the global batch, same on each replica."""
        gradients, row = self._accumulate(self._inputs(batch), fed)
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            gradients, row = context.all_reduce(
                tf.distribute.ReduceOp.SUM, (gradients, row)
            )
        return gradients, row, tf.linalg.global_norm(gradients)

    def _inputs(self, batch):
        """What the model reads: the video, its place, one seed per clip."""
        # A clip's noise depends on the run's seed and the clip's number in
        # the stream, and so not on how the batch is cut.
        batch = {name: self._own(value) for name, value in batch.items()}
        number = tf.cast(batch["clip_index"] % (2**31 - 1), tf.int32)
        seed = tf.stack([tf.fill(tf.shape(number), self.noise_seed), number], 1)
        given = {n: batch[n] for n in types.GIVEN if n in batch}
        return {"video": batch["video"], "seed": seed, **given}

    def _own(self, value):
        """A part of the batch, with the number of clips that it has.

        What deals batches out to several hosts forgets that number.
        """
        if value.shape[0] is not None:
            return value
        return tf.ensure_shape(value, [self.share, *value.shape[1:]])

    def _accumulate(self, inputs, fed):
        """Sums over the micro-batches of a replica."""
        size = inputs["video"].shape[0]
        if self.micro >= size:
            return self._micro_gradients(inputs, fed)

        def cut(value, i):
            start = i * self.micro
            part = value[start : start + self.micro]
            return tf.ensure_shape(part, [self.micro, *value.shape[1:]])

        def body(i, sums):
            part = {k: cut(v, i) for k, v in inputs.items()}
            parts = self._micro_gradients(part, fed)
            return i + 1, tf.nest.map_structure(tf.add, sums, parts)

        # Adding broadcasts: one zero stands for a row of any length, since
        # the scalars of a model are known only once it has been traced.
        start = ([tf.zeros(w.shape) for w in self.weights], tf.zeros([1]))
        shapes = tf.nest.map_structure(lambda t: t.shape, start[0])
        count = size // self.micro
        _, (gradients, row) = tf.while_loop(
            lambda i, _: i < count,
            body,
            (tf.constant(0), start),
            shape_invariants=(
                tf.TensorShape([]),
                (shapes, tf.TensorShape([None])),
            ),
            parallel_iterations=1,
        )
        return gradients, row

    def _gradients(self, inputs, fed):
        """Gradients and scalars of one micro-batch, as shares of the whole."""
        with tf.GradientTape() as tape:
            outputs = self.model({**inputs, **fed}, training=True)
            loss = tf.reduce_sum(outputs["loss"]) / self.settings.batch_size
        gradients = tape.gradient(
            loss,
            self.weights,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        gradients = [tf.convert_to_tensor(g) for g in gradients]
        return gradients, self._scalars(outputs)

    def _scalars(self, outputs):
        """Means over the global batch, as this micro-batch's share: `[S]`."""
        per_clip = {
            name: tf.cast(value, tf.float32)
            for name, value in outputs.items()
            if tf.is_tensor(value)
            and value.shape.rank == 1
            and value.dtype.is_floating
        } | slot_usage(outputs)
        self._row_names = tuple(sorted(per_clip))
        sums = [tf.reduce_sum(per_clip[name]) for name in self._row_names]
        return tf.stack(sums) / self.settings.batch_size


def slot_usage(outputs):
    """How the slots share the pixels, each `[B]`; empty without masks.

    `largest_slot` is the share of pixels that the largest slot owns, and
    `slots_used` the number of slots that own more than 1 in 500.
    """
    if "masks" not in outputs:
        return {}
    masks = tf.stop_gradient(outputs["masks"])  # [B, T, K, H, W, 1]
    owner = tf.argmax(masks[..., 0], axis=2, output_type=tf.int32)
    count = tf.shape(masks)[2]
    owned = tf.one_hot(owner, count, dtype=tf.float32)  # [B, T, H, W, K]
    share = tf.reduce_mean(owned, axis=[1, 2, 3])  # [B, K]
    return {
        "largest_slot": tf.reduce_max(share, axis=1),
        "slots_used": tf.reduce_sum(tf.cast(share > 0.002, tf.float32), 1),
    }
