"""Reads the part of YAML that our templates are written in, every scalar as text, and refuses all the rest.

Block mappings and sequences, plain and quoted scalars of one line, `|` and `>-` blocks, comments. PyYAML is not among
what edgekit's tests need; where it is installed, a test compares the two.
"""

from __future__ import annotations

import json
import re
from typing import Any

KEY = re.compile(r"([A-Za-z0-9_.-]+):(?: +(.*))?$")
BEYOND_US = tuple("&*!{}[]%@`?,|>")


def parse(text: str) -> Any:
    """The value of a YAML document of our kind.

    Raises:
        ValueError: anything else, with its line.
    """
    reader = _Reader(text.splitlines())
    value = reader.node(0)
    if reader.next_line() is not None:
        raise reader.fault("indented otherwise than what is around it")
    return value


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0

    def fault(self, what: str) -> ValueError:
        return ValueError(f"line {self.at + 1} is {what}: {self.lines[self.at]!r}")

    def next_line(self) -> tuple[int, str] | None:
        """Indent and text of the next line that is neither empty nor a comment."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            text = line.lstrip(" ")
            if "\t" in line[: len(line) - len(text) + 1]:
                raise self.fault("indented by a tab")
            if text and not text.startswith("#"):
                return len(line) - len(text), text
            self.at += 1
        return None

    def node(self, indent: int) -> Any:
        line = self.next_line()
        return self.sequence(indent) if line and line[1].startswith("- ") else self.mapping(indent)

    def sequence(self, indent: int) -> list[Any]:
        items = []
        while (line := self.next_line()) and line[0] == indent and line[1].startswith("- "):
            rest = line[1][2:].lstrip(" ")
            inner = indent + len(line[1]) - len(rest)
            self.lines[self.at] = " " * inner + rest
            items.append(self.node(inner) if KEY.match(rest) or rest.startswith("- ") else self.value(rest, indent))
        return items

    def mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (line := self.next_line()) and line[0] == indent and not line[1].startswith("- "):
            match = KEY.match(line[1])
            if match is None or match[1] in found:
                raise self.fault("no key, or one that was there before")
            found[match[1]] = self.value(match[2] or "", indent)
        return found

    def value(self, rest: str, indent: int) -> Any:
        """What stands after `key:` or `- ` on the current line, or below it."""
        if rest in ("|", ">-"):
            self.at += 1
            return self.block(indent, folded=rest == ">-")
        if rest and not rest.startswith("#"):
            scalar = self.scalar(rest)
            self.at += 1
            return scalar
        self.at += 1
        below = self.next_line()
        return self.node(below[0]) if below and below[0] > indent else ""

    def block(self, indent: int, *, folded: bool) -> str:
        taken = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            taken.append(line)
            self.at += 1
        margin = len(taken[0]) - len(taken[0].lstrip(" "))
        lines = "\n".join(line[margin:] for line in taken).rstrip("\n").split("\n")
        return " ".join(lines) if folded else "\n".join(lines) + "\n"

    def scalar(self, text: str) -> str:
        if quoted := re.match(r'("(?:[^"\\]|\\.)*")\s*(?:#.*)?$', text):
            return str(json.loads(quoted[1]))
        plain = re.sub(r"\s+#.*$", "", text)
        if plain.startswith((*BEYOND_US, '"', "'")) or ": " in plain or plain.endswith(":"):
            raise self.fault("beyond the YAML that we read")
        return plain
