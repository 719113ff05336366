from itertools import combinations

import numpy as np

from edgekit.backends.native.arena import ALIGNMENT, Lifetime, place


def test_tensors_that_never_meet_share_memory():
    offsets, size = place([Lifetime(100, 0, 1), Lifetime(100, 2, 3)])
    assert offsets == [0, 0]
    assert size == 128


def test_a_tensor_that_lives_throughout_is_left_alone():
    offsets, size = place([Lifetime(64, 0, 9), Lifetime(64, 0, 1), Lifetime(64, 2, 3)])
    assert offsets == [0, 64, 64]
    assert size == 128


def test_random_lifetimes_never_overlap_in_time_and_memory():
    rng = np.random.default_rng(0)
    for _ in range(50):
        tensors = [
            Lifetime(int(rng.integers(1, 500)), first := int(rng.integers(0, 20)), first + int(rng.integers(0, 6)))
            for _ in range(30)
        ]
        offsets, size = place(tensors)
        assert all(offset % ALIGNMENT == 0 for offset in offsets)
        assert max(offset + tensor.nbytes for offset, tensor in zip(offsets, tensors, strict=True)) <= size
        for a, b in combinations(range(30), 2):
            if tensors[a].meets(tensors[b]):
                assert offsets[a] + tensors[a].nbytes <= offsets[b] or offsets[b] + tensors[b].nbytes <= offsets[a]


def test_nothing_takes_no_memory():
    assert place([]) == ([], 0)
