"""Backbones: a frozen network, its transform and its identifier as one value; the door to timm and transformers."""

from radboost.extractor.backbone.blocks import parameter_blocks
from radboost.extractor.backbone.config import BackboneConfig
from radboost.extractor.backbone.folds import TRAINING_FORMAT, FoldBackbone, load_backbone, training_content
from radboost.extractor.backbone.load import Backbone, input_size
from radboost.extractor.backbone.pooling import POOLS, feature_map
from radboost.extractor.backbone.weights import checkpoint_sha256, weights_sha256

__all__ = [
    "POOLS",
    "TRAINING_FORMAT",
    "Backbone",
    "BackboneConfig",
    "FoldBackbone",
    "checkpoint_sha256",
    "feature_map",
    "input_size",
    "load_backbone",
    "parameter_blocks",
    "training_content",
    "weights_sha256",
]
