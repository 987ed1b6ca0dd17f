"""Errors that refuse a conversion."""

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_


class ConversionRefused(R1Error):
    """The source or the request cannot become a GGUF file."""

    what = N_("This model cannot be converted.")
    exit_code = 3


class SourceMissing(ConversionRefused):
    what = N_("{path} cannot be converted.")
    why = N_("{detail}")
    todo = N_("Name a GGUF file, or a folder with config.json, tokenizer.json and *.safetensors.")


class SourceIsPickle(ConversionRefused):
    what = N_("{path} is in PyTorch's own format and is not opened.")
    why = N_("It is a Python pickle, and reading a pickle runs whatever program it contains.")
    todo = N_("Look for the same model as *.safetensors; most publishers offer both.")


class SourceDamaged(ConversionRefused):
    what = N_("{path} is damaged.")
    why = N_("Its parts contradict each other: {detail}.")
    todo = N_("Download the file again, from a source you trust.")


class SourceChanged(ConversionRefused):
    what = N_("{path} changed while it was converted.")
    todo = N_("Wait until nothing writes to it, then convert again.")


class FamilyUnknown(ConversionRefused):
    what = N_("A model of the kind “{architecture}” cannot be converted.")
    why = N_("The known ones are: {known}.")
    todo = N_("Look for a GGUF file of the same model.")


class FeatureUnknown(ConversionRefused):
    """The architecture is supported, but not a feature of this model."""

    what = N_("This model cannot be converted faithfully.")
    why = N_("{detail}")
    todo = N_("Look for a GGUF file of the same model.")


class TokenizerUnknown(ConversionRefused):
    """The engine would tokenize text differently from the model's training."""

    what = N_("The tokenizer of this model is not known.")
    why = N_("{detail}")
    todo = N_("Look for a GGUF file of the same model.")


class TensorMissing(ConversionRefused):
    """A weight that the architecture needs is missing or has another shape."""

    what = N_("The weight {name} does not fit the model.")
    why = N_("{detail}")
    todo = N_("Check that all files of the model are in the folder.")


class NumbersUnfit(ConversionRefused):
    """A weight holds infinity, NaN, or a number outside the range of the requested type."""

    what = N_("The weight {name} cannot be stored as {kind}.")
    why = N_("{detail}")
    todo = N_("Choose bf16 or f32. If the model should have no such numbers, download it again.")


class ImportanceNeeded(ConversionRefused):
    what = N_("{kind} needs an importance matrix.")
    why = N_("With so few bits per weight the model would be useless without one.")
    todo = N_("Give a text like the ones you will use: --imatrix-text FILE.")


class OutputInTheWay(ConversionRefused):
    what = N_("{path} exists already.")
    todo = N_("Choose another name, or add --force to replace it.")


class OutputIsInput(ConversionRefused):
    what = N_("The output {path} is the input itself.")
    todo = N_("Choose another name for the output.")


class OutputUnwritable(ConversionRefused):
    what = N_("{path} cannot be written.")
    why = N_("The system reports: {detail}.")
    todo = N_("Choose a folder of yours for the output.")


class OutputBusy(ConversionRefused):
    what = N_("{path} is being written by another conversion.")
    todo = N_("Wait for it, or choose another name for the output.")


class DiskTooSmall(ConversionRefused):
    what = N_("There is not enough space for {path}.")
    why = N_("It needs {needed_mib} and the disk has {free_mib} free.")
    todo = N_("Free some space and convert again; the finished part is kept and used.")


class BudgetTooSmallToConvert(ConversionRefused):
    """The smallest piece needs more memory than the budget allows."""

    what = N_("Converting needs {needed_mib} and the memory budget is {budget_mib}.")
    todo = N_("Raise --memory-budget.")
