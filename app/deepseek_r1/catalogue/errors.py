"""What can go wrong while a model comes to this computer, is checked here, or goes."""

from __future__ import annotations

from deepseek_r1.core.errors import ModelRefused, R1Error, WrongUsage
from deepseek_r1.core.words import N_


class DownloadFailed(R1Error):
    """The network gave out, for longer than we wait."""

    what = N_("{file} could not be downloaded.")
    why = N_("{detail}")
    todo = N_("What has arrived is kept: start the download again and it goes on from there.")


class DownloadStopped(DownloadFailed):
    """The user stopped it."""

    what = N_("The download of {file} was stopped.")
    why = ""


class DownloadRunning(DownloadFailed):
    """Another process writes the same file."""

    why = N_("Another window or command is downloading it.")
    todo = N_("Wait for the other download, or stop it.")


class SourceRefused(DownloadFailed):
    """The server's answer is not the file."""

    why = N_("{host} answered: {detail}.")
    todo = N_("Try another source, or try again later.")


class SourceUnsafe(DownloadFailed):
    """The address, or where the server sent us on to, is none we go to."""

    why = N_("{detail}")
    todo = N_("Try another source.")


class ProxyUnusable(DownloadFailed):
    """The environment asks for a proxy, or for certificates, that do not work."""

    why = N_("The network settings of the system or the environment cannot be used: {detail}.")
    todo = N_("Set HTTPS_PROXY to an http proxy and unset ALL_PROXY, or use no proxy.")


class NoSpace(DownloadFailed):
    """The drive of the models' folder is too full."""

    what = N_("There is not enough space for {file}.")
    why = N_("It needs {needed_mb} MB on the drive of {folder}, where {free_mb} MB are free.")
    todo = N_("Free some space, or choose a smaller model. What has arrived is kept.")


class FolderUnusable(DownloadFailed):
    """The models' folder cannot be read or written."""

    what = N_("The folder {folder} cannot be used.")
    why = N_("The system says: {detail}.")
    todo = N_("Check the folder's permissions and its drive.")


class ChecksumWrong(ModelRefused):
    """What came is complete, and another file."""

    what = N_("What came for {file} is not the file that was asked for. It was deleted.")
    why = N_("Its SHA-256 is {actual} and should be {expected}.")
    todo = N_("Try again, best from another source.")


class ImportedFileDiffers(ModelRefused):
    """A file of this computer is not the one it should be; it stays where it is."""

    what = N_("{file} is not the file that it should be, and was not imported.")
    why = N_("Its SHA-256 is {actual} and should be {expected}.")
    todo = N_("Download it again, from a source you trust.")


class ChecksumUnknown(ModelRefused):
    """Nothing to compare the file with."""

    what = N_("No checksum is known for {file}.")
    why = N_("Without one nobody can tell whether what arrives is the right file.")
    todo = N_("Choose another file, or accept this one as it comes with --accept-unverified.")


class FileNameTaken(ModelRefused):
    """A different file has the name already."""

    what = N_("There is already another file {file} in {folder}.")
    why = N_("Its contents are not those of the new one.")
    todo = N_("Remove it first, or give the new one another name.")


class FileNameUnusable(WrongUsage):
    """A name that could lead out of the folder, or that some system does not take."""

    what = N_("“{name}” cannot be the name of a model file.")
    why = N_("A name ends in .gguf, is not a path, and has no special characters.")
    todo = N_("Give another name.")


class ModelUnknown(WrongUsage):
    """Neither a known model nor an address."""

    what = N_("There is no model “{name}” in the catalogue.")
    why = N_("Known are: {known}.")
    todo = N_("`deepseek-r1 models list --available` shows them with their sizes.")


class ModelNotHere(WrongUsage):
    """No such file among the user's models."""

    what = N_("There is no model “{name}” in {folder}.")
    todo = N_("`deepseek-r1 models list` shows the models that are here.")


class LinkImpossible(R1Error):
    """Neither kind of link works between the two places."""

    what = N_("{path} cannot be linked into the models' folder.")
    why = N_("The system says: {detail}.")
    todo = N_("Copy or move it instead.")
