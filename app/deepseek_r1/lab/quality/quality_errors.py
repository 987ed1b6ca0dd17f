"""Errors of measuring and pruning a model."""

from __future__ import annotations

from deepseek_r1.convert.errors import ConversionRefused
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_


class MeasuringRefused(R1Error):
    """The models or the text do not allow the measurement."""

    what = N_("The quality cannot be measured.")


class TextUnreadable(MeasuringRefused):
    """The text file is missing, unreadable or not text."""

    what = N_("The text {path} cannot be read.")
    why = N_("{detail}")
    todo = N_("Name a file of plain text in UTF-8.")


class TextTooShort(MeasuringRefused):
    """The text is shorter than one window of tokens."""

    what = N_("The text has {tokens} tokens, and at least {needed} are needed.")
    todo = N_("Use a longer text, or a smaller --window.")


class VocabulariesDiffer(MeasuringRefused):
    """The two models tokenize the text differently, so their predictions cannot be compared."""

    what = N_("{a} and {b} read the text as different tokens.")
    why = N_("Only versions of the same model can be compared token by token.")
    todo = N_("Compare a model with another precision of itself.")


class NoSpaceForLogits(MeasuringRefused):
    """The base's predictions do not fit on the disk or within the limit."""

    what = N_(
        "The base model's predictions need {needed_mib} MiB of disk space, and "
        "{given_mib} MiB are allowed."
    )
    todo = N_("Raise --disk-limit, choose another --scratch folder, or a smaller --window.")


class PlotsMissing(MeasuringRefused):
    """matplotlib is not installed."""

    what = N_("The plot needs matplotlib, which is not installed.")
    todo = N_("Install it with: pip install matplotlib. Everything else works without.")


class PruningRefused(ConversionRefused):
    """The model has no channels or blocks that can be removed."""

    what = N_("This model cannot be pruned.")
    why = N_("{detail}")
    todo = N_("Use a lower precision instead: deepseek-r1 convert --precision q4_k_m.")


class FitTooLarge(ConversionRefused):
    """The least-squares fit needs matrices of channels x channels in memory."""

    what = N_(
        "Fitting {channels} channels needs {needed_mib} MiB of memory, and the budget "
        "allows {budget_mib} MiB."
    )
    todo = N_("Raise --memory-budget, or skip the fit with --no-compensate.")
