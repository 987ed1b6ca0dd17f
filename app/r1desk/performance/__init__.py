"""What the machine gives and what it does: the performance panel and the live gauge."""

from __future__ import annotations

from r1desk.performance.gauge import Gauge
from r1desk.performance.panel import PerformancePanel
from r1desk.performance.sampler import VitalsSampler
from r1desk.performance.vitals import Reading, Vitals

__all__ = ["Gauge", "PerformancePanel", "Reading", "Vitals", "VitalsSampler"]
