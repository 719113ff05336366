"""The recipe: all that edgekit needs to know of a model, in one frozen value."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import EdgekitError, RecipeError
from edgekit.tensors import Array, Feeds, State, TensorSpec, check_state, dim_ranges

if TYPE_CHECKING:
    from torch import nn

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it becomes the name of files
Sample = tuple[Feeds, Any]
Metric = Callable[[Mapping[str, Array], Any], float]


@dataclass(frozen=True)
class Budget:
    """How much accuracy a compressed variant may lose.

    max_drop: in the metric's own unit (0.01 is one point of top-1), against the float model on the same samples. A
        variant is within budget if the upper end of the one-sided 95 % interval of its drop is at most this.
    """

    max_drop: float = 0.01

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_drop) and self.max_drop >= 0):
            raise RecipeError(f"max_drop = {self.max_drop}; expected a finite number from 0, in the metric's unit")


@dataclass(frozen=True)
class Recipe:
    """A model, its tensors, and the real data that it is judged on.

    name: lower-case words with dashes; it names the bundle.
    model: called with no argument, gives the nn.Module in eval mode; nothing heavy loads before it is called. Or the
        path of an ONNX file, for a model that has no torch source.
    inputs: specification of each input, in the order of forward's arguments.
    outputs: names of the outputs, in the order that forward returns them in, or the keys of the dict it returns.
    calibration: an iterable of `{name: array}`, real samples of the training data, never made up. With state: of one
        step each, state included.
    evaluation: an iterable of (feeds, target), one sample each, of data that the model was not trained on. With state:
        feeds hold the inputs that are not state, with one more axis before the others, the steps; state begins at zero,
        and the metric gets the outputs that are not state, stacked the same way.
    metric: a name of `edgekit.bench.accuracy.METRICS`, or a function (outputs, target) -> float of one sample; more is
        better.
    budget: how much of the metric a compressed variant may lose.
    raw: an iterable of samples as the device gets them, an array each: a clip, an image.
    preprocess: makes the network's inputs, at their smallest sizes, of a raw sample. It and `raw` let a benchmark time
        the whole way; both or neither.
    postprocess: makes the answer of the network's outputs by name; needs `preprocess`.
    state: of a streaming model: for each input that is state, the output that it was some steps before. State has the
        same dtype and shape at both ends, and fixed sizes.

    Raises:
        RecipeError: an unusable name, no inputs or outputs, one of two parts that go together, or an evaluation of a
            streaming model without calibration.
        TensorError: a state that these inputs and outputs cannot have.
    """

    name: str
    model: Callable[[], nn.Module] | Path
    inputs: Mapping[str, TensorSpec]
    outputs: tuple[str, ...]
    calibration: Callable[[], Iterable[Feeds]] | None = None
    evaluation: Callable[[], Iterable[Sample]] | None = None
    metric: str | Metric | None = None
    budget: Budget = field(default_factory=Budget)
    raw: Callable[[], Iterable[Array]] | None = None
    preprocess: Callable[[Array], Feeds] | None = None
    postprocess: Callable[[Mapping[str, Array]], Any] | None = None
    state: Mapping[str, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise RecipeError(
                f"recipe name {self.name!r}; expected letters, digits, '.', '_' and '-', as in 'my-model'"
            )
        if not self.inputs or not self.outputs:
            raise RecipeError(f"recipe {self.name!r} declares no inputs or no outputs; name at least one of each")
        if (self.evaluation is None) != (self.metric is None):
            raise RecipeError(f"recipe {self.name!r}: evaluation and metric go together; give both or neither")
        if self.state and self.evaluation is not None and self.calibration is None:
            raise RecipeError(
                f"recipe {self.name!r} has state and no calibration, which single steps for export, parity, timing and "
                "golden samples are taken from; give it calibration=..., each sample of one step, state included"
            )
        if (self.raw is None) != (self.preprocess is None) or (self.postprocess and not self.preprocess):
            raise RecipeError(
                f"recipe {self.name!r}: raw and preprocess go together, and postprocess needs them; give both or none"
            )
        object.__setattr__(self, "inputs", {n: replace(spec, name=n) for n, spec in self.inputs.items()})
        object.__setattr__(self, "outputs", tuple(self.outputs))
        object.__setattr__(self, "state", dict(self.state))
        dim_ranges(self.inputs.values())
        check_state(self.state, self.inputs.values(), outputs=self.outputs)

    def load_model(self) -> nn.Module:
        """The torch module, in eval mode.

        Raises:
            RecipeError: the recipe is an ONNX file, or its function raised.
        """
        if isinstance(self.model, Path):
            raise RecipeError(f"recipe {self.name!r} is the ONNX file {self.model}, without a torch module")
        with self._naming("model()"):
            return self.model().eval()

    def calibration_feeds(self) -> Iterator[Feeds]:
        """What `calibration` yields, nothing if there is none; raises RecipeError where it raises."""
        with self._naming("calibration()"):
            yield from self.calibration() if self.calibration else ()

    def evaluation_samples(self) -> Iterator[Sample]:
        """What `evaluation` yields, nothing if there is none; raises RecipeError where it raises."""
        with self._naming("evaluation()"):
            yield from self.evaluation() if self.evaluation else ()

    def raw_samples(self) -> Iterator[Array]:
        """What `raw` yields, nothing if there is none; raises RecipeError where it raises."""
        with self._naming("raw()"):
            yield from self.raw() if self.raw else ()

    def processed(self, sample: Array) -> Feeds:
        """The network's inputs for a raw sample.

        Raises:
            RecipeError: the recipe has no `preprocess`.
        """
        if self.preprocess is None:
            raise RecipeError(
                f"recipe {self.name!r} has no processing to time; give it raw=... and preprocess=..., or leave it out"
            )
        return self.preprocess(sample)

    def answer(self, outputs: Mapping[str, Array]) -> Any:
        """The answer that `postprocess` makes of the network's outputs; the outputs themselves without it."""
        return self.postprocess(outputs) if self.postprocess else outputs

    @contextlib.contextmanager
    def _naming(self, what: str) -> Iterator[None]:
        """Turn what the recipe's own code raises into an error that names it."""
        try:
            yield
        except (EdgekitError, GeneratorExit):
            raise
        except Exception as error:
            raise RecipeError(f"recipe {self.name!r}: {what} raised {type(error).__name__}: {error}") from error

    @property
    def input_specs(self) -> tuple[TensorSpec, ...]:
        """The inputs' specifications, names filled in, in declared order."""
        return tuple(self.inputs.values())

    @property
    def metric_name(self) -> str | None:
        """The metric's name; a function's own name; None without a metric."""
        return getattr(self.metric, "__name__", type(self.metric).__name__) if callable(self.metric) else self.metric
