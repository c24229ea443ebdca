"""Backbones: a frozen network, its transform and its identifier as one value. The only door to timm."""

from radboost.extractor.backbone.config import POOLS, BackboneConfig
from radboost.extractor.backbone.load import Backbone, load_backbone
from radboost.extractor.backbone.weights import weights_sha256

__all__ = ["POOLS", "Backbone", "BackboneConfig", "load_backbone", "weights_sha256"]
