"""Task queues: tasks meet pollers, and wait in a backlog when nobody polls."""

from services.matching.service import MatchingService
from services.matching.settings import MatchingSettings, SettingsSource

__all__ = ["MatchingService", "MatchingSettings", "SettingsSource"]
