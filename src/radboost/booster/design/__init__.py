"""The design: one row a unit, made of blocks of pooled embeddings and of metadata, as the task declares them."""

from radboost.booster.design.build import build_design
from radboost.booster.design.matrix import Design, ImageBlock, Store

__all__ = ["Design", "ImageBlock", "Store", "build_design"]
