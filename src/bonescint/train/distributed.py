"""The rank of this process in a distributed training.

torchrun and SLURM start one process per device and set environment variables in each.
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
class ProcessRank:
    """One process among those that train together.

    Attributes:
        rank: its number, from 0.
        world_size: how many there are.
        local_world_size: how many of them run on one machine.
    """

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1

    @property
    def machines(self) -> int:
        """Number of machines that take part."""
        return self.world_size // self.local_world_size

    @property
    def is_zero(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ProcessRank:
        """The rank that the launcher gave this process; a single process without a launcher.

        Raises:
            ParameterError: the launcher's variables contradict each other.

        Examples:
            >>> torchrun = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
            >>> ProcessRank.from_environment(torchrun)
            ProcessRank(rank=1, world_size=4, local_world_size=2)
            >>> ProcessRank.from_environment({})
            ProcessRank(rank=0, world_size=1, local_world_size=1)
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
                return cls(rank=number, world_size=total, local_world_size=here)
        return cls()


@contextmanager
def rank_zero_first(rank: ProcessRank) -> Iterator[bool]:
    """Let the process of rank 0 do something while the others wait for it.

    It may take long (an export reads every validation and test scan), so the others wait in a
    process group of their own: that of the training gives up after 30 minutes. They also continue
    if the first process fails.

    Args:
        rank: rank of this process; with several processes, their training must have begun.

    Yields:
        Whether this process is the first one.
    """
    if rank.world_size == 1:
        yield True
        return
    meeting = torch.distributed.new_group(backend="gloo", timeout=_LONGEST)
    try:
        yield rank.is_zero
    finally:
        torch.distributed.barrier(group=meeting)


def _whole(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError as error:
        raise ParameterError(name, "the launcher", "a whole number", environment[name]) from error
