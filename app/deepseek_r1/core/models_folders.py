"""The folder of downloaded models: the profile's, or one that the user chose, and earlier ones.

The choice is kept in `models-folders.json` in the profile, so that the window and the command line
use the same folder. A folder that was chosen before keeps its models, which are still listed.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.paths import make_private_dir, profile_dir

FILE_NAME = "models-folders.json"
MOST_EARLIER = 8
_MOST_BYTES = 64 << 10

_Folder = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]


class _Choice(BaseModel, frozen=True):
    folder: _Folder | None = None  # None is the profile's
    earlier: Annotated[tuple[_Folder, ...], Field(max_length=MOST_EARLIER)] = ()


def default_models_dir() -> Path:
    """The folder of models inside the profile."""
    return profile_dir() / "models"


def user_models_dir() -> Path:
    """The folder into which models are downloaded. It may not exist."""
    return chosen_models_dir() or default_models_dir()


def chosen_models_dir() -> Path | None:
    """The folder that the user chose; None for the profile's."""
    folder = _read().folder
    return Path(folder) if folder is not None else None


def converted_models_dir() -> Path:
    """The folder of what comparisons of precisions have converted. It may not exist."""
    return profile_dir() / "converted"


def models_dirs() -> tuple[Path, ...]:
    """All folders with models of ours: the present one, the profile's two and earlier ones."""
    earlier = (Path(folder) for folder in _read().earlier)
    ours = user_models_dir(), default_models_dir(), converted_models_dir()
    return tuple(dict.fromkeys((*ours, *earlier)))


def choose_models_dir(folder: Path | None) -> None:
    """Use another folder from now on, None for the profile's. Moves nothing. Raises OSError."""
    before = _read()
    earlier = [each for each in (before.folder, *before.earlier) if each is not None]
    chosen = str(folder) if folder is not None else None
    kept = tuple(dict.fromkeys(each for each in earlier if each != chosen))[:MOST_EARLIER]
    make_private_dir(profile_dir())
    data = _Choice(folder=chosen, earlier=kept).model_dump_json(indent=2)
    write_atomically(models_folders_file(), data.encode("utf-8"))


def models_folders_file() -> Path:
    """The file that keeps the choice. It may not exist."""
    return profile_dir() / FILE_NAME


def _read() -> _Choice:
    try:
        with models_folders_file().open("rb") as file:
            return _Choice.model_validate_json(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return _Choice()
    except (OSError, ValidationError) as error:
        log.models.warning("the choice of the models folder is damaged: %s", error)
        return _Choice()
