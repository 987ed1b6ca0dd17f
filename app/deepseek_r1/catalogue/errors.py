"""Errors of downloading, importing, verifying and removing models."""

from deepseek_r1.core.errors import ModelRefused, R1Error, WrongUsage
from deepseek_r1.core.i18n import N_


class DownloadFailed(R1Error):
    """The network failed for longer than the retry policy allows."""

    what = N_("{file} could not be downloaded.")
    why = N_("{detail}")
    todo = N_("Start the download again: it continues where it stopped.")


class DownloadStopped(DownloadFailed):
    what = N_("The download of {file} was stopped.")
    why = ""


class DownloadRunning(DownloadFailed):
    why = N_("Another window or command is downloading it.")
    todo = N_("Wait for the other download, or stop it.")


class ImportRunning(DownloadRunning):
    what = N_("{file} could not be imported.")
    why = N_("Another window or command is downloading or importing a file of this name.")
    todo = N_("Wait until it is done, or choose another name.")


class SourceRefused(DownloadFailed):
    """The server's answer is not the file."""

    why = N_("{host} replied: {detail}.")
    todo = N_("Try another source, or try again later.")


class SourceUnsafe(DownloadFailed):
    """The address, or the target of a redirect, is not allowed."""

    why = N_("{detail}")
    todo = N_("Try another source.")


class ProxyUnusable(DownloadFailed):
    why = N_("The network settings of the system or the environment cannot be used: {detail}.")
    todo = N_("Set HTTPS_PROXY to an http proxy and unset ALL_PROXY, or use no proxy.")


class NoSpace(DownloadFailed):
    what = N_("There is not enough space for {file}.")
    why = N_("It needs {needed_mib} on the drive of {folder}, which has {free_mib} free.")
    todo = N_("Free some space, or choose a smaller model. The part already downloaded is kept.")


class FolderUnusable(DownloadFailed):
    what = N_("The folder {folder} cannot be used.")
    why = N_("The system reports: {detail}.")
    todo = N_("Check the folder's permissions and its drive.")


class FolderFull(FolderUnusable):
    what = N_("The folder {folder} cannot be used for models.")
    why = N_("Its drive has only {free_mib} free.")
    todo = N_("Choose a folder on a drive with more space.")


class PageNotRead(DownloadFailed):
    """A web page; `name` is its address."""

    what = N_("{name} was not read: {detail}.")
    why = ""
    todo = ""


class ChecksumWrong(ModelRefused):
    what = N_("The downloaded file is not the expected {file}. It was deleted.")
    why = N_("Its SHA-256 is {actual} and should be {expected}.")
    todo = N_("Try again, preferably from another source.")


class ImportedFileDiffers(ModelRefused):
    """A file of this computer is not the expected one; it stays where it is."""

    what = N_("{file} is not the expected file, so it was not imported.")
    why = N_("Its SHA-256 is {actual} and should be {expected}.")
    todo = N_("Download it again, from a source you trust.")


class ChecksumUnknown(ModelRefused):
    what = N_("No checksum is known for {file}.")
    why = N_("Without a checksum, the download cannot be checked.")
    todo = N_("Choose another file, or accept this one unverified with --accept-unverified.")


class FileNameTaken(ModelRefused):
    what = N_("There is already another file {file} in {folder}.")
    why = N_("Its contents are not those of the new one.")
    todo = N_("Remove it first, or give the new one another name.")


class FileNameUnusable(WrongUsage):
    """A name that could leave the folder, or that some system does not accept."""

    what = N_("“{name}” cannot be the name of a model file.")
    why = N_("A name ends in .gguf, is not a path, and has no special characters.")
    todo = N_("Give another name.")


class ModelUnknown(WrongUsage):
    """Neither a known model nor an address."""

    what = N_("There is no model “{name}” in the catalogue.")
    why = N_("The known ones are: {known}.")
    todo = N_("`deepseek-r1 models list --available` shows them with their sizes.")


class DraftUnknown(WrongUsage):
    what = N_("The catalogue has no draft model for {model}.")
    todo = N_("Leave out --with-draft, or download one from another source.")


class ModelNotHere(WrongUsage):
    what = N_("There is no model “{name}” in {folder}.")
    todo = N_("`deepseek-r1 models list` shows the models that are here.")


class RepositoryNotListed(R1Error):
    what = N_("The files of {repository} could not be listed.")
    why = N_("{detail}")
    todo = N_("Check the name and the connection, or try another source.")


class RepositoryWithoutModel(RepositoryNotListed):
    """The repository has no GGUF file, or none of the wanted type."""

    what = N_("{repository} has no such GGUF file.")
    todo = N_("Choose another repository, often one whose name ends in GGUF.")


class ReferenceUnusable(WrongUsage):
    what = N_("“{text}” is neither a repository nor the address of a GGUF file.")
    why = N_("A repository is written owner/name or owner/name:Q4_K_M.")
    todo = N_("Give its name, or the address of its page or of a .gguf file.")


class LinkImpossible(R1Error):
    """Neither kind of link works between the two places."""

    what = N_("{path} cannot be linked into the models folder.")
    why = N_("The system reports: {detail}.")
    todo = N_("Copy or move it instead.")
