"""Recordings of Atari games, played here by an agent that draws its actions.

SILOT was trained on "recorded RGB rollouts of the NoFrameskip-v4 versions" of
four games: every frame is seen, and no action is repeated against the player's
will. Whoever has no such recordings makes some of the same kind with ale-py.
"""

import difflib
import json
import os
import pathlib
import time

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.formats import atari_episodes
from tfdecomp.simulation import streams

# As many as were published, and of any other game.
EPISODES = dict(SpaceInvaders=37, Asteroids=80, Carnival=50, WizardOfWor=24)
OTHER_EPISODES = 20
MOST_FRAMES = 5000  # of an episode; a minute and 23 seconds of play

_STALE = 600  # seconds without a change after which leftovers may go


def record(
    folder, dataset, config, episodes=None, *, on_progress=None, base=None
):
    """Plays the episodes of a game that are not there yet.

    On each frame one of the game's actions is drawn, all alike. An episode
    ends with the game, or after `MOST_FRAMES`. It is a function of (seed,
    game, number), whatever was played before.

    Each is a file `GAME/episode_00000.npz` of `frames [N, H, W, 3]` uint8,
    what is seen before acting; `actions [N]` int32, places in the list of the
    actions that the game knows; and `rewards [N]` float32, points of the game.

    Args:
        folder: The manual folder.
        dataset: Name of the dataset, for messages.
        config: Fields of the config.
        episodes: How many there shall be; None: as many as were published, or
            `OTHER_EPISODES`.
        on_progress: Called with `(done, total)` after each episode.
        base: Published config that this is, for messages; None: it is one of
            the user's own.

    Returns:
        Number of episodes played.

    Raises:
        DatasetInputError: If ale-py is missing, has no such game or shows it in
            another size; if the episodes are too few; if a file is damaged or
            cannot be written. Those that are whole stay, and no others.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.atari_play import record
        >>> config = builders.make("atari/space_invaders_crops").builder_config
        >>> folder = builders.folder() / "atari" / "dummy_data"
        >>> record(folder, "atari", config, episodes=3)  # all are there
        0
    """
    if episodes is None:
        episodes = EPISODES.get(config.game, OTHER_EPISODES)
    held_out = atari_episodes.num_held_out(config, episodes)
    if episodes < 2 * held_out + 1:
        raise errors.DatasetInputError(
            f"--episodes is {episodes}, too few to hold out {held_out} each "
            "for validation and test",
            dataset=dataset,
            hint=f"{2 * held_out + 1} are enough",
        )
    folder = pathlib.Path(folder) / config.game
    paths = [folder / f"episode_{n:05d}.npz" for n in range(episodes)]
    missing = [n for n, path in enumerate(paths) if not path.exists()]
    for path in filter(pathlib.Path.exists, paths):
        atari_episodes.check(path, dataset, config)
    if not missing:
        return 0
    rom = _rom(config.game, dataset)
    _check_screen(rom, dataset, config, base)
    for number in missing:
        try:
            _write(paths[number], *_play(rom, config, number))
        except OSError as error:
            raise errors.DatasetInputError(
                f"{paths[number]} could not be written ({error.strerror}); "
                "the episodes before it are whole",
                dataset=dataset,
                path=paths[number],
                hint="make room or pass another --manual_dir, and the same "
                "command goes on",
            ) from error
        if on_progress is not None:
            on_progress(number + 1, episodes)
    return len(missing)


def _rom(game, dataset):
    """Name of a game as ale-py has it, `space_invaders` of `SpaceInvaders`."""
    try:
        import ale_py
        from ale_py import roms
    except ImportError as error:
        raise errors.DatasetInputError(
            f"games are played by ale-py, which cannot be loaded ({error})",
            dataset=dataset,
            hint="pip install 'tfdecomp[atari]'",
        ) from error
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    known = {name.replace("_", ""): name for name in roms.get_all_rom_ids()}
    wanted = game.replace("_", "").lower()
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, 3) or sorted(known)
        names = [known[name].title().replace("_", "") for name in near]
        raise errors.DatasetInputError(
            f"ale-py has no game {game!r}",
            dataset=dataset,
            hint=f"'game' of the config may be {', '.join(names)}",
        )
    return known[wanted]


def _emulator(rom, seed):
    """A game at its first frame."""
    from ale_py import ALEInterface, roms

    emulator = ALEInterface()
    emulator.setInt("random_seed", seed)
    emulator.setFloat("repeat_action_probability", 0.0)
    emulator.loadROM(roms.get_rom_path(rom))
    return emulator


def _check_screen(rom, dataset, config, base):
    """Refuses a game that the emulator shows in another size."""
    found = height, width = tuple(_emulator(rom, 0).getScreenDims())
    expected = config.source_height, config.source_width
    if found == expected:
        return
    fields = {"source_height": height, "first_row": 0, "last_row": height - 1}
    if width != config.source_width:
        fields["source_width"] = width
    if base is None:
        hint = f"put {json.dumps(fields)[1:-1]} into your --config"
    else:
        name = base.removesuffix("_crops") + "_today"
        own = json.dumps({"name": name, "base": base, **fields})
        hint = (
            "record it as a set of its own, with python -m tfdecomp.prepare "
            f"atari --record --config='{own}'"
        )
    raise errors.ResolutionError(
        f"ale-py shows {config.game} in {height}x{width} pixels, the set is of "
        f"recordings in {expected[0]}x{expected[1]}",
        dataset=dataset,
        hint=hint,
    )


def _play(rom, config, number):
    """`(frames, actions, rewards)` of an episode, see `record`."""
    rng = streams.example_rng(
        config.seed, atari_episodes.DATASET, f"{config.game} play", 0, number
    )
    emulator = _emulator(rom, int(rng.integers(2**31)))
    known = [action.value for action in emulator.getMinimalActionSet()]
    # Pages of it that no frame is written to take no memory.
    size = emulator.getScreenDims()
    frames = np.empty((MOST_FRAMES, *size, 3), np.uint8)
    actions, rewards = [], []
    while len(actions) < MOST_FRAMES and not emulator.game_over():
        emulator.getScreenRGB(frames[len(actions)])
        actions.append(rng.integers(len(known)))
        rewards.append(emulator.act(known[actions[-1]]))
    actions, rewards = np.int32(actions), np.float32(rewards)
    return frames[: len(actions)], actions, rewards


def _write(path, frames, actions, rewards):
    """Writes a file that gets its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(".episode_*.partial"):
        if time.time() - left.stat().st_mtime > _STALE:  # of a killed process
            left.unlink(missing_ok=True)
    # Two configs of a game may be prepared at once.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            np.savez_compressed(
                file, frames=frames, actions=actions, rewards=rewards
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
