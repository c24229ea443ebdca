"""Training beside a plain one: Lightning and torchvision on a folder of PNGs of the same crops, in one process.

    python benchmarks/train.py [--patients N] [--size PIXELS] [--epochs E] [--backbone NAME] [--repeats R]

Both train the same network on the same crops of a synthetic cohort, learn from the same examples and judge the same
inner ones each epoch, with the same kind of augmentation. What an epoch costs is the time of a run of E + 1 epochs less
that of a run of one, so that imports, decoding and the first batch are left out; what our decoding costs is told apart.
Both run in one process, in turn, `--repeats` times; of each the least time counts, by the clock and of CPU, which a
machine that is shared disturbs less. The share not in the model is what an epoch takes beyond the bare network: as many
steps on one batch in memory.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

# Nothing heavy is imported up here: each decoding process imports this file again, and must stay free of torch.
BATCH = 32


def plain_module(network):
    """Give what a user writes first."""
    import lightning.pytorch as pl
    import torch

    class Plain(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images):
            return self.network(images, torch.empty(len(images), 0))[:, 0]

        def training_step(self, batch, _):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(self(batch[0]), batch[1].float())
            self.log("train", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch, _):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(self(batch[0]), batch[1].float())
            self.log("inner", loss)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 1e-4)

    return Plain()


def fresh(config):
    """Build the network as ours begins."""
    from radboost.extractor.backbone import load_backbone
    from radboost.extractor.train.network import Classifier

    network = Classifier(load_backbone(config.backbone), config.head, 1, 0, 1)
    network.requires_grad_(True)
    return network


def write_pngs(root, crops, examples, split):
    """Write the crops in folders by label, as torchvision wants them."""
    import cv2

    for name, mask in (("train", split.train), ("inner", split.inner)):
        for label in "01":
            (root / name / label).mkdir(parents=True)
        for number in examples.of_units(mask):
            pixels = crops.read(examples.crop[[number]])[0, 0]
            label = examples.label[examples.owner[number], 0]
            cv2.imwrite(str(root / name / str(label) / f"{number}.png"), (pixels >> 8).astype("uint8"))


def train_plain(root, config, epochs):
    """Train on the PNGs."""
    import lightning.pytorch as pl
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    still = [transforms.Grayscale(3), transforms.ToTensor()]
    moved = [
        transforms.RandomHorizontalFlip(),
        transforms.RandomVerticalFlip(),
        transforms.RandomAffine(30, (0.1, 0.1), (0.8, 1.2), interpolation=transforms.InterpolationMode.BILINEAR),
        transforms.ColorJitter(brightness=0.075),
    ]
    learnt = ImageFolder(root / "train", transforms.Compose([*moved, *still]))
    judged = ImageFolder(root / "inner", transforms.Compose(still))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root / "logs",
    )
    trainer.fit(plain_module(fresh(config)), DataLoader(learnt, BATCH, shuffle=True), DataLoader(judged, 2 * BATCH))


def bare(config, counts):
    """Seconds of an epoch's steps on one batch in memory, by the clock and of CPU."""
    import torch

    network = fresh(config).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)
    side = config.pixels.size
    pixels, metadata, label = torch.rand(BATCH, 1, side, side), torch.empty(BATCH, 0), torch.zeros(BATCH)

    def step():
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(network(pixels, metadata)[:, 0], label).backward()
        optimiser.step()

    def look():
        with torch.inference_mode():
            network(pixels, metadata)

    spent = []
    for work in (step, look):
        work()
        spent.append(least(timed(work) for _ in range(5)))
        network.eval()
    return tuple(counts[0] / BATCH * step + counts[1] / BATCH * look for step, look in zip(*spent, strict=True))


def timed(work):
    """Seconds that it takes by the clock, and of this process's CPU, all threads together."""
    begun = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def least(times):
    """Least seconds by the clock, and least of CPU."""
    return tuple(min(each) for each in zip(*times, strict=True))


def main():
    """Print images a second of both, and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=80)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    import numpy as np

    from radboost.data.crop import PixelPolicy
    from radboost.data.index import IndexConfig, index
    from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
    from radboost.data.progress import Silent
    from radboost.data.splits import FoldSpec
    from radboost.data.tasks import get_task
    from radboost.extractor.backbone import BackboneConfig
    from radboost.extractor.train.config import LearnConfig, TrainConfig
    from radboost.extractor.train.crop_file import CropFile
    from radboost.extractor.train.examples import read_examples, split_examples
    from radboost.extractor.train.run import train
    from radboost.extractor.train.stages import Stage

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_rsna_breast(root / "data", BreastPhantom(patients=given.patients, seed=1, pixels=512, prevalence=0.4))
        indexed = index(root / "data", get_task("rsna-breast"), IndexConfig(folds=FoldSpec.parse("3")))
        cohort = indexed.cohort.save(root / "cohort")
        backbone = BackboneConfig(given.backbone, random_init=0, size=given.size)
        learn = LearnConfig(batch_size=BATCH, rate="constant", patience=0)
        pixels = PixelPolicy.of("breast", given.size)
        config = TrainConfig(backbone, pixels, learn=learn, folds=(0,), device="cpu")
        examples = read_examples(cohort)
        split = split_examples(examples, 0, learn.inner, config.seed)
        counts = len(examples.of_units(split.train)), len(examples.of_units(split.inner))
        crops = CropFile(root / "crops", cohort, np.unique(examples.crop), config)
        begun = time.perf_counter()
        crops.fill(Silent())
        decoded = time.perf_counter() - begun
        write_pngs(root / "pngs", crops, examples, split)
        ours, plain = ({1: [], 1 + given.epochs: []} for _ in range(2))
        # Once each before the clock counts, so that libraries are loaded and files are cached.
        for turn, epochs in enumerate((1, *(1, 1 + given.epochs) * given.repeats)):
            asked = replace(config, stages=(Stage("all", epochs, 1e-4),))
            spent = timed(lambda asked=asked: train(cohort, root / "training", asked, overwrite=True))
            usual = timed(lambda epochs=epochs: train_plain(root / "pngs", config, epochs))
            shutil.rmtree(root / "pngs" / "logs", ignore_errors=True)
            if turn:
                ours[epochs].append(spent)
                plain[epochs].append(usual)
        network = bare(config, counts)
    print(
        f"{counts[0]} crops learnt from, {counts[1]} judged, {given.size} pixels, {given.backbone}, batches of {BATCH}"
    )
    for clock, (unit, bare_epoch) in enumerate(zip(("second by the clock", "CPU second"), network, strict=True)):
        rates = []
        for name, spent in (("radboost", ours), ("plain", plain)):
            long, short = (least(spent[epochs])[clock] for epochs in (1 + given.epochs, 1))
            epoch = (long - short) / given.epochs
            rates.append(sum(counts) / epoch)
            share = max(0.0, 1 - bare_epoch / epoch)
            print(f"{name}: {rates[-1]:.1f} images per {unit}, {share:.1%} of an epoch not in the model")
        print(f"ratio: {rates[0] / rates[1]:.2f}")
    load = os.getloadavg()[0]
    print(f"processes that wanted a core meanwhile: {load:.1f} of {os.cpu_count()}")
    print(f"decoding once, beside it: {len(examples.crop) / decoded:.1f} images/s by the clock")


if __name__ == "__main__":
    main()
