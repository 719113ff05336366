"""Measures arms against each other: a process each, paired in time, judged by intervals, told as a report.

    arms -> measure (workers, peers, samples) -> Measurement -> statistics, accuracy -> Report -> render

Nothing here imports more than the standard library and numpy at module level: a device can bench without
    torch or onnx.
"""
