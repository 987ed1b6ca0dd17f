"""Why something is not measured or pruned."""

from deepseek_r1.convert.errors import ConversionRefused
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_


class MeasuringRefused(R1Error):
    """The models or the text do not allow the measurement."""

    what = N_("The quality cannot be measured.")


class TextUnreadable(MeasuringRefused):
    what = N_("The text {path} cannot be read.")
    why = N_("{detail}")
    todo = N_("Name a file of plain text in UTF-8.")


class TextTooShort(MeasuringRefused):
    what = N_("The text has {tokens} tokens, and at least {needed} are needed.")
    todo = N_("Use a longer text, or a smaller --window.")


class VocabulariesDiffer(MeasuringRefused):
    what = N_("{a} and {b} read the text as different tokens.")
    why = N_("Only versions of the same model can be compared token by token.")
    todo = N_("Compare a model with another precision of itself.")


class NoSpaceForLogits(MeasuringRefused):
    what = N_(
        "The base model's predictions need {needed_mib} of disk space, and {given_mib} are allowed."
    )
    todo = N_("Raise --disk-limit, choose another --scratch folder, or a smaller --window.")


class PlotsMissing(MeasuringRefused):
    what = N_("The plot needs matplotlib, which is not installed.")
    todo = N_("Install it with: pip install matplotlib. Everything else works without.")


class PruningRefused(ConversionRefused):
    what = N_("This model cannot be pruned.")
    why = N_("{detail}")
    todo = N_("Use a lower precision instead: deepseek-r1 convert --precision q4_k_m.")


class AnswerTooShort(R1Error):
    what = N_("The speed of writing could not be measured.")
    why = N_("None of 30 answers of this model was {tokens} tokens long.")
    todo = N_("Use fewer tokens with --tokens.")


class ServerUnreachable(R1Error):
    what = N_("The server at {url} cannot be measured.")
    why = N_("{detail}")
    todo = N_("Check the address and the key, and that its model is loaded.")
