"""Protocols refuse nonsense and expand into conditions."""

import json
import pathlib

import pytest

from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.storage import configs

BALLS = "tfdecomp_bouncing_balls"
FILES = sorted((configs.root() / "evaluation").glob("*.gin"))


def test_a_protocol_without_conditions_is_its_own_condition():
    (condition,) = Protocol(num_frames=7).expand("bouncing_balls/color4")
    assert condition.num_frames == 7
    assert condition.dataset == f"{BALLS}/color4"


def test_conditions_replace_arguments():
    protocol = Protocol(
        num_slots=5,
        conditions=[{"num_frames": 3}, {"dataset": "b", "num_slots": 9}],
    )
    first, second = protocol.expand("a")
    assert (first.dataset, first.num_frames, first.num_slots) == (
        "tfdecomp_a",
        3,
        5,
    )
    assert (second.dataset, second.num_slots) == ("tfdecomp_b", 9)


def test_conditions_apply_to_the_training_sets_they_name():
    protocol = Protocol(
        conditions=[
            {"trained_on": f"{BALLS}/binary*", "num_frames": 1},
            {"trained_on": (f"{BALLS}/color*", "*/x"), "num_frames": 2},
        ]
    )
    frames = [p.num_frames for p in protocol.expand("bouncing_balls/color4")]
    assert frames == [2]
    with pytest.raises(ValueError, match="no condition for a model trained on"):
        protocol.expand("clevrer/windows")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_frames": 0}, "num_frames must be at least 1, got 0"),
        ({"num_slots": 1}, "num_slots must be at least 2"),
        ({"num_refinements": 1}, "num_refinements must be at least 2"),
        ({"num_clips": 0}, "num_clips must be at least 1"),
        ({"num_predicted": 3}, "set num_frames"),
        ({"velocity": True}, "set num_predicted"),
        ({"skip_frames": 4, "num_frames": 4}, "leaves none of 4"),
        ({"centres": "mass"}, "centres must be"),
        ({"places": "boxes"}, "places must be 'locations' or 'masks', got 'b"),
        ({"apart_distance": 0.0}, "apart_distance must be above 0, got 0.0"),
        ({"bound_samples": -1}, "bound_samples must be at least 0"),
        ({"mi_samples": -1}, "mi_samples must be at least 0"),
        ({"mi_neighbours": 0}, "mi_neighbours must be at least 1"),
        ({"mi_samples": 3}, "3 neighbours need more pairs.*mi_samples=3"),
        (
            {"bound_samples": 2, "num_frames": 4, "num_predicted": 1},
            "leave out num_predicted",
        ),
        ({"conditions": [{"frames": 3}]}, "cannot set frames"),
        ({"tracking": "points"}, "tracking must be one of None, 'auto', 'b"),
        ({"true_boxes": "masks"}, "true_boxes must be one of 'auto', 'boxes'"),
        ({"iou_threshold": 0.0}, "iou_threshold must be above 0 and at most 1"),
        ({"iou_threshold": 50}, "iou_threshold must be above 0 and at most 1"),
        ({"overlap": "pixels"}, "overlap must be one of 'boxes', 'masks', got"),
        ({"min_pixels": -1}, "min_pixels must be at least 0"),
        ({"min_pixels": 5}, "are of masks; set overlap = 'masks'"),
        ({"background_overlap": 0.2}, "are of masks; set overlap = 'masks'"),
        (
            {"overlap": "masks", "background_overlap": 1.0},
            "background_overlap must be from 0 to below 1, got 1.0",
        ),
        (
            {"overlap": "masks", "tracking": "boxes"},
            "overlap of masks is that of tracking = 'masks'",
        ),
        (
            {"overlap": "masks", "true_boxes": "boxes"},
            "overlap of masks is that of tracking = 'masks'",
        ),
    ],
)
def test_nonsense_is_refused_when_the_protocol_is_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**arguments)


def test_no_dataset_at_all_is_refused():
    with pytest.raises(ValueError, match="names no dataset"):
        Protocol().expand(None)


def test_the_description_holds_every_field_and_is_json():
    description = Protocol(conditions=[{"num_frames": 3}]).describe()
    again = json.loads(json.dumps(description))
    assert again == description
    for name in ("split", "num_frames", "skip_frames", "num_slots", "rules"):
        assert name in description
    assert description["rules"]["ignore_id"] == 255


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_named_protocol_builds_and_carries_its_name(path):
    import gin

    with configs.parsed([path]):
        protocol = gin.get_configurable("evaluation.Protocol")()
    assert protocol.name == path.stem
    for trained_on in ("binary4", "color4"):
        assert protocol.expand(f"{BALLS}/{trained_on}")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_named_protocol_states_its_command(path):
    header = pathlib.Path(path).read_text().split("\n\n")[0]
    assert header.startswith("# ")
    assert "python -m tfdecomp.evaluate" in header
    assert path.stem == "default" or f"--protocol={path.stem}" in header


@pytest.mark.parametrize(
    "trained_on, expected",
    [
        ("bouncing_balls/color4", [("bouncing_balls/color4", None)]),
        ("shapes/h5", [("shapes/h5", None)]),
        ("scattered_digits/mnist_6", [("scattered_digits/mnist_6", None)]),
        ("scattered_shapes/full20", [("scattered_shapes/full20", None)]),
        ("scattered_shapes/crop30", [("scattered_shapes/full10", 37)]),
        ("sprite_game/crops", [("sprite_game/full", 129)]),
        ("atari/carnival_crops", [("atari/carnival_full", 129)]),
        ("atari/carnival_full", [("atari/carnival_full", None)]),
        ("sprite_game/full", [("sprite_game/full", None)]),
        ("street/street64", [("street/street64", None)]),
        (
            "scattered_shapes/quick",
            [
                ("scattered_shapes/quick_more", 17),
                ("scattered_shapes/quick", None),
            ],
        ),
    ],
)
@pytest.mark.parametrize("name", ["silot", "silot_prior"])
def test_tracks_are_scored_on_all_numbers_of_objects(
    name, trained_on, expected
):
    import gin

    with configs.parsed([f"evaluation/{name}.gin"]):
        protocol = gin.get_configurable("evaluation.Protocol")()
    conditions = protocol.expand(trained_on)
    assert [(c.dataset, c.num_slots) for c in conditions] == [
        (f"tfdecomp_{dataset}", slots) for dataset, slots in expected
    ]
    assert {(c.split, c.tracking) for c in conditions} == {("test*", "auto")}
    seen = (3, 5) if name == "silot_prior" else (None, 0)
    assert {(c.num_frames, c.num_predicted) for c in conditions} == {seen}


@pytest.mark.parametrize(
    "trained_on, expected",
    [
        ("ocrb/vmds", "ocrb/vmds_labelled"),
        ("ocrb/spmot", "ocrb/spmot_labelled"),
        ("ocrb/vor", "ocrb/vor_labelled"),
        ("ocrb/vor_labelled", "ocrb/vor_labelled"),
        ("scattered_shapes/quick", "scattered_shapes/quick"),
    ],
)
def test_the_benchmark_s_protocol_scores_sets_with_labels(trained_on, expected):
    import gin

    with configs.parsed(["evaluation/ocrb.gin"]):
        protocol = gin.get_configurable("evaluation.Protocol")()
    (condition,) = protocol.expand(trained_on)
    assert condition.dataset == f"tfdecomp_{expected}"
    assert (condition.skip_frames, condition.num_frames) == (2, 10)
    assert (condition.overlap, condition.min_pixels) == ("masks", 5)


@pytest.mark.parametrize(
    "trained_on, expected, slots",
    [
        ("atari/carnival_crops", "atari/carnival_full", 129),
        ("atari/space_invaders_crops", "atari/space_invaders_full", 129),
        ("atari/asteroids_full", "atari/asteroids_full", None),
        ("sprite_game/crops", "sprite_game/full", 129),
        ("scattered_shapes/quick", "scattered_shapes/quick", None),
    ],
)
def test_models_of_windows_are_tested_on_whole_frames(
    trained_on, expected, slots
):
    import gin

    with configs.parsed(["evaluation/atari.gin"]):
        protocol = gin.get_configurable("evaluation.Protocol")()
    (condition,) = protocol.expand(trained_on)
    assert condition.dataset == f"tfdecomp_{expected}"
    assert condition.num_slots == slots


def test_table_protocols_ask_what_the_paper_asks():
    import gin

    def named(name):
        with configs.parsed([f"evaluation/{name}.gin"]):
            return gin.get_configurable("evaluation.Protocol")()

    table1 = named("table1").expand(f"{BALLS}/color4")
    assert [p.num_frames for p in table1] == [10, 20, 30, 40]
    table2 = named("table2").expand(f"{BALLS}/color4")
    assert [p.dataset for p in table2] == [
        f"{BALLS}/color678_pal4",
        f"{BALLS}/color678_pal8",
    ]
    assert {p.num_slots for p in table2} == {9}
    for trained_on, slices in (
        ("clevrer/train", "clevrer/slices"),
        ("raycast/clevrer_like", "raycast/clevrer_like_slices"),
    ):
        table1 = named("table1").expand(trained_on)
        assert [p.num_frames for p in table1] == [10, 20, 30, 40]
        assert {p.dataset for p in table1} == {f"tfdecomp_{slices}345"}
        (table2,) = named("table2").expand(trained_on)
        assert (table2.dataset, table2.num_slots) == (f"tfdecomp_{slices}6", 7)
    for trained_on in ("raycast/room_sequence", "raycast/clevr_like"):
        table1 = named("table1").expand(trained_on)
        assert {p.dataset for p in table1} == {f"tfdecomp_{trained_on}"}
    prediction = named("prediction").expand(f"{BALLS}/color4")
    assert [(p.num_frames, p.num_predicted) for p in prediction] == [
        (20, n) for n in (3, 5, 7, 10)
    ]
    (velocity,) = named("velocity").expand(f"{BALLS}/color4")
    assert (velocity.num_frames, velocity.num_predicted) == (10, 5)
    assert velocity.velocity
    for name, frames in (("ddpae", 10), ("ddpae_quick", 5)):
        (ddpae,) = named(name).expand("moving_digits/mnist_gray")
        assert (ddpae.num_frames, ddpae.num_predicted) == (frames, 10)
        assert (ddpae.places, ddpae.velocity_shift) == ("locations", 2)
    (dvip,) = named("dvip").expand("moving_digits/mnist")
    assert (dvip.split, dvip.num_frames) == ("test", None)
    assert (dvip.mi_samples, dvip.mi_neighbours) == (1000, 3)
    lavae = named("lavae").expand("multi_dsprites/lavae")
    assert [(p.split, p.bound_samples) for p in lavae] == [
        ("test", 100),
        ("test7", 0),
    ]


@pytest.mark.parametrize(
    "conditions, expected",
    [
        ([], ("test", None)),
        ([{"num_frames": 3}, {"num_frames": 5}], ("test", 5)),
        ([{"num_frames": 3}, {"split": "crowd"}], ("test", 3)),
        ([{"split": "crowd"}, {"split": "empty"}], ("empty", None)),
    ],
)
def test_the_last_condition_of_the_own_split_is_the_headline(
    conditions, expected
):
    protocol = Protocol(conditions=conditions)
    chosen = protocol.headline(protocol.expand("a_set"))
    assert (chosen.split, chosen.num_frames) == expected
