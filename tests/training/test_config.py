"""Settings of training: strict reading, changes by path, and the recipes beside their tables."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.labels.maps import load_class_table
from eventseg.networks.inputs import Scaling
from eventseg.training.config.config import (
    TrainConfig,
    load_config,
    parse_override,
    read_table,
    recipe_names,
    to_toml,
    with_absolute_paths,
    with_learning_rate,
)
from eventseg.training.config.optimisation import LossSpec, OptimiserSpec, ScheduleSpec
from eventseg.training.config.recipes import Recipe, load_recipe
from eventseg.training.config.settings import InputSettings, NetworkSettings, SizeSettings
from eventseg.training.optimisers import parameter_groups
from eventseg.training.run_folder import check_run_folder
from eventseg.training.schedules import learning_rate

RECIPES = {
    "evsegnet-paper", "evsegnet-code", "deeplabv3-cityscapes", "deeplabv3plus-exp1",
    "deeplabv3plus-exp2", "deeplabv3plus-reference", "unet-cityscapes", "denseaspp-cityscapes",
    "pspnet-cityscapes", "fastscnn-paper", "fastscnn-report", "enet-camvid", "segnet-camvid",
    "cgnet-camvid", "deeplabv3-camvid", "enet-cityscapes", "cgnet-cityscapes",
    "delft-a", "delft-b", "delft-c", "delft-d",
}  # fmt: skip

CONFIGS = st.builds(
    TrainConfig,
    network=st.builds(
        NetworkSettings,
        name=st.sampled_from(["evsegnet", "smp:Unet/resnet34"]),
        options=st.sampled_from([{}, {"auxiliary": "copy", "width": 0.5, "bins": [1, 2]}]),
    ),
    input=st.builds(
        InputSettings,
        kind=st.just("both"),
        fusion=st.sampled_from(["early", "late"]),
        windows=st.sampled_from([("50ms",), ("10ms", "0.25s")]),
        encode=st.sampled_from(["auto", "workers"]),
        scaling=st.just(Scaling(255.0, (1.0, 2.0, 3.0), (1.0, 1.0, 4.5), "bgr")),
    ),
    size=st.builds(SizeSettings, crop=st.sampled_from([None, SensorSize(200, 346)])),
    loss=st.builds(
        LossSpec, terms=st.sampled_from([(("dice", 0.5),), (("ohem", 1.0), ("dice", 2.0))])
    ),
    optimiser=st.builds(
        OptimiserSpec,
        learning_rate=st.floats(1e-12, 1.0),
        multipliers=st.sampled_from([(), (("ppm.", 10.0), ("cls.0.", 3.0))]),
    ),
    schedule=st.builds(ScheduleSpec, end=st.floats(0, 1e-3), warmup=st.integers(0, 100)),
    batch_size=st.integers(1, 64),
    protocol=st.sampled_from(["clean", "paper"]),
    compile=st.booleans(),
    bad_samples=st.sampled_from(["raise", "skip"]),
    shuffle_block=st.integers(0, 100),
)


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return written


@given(CONFIGS)
def test_settings_survive_a_file(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(to_toml(config))
    assert load_config(path) == config


def test_a_file_changes_what_it_names(write):
    config = load_config(write('epochs = 3\n[optimiser]\nkind = "adamw"\n'))
    assert config.epochs == 3
    assert config.optimiser == OptimiserSpec(kind="adamw", learning_rate=9e-3)
    assert config.augmentation == TrainConfig().augmentation


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", r"unknown setting 'epoch' \(did you mean epochs\?.*docs/settings.md"),
        ("[optimiser]\nlr = 0.1", r"'lr' in \[optimiser\] \(did you mean learning_rate\?\)"),
        ("[loss.term]\ndice = 1", r"'term' in \[loss\] \(did you mean terms.*; known are terms, "),
        ("[loss.terms]\ndicee = 1", "dicee"),
        ("epochs = 3.5", "epochs must be a whole number, got 3.5"),
        ("epochs = true", "epochs must be a whole number, got True"),
        ('seed = "0"', "seed must be a whole number"),
        ("compile = 1", "compile must be true or false, got 1"),
        ("[optimiser]\nlearning_rate = true", "optimiser.learning_rate must be a number"),
        ('amp = "int8"', "amp 'int8' is none of 'auto', 'off', 'bf16', 'fp16'"),
        ("network = 3", "network must be a table"),
        ('[input]\nwindows = "50ms"', "input.windows must be a list"),
        ("[input]\nwindows = [50]", r"input.windows\[0\] must be a string, got 50"),
        ('[input]\nwindows = ["50"]', "input: duration '50'"),
        ("[input]\nwindows = []", "at least one"),
        ('[input]\nfusion = "late"', "late fusion"),
        ("[input.scaling]\nmean = [0.5]\nstd = [0.0]", "deviations"),
        ('[size]\nresize = "352"', "WIDTHxHEIGHT"),
        ('[size]\nresize = "352x224"\nrescale = 0.5', "resize 352x224 with rescale 0.5"),
        ("[augmentation]\nscale = [1.0]", "augmentation.scale must hold 2 values, got 1"),
        ("[augmentation]\nflip = 2", "augmentation: flip must be from 0 to 1"),
        ("epochs = 3\niterations = 5", "3 epochs and 5 iterations"),
        ("epochs = 0", "0 epochs and 0 iterations"),
        ("fraction = 0", "fraction"),
        ("batch_size = 0", "batch_size"),
        ("ema_decay = 1", "ema_decay"),
        ("patience = -1", "patience"),
        ("epochs = ", "cannot read"),
    ],
)
def test_wrong_settings_are_named(write, text, words):
    with pytest.raises(TrainingError, match=words) as caught:
        load_config(write(text))
    assert "\n" not in str(caught.value).removesuffix("\n")


def test_a_file_that_is_not_there_and_a_recipe_that_is_none(tmp_path):
    with pytest.raises(TrainingError, match="cannot read"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(
        TrainingError, match=r"no recipe 'evsegnet'.*mean evsegnet-code.*--list-recipes"
    ):
        load_config("evsegnet")


def test_overrides_change_one_setting_and_leave_the_others():
    plain = load_config("deeplabv3plus-exp2")
    changed = load_config("deeplabv3plus-exp2", overrides={"optimiser.learning_rate": 0.01})
    assert changed.optimiser.learning_rate == 0.01
    assert changed.optimiser.momentum == 0.9
    assert changed.augmentation == plain.augmentation
    defaults = load_config(overrides={"augmentation.flip": 0.0})
    assert defaults.augmentation.scale == TrainConfig().augmentation.scale
    assert load_config() == with_learning_rate(TrainConfig())


def test_the_length_is_overridden_by_either_unit():
    by_iterations = load_config("deeplabv3plus-exp2", overrides={"epochs": 2})
    assert (by_iterations.epochs, by_iterations.iterations) == (2, 0)
    by_epochs = load_config("evsegnet-code", overrides={"iterations": 100})
    assert (by_epochs.epochs, by_epochs.iterations) == (0, 100)
    with pytest.raises(TrainingError, match="2 epochs and 3 iterations"):
        load_config(overrides={"epochs": 2, "iterations": 3})


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("optimizer.kind", r"'optimizer' \(did you mean optimiser\?\)"),
        ("lr", r"'lr' \(did you mean optimiser.learning_rate\?\)"),
        ("weight_decay", r"\(did you mean optimiser.weight_decay\?\)"),
        ("dice", "unknown setting 'dice'"),
        ("optimiser.lr", r"\(did you mean learning_rate\?\)"),
        ("optimiser.learning", "did you mean learning_rate"),
        ("seed.value", "seed is a value"),
        ("network.option", "did you mean options"),
    ],
)
def test_overrides_of_nothing_are_named(path, words):
    with pytest.raises(TrainingError, match=words):
        load_config(overrides={path: 1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimiser.learning_rate=1e-4", ("optimiser.learning_rate", 1e-4)),
        ("size.resize=352x224", ("size.resize", "352x224")),
        ('input.windows=["10ms", "50ms"]', ("input.windows", ["10ms", "50ms"])),
        ("loss.terms={dice = 1.0}", ("loss.terms", {"dice": 1.0})),
        ("compile=true", ("compile", True)),
        ("labels.set=a=b", ("labels.set", "a=b")),
    ],
)
def test_overrides_are_written_as_on_a_command_line(text, expected):
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["epochs", "=3", ""])
def test_overrides_without_a_path_or_a_value_are_refused(text):
    with pytest.raises(TrainingError, match="path=value"):
        parse_override(text)


@pytest.mark.parametrize(
    ("given", "there"),
    [
        ("my.toml", "{}/my.toml"),
        ("void+sub/my.toml", "void+{}/sub/my.toml"),
        ("my.toml+void", "{}/my.toml+void"),
        ("void+evsegnet6", "void+evsegnet6"),
        ("", ""),
    ],
)
def test_a_class_table_of_a_run_is_found_from_anywhere(given, there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = load_config(overrides={"labels.classes": given})
    kept = with_absolute_paths(asked)
    assert kept.labels.classes == there.format(tmp_path)
    # A run that keeps the path as it was given goes on where that path leads to the file.
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.toml").write_text(to_toml(asked))
    check_run_folder(tmp_path / "run", kept, resume=True)


def test_pictures_are_brought_to_a_size_or_by_a_factor():
    size = SensorSize(1024, 2048)
    assert SizeSettings().resized(size) == size
    assert SizeSettings(rescale=0.5).resized(size) == SensorSize(512, 1024)
    assert SizeSettings(resize=SensorSize(224, 352)).resized(size) == (224, 352)


def test_all_recipes_ship():
    assert set(recipe_names()) == RECIPES


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_builds_its_network_on_its_classes(name):
    from eventseg.networks.build import build_network

    config = load_config(name)
    classes = load_class_table(config.labels.classes)
    assert len(classes) == int("".join(filter(str.isdigit, config.labels.classes)))
    channels = {"events": 6, "rgb": 3}[config.input.kind]
    with torch.device("meta"):
        # ImageNet weights are not fetched here.
        network = build_network(
            config.network.name, in_channels=channels, classes=len(classes),
            frozen_batch_norm=config.network.frozen_batch_norm, **config.network.options,
        )  # fmt: skip
    if config.network.init == "imagenet":
        assert network.imagenet_trunk() is not None
    groups = parameter_groups(network, spec=config.optimiser)
    listed = sum(len(group["params"]) for group in groups)
    assert listed == len(list(network.parameters()))
    head = [group for group in groups if group["multiplier"] != 1]
    assert len(head) == len({factor for _, factor in config.optimiser.multipliers})


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_says_where_it_is_from_and_what_was_published(name):
    recipe = load_recipe(name)
    assert recipe.title
    assert len(recipe.source) > 10
    tags = ("recalled: ", "inferred: ", "contradicts: ", "differs: ")
    assert all(doubt.startswith(tags) for doubt in recipe.doubts)
    assert recipe.published
    for row in recipe.published:
        assert row.split in ("test", "val")
        assert row.scores or row.note
        assert all(0 < score <= 100 for score in (*row.scores.values(), *row.per_class.values()))
        load_config(name, overrides=dict(row.setting))


def test_a_file_of_settings_alone_is_no_recipe(write):
    path = write("epochs = 2")
    with pytest.raises(TrainingError, match=r"no table \[recipe\]"):
        load_recipe(str(path))


def settings_of(name):
    """Return what a table of hyperparameters has of a recipe."""
    config = load_config(name)
    kind, rate = config.optimiser.kind, config.optimiser.learning_rate
    length = config.epochs or config.iterations
    return kind, rate, config.optimiser.weight_decay, config.batch_size, length


# Optimiser, rate, weight decay, batch, epochs or iterations, as in the sources.
SETTINGS = {
    "evsegnet-code": ("adam", 1e-3, 0, 8, 500),
    "evsegnet-paper": ("adam", 1e-4, 0, 8, 30_000),
    "unet-cityscapes": ("rmsprop", 1e-5, 1e-8, 1, 50),
    "denseaspp-cityscapes": ("adam", 3e-4, 1e-5, 8, 80),
    "pspnet-cityscapes": ("sgd", 0.01, 1e-4, 16, 200),
    "deeplabv3plus-exp1": ("adam", 1e-3, 0, 4, 160),
    "deeplabv3plus-exp2": ("sgd", 0.007, 5e-4, 4, 120_000),
    "deeplabv3plus-reference": ("sgd", 0.007, 5e-4, 16, 90_000),
    "fastscnn-paper": ("sgd", 0.045, 4e-5, 12, 1000),
    "fastscnn-report": ("sgd", 0.045, 4e-5, 6, 100),
    "enet-camvid": ("adam", 8e-4, 2e-4, 5, 300),
    "enet-cityscapes": ("adam", 5e-4, 2e-4, 4, 300),
    "segnet-camvid": ("sgd", 0.1, 5e-4, 5, 300),
    "cgnet-camvid": ("adam", 1e-3, 5e-4, 5, 300),
    "cgnet-cityscapes": ("adam", 1e-3, 5e-4, 4, 300),
    "deeplabv3-camvid": ("adam", 8e-4, 2e-4, 4, 300),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_those_of_the_sources(name):
    assert settings_of(name) == SETTINGS[name]


# (network, batch, size, split) -> mIoU in percent, MB, minutes: the ENet study's tables.
ENET_STUDY = {
    ("segnet-camvid", 5, "480x360", "val"): (60.88, 5648, 371),
    ("enet-camvid", 5, "480x360", "val"): (67.51, 2725, 75),
    ("enet-camvid", 10, "480x360", "val"): (65.60, 4687, 64),
    ("cgnet-camvid", 5, "480x360", "val"): (74.02, 2171, 53),
    ("cgnet-camvid", 10, "480x360", "val"): (71.74, 3483, 70),
    ("enet-cityscapes", 10, "480x360", "val"): (50.82, 4977, 688),
    ("enet-cityscapes", 10, "512x256", "val"): (49.03, 3599, 550),
    ("enet-cityscapes", 4, "1024x512", "val"): (58.46, 5421, 1925),
    ("cgnet-cityscapes", 4, "1024x512", "val"): (59.90, 4835, 2496),
    ("enet-camvid", 4, "480x360", "test"): (52.3, 2800, 66),
    ("deeplabv3-camvid", 4, "480x360", "test"): (61.4, 4200, 228),
}


def test_the_enet_studys_rows_are_all_there():
    found = {}
    for name in {name for name, *_ in ENET_STUDY}:
        for row in load_recipe(name).published:
            if row.costs:
                config = load_config(name, overrides=dict(row.setting))
                key = (name, config.batch_size, str(config.size.resize), row.split)
                costs = (row.costs["gpu_memory_mb"], row.costs["training_minutes"])
                found[key] = (row.scores["miou"], *costs)
    assert found == ENET_STUDY


def best(name, score="miou"):
    return max(row.scores[score] for row in load_recipe(name).published if score in row.scores)


def test_published_scores_are_those_of_the_reports():
    for name in ("evsegnet-code", "evsegnet-paper"):
        rows = {row.setting["input.kind"]: row.scores for row in load_recipe(name).published}
        events, both = rows["events"], rows["both"]
        assert (events["accuracy"], events["miou"]) == (89.76, 54.81)
        assert (events["accuracy_10ms"], events["miou_10ms"]) == (86.46, 45.85)
        assert (events["accuracy_250ms"], events["miou_250ms"]) == (87.72, 47.56)
        assert rows["gray"] == {"accuracy": 94.67, "miou": 64.98}
        assert (both["accuracy"], both["miou"]) == (95.22, 68.36)
        assert (both["accuracy_10ms"], both["miou_10ms"]) == (95.18, 67.95)
        assert (both["accuracy_250ms"], both["miou_250ms"]) == (95.29, 68.26)
    assert best("deeplabv3plus-exp1") == 22.71
    assert best("deeplabv3plus-exp2") == 56.15
    assert best("deeplabv3plus-reference") == 76.6
    assert best("fastscnn-paper") == 68.0
    assert best("fastscnn-paper", "category_miou") == 84.7
    assert best("fastscnn-report", "accuracy") == 80.0
    assert best("unet-cityscapes", "jaccard_macro") == 38.0
    assert best("cgnet-camvid") == 74.02
    # Class average accuracies, which the ENet study prints in a column of mIoU.
    for name, accuracy, miou in (("enet-camvid", 68.3, 51.3), ("segnet-camvid", 62.9, 55.6)):
        (authors,) = (row for row in load_recipe(name).published if "mean_accuracy" in row.scores)
        assert authors.scores == {"mean_accuracy": accuracy, "miou": miou}
        assert max(row.scores["miou"] for row in load_recipe(name).published) < 68


def test_printed_class_scores_have_the_means_the_report_contradicts():
    for name, mean in (("denseaspp-cityscapes", 48.8), ("deeplabv3-cityscapes", 47.0)):
        (row,) = (row for row in load_recipe(name).published if row.per_class)
        assert set(row.per_class) == set(load_class_table("cityscapes19").names)
        assert sum(row.per_class.values()) / 19 == pytest.approx(mean, abs=0.06)


def test_evsegnet_code_pads_with_0_everywhere_and_weighs_its_copy():
    code = load_config("evsegnet-code")
    assert code.augmentation.event_border == "zero"
    assert code.loss == LossSpec(terms=(("cross_entropy", 1.0),), auxiliary_weight=0.8)
    assert code.network.options == {"auxiliary": "copy"}
    assert code.size.resize == SensorSize(height=224, width=352)
    assert code.input.scaling.top == 255
    assert code.protocol == "paper"
    assert code.augmentation.add == pytest.approx(10 / 255)


def test_the_delft_runs_differ_as_in_their_table():
    runs = {letter: load_config(f"delft-{letter}") for letter in "abcd"}
    assert {k: (c.fraction, c.epochs, c.network.options["auxiliary"]) for k, c in runs.items()} == {
        "a": (0.25, 50, "copy"),
        "b": (0.1, 25, "head"),
        "c": (0.25, 25, "head"),
        "d": (1.0, 30, "head"),
    }


def test_the_schedule_of_experiment_2_ends_before_the_training():
    config = load_config("deeplabv3plus-exp2")
    rates = [
        learning_rate(
            config.schedule, i, base=config.optimiser.learning_rate,
            iterations=config.iterations, iterations_per_epoch=743,
        )
        for i in (0, 45_000, 90_000, 119_999)
    ]  # fmt: skip
    assert rates == pytest.approx([0.007, 0.001 + 0.006 * 0.5**0.9, 0.001, 0.001])
    assert config.size.resized(SensorSize(1024, 2048)) == SensorSize(512, 1024)
    assert config.size.crop == config.size.validation_crop == SensorSize(512, 512)


def test_unets_early_stopping_is_in_effect_off():
    config = load_config("unet-cityscapes")
    assert (config.patience, config.min_delta) == (1_000_000, 0)
    assert config.optimiser.momentum == 0.999
    assert dict(config.loss.terms) == {"cross_entropy": 1, "dice": 1}
    assert (config.size.rescale, config.validation_share, config.gradient_clip) == (0.5, 0.1, 1)


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_name_what_our_own_measurements_decide(name):
    """A default that is measured anew must not change what a paper did."""
    table = read_table(name)
    assert "amp" in table
    assert table["batch_norm_batches"] == 0
    assert "terms" in table["loss"]
    assert {"kind", "learning_rate"} <= table["optimiser"].keys()
    assert "kind" in table["schedule"]
    assert "augmentation" in table
    if table["input"].get("kind", "events") in ("events", "both"):
        assert table["input"]["normalise"] == "evsegnet"


@pytest.mark.parametrize(
    ("network", "optimiser", "rate"),
    [("fastscnn", "adam", 2e-2), ("evsegnet", "adamw", 9e-3), ("unet", "adam", 1e-3),
     ("fastscnn", "sgd", 1e-2), ("smp:Unet/resnet18", "adam", 1e-3), ("fastscnn", "rmsprop", 1e-3)],
)  # fmt: skip
def test_a_rate_that_is_not_given_is_the_networks(network, optimiser, rate):
    overrides = {"network.name": network, "optimiser.kind": optimiser}
    assert load_config(overrides=overrides).optimiser.learning_rate == rate
    given = load_config(overrides={**overrides, "optimiser.learning_rate": 0.5})
    assert given.optimiser.learning_rate == 0.5


def test_recipes_are_read_strictly(write):
    path = write('[recipe]\ntitle = "a"\nsource = "b"\nsorce = "c"\n')
    with pytest.raises(TrainingError, match=r"'sorce' in \[recipe\] \(did you mean source\?"):
        load_recipe(str(path))
    path = write('[recipe]\ntitle = "a"\n')
    with pytest.raises(TrainingError, match=r"recipe\.source is missing"):
        load_recipe(str(path))
    path = write('[recipe]\ntitle = "a"\nsource = "b"\n[[recipe.published]]\nscores = {x = 1}\n')
    with pytest.raises(TrainingError, match=r"published\[0\]\.split is missing"):
        load_recipe(str(path))
    assert Recipe(title="a", source="b").published == ()


def test_non_finite_values_are_refused(write):
    for text in ("[optimiser]\nlearning_rate = nan", "gradient_clip = nan", "fraction = nan"):
        with pytest.raises(TrainingError, match="nan"):
            load_config(write(text))
    with pytest.raises(TrainingError):
        TrainConfig(min_delta=math.nan)
