"""The steps of a gate, which `edgekit/gate.py` walks through: from what a user names to pairs that can be judged.

revisions -> subjects -> pairs -> bench.gate
"""
