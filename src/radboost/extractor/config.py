"""What is asked of an extraction, and how it is asked again for new exams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from radboost.data.crop import PixelPolicy
from radboost.data.networks import TRAINED_GROUPS, network_name, training_content
from radboost.data.pool import Limits
from radboost.data.store import EmbeddingStore
from radboost.errors import FormatError, UserError, WeightsError
from radboost.extractor.backbone import HOUNSFIELD, BackboneConfig, checkpoint_sha256
from radboost.extractor.views import ViewConfig

__all__ = ["DTYPES", "ExtractConfig"]

DTYPES = ("float16", "float32")
DECODERS = ("cpu", "cuda")
ENGINES = ("local", "ray")


@dataclass(frozen=True)
class ExtractConfig:
    """One extraction. The first three and `dtype` decide the embeddings, the rest only how fast they come.

    Attributes
    ----------
    backbone, pixels
        The network, and what it is shown; both name the same size.
    precision
        fp32, bf16, fp16, or auto: what an existing store has, else fp32 on the CPU and bf16 on CUDA.
    dtype
        Of the embeddings on disk.
    device
        auto, cpu, cuda or cuda:N.
    batch_size
        Images a forward pass; None: 16 on the CPU, 64 on CUDA.
    workers
        Decoding processes; None: one a core.
    shard_rows
        Crops a shard; None: about a minute's work at the measured rate. An existing store keeps its own.
    limits
        Of one file's decoding.
    strict
        The first crop that fails ends the run.
    decode
        ``cpu``: in supervised workers. ``cuda``: JPEG 2000 and HTJ2K on the GPU (extra ``cuda``), in threads and in
        full; reversible streams give the same pixels either way, others may differ by a rounding.
    engine
        ``local``: this machine. ``ray``: the nodes of a Ray cluster (extra ``ray``), where files lie under the same
        paths.
    ray_address
        Of the cluster; None: what RAY_ADDRESS says, else all devices of this machine.
    views
        Augmented views beside the clean one, each a row of its own.
    compile
        Let torch compile the network: slower to start, faster after; results may differ in the last digits.
    expect
        Fingerprint that the embeddings must have, where they are to join others.
    """

    backbone: BackboneConfig
    pixels: PixelPolicy
    precision: str = "auto"
    dtype: str = "float16"
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    shard_rows: int | None = None
    limits: Limits = field(default_factory=Limits)
    strict: bool = False
    decode: str = "cpu"
    engine: str = "local"
    ray_address: str | None = None
    views: ViewConfig = field(default_factory=ViewConfig)
    compile: bool = False
    expect: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for option, value in (
            ("--batch-size", self.batch_size),
            ("--workers", self.workers),
            ("--shard-rows", self.shard_rows),
        ):
            if value is not None and value < 1:
                raise UserError("must be at least 1", where=option, got=value)
        if self.backbone.size != self.pixels.size:
            got = f"{self.pixels.size} and {self.backbone.size} pixels"
            raise UserError("crops and backbone differ in size", where="--size", got=got)
        if self.backbone.windows and self.pixels.windows != (HOUNSFIELD,):
            do = f"Cut crops under the window {HOUNSFIELD}"
            raise UserError("a window layer sees Hounsfield units", where="windows", got=self.pixels.windows, do=do)
        if self.pixels.channels > 3:
            do = "Give at most three windows"
            raise UserError("a backbone sees three channels", where="windows", got=self.pixels.channels, do=do)
        if self.decode not in DECODERS:
            raise UserError("unknown decoder", where="--decode", got=self.decode, do=f"Give {' or '.join(DECODERS)}")
        if self.decode == "cuda" and not self.pixels.full_decode:
            do = "Give --full-decode too"
            raise UserError("a GPU decodes in full", where="--decode cuda", got="reduced decoding", do=do)
        if self.engine not in ENGINES:
            raise UserError("unknown engine", where="--engine", got=self.engine, do=f"Give {' or '.join(ENGINES)}")
        if self.ray_address is not None and self.engine != "ray":
            raise UserError("an address needs --engine ray", where="--ray-address", got=f"--engine {self.engine}")
        if self.dtype not in DTYPES:
            raise UserError("unknown dtype of embeddings", got=self.dtype, do=f"Give {' or '.join(DTYPES)}")

    def known(self, precision: str) -> dict[str, object]:
        """Give the part of the fingerprint that is known without building the network."""
        return {
            "pixels": self.pixels.as_dict(),
            "backbone": self.backbone.known(),
            "precision": precision,
            "dtype": self.dtype,
            "views": self.views.fingerprint(),
        }

    def recipe(self, precision: str) -> dict[str, object]:
        """Give what `from_config` needs, for `store.json`, and whom the networks saw; holds no path."""
        pixels = asdict(self.pixels)
        return {
            **_who_trained(self.backbone),
            "backbone": self.backbone.recipe(),
            "weights": self.backbone.source(),
            "pixels": {**pixels, "windows": [list(window) for window in self.pixels.windows]},
            "precision": precision,
            "dtype": self.dtype,
            "views": self.views.fingerprint(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], checkpoint: Path | None = None) -> ExtractConfig:
        """Ask for the same extraction again, as `EmbeddingStore.config` and the runs made from it describe it.

        Parameters
        ----------
        config
            Content of `EmbeddingStore.config`.
        checkpoint
            The weights file, where the weights came from one.

        Raises
        ------
        WeightsError
            The weights file is needed and not given, or another one is given; it is named with its sha256.
        FormatError
            The config is damaged, or of a version that this one does not know.
        """
        try:
            source = config["weights"]
            pixels = PixelPolicy.from_dict(config["pixels"])
            network = _tuples(config["backbone"])
            file = _checked(source, checkpoint)
            backbone = BackboneConfig(**network, checkpoint=file, random_init=source.get("seed"))
            views = ViewConfig(**_tuples(config["views"])) if config["views"] else ViewConfig()
            precision, dtype, expect = config["precision"], config["dtype"], config["fingerprint"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError("does not describe an extraction", where="config", got=repr(error)) from error
        return cls(backbone, pixels, precision=precision, dtype=dtype, views=views, expect=expect)

    @classmethod
    def of_training(cls, folder: Path, pools: tuple[str, ...] = ()) -> ExtractConfig:
        """Ask for the embeddings of a training's networks, on crops like those that they learnt from.

        Parameters
        ----------
        folder
            Of the training.
        pools
            Poolings; none for the training's own. ``head`` stands for what the networks' heads say.

        Raises
        ------
        UserError
            The folder is no training.
        """
        made = training_content(folder)["config"]
        pixels = PixelPolicy.from_dict(made["pixels"])
        network = BackboneConfig(**_tuples(made["backbone"]), checkpoint=folder)
        return cls(replace(network, pool=pools or network.pool), pixels)

    @classmethod
    def from_store(cls, store: EmbeddingStore, checkpoint: Path | None = None) -> ExtractConfig:
        """Ask for what made a store; see `from_config`."""
        return cls.from_config(store.config, checkpoint)


def _who_trained(backbone: BackboneConfig) -> dict[str, object]:
    """Say which hashed groups each network of a training saw, and under which folds; nothing for other weights."""
    if backbone.training is None:
        return {}
    content = training_content(backbone.training)
    saw = {network_name(int(network["fold"])): network["saw"] for network in content["networks"]}
    return {TRAINED_GROUPS: saw, "fold_hash": content["fold_hash"]}


def _checked(source: Mapping[str, Any], checkpoint: Path | None) -> Path | None:
    """Give the weights file that the source names, and no other."""
    if "file_sha256" not in source:
        if checkpoint is not None:
            do = "Leave --checkpoint out"
            raise WeightsError(f"the features were made with {source['kind']} weights", where=checkpoint.name, do=do)
        return None
    needed = f"{source['file']}, sha256 {source['file_sha256']}"
    do = f"Give that file with --checkpoint: {needed}"
    if checkpoint is None:
        raise WeightsError("the backbone's weights file is needed", where=source["file"], do=do)
    # Of a folder that gives the architecture only, as for untrained weights, the settings count.
    found = checkpoint_sha256(checkpoint, weights=source["kind"] != "random init")
    if found != source["file_sha256"]:
        raise WeightsError("is not the weights file the features were made with", where=checkpoint, got=found, do=do)
    return checkpoint


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only; frozen values hold tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
