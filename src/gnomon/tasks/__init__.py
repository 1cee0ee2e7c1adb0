"""What is asked of a model: loss, decoding of its outputs into answers, and scores.

classify   one class out of several
scores     the metrics of classification, with intervals; NumPy alone
"""

from __future__ import annotations

from typing import TypeAlias

from .classify import Answer, Classify, Views

Task: TypeAlias = Classify
"""What a recipe binds and a model file holds; its tag field `task` will tell several apart."""

__all__ = ["Answer", "Classify", "Task", "Views"]
