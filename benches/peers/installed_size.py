"""Prints how many bytes some distributions take up on disk, with all that they require: `installed_size.py NAME...`.

A name may have extras, as pip takes them; after `--alone` come names whose requirements are not needed. What pip wrote
down as installed is counted, bytecode included; Python itself is not.
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

REQUIREMENT = re.compile(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?([^;]*)(?:;(.*))?")
EXTRA = re.compile(r"extra\s*==\s*['\"]([\w.-]+)['\"]")


def parts(text: str) -> tuple[str, set[str], str]:
    """Takes a requirement apart: name, extras, and the condition that it has."""
    name, extras, _, marker = REQUIREMENT.match(text).groups()
    return name, {extra.strip() for extra in (extras or "").split(",")} - {""}, marker or ""


def requirements(found: Distribution, extras: set[str]) -> list[str]:
    """Returns what a distribution requires with these extras; other conditions are left to what is installed."""
    wanted = []
    for text in found.requires or []:
        of_extras = set(EXTRA.findall(parts(text)[2]))
        if not of_extras or of_extras & extras:
            wanted.append(text)
    return wanted


def closure(names: list[str]) -> dict[str, Distribution]:
    """Returns the distributions and all that they require, by the name that each has itself."""
    every, seen, left = {}, set(), list(names)
    while left:
        name, extras, _ = parts(left.pop())
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        key = (found.metadata["Name"], frozenset(extras))
        if key not in seen:
            seen.add(key)
            every[key[0]] = found
            left += requirements(found, extras)
    return every


def size(found: Distribution) -> int:
    """Returns how many bytes the files of a distribution have."""
    paths = [Path(found.locate_file(file)) for file in found.files or []]
    return sum(path.stat().st_size for path in paths if path.is_file())


def main(arguments: list[str]) -> None:
    """Adds up what the command line names."""
    split = arguments.index("--alone") if "--alone" in arguments else len(arguments)
    names, alone = arguments[:split], arguments[split + 1 :]
    asked_for = [distribution(name) for name in [*alone, *(parts(name)[0] for name in names)]]
    every = {found.metadata["Name"]: found for found in asked_for} | closure(names)
    print(sum(map(size, every.values())))


main(sys.argv[1:])
