"""What a tensor must look like: name, dtype, shape with named dynamic dimensions and their ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import TensorError, did_you_mean

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
Dim = int | str

LONGEST_DELAY = 1 << 20  # steps; a file must not make its reader set aside memory without bounds
DTYPES = ("float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's dtype, shape and name.

    dtype: one of `DTYPES`.
    shape: a fixed size is an int; a dynamic dimension is its name, and the same name means the same size everywhere.
    ranges: the smallest and largest size of each dynamic dimension, both included. Every one needs a range.
    name: the tensor's name in the graph; a recipe fills it in from its dictionary.

    Raises:
        TensorError: unknown dtype, a size below 1, or a dynamic dimension without a sound range.
    """

    dtype: str
    shape: tuple[Dim, ...]
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "ranges", {dim: (int(lo), int(hi)) for dim, (lo, hi) in self.ranges.items()})
        if self.dtype not in DTYPES:
            raise TensorError(f"tensor {self.name!r}: unknown dtype {self.dtype!r}; {did_you_mean(self.dtype, DTYPES)}")
        for dim in self.shape:
            self._check_dim(dim)
        if unused := set(self.ranges) - set(self.dynamic_dims):
            raise TensorError(f"tensor {self.name!r}: ranges for {sorted(unused)}, which are not in shape {self.shape}")

    def _check_dim(self, dim: Dim) -> None:
        if isinstance(dim, int):
            if dim < 1:
                raise TensorError(f"tensor {self.name!r}: size {dim} in shape {self.shape}; sizes start at 1")
            return
        if dim not in self.ranges:
            raise TensorError(
                f"tensor {self.name!r}: dynamic dimension {dim!r} has no range; add ranges={{{dim!r}: (1, 8)}}"
            )
        low, high = self.ranges[dim]
        if not 1 <= low <= high:
            raise TensorError(f"tensor {self.name!r}: range {low}..{high} of {dim!r}; expected 1 <= low <= high")

    @property
    def dynamic_dims(self) -> tuple[str, ...]:
        """Names of the dynamic dimensions, in order of first appearance."""
        return tuple(dict.fromkeys(dim for dim in self.shape if isinstance(dim, str)))

    def shape_at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with each dynamic dimension replaced by its size in `sizes`."""
        return tuple(sizes[dim] if isinstance(dim, str) else dim for dim in self.shape)

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(self._show(dim) for dim in self.shape)}]"

    def _show(self, dim: Dim) -> str:
        if isinstance(dim, int):
            return str(dim)
        low, high = self.ranges[dim]
        return f"{dim}={low}..{high}"


@dataclass(frozen=True)
class State:
    """Where an input of a streaming model comes from: what `output` was `delay` steps before, and zeros before that.

    output: the name of an output of the same dtype and shape as the input.
    delay: in steps; 1 for the state of a recurrent layer, the dilation for the past of a dilated one. A tuple gives one
        delay for each index of the tensor's first axis.

    Raises:
        TensorError: a delay that is no whole number from 1 to `LONGEST_DELAY`, or no delay at all.
    """

    output: str
    delay: int | tuple[int, ...] = 1

    def __post_init__(self) -> None:
        several = isinstance(self.delay, Iterable)
        delays: tuple[Any, ...] = tuple(self.delay) if isinstance(self.delay, Iterable) else (self.delay,)
        for delay in delays or ("none",):
            if not isinstance(delay, (int, np.integer)) or not 1 <= delay <= LONGEST_DELAY:
                raise TensorError(
                    f"state from output {self.output!r}: delay {delay!r}; expected whole steps, 1 to {LONGEST_DELAY}"
                )
        steps = tuple(int(delay) for delay in delays)
        object.__setattr__(self, "delay", steps if several else steps[0])

    @property
    def delays(self) -> tuple[int, ...]:
        """The delay of every index of the first axis, or the one delay of all of them."""
        return self.delay if isinstance(self.delay, tuple) else (self.delay,)


def check_state(
    state: Mapping[str, State], inputs: Iterable[TensorSpec], *, outputs: Iterable[TensorSpec | str]
) -> None:
    """Refuse a state that a model with these inputs and outputs cannot have.

    outputs: specifications, or names alone where nothing more is known yet.

    Raises:
        TensorError: an unknown name, a dynamic dimension, another dtype or shape at the two ends, delays that are not
            one for each index of the first axis, or no input or no output that is not state.
    """
    if not state:
        return
    by_name = {spec.name: spec for spec in inputs}
    sources = {output if isinstance(output, str) else output.name: output for output in outputs}
    for name, held in state.items():
        if name not in by_name:
            raise TensorError(f"state {name!r} is no input; {did_you_mean(name, by_name)}")
        if held.output not in sources:
            raise TensorError(
                f"state {name!r} comes from {held.output!r}, which is no output; {did_you_mean(held.output, sources)}"
            )
        _check_held(by_name[name], held, sources[held.output])
    if by_name.keys() == state.keys() or sources.keys() == {held.output for held in state.values()}:
        raise TensorError("every input or every output is state; expected at least one of each that is not")


def _check_held(spec: TensorSpec, held: State, source: TensorSpec | str) -> None:
    if spec.dynamic_dims:
        raise TensorError(f"state {spec.name!r} has dynamic dimensions: {spec}; expected fixed sizes")
    if isinstance(held.delay, tuple) and spec.shape[:1] != (len(held.delay),):
        raise TensorError(
            f"state {spec.name!r} has {len(held.delay)} delays; expected one for each index of its first axis: {spec}"
        )
    if isinstance(source, TensorSpec) and (source.dtype, source.shape) != (spec.dtype, spec.shape):
        raise TensorError(f"state {spec} comes from {source}; expected the same dtype and shape")


def state_to_json(state: Mapping[str, State]) -> dict[str, Any]:
    """A JSON-ready form that `state_from_json` reads back."""
    return {
        name: {"output": held.output, "delay": list(held.delay) if isinstance(held.delay, tuple) else held.delay}
        for name, held in state.items()
    }


def state_from_json(data: Mapping[str, Any]) -> dict[str, State]:
    """The inverse of `state_to_json`; raises TensorError as the constructor does."""
    return {name: State(held["output"], held["delay"]) for name, held in data.items()}


def spec_to_json(spec: TensorSpec) -> dict[str, Any]:
    """A JSON-ready form that `spec_from_json` reads back."""
    return {
        "name": spec.name,
        "dtype": spec.dtype,
        "shape": list(spec.shape),
        "ranges": {dim: list(bounds) for dim, bounds in spec.ranges.items()},
    }


def spec_from_json(data: Mapping[str, Any]) -> TensorSpec:
    """The inverse of `spec_to_json`; raises TensorError as the constructor does."""
    ranges = {dim: (bounds[0], bounds[1]) for dim, bounds in data["ranges"].items()}
    return TensorSpec(data["dtype"], tuple(data["shape"]), ranges=ranges, name=data["name"])


def dim_ranges(specs: Iterable[TensorSpec]) -> dict[str, tuple[int, int]]:
    """The range of every dynamic dimension in `specs`: where two tensors share a name, what both allow.

    Raises:
        TensorError: two tensors give ranges that have no size in common.
    """
    ranges: dict[str, tuple[int, int]] = {}
    for spec in specs:
        for dim, (low, high) in spec.ranges.items():
            known_low, known_high = ranges.get(dim, (low, high))
            ranges[dim] = (max(low, known_low), min(high, known_high))
            if ranges[dim][0] > ranges[dim][1]:
                raise TensorError(f"dimension {dim!r}: ranges {low}..{high} and {known_low}..{known_high} do not meet")
    return ranges


def smallest_sizes(specs: Iterable[TensorSpec]) -> dict[str, int]:
    """The smallest size of every dynamic dimension: the shape that latency is measured at."""
    return {dim: low for dim, (low, _) in dim_ranges(specs).items()}


def check_feeds(
    specs: Iterable[TensorSpec], feeds: Mapping[str, Any], sizes: dict[str, int] | None = None
) -> dict[str, Array]:
    """`feeds` as contiguous numpy arrays, checked against `specs` by exact name.

    feeds: numpy arrays, or anything with `__dlpack__`.
    sizes: receives the sizes of dynamic dimensions.

    Raises:
        TensorError: a name is missing or unknown, or a dtype, rank or size is not what the specification says.
    """
    by_name = {spec.name: spec for spec in specs}
    if unknown := [name for name in feeds if name not in by_name]:
        raise TensorError(f"unknown input {unknown[0]!r}; {did_you_mean(unknown[0], by_name)}")
    checked: dict[str, Array] = {}
    sizes = {} if sizes is None else sizes
    for name, spec in by_name.items():
        if name not in feeds:
            raise TensorError(f"input {name!r} is missing; expected {', '.join(map(str, by_name.values()))}")
        checked[name] = array = _as_array(name, feeds[name])
        check_array(spec, array, sizes)
    return checked


def check_array(spec: TensorSpec, array: Array, sizes: dict[str, int] | None = None) -> None:
    """Refuse an array whose dtype, rank or sizes differ from `spec`.

    sizes: sizes of dynamic dimensions seen so far in the same set of tensors; extended in place.
    """
    sizes = {} if sizes is None else sizes
    if str(array.dtype) != spec.dtype:  # not .name: it is the same for both byte orders
        raise TensorError(
            f"tensor {spec.name!r} is {array.dtype}; expected {spec.dtype}: convert it with .astype('{spec.dtype}')"
        )
    if array.ndim != len(spec.shape):
        raise TensorError(
            f"tensor {spec.name!r} has shape {array.shape}; expected {len(spec.shape)} dimensions: {spec}"
        )
    for dim, size in zip(spec.shape, array.shape, strict=True):
        _check_size(spec, dim, size, sizes)


def _check_size(spec: TensorSpec, dim: Dim, size: int, sizes: dict[str, int]) -> None:
    if isinstance(dim, int):
        if size != dim:
            raise TensorError(f"tensor {spec.name!r}: size {size} where {dim} was expected: {spec}")
        return
    low, high = spec.ranges[dim]
    if not low <= size <= high:
        raise TensorError(f"tensor {spec.name!r}: {dim}={size} is outside {low}..{high}: {spec}")
    if sizes.setdefault(dim, size) != size:
        raise TensorError(f"tensor {spec.name!r}: {dim}={size}, but another tensor has {dim}={sizes[dim]}")


def _as_array(name: str, value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return np.asarray(value, order="C")  # ascontiguousarray would make a scalar one-dimensional
    if not hasattr(value, "__dlpack__"):
        raise TensorError(
            f"input {name!r} is a {type(value).__name__}; expected a numpy array or an object with __dlpack__"
        )
    try:
        return np.asarray(np.from_dlpack(value), order="C")
    except (BufferError, RuntimeError, TypeError) as error:  # a tensor that needs gradients, bf16, another device
        raise TensorError(f"input {name!r}: numpy cannot take this {type(value).__name__}: {error}") from error


def check_finite(feeds: Mapping[str, Array]) -> None:
    """Refuse NaN and infinity: ranges, parity and golden samples taken from them would mean nothing.

    Raises:
        TensorError: an array holds some; the message counts them.
    """
    for name, array in feeds.items():
        bad = int(np.count_nonzero(~np.isfinite(array))) if array.dtype.kind == "f" else 0
        if bad:
            raise TensorError(
                f"input {name!r} holds {bad} NaN or infinite values of {array.size}: remove or mend the sample"
            )


def max_deviation(got: Array, expected: Array) -> float:
    """Largest absolute difference, in float64; infinite where shapes, NaNs or infinities differ."""
    if got.shape != expected.shape:
        return float("inf")
    if got.size == 0:
        return 0.0
    a, b = got.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity minus infinity, where both agree
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    largest = float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max())
    if largest == 0.0 and got.dtype.kind in "iu":
        return float(np.any(got != expected))  # float64 does not tell 2**60 from 2**60 + 1
    return largest
