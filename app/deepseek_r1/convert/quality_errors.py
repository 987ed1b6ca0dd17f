"""Why a model cannot be measured or pruned, each with what happened, why, and what to do."""

from __future__ import annotations

from deepseek_r1.convert.errors import ConversionRefused
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.words import N_


class MeasuringRefused(R1Error):
    """The models or the text do not allow the measurement."""

    what = N_("The quality cannot be measured.")


class TextUnreadable(MeasuringRefused):
    """The text file is not there, not readable or not text."""

    what = N_("The text {path} cannot be read.")
    why = N_("{detail}")
    todo = N_("Name a file of plain text in UTF-8.")


class TextTooShort(MeasuringRefused):
    """Less than one window of tokens."""

    what = N_("The text has {tokens} tokens, and at least {needed} are needed.")
    todo = N_("Take a longer text, or a smaller --window.")


class VocabulariesDiffer(MeasuringRefused):
    """The two models cut the text into other tokens, so their predictions cannot be compared."""

    what = N_("{a} and {b} read the text as different tokens.")
    why = N_("Only versions of the same model can be compared token by token.")
    todo = N_("Compare a model with another precision of itself.")


class NoRoomForRows(MeasuringRefused):
    """The base's predictions do not fit on the disk or into the limit."""

    what = N_("The base model's predictions need {needed_mib} MiB of disk and get {given_mib}.")
    todo = N_("Raise --disk-limit, choose another --scratch folder, or a smaller --window.")


class PlotsMissing(MeasuringRefused):
    """matplotlib is not installed."""

    what = N_("The plot needs matplotlib, which is not installed.")
    todo = N_("Install it with: pip install matplotlib. Everything else works without.")


class PruningRefused(ConversionRefused):
    """The model has no feed-forward channels that could be removed."""

    what = N_("This model cannot be pruned.")
    why = N_("{detail}")
    todo = N_("Take a smaller precision instead: deepseek-r1 convert --precision q4_k_m.")


class FitTooLarge(ConversionRefused):
    """The compensation needs matrices of channels x channels in memory."""

    what = N_("Fitting {channels} channels needs {needed_mib} MiB of memory and gets {budget_mib}.")
    todo = N_("Raise --memory-budget, or leave the fit out with --no-compensate.")
