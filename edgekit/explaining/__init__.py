"""Why a compressed model answers as it does: layer by layer, and the samples on which it disagrees most with float.

facts (the types) <- watch (values inside both graphs) <- recipe, bundle (the two roads) ; reproduce (one layer, alone)
"""

from edgekit.explaining.bundle import explain_bundle
from edgekit.explaining.facts import BAD_DB, Explanation, LayerFacts, WorstSample, explanation_to_json
from edgekit.explaining.recipe import explain_recipe

__all__ = [
    "BAD_DB",
    "Explanation",
    "LayerFacts",
    "WorstSample",
    "explain_bundle",
    "explain_recipe",
    "explanation_to_json",
]
