"""Scores to knowledge: summaries, effects with their controls, figures and the report.

Data frames in, data frames and figures out; nothing here loads torch.
"""

from .cautions import warnings_for
from .effects import effect
from .example import example_scores
from .figures import plot_accuracy_curve, plot_layer_curve, plot_multiplier_curve
from .layers import pick_layer
from .report import write_report
from .summary import summarize

__all__ = [
    "effect",
    "example_scores",
    "pick_layer",
    "plot_accuracy_curve",
    "plot_layer_curve",
    "plot_multiplier_curve",
    "summarize",
    "warnings_for",
    "write_report",
]
