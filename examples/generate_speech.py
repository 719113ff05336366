"""Lets a wavenet bundle speak: one sample at a time, each drawn from the chances that the network gives it."""

import argparse
from pathlib import Path

import numpy as np

import edgekit
from edgekit.processing.audio import MU_LAW_SILENCE, mu_law_decode, write_wave

SAMPLE_RATE_HZ = 8000

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("bundle", type=Path, help="of the recipe wavenet: edgekit build wavenet -o wavenet.edgekit")
parser.add_argument("-o", "--output", type=Path, default=Path("speech.wav"))
parser.add_argument("--seconds", type=float, default=2.0)
parser.add_argument("--temperature", type=float, default=0.9, help="below 1: safer, and duller; default: 0.9")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

rng = np.random.default_rng(options.seed)
spoken = np.full(1 + int(options.seconds * SAMPLE_RATE_HZ), MU_LAW_SILENCE, np.int64)
with edgekit.load(options.bundle) as session:
    stream = session.state()  # holds every layer's past, zero to begin with
    for step in range(len(spoken) - 1):
        logits = stream.run({"sample": spoken[step : step + 1]})["logits"][0]
        # The largest of logits / T + Gumbel noise is a draw from softmax(logits / T).
        spoken[step + 1] = np.argmax(logits / options.temperature + rng.gumbel(size=len(logits)))

write_wave(options.output, mu_law_decode(spoken), sample_rate_hz=SAMPLE_RATE_HZ)
print(f"wrote {options.output}")
