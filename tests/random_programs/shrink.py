"""A program that differs, with as few steps as still make it differ."""

from collections.abc import Iterator

from tests.conformance.judge import Verdict
from tests.random_programs.judging import Judge
from tests.random_programs.program import Program


async def shrink(judge: Judge, program: Program, verdict: Verdict) -> tuple[Program, Verdict]:
    """Leave out steps, many at a time and then few, while the rest still differs."""
    tries = 0
    size = program.steps // 2
    while size:
        for steps in _pieces(program, size):
            smaller = Program(program.seed, program.steps, program.without | steps)
            tries += 1
            shown = await judge.judge(smaller, f"-try-{tries}")
            if not shown.agrees:
                program, verdict = smaller, shown
        size //= 2
    return program, verdict


def _pieces(program: Program, size: int) -> Iterator[frozenset[int]]:
    """The steps that are left, in pieces, the last ones first: what a step does depends on those before it."""
    left = [step for step in range(program.steps) if step not in program.without]
    for end in range(len(left), 0, -size):
        yield frozenset(left[max(end - size, 0) : end])
