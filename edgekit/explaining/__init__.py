"""Why a compressed model answers as it does: layer by layer, and the samples on which it disagrees most with float.

recipe, bundle (the two roads) -> subject -> explain: parts (a layer in both graphs) -> watch, alone, layers;
disagreeing (the samples); reproduce (one layer as ONNX of its own) -> facts (the types)
"""

from edgekit.explaining.bundle import explain_bundle
from edgekit.explaining.facts import (
    BAD_DB,
    Explanation,
    LayerFacts,
    Reproduction,
    WorstSample,
    explanation_to_json,
)
from edgekit.explaining.recipe import explain_recipe
from edgekit.explaining.subject import Look

__all__ = [
    "BAD_DB",
    "Explanation",
    "LayerFacts",
    "Look",
    "Reproduction",
    "WorstSample",
    "explain_bundle",
    "explain_recipe",
    "explanation_to_json",
]
