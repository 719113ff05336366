"""The steps of a build, which `edgekit/build.py` walks through: from a recipe to verdicts and the packed bundle.

source -> graphs -> variants -> trial (compile, check, score, time) -> judge -> pack
"""
