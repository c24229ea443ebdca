"""What is in a cohort before any model: counts apart from how they are drawn, one small module a question."""

from radboost.report.explore.page import ExploreConfig, explore

__all__ = ["ExploreConfig", "explore"]
