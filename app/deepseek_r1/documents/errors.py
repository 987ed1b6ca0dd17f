"""Why a document is not read."""

from typing import Final

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_


class DocumentRefused(R1Error):
    """Base of what keeps one document from being read; others can be."""

    what = N_("{name} could not be read.")


class DocumentNotRead(DocumentRefused):
    why = N_("The system reports: {detail}.")
    todo = N_("Check that the file is there and may be read.")


class DocumentKindUnknown(DocumentRefused):
    what = N_("{name} cannot be read as a document.")
    why = N_("{detail}")
    todo = N_("Save it as PDF, DOCX, ODT, PPTX, XLSX, EPUB, HTML or plain text, or paste its text.")


OCR_COMMAND: Final = 'pip install "r1desk[ocr]"'


class DocumentIsPicture(DocumentRefused):
    """The extra that reads the text of pictures is not installed."""

    what = N_("{name} is a picture.")
    why = N_("Reading the text of pictures and scans is an extra that is not installed.")
    todo = N_('Install it: pip install "r1desk[ocr]". Or copy the text into the message.')


class PictureHasNoText(DocumentRefused):
    what = N_("No text was found in {name}.")
    why = N_("The models here read text, and cannot see pictures.")
    todo = N_("Describe what it shows, or attach a sharper picture of the text.")


class DocumentEmpty(DocumentRefused):
    what = N_("{name} is empty.")
    why = N_("It contains no text.")
    todo = N_("Choose another file.")


class DocumentEncrypted(DocumentRefused):
    what = N_("{name} could not be opened.")
    why = N_("It is password-protected.")
    todo = N_("Save a copy without the password.")


class PdfLocked(DocumentEncrypted):
    """A PDF that its password opens."""


class PasswordWrong(PdfLocked):
    why = N_("The password is wrong.")
    todo = N_("Enter it again, or save a copy without it.")


class DocumentDamaged(DocumentRefused):
    what = N_("{name} is damaged.")
    why = N_("Reading it failed: {detail}.")
    todo = N_("Open it in its own program, and save it again.")


class DocumentTooLarge(DocumentRefused):
    what = N_("{name} is too large to be read.")
    why = N_("{detail}")
    todo = N_("Copy the part you need into a smaller file.")


class FolderTooLarge(DocumentRefused):
    what = N_("The folder {name} is too large to be read.")
    why = N_("It has more than {limit} files.")
    todo = N_("Choose a folder inside it, or the files you need.")


class DocumentNeedsMemory(DocumentRefused):
    """The memory budget leaves less than reading it takes."""

    what = N_("{name} was not read.")
    why = N_("{detail}")
    todo = N_("{todo}")


class ReaderFull(DocumentRefused):
    """The process that reads it has no memory left; its owner knows what it could have."""


class ReadingStopped(DocumentRefused):
    what = N_("{name} was not read.")
    why = N_("Reading was stopped.")
