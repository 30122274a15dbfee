"""Which of the processes that train together this one is.

torchrun and SLURM start one process a device and say so in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch

from bonescint.scan import ParameterError

_LONGEST = timedelta(days=7)
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),  # torchrun
    ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """One process among those that train together.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
        on_this_machine: how many of them run on one machine.
    """

    rank: int = 0
    count: int = 1
    on_this_machine: int = 1

    @property
    def machines(self) -> int:
        """Machines that take part."""
        return self.count // self.on_this_machine

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Ranks:
        """What the launcher said; one process alone if there was none.

        Raises:
            ParameterError: the launcher's variables contradict each other.

        Examples:
            >>> Ranks.from_environment({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"})
            Ranks(rank=1, count=4, on_this_machine=2)
            >>> Ranks.from_environment({})
            Ranks(rank=0, count=1, on_this_machine=1)
        """
        found = os.environ if environment is None else environment
        for rank, count, local in _LAUNCHERS:
            if rank not in found or count not in found:
                continue
            total = _whole(found, count)
            here = _whole(found, local) if local in found else total
            number = _whole(found, rank)
            if not 0 <= number < total or here < 1 or total % here:
                got = f"{rank} {number}, {count} {total}, {local} {here}"
                raise ParameterError(rank, "the launcher", f"below {count}", got)
            if total > 1:
                return cls(rank=number, count=total, on_this_machine=here)
        return cls()


@contextmanager
def the_first_alone(ranks: Ranks) -> Iterator[bool]:
    """Let the first process do something while the others wait for it.

    What it does may take long (an export reads every validation and test scan), so they wait at a
    meeting point of their own: that of the training gives up after 30 minutes. They are let go if
    the first process fails, too.

    Args:
        ranks: the processes that train together; with several, their training must have begun.

    Yields:
        Whether this process is the first one.
    """
    if ranks.count == 1:
        yield True
        return
    meeting = torch.distributed.new_group(backend="gloo", timeout=_LONGEST)
    try:
        yield ranks.leads
    finally:
        torch.distributed.barrier(group=meeting)


def _whole(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError as error:
        raise ParameterError(name, "the launcher", "a whole number", environment[name]) from error
