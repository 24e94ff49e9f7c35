"""Games that are played here: the same each time, and whole or not at all."""

import dataclasses
import json
import os
import re
import resource
import sys
import time

import numpy as np
import pytest

from tfdecomp import builders, prepare
from tfdecomp.data import errors, pipeline
from tfdecomp.data.formats import atari_play
from tfdecomp.simulation import streams

CONFIGS = builders.builder_cls("atari").builder_configs
CONFIG = CONFIGS["space_invaders_crops"]
FEW = {"num_windows": 1, "density": 0.2}
FIRST = "SpaceInvaders/episode_00000.npz"


@pytest.fixture
def short(monkeypatch):
    """Episodes of twenty frames, played for real."""
    pytest.importorskip("ale_py", reason="needs tfdecomp[atari]")
    monkeypatch.setattr(atari_play, "MOST_FRAMES", 20)


@pytest.fixture
def run(tmp_path, capsys):
    """Runs the command; returns `(exit code, output, errors)`."""

    def call(*arguments):
        where = f"--data_dir={tmp_path / 'data'}"
        code = prepare.main(["prepare", *arguments, where])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def _record(folder, config=CONFIG, episodes=3):
    return atari_play.record(folder, "atari", config, episodes)


def _content(folder):
    """Name to bytes of all files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _load(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file}


# ---- what is played ----------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(CONFIG, id="up to the most frames"),
        pytest.param(
            dataclasses.replace(
                CONFIGS["carnival_full"],
                name="today",
                source_height=214,
                last_row=213,
                seed=3,
            ),
            id="up to the end of the game",
        ),
    ],
)
def test_stored_actions_give_the_stored_frames_and_rewards(
    config, tmp_path, monkeypatch
):
    ale_py = pytest.importorskip("ale_py", reason="needs tfdecomp[atari]")
    ends = config.game == "Carnival"
    if not ends:
        monkeypatch.setattr(atari_play, "MOST_FRAMES", 500)
    folder = tmp_path / config.game
    folder.mkdir()
    for number in (0, 1):  # are there, so that the third one alone is played
        np.savez(
            folder / f"episode_0000{number}.npz",
            frames=np.zeros((8, config.source_height, 160, 3), np.uint8),
            actions=np.zeros(8, np.int32),
            rewards=np.zeros(8, np.float32),
        )
    assert _record(tmp_path, config) == 1
    stored = _load(folder / "episode_00002.npz")
    assert {n: a.dtype for n, a in stored.items()} == {
        "frames": np.uint8,
        "actions": np.int32,
        "rewards": np.float32,
    }
    rng = streams.example_rng(config.seed, "atari", f"{config.game} play", 0, 2)
    game = ale_py.ALEInterface()
    game.setInt("random_seed", int(rng.integers(2**31)))
    game.setFloat("repeat_action_probability", 0.0)
    rom = {"SpaceInvaders": "space_invaders", "Carnival": "carnival"}
    game.loadROM(ale_py.roms.get_rom_path(rom[config.game]))
    known = game.getMinimalActionSet()
    for frame, action, reward in zip(
        stored["frames"], stored["actions"], stored["rewards"]
    ):
        assert not game.game_over()
        np.testing.assert_array_equal(game.getScreenRGB(), frame)
        assert game.act(known[action]) == reward
    assert stored["rewards"].any()
    assert len(stored["frames"]) < 5000 and game.game_over() == ends
    share = np.bincount(stored["actions"], minlength=len(known)) / len(
        stored["actions"]
    )
    np.testing.assert_allclose(share, 1 / len(known), atol=0.08)


def test_an_episode_is_the_same_whichever_are_played_before(short, tmp_path):
    assert _record(tmp_path / "a", episodes=5) == 5
    assert _record(tmp_path / "b") == 3
    (tmp_path / "b" / FIRST).unlink()
    assert _record(tmp_path / "b", episodes=5) == 3
    assert _content(tmp_path / "a") == _content(tmp_path / "b")
    episodes = [_load(path) for path in (tmp_path / "a").rglob("*.npz")]
    assert len({e["actions"].tobytes() for e in episodes}) == 5
    other = dataclasses.replace(CONFIG, seed=1)
    _record(tmp_path / "c", other)
    first = [_load(tmp_path / name / FIRST)["actions"] for name in "ac"]
    assert (first[0] != first[1]).any()


def test_what_is_there_is_kept_and_needs_no_emulator(
    short, tmp_path, monkeypatch
):
    _record(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    monkeypatch.setitem(sys.modules, "ale_py", None)
    assert _record(tmp_path) == 0
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}


def test_as_many_are_played_as_were_published():
    assert {
        name.removesuffix("_crops"): atari_play.EPISODES[config.game]
        for name, config in CONFIGS.items()
        if name.endswith("_crops")
    } == {
        "space_invaders": 37,
        "asteroids": 80,
        "carnival": 50,
        "wizard_of_wor": 24,
    }


# ---- whole or not at all ----------------------------------------------------


def test_an_interrupted_recording_leaves_no_half_file_and_goes_on(
    short, tmp_path, run, monkeypatch
):
    save, written = np.savez_compressed, []

    def interrupted(file, **arrays):
        if written:
            file.write(b"half")
            raise KeyboardInterrupt
        written.append(file)
        save(file, **arrays)

    manual = tmp_path / "manual"
    name = "atari/space_invaders_crops"
    options = ["--record", "--episodes=3", f"--manual_dir={manual}"]
    monkeypatch.setattr(np, "savez_compressed", interrupted)
    code, _, err = run(name, *options)
    assert code == 130 and "nothing was left half-written" in err
    assert list(_content(manual)) == [FIRST]
    monkeypatch.setattr(np, "savez_compressed", save)
    assert _record(manual) == 2
    _record(tmp_path / "fresh")
    assert _content(manual) == _content(tmp_path / "fresh")


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(short, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(errors.DatasetInputError) as caught:
            _record(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be written (File too large)" in str(caught.value)
    assert "make room or pass another --manual_dir" in str(caught.value)
    assert not _content(tmp_path)


def test_what_a_killed_process_left_behind_goes(short, tmp_path):
    folder = tmp_path / "SpaceInvaders"
    folder.mkdir()
    old, new = (folder / f".episode_00000.npz.{n}.partial" for n in (1, 2))
    for path, age in ((old, 7200), (new, 0)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    _record(tmp_path)
    assert not old.exists()
    assert new.exists()  # another process may be writing it


def test_a_damaged_file_is_named_before_anything_is_played(short, tmp_path):
    (tmp_path / FIRST).parent.mkdir()
    (tmp_path / FIRST).write_bytes(b"PK")
    with pytest.raises(errors.TruncatedError, match=re.escape(FIRST)):
        _record(tmp_path)
    assert list(_content(tmp_path)) == [FIRST]


# ---- through the command ----------------------------------------------------


def test_the_command_plays_builds_and_plays_nothing_again(short, run, tmp_path):
    config = {"name": "few", "base": "space_invaders_crops", **FEW}
    words = ["atari", f"--config={json.dumps(config)}", "--record"]
    code, out, err = run(*words, "--episodes=3")
    assert code == 0, err
    # A fifth of 13 first frames, in the one episode of each.
    assert "train 3, validation 3" in out
    manual = tmp_path / "data" / "downloads" / "manual"
    assert f"recorded 3 episodes in {manual}" in err
    assert len(_content(manual)) == 3
    episodes = [_load(path) for path in sorted(manual.rglob("*.npz"))]
    labels = "actions", "rewards", "frame_index", "index", "crop_offset"
    batches = pipeline.make_dataset(
        "atari/few",
        "train",
        data_dir=tmp_path / "data",
        batch_size=3,
        labels=labels,
        repeat=False,
    )
    count = 0
    for batch in batches.as_numpy_iterator():
        for n, (top, left) in enumerate(batch["crop_offset"].astype(int)):
            episode = episodes[batch["index"][n]]
            shown = {k: a[batch["frame_index"][n]] for k, a in episode.items()}
            window = shown["frames"][:, top : top + 72, left : left + 72]
            np.testing.assert_array_equal(batch["video"][n], window)
            for key in ("actions", "rewards"):
                np.testing.assert_array_equal(batch[key][n], shown[key])
            count += 1
    assert count == 3
    code, out, err = run(*words, "--episodes=5")
    assert code == 0 and "train 3" in out
    assert "there already, so nothing was recorded; --overwrite" in err
    code, _, err = run(*words, "--episodes=3", "--overwrite")
    assert code == 0 and "recorded 0 episodes" in err


@pytest.mark.parametrize("name", ["carnival_crops", "wizard_of_wor_crops"])
def test_another_screen_is_refused_with_a_command_that_works(
    name, short, run, tmp_path
):
    code, _, err = run(f"atari/{name}", "--record")
    assert code == 2 and len(err.splitlines()) == 1
    height = 214 if name == "carnival_crops" else 210
    assert f"in {height}x160 pixels, the set is of recordings in 250x160" in err
    assert not list(tmp_path.iterdir())
    (own,) = re.findall(r"atari --record --config='(.*)'", err)
    config = json.dumps({**json.loads(own), **FEW})
    code, out, err = run(
        "atari", "--record", f"--config={config}", "--episodes=3"
    )
    assert code == 0, err
    assert "_today/2.0.0: train 3, validation 3" in out


def test_a_screen_unlike_ones_own_config_names_the_fields(short, run, tmp_path):
    own = {"name": "own", "base": "asteroids_crops", "game": "Carnival"}
    code, _, err = run("atari", "--record", f"--config={json.dumps(own)}")
    assert code == 2 and "214x160 pixels, the set is of" in err
    fields = '"source_height": 214, "first_row": 0, "last_row": 213'
    assert f"put {fields} into your --config" in err
    assert not list(tmp_path.iterdir())


OTHER = '{"name": "x", "base": "asteroids_crops", "game": "Spase Invaders"}'
BAD = {
    "a set that cannot be recorded": (
        ["bouncing_balls/color4_tiny", "--record"],
        ["bouncing_balls/color4_tiny cannot be recorded, atari can"],
    ),
    "one of two sets that cannot be": (
        ["atari/asteroids_crops", "street/quick", "--record"],
        ["street/quick cannot be recorded"],
    ),
    "a number without recording": (
        ["atari/asteroids_crops", "--episodes=5"],
        ["--episodes says how many to record; add --record"],
    ),
    "a check that records": (
        ["atari/asteroids_crops", "--record", "--check"],
        ["--check reads what is there"],
    ),
    "too few": (
        ["atari/asteroids_crops", "--record", "--episodes=2"],
        ["--episodes is 2, too few to hold out 1 each", "3 are enough"],
    ),
    "none": (
        ["atari/asteroids_crops", "--record", "--episodes=0"],
        ["--episodes is 0, too few"],
    ),
    "a game that is none": (
        ["atari", "--record", f"--config={OTHER}"],
        ["ale-py has no game 'Spase Invaders'", "may be SpaceInvaders"],
    ),
    "a folder that is a file": (
        ["atari/asteroids_crops", "--record", "--manual_dir=/dev/null"],
        ["/dev/null/Asteroids/episode_00000.npz could not be written (Not a"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_one_sentence_and_writes_nothing(
    case, short, run, tmp_path
):
    arguments, words = BAD[case]
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("error: ") and len(err.splitlines()) == 1
    for word in words:
        assert word in err
    assert not list(tmp_path.iterdir())


def test_without_ale_py_the_message_says_what_to_install(
    run, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    code, _, err = run("atari/space_invaders_crops", "--record")
    assert code == 2 and len(err.splitlines()) == 1
    assert "pip install 'tfdecomp[atari]'" in err
    assert not list(tmp_path.iterdir())


def test_missing_recordings_name_the_flag(run):
    code, _, err = run("atari/space_invaders_crops")
    assert code == 2 and "prepare the set with --record" in err
