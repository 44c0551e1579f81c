"""Maintenance windows written as cron expressions."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim


@dataclass(frozen=True, slots=True, kw_only=True)
class CronWindow:
    """Opens whenever ``cron`` (five fields, Sunday is 0 or 7) fires in ``timezone``, for ``duration``."""

    cron: str
    duration: timedelta
    timezone: ZoneInfo

    def next_opening(self, moment: datetime) -> datetime | None:
        """Give ``moment`` itself while the window is open, else its next opening, or None if there is none."""
        before = (moment - self.duration).astimezone(self.timezone)
        for opening in CronSim(self.cron, before):
            opens = opening.astimezone(UTC)
            if moment < opens + self.duration:
                return max(opens, moment)
        return None
