"""What a command did, written for an experiment tracker: settings, numbers and pages, and never whose they are."""

from radboost.report.tracking.gather import Outcome, gather
from radboost.report.tracking.names import flat_numbers, safe_name
from radboost.report.tracking.settings import settings
from radboost.report.tracking.tracker import TRACKERS, Status, Tracker, open_tracker

__all__ = [
    "TRACKERS",
    "Outcome",
    "Status",
    "Tracker",
    "flat_numbers",
    "gather",
    "open_tracker",
    "safe_name",
    "settings",
]
