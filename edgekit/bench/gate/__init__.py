"""The gate: is head worse than base? Measured in looks, judged with bounds that hold for all, told in four forms.

judge (evidence, sequential) -> verdict -> words, bar -> render, plots, codec
calibrate: what the gate can tell apart on a machine
"""
