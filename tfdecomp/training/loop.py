"""The training loop: build, restore, step, look, save, finish."""

import keras
import tensorflow as tf

from tfdecomp import builders, signals
from tfdecomp.data import pipeline
from tfdecomp.storage import configs, saving
from tfdecomp.training import initial_model, workdir
from tfdecomp.training import settings as settings_lib
from tfdecomp.training import strategy as strategy_lib
from tfdecomp.training.checkpoints import CheckpointError, Checkpoints, State
from tfdecomp.training.step import TrainStep
from tfdecomp.training.watch import Watch, best_step

GIVEN_UP = "given up"


def run(
    workdir_path,
    seed=0,
    data_dir=None,
    devices=None,
    command=None,
    should_stop=None,
    extend=False,
    may_exit=False,
):
    """Trains what the active config describes; resumes where it stopped.

    Args:
        workdir_path: Folder of the run: `config.gin`, `run.json`,
            `checkpoints/`, `train/`, `eval/` and `pictures/` go there.
        seed: Seed of weights, noise and the order of the data.
        data_dir: Where prepared datasets are; by default where TFDS looks.
        devices: Device names; by default all GPUs, or the CPU.
        command: The command line, for `run.json`.
        should_stop: Called with the step now and then, at the latest where a
            line is logged; true saves and stops the run there, as Ctrl-C does,
            on all hosts if one of them says so.
        extend: Whether the config may ask for more steps than the folder's,
            also of a run that is finished.
        may_exit: Whether Ctrl-C may end the process where a step takes more
            than some seconds; the state before that step is saved.

    Returns:
        The content of `run.json`; its `state` is "finished" or
        "interrupted".

    Raises:
        WorkDirError: If the folder belongs to another run.
        TrainingError: If the run cannot go on.
        CheckpointError: If the disk is full, or there are checkpoints and none
            can be read.
    """
    strategy = strategy_lib.make_strategy(devices)
    is_writer = strategy_lib.is_chief(strategy)
    folder = workdir.WorkDir(workdir_path, is_writer)
    try:
        folder.check_same(configs.asked(), seed, is_longer=extend)
        if folder.run.get("state") == "finished" and not extend:
            print(f"{folder.path} is finished, at step {folder.run['step']}")
            return folder.run
        session = Session(folder, strategy, seed, data_dir, is_writer)
        folder.check_same(configs.operative(), seed, part=1, is_longer=extend)
        folder.begin(
            configs.operative(),
            seed=seed,
            command=command,
            devices=list(strategy.extended.worker_devices),
        )
        asks = should_stop or (lambda step: False)
        while _train(session, asks, may_exit) == GIVEN_UP:
            keras.utils.clear_session()  # names count from one again
            session = Session(folder, strategy, seed, data_dir, is_writer)
        return folder.run
    except BaseException as error:
        if folder.run.get("state") == "running":
            folder.update(state="failed", error=str(error)[:2000])
        raise
    finally:
        folder.close()


class Session:
    """The parts of a run, built from the active config and restored.

    Args:
        folder: The `WorkDir`.
        strategy: The `tf.distribute` strategy.
        seed: The run's seed.
        data_dir: Where prepared datasets are.
        is_writer: Whether this process writes files and talks.
    """

    def __init__(self, folder, strategy, seed, data_dir, is_writer):
        self.folder = folder
        self.strategy = strategy
        self.hosts = strategy_lib.Hosts(strategy)
        folder.drop_given_up()
        strategy_lib.wait_for_all(strategy)
        self.seed = _seed_of(seed, folder.run.get("restarts", 0))
        self.data_dir = data_dir
        self.is_writer = is_writer
        keras.utils.set_random_seed(
            settings_lib.derive_seed(self.seed, "weights")
        )
        with strategy.scope():
            self.settings = settings_lib.build_settings()
            self._take_initial_weights()
            averages = self._build_variables()
        self.train_step = TrainStep(
            strategy,
            self.settings,
            settings_lib.derive_seed(self.seed, "noise"),
            averages,
        )
        carry = self.train_step.initial_carry()
        self.state = State(self.settings, averages, carry)
        self.checkpoints = Checkpoints(
            folder.checkpoints,
            self.state,
            self.settings.keep_checkpoints,
            seed,
            is_writer,
        )
        self._restore()
        self.hosts.check_same_step(self.state.step)
        self.prepare_data()
        self.open_data()

    def _build_variables(self):
        """Creates the optimizer's variables; returns those of the EMA."""
        variables = self.settings.model.trainable_variables
        weights = [v.value for v in variables]
        self.settings.optimizer.build(weights, [v.path for v in variables])
        if self.settings.ema_decay is None:
            return []
        return [tf.Variable(w.numpy(), trainable=False) for w in weights]

    def _take_initial_weights(self):
        """Begins with another model's weights; a checkpoint comes after."""
        name = self.settings.initial_model
        if name is None or saving.checkpoint_steps(self.folder.checkpoints):
            return
        taken, left = initial_model.assign(self.settings.model, name)
        if self.is_writer:
            print(f"{taken} weights of {name}, {len(left)} new ones")

    def _restore(self):
        """Goes on from the newest checkpoint, if there should be one."""
        say = print if self.is_writer else (lambda line: None)
        known, num_steps = (
            self.folder.run.get("step", 0),
            self.settings.num_steps,
        )
        if not self.checkpoints.restore_latest(say) and known:
            raise CheckpointError(
                f"{self.folder.run_path} says that the run is at step {known}, "
                f"but there is no checkpoint in {self.folder.checkpoints}. Put "
                "copies of them back, or take another --workdir to begin anew"
            )
        if self.state.step > num_steps:
            raise workdir.WorkDirError(
                f"{self.folder.path} is at step {self.state.step} already, and "
                f"NUM_STEPS is {num_steps}; raise it"
            )

    def prepare_data(self):
        """Builds a generated dataset that is not there yet."""
        name = self.settings.dataset
        if isinstance(name, str) and self.is_writer:
            builder = builders.prepare(name, data_dir=self.data_dir)
            if not self.settings.allow_few_slots:
                _check_slots(builder, self.settings.model)
        strategy_lib.wait_for_all(self.strategy)

    def open_data(self):
        """The stream of batches from the current clip on."""
        settings = self.settings
        arguments = {
            "batch_size": settings.batch_size,
            "num_frames": settings.frames_at(self.state.step),
            "seed": settings_lib.derive_seed(self.seed, "data"),
            "start": self.state.clips,
        }
        if isinstance(settings.dataset, str):
            dataset = pipeline.make_dataset(
                settings.dataset,
                settings.split,
                data_dir=self.data_dir,
                labels=(),
                **arguments,
            )
        else:
            dataset = settings.dataset(**arguments)
        _check_frames(dataset, settings.model)
        self.iterator = iter(strategy_lib.distribute(self.strategy, dataset))
        self.stage_end = settings.stage_end(self.state.step)

    def go_on_from_best(self):
        """Restores the weights of the best evaluation after an early stop."""
        strategy_lib.wait_for_all(self.strategy)  # until they are written
        path = saving.checkpoint_path(
            self.folder.checkpoints, best_step(self.state)
        )
        arrays, _ = saving.read_checkpoint(path)
        self.state.go_on_from(arrays)


def _train(session, should_stop, may_exit):
    """Runs the steps that are left; returns how the run stands then."""
    settings, state, folder = session.settings, session.state, session.folder
    stop = signals.StopOnSignal()
    watch = Watch(session, stop, may_exit)
    with stop:
        watch.start()
        # Hosts wait for one another in every step, so all stop at the same.
        is_over = session.hosts.any(stop.requested)
        while not (is_over or watch.is_done()):
            if watch.is_given_up():
                watch.give_up()
                return GIVEN_UP
            if watch.is_stage_over():
                watch.begin_stage()
            if state.step >= session.stage_end:
                session.open_data()
                watch.progress.restart_clock(is_timed=False)
            watch.take_steps()
            if watch.is_due(settings.log_every):
                watch.log()
            watch.look_at_held_out()
            if watch.is_checkpoint_due():
                watch.save()
            wants = stop.requested or should_stop(state.step)
            is_over = session.hosts.any(wants)
    watch.finish()
    done = watch.is_done()
    folder.update(state="finished" if done else "interrupted")
    watch.progress.say(
        f"finished: {folder.path}"
        if done
        else f"stopped at step {state.step}; the same command goes on from "
        f"{session.checkpoints.last_path()}"
    )
    return folder.run["state"]


def _seed_of(seed, restarts):
    """The seed of a run that began anew so many times."""
    if not restarts:
        return seed
    return settings_lib.derive_seed(seed, f"restart {restarts}")


def _check_frames(dataset, model):
    """Refuses frames of another size than the model's, before any tracing."""
    found = tuple(dataset.element_spec["video"].shape[2:])
    expected = (*model.image_size, model.channels)
    if found != expected:
        raise ValueError(
            f"the dataset has frames [H, W, C] = {list(found)}, the model "
            f"reads {list(expected)}; set IMAGE_SIZE to the dataset's size, or "
            "let data.make_dataset.resize and .channels change the frames"
        )


def _check_slots(builder, model):
    """Refuses a model with fewer slots than a picture may have objects."""
    num_slots = getattr(model, "num_slots", None)
    filtered = configs.parameter("data.make_dataset.filter_objects")
    most = builder.info.metadata["max_objects"]
    if filtered and filtered[1] is not None:
        most = min(most, filtered[1])
    least = most
    if getattr(model, "background_slot", None) is not None:
        least += 1  # the other slots cannot do for it
    if num_slots is not None and 1 < num_slots < least:
        raise ValueError(
            f"num_slots is {num_slots}, but pictures of {builder.name}/"
            f"{builder.builder_config.name} have up to {most} objects; set "
            f"NUM_SLOTS = {most + 1} (one for the background), leave pictures "
            "out with data.make_dataset.filter_objects, or set "
            "training.run.allow_few_slots = True"
        )
