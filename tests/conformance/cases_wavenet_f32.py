"""Cases of wavenet_f32: see wavenet_nets."""

from collections.abc import Iterator

from case import Case
from wavenet_nets import cases as cases_of


def cases() -> Iterator[Case]:
    yield from cases_of("f32")
