"""Put an exported folder on the hub: a private repository unless told otherwise, in a commit of huggingface_hub's.

Not the writing of the folder, which stays where it is whatever the hub says.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError, XetDownloadError

from triptych.core.errors import RunError
from triptych.models.disk.hub_errors import HTTP_ERROR


def check_hub(name: str, *, private: bool, endpoint: str | None = None, token: str | None = None) -> None:
    """Find out, before anything is written, whether the hub lets us in and keeps private what is to be.

    Raises:
        RunError: it does not, or the repository is there and others see it.
    """
    api = HfApi(endpoint=endpoint, token=token)
    try:
        api.whoami()
        seen_by_all = not api.model_info(name).private
    except RepositoryNotFoundError:
        return  # it will be made
    except (OSError, ValueError, HTTP_ERROR) as error:
        raise _told(error, name) from error
    if private and seen_by_all:
        raise RunError(f"push={name}: that repository is public. Say private=false, or name another.")


def push_folder(
    folder: Path, name: str, *, private: bool, endpoint: str | None = None, token: str | None = None
) -> str:
    """Make the repository where it is not there, put all files into it, and return its address.

    Args:
        folder: what was exported.
        name: ``OWNER/NAME``.
        private: of a new repository.
        endpoint: the hub's address; None: as the environment says (``HF_ENDPOINT``).
        token: who we are; None: as the environment says (``HF_TOKEN``, ``hf auth login``).

    Raises:
        RunError: the hub cannot be reached or refuses; what was written here is untouched.
    """
    api = HfApi(endpoint=endpoint, token=token)
    try:
        made = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Export of Triptych")
    except (OSError, ValueError, RuntimeError, XetDownloadError, HTTP_ERROR) as error:
        raise _told(error, name, folder) from error
    return str(made)


def _told(error: BaseException, name: str, folder: Path | None = None) -> RunError:
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    kept = "" if folder is None else f" The folder {folder} is whole: `hf upload {name} {folder}` tries again."
    if status in (401, 403) or isinstance(error, LocalTokenNotFoundError):
        said = "the hub does not let us in: say who you are with `hf auth login` or HF_TOKEN, with the right to write."
    elif status is not None:
        said = f"the hub answers {status}."
    else:
        line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        said = f"the hub cannot be reached or refuses ({line})."
    return RunError(f"push={name}: {said}{kept}")
