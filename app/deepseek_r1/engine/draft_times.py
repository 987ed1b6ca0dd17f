"""The times of drafting and verifying on this machine: measured once and stored."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class DraftTimes(BaseModel):
    """The times of one target and one draft model. Seconds.

    `rows_s` is the computing time of a pass by its rows, without what it waited for the drive;
    `read_mib_s` the rate at which a pass reads streamed weights, 0 where nothing is streamed;
    `unhidden` the share of reading or computing, whichever is shorter, that the other does not
    hide; `token_s` the time of one drafted token, 0 without a draft model. Times are `calm` where
    other programs hardly computed meanwhile; others hold for one load and are measured again.
    """

    model_config = ConfigDict(frozen=True)

    rows_s: dict[int, float]
    read_mib_s: float = 0.0
    unhidden: float = 0.5
    token_s: float = 0.0
    calm: bool = True
