"""Image preparation against torch's resize and hand-made values."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import TensorError
from edgekit.processing.image import ImageInput, prepare_images, resize_bilinear


@pytest.mark.parametrize(
    ("size_in", "size_out"), [((8, 8), (12, 12)), ((28, 28), (7, 7)), ((5, 9), (13, 4)), ((1, 3), (2, 2))]
)
def test_resize_agrees_with_torch(size_in, size_out):
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).normal(size=(3, *size_in)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(images.astype(np.float64))[:, None], size=size_out, mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(resize_bilinear(images, size_out), expected[:, 0].numpy(), rtol=1e-6, atol=1e-6)


def test_resize_of_a_ramp_keeps_half_pixel_centres():
    ramp = np.array([[[0.0, 4.0]]], np.float32)
    np.testing.assert_array_equal(resize_bilinear(ramp, (1, 4)), [[[0.0, 1.0, 3.0, 4.0]]])


def test_resize_to_the_same_size_changes_no_value():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    resized = resize_bilinear(images, (3, 4))
    assert resized.dtype == np.float32
    np.testing.assert_array_equal(resized, images)


def test_prepare_scales_then_normalises():
    pixels = np.array([[[0, 8], [16, 4]]], np.uint8)
    prepared = prepare_images(pixels, ImageInput(height=2, width=2, peak=16.0, mean=0.5, std=0.25))
    assert prepared.shape == (1, 1, 2, 2)
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared[0, 0], [[-2.0, 0.0], [2.0, -1.0]])


@pytest.mark.parametrize("shape", [(28, 28), (2, 1, 28, 28), (0, 28, 28), (1, 0, 28)])
def test_resize_refuses_other_shapes(shape):
    with pytest.raises(TensorError, match=r"expected \(n, height, width\)"):
        resize_bilinear(np.zeros(shape, np.float32), (12, 12))
