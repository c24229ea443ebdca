"""Pretrained weights at hand, and whether more could be had; nothing is fetched."""

from __future__ import annotations

import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from huggingface_hub import constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from radboost.data.probe import Probe, State

__all__ = ["probe_cache", "probe_hub"]

AREA = "pretrained weights"
TIMM = "timm/"
LISTED = 5


def probe_cache(backbone: str) -> list[Probe]:
    """Look for timm's weights in the hub's cache.

    Parameters
    ----------
    backbone
        Name of a timm model that is looked for by name.
    """
    place = Path(constants.HF_HUB_CACHE)
    try:
        repos = [repo for repo in scan_cache_dir(place).repos if repo.repo_id.startswith(TIMM)]
    except CacheNotFound:
        repos = []
    held = sorted(repo.repo_id.removeprefix(TIMM) for repo in repos if _has_weights(repo.repo_path))
    found = [_space(place)]
    if not held:
        do = "extract fetches them where there is a network; else --checkpoint FILE or --random-init SEED"
        return [*found, Probe(AREA, "timm", State.absent, "none in the hub's cache", do)]
    size = sum(repo.size_on_disk for repo in repos) / 1e9
    names = ", ".join(held[:LISTED]) + (f" and {len(held) - LISTED} more" if len(held) > LISTED else "")
    found.append(Probe(AREA, "timm", State.works, f"{len(held)} in the hub's cache, {size:.2f} GB: {names}"))
    if backbone not in held:
        do = "extract fetches it where there is a network, or give another --backbone"
        found.append(Probe(AREA, backbone, State.absent, "extract's own choice is not in the cache", do))
    return found


def _has_weights(repo: Path) -> bool:
    """Whether a repository of the cache holds a file of weights whole, and not only settings."""
    endings = (".safetensors", ".bin", ".pt", ".pth")
    return any(path.suffix in endings and path.exists() for path in repo.glob("snapshots/*/*"))


def _space(place: Path) -> Probe:
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 1e9
    offline = ", HF_HUB_OFFLINE is set: nothing is ever fetched" if constants.HF_HUB_OFFLINE else ""
    return Probe(AREA, "hub cache", State.works if free > 2 else State.note, f"{free:.1f} GB free{offline}")


def probe_hub(patience_s: float = 3.0) -> list[Probe]:
    """Ask the hub for one header, because the user asked to; nothing is fetched.

    Parameters
    ----------
    patience_s
        How long to wait, seconds.
    """
    endpoint = str(constants.ENDPOINT)
    host = urllib.parse.urlsplit(endpoint).hostname or ""
    do = "Fill the hub cache on a machine with a network, or give --checkpoint FILE; behind a proxy set HTTPS_PROXY"
    began = time.monotonic()
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.urlopen(request, timeout=patience_s) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "reason", error))[:160]
        return [Probe(AREA, "hub", State.broken, f"{host} does not answer: {reason}", do, needed=True)]
    took = 1000 * (time.monotonic() - began)
    # A refusal of the bare address still shows that the hub is there; a server's own failure does not.
    state = State.works if status < 500 else State.broken
    return [Probe(AREA, "hub", state, f"{host} answers, HTTP {status} in {took:.0f} ms", needed=True)]
