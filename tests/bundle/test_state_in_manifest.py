"""State in the manifest: it reads back, a model without it has no such key, and what cannot be is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_bundle import GOLDEN, MODEL, Y, disassemble, manifest, payload, refused, rewrite_manifest

from edgekit.bundle import Bundle, golden_input_entry, npy_bytes, open_bundle, write_bundle
from edgekit.errors import BundleFormatError
from edgekit.tensors import State, TensorSpec

STATE = {"h": State("new_h"), "past": State("new_past", (1, 2, 4))}
SHAPES = {"x": (1, 4), "h": (1, 1), "past": (3, 1)}
SPECS = {name: TensorSpec("float32", shape, name=name) for name, shape in SHAPES.items()}
NEW = {f"new_{name}": TensorSpec("float32", SHAPES[name], name=f"new_{name}") for name in ("h", "past")}


@pytest.fixture
def streaming(tmp_path: Path) -> Bundle:
    import numpy as np

    outputs = (TensorSpec("float32", (1, 1), name="y"), *NEW.values())
    entries = {"y": GOLDEN} | {name: f"golden/{name}.npy" for name in NEW}
    contents = {MODEL: b"not really a model", GOLDEN: npy_bytes(Y)}
    contents |= {entries[name]: npy_bytes(np.zeros(spec.shape_at({}), np.float32)) for name, spec in NEW.items()}
    for index, shape in enumerate(SHAPES.values()):
        contents[golden_input_entry(0, index)] = npy_bytes(np.zeros(shape, np.float32))
    target = manifest().targets[0]
    sound = payload(golden_outputs=(entries,), golden_tolerance=dict.fromkeys(entries, 1e-5))
    whole = manifest(
        inputs=tuple(SPECS.values()),
        outputs=outputs,
        state=STATE,
        targets=(type(target)(target.target, (sound,), ()),),
    )
    return write_bundle(tmp_path / "streaming.edgekit", whole, contents)


def test_state_reads_back(streaming: Bundle) -> None:
    assert open_bundle(streaming.path).manifest.state == STATE
    assert (
        b'"state":{"h":{"delay":1,"output":"new_h"},"past":{"delay":[1,2,4],"output":"new_past"}}'
        in (disassemble(streaming.path)["manifest.json"])
    )


def test_a_model_without_state_has_no_such_key(path: Path) -> None:
    """So its bytes are those that an older edgekit wrote, and one of those opens."""
    assert b'"state"' not in disassemble(path)["manifest.json"]
    assert open_bundle(path).manifest.state == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"h": {"output": "new_h"}}, "state.h.delay is missing"),
        ({"h": {"output": "new_h", "delay": 0}}, "state.h.delay is 0; expected a whole number from 1"),
        ({"h": {"output": "new_h", "delay": 1 << 40}}, "expected whole steps, 1 to 1048576"),
        ({"h": {"output": "new_h", "delay": "1"}}, "state.h.delay is '1'; expected a whole number from 1"),
        ({"h": {"output": "new_h", "delay": []}}, "state.h.delay is empty"),
        ({"h": {"output": "new_h", "delay": [True]}}, "state.h.delay[0] is True; expected a whole number from 1"),
        ({"h": {"output": 3, "delay": 1}}, "state.h.output is 3; expected text"),
        ({"h": 1}, "state.h is 1; expected an object"),
        ([], "state is list; expected an object"),
        ({"g": {"output": "new_h", "delay": 1}}, "state 'g' is no input"),
        ({"h": {"output": "new_g", "delay": 1}}, "'new_g', which is no output"),
        ({"h": {"output": "new_past", "delay": 1}}, "expected the same dtype and shape"),
        ({"past": {"output": "new_past", "delay": [1, 2]}}, "has 2 delays; expected one for each index"),
    ],
)
def test_state_that_cannot_be_is_refused_by_its_key(streaming: Bundle, change: object, says: str) -> None:
    rewrite_manifest(streaming.path, lambda document: document.update(state=change))
    refused(streaming.path, BundleFormatError, says)
