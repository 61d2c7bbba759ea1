"""The Hugging Face Hub: the files of one revision of a model, from the local cache or from the network.

What is in them, and whether they may be used, is decided by whoever asks.
"""

from collections.abc import Sequence
from pathlib import Path

from shared.errors import FileUnavailable


def snapshot(name: str, revision: str | None, wanted: Sequence[str], unwanted: Sequence[str] = ()) -> Path:
    """The folder in the cache, which is filled where there is a network and HF_HUB_OFFLINE is not set.

    Patterns say which files; none in `wanted` means all. Raises FileUnavailable with a sentence; blocks.
    """
    from huggingface_hub import snapshot_download  # slow to import, and most never need it
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        place = snapshot_download(
            name, revision=revision, allow_patterns=list(wanted) or None, ignore_patterns=list(unwanted) or None
        )
    except GatedRepoError as error:
        raise FileUnavailable(
            f"{name} has to be asked for on the Hub: do that, then set HF_TOKEN and try again."
        ) from error
    except LocalEntryNotFoundError as error:
        raise FileUnavailable(
            f"{name}{f'@{revision}' if revision else ''} is not in the local cache, and the Hub cannot be reached: "
            "check the network, and that HF_HUB_OFFLINE is not set."
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise FileUnavailable(f"{name} could not be fetched from the Hub: {str(error).splitlines()[0]}") from error
    return Path(place)
