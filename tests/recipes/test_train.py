"""Training from scratch: it learns, repeats itself, and leaves no half-written file."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.errors import RecipeError
from edgekit.recipes import ds_cnn, resnet8
from edgekit.recipes.train import main, save_weights, train, training_of

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn", reason="handwritten digits come with scikit-learn")
safetensors = pytest.importorskip("safetensors.torch")


def test_one_epoch_learns_more_than_chance():
    epochs = []
    network = train("simple-cnn", report=epochs.append, epochs=1)
    images, labels = training_of("simple-cnn").samples()
    with torch.inference_mode():
        loss = torch.nn.functional.cross_entropy(network(torch.from_numpy(images)), torch.from_numpy(labels))
    assert [(epoch.number, epoch.of) for epoch in epochs] == [(1, 1)]
    assert loss < epochs[0].loss  # the mean while the weights changed
    assert loss < math.log(10) / 2  # half of what guessing gives
    assert not network.training


def test_training_repeats_itself_and_leaves_the_random_state_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = (train("simple-cnn", report=lambda _: None, epochs=1).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(torch.get_rng_state(), state)


def test_unknown_recipe_suggests_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'resnet8'"):
        train("resnet18", report=lambda _: None)


def test_command_writes_weights_that_reach_the_goal(tmp_path, capsys):
    path = tmp_path / "new" / "weights.safetensors"
    main(["simple-cnn", "-o", str(path)])
    network = training_of("simple-cnn").build()
    network.load_state_dict(safetensors.load_file(path))
    images, labels = training_of("simple-cnn").test()
    right = network(torch.from_numpy(images)).argmax(1).numpy() == labels
    assert right.mean() >= 0.97
    assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert f"test accuracy {right.mean():.4f}" in lines[9]


@pytest.mark.parametrize("name", ["resnet8", "ds-cnn"])
def test_weights_survive_being_written_and_read(name, tmp_path):
    network = training_of(name).build()
    save_weights(network, tmp_path / "weights.safetensors")
    read = safetensors.load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(read[key], value) for key, value in network.state_dict().items())


def test_shift_and_flip_moves_by_two_pixels_at_most_and_mirrors_about_half():
    pixels = np.zeros((400, 28, 28), np.uint8)
    pixels[:, 14, 8] = 255
    moved = resnet8.shift_and_flip(pixels, np.random.default_rng(0))
    assert moved.shape == (400, 1, 28, 28)
    rows, columns = np.unravel_index(moved.reshape(400, -1).argmax(axis=1), (28, 28))
    assert set(rows) == set(range(12, 17))
    assert set(columns) == {*range(6, 11), *range(17, 22)}
    assert 150 < (columns > 13).sum() < 250


def test_disturb_keeps_the_shape_and_draws_from_the_generator():
    waves = np.sin(np.arange(3 * 8000, dtype=np.float32)).reshape(3, 8000)
    first, same, other = (ds_cnn.disturb(waves, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (first.shape, first.dtype) == ((3, 1, 49, 10), np.float32)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
