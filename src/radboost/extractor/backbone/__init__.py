"""Backbones: a frozen network, its transform and its identifier as one value; the door to timm and transformers."""

from radboost.extractor.backbone.blocks import parameter_blocks
from radboost.extractor.backbone.config import BackboneConfig
from radboost.extractor.backbone.folds import (
    FoldBackbone,
    load_backbone,
    trained_state,
)
from radboost.extractor.backbone.load import Backbone, input_size
from radboost.extractor.backbone.pooling import POOLS, feature_map, map_shape, pooled_without
from radboost.extractor.backbone.shipped import ShippedCard, read_card, shipped_names
from radboost.extractor.backbone.weights import checkpoint_sha256, fit_weights, weights_sha256
from radboost.extractor.backbone.window import HOUNSFIELD, layered, window_parameters

__all__ = [
    "HOUNSFIELD",
    "POOLS",
    "Backbone",
    "BackboneConfig",
    "FoldBackbone",
    "ShippedCard",
    "checkpoint_sha256",
    "feature_map",
    "fit_weights",
    "input_size",
    "layered",
    "load_backbone",
    "map_shape",
    "parameter_blocks",
    "pooled_without",
    "read_card",
    "shipped_names",
    "trained_state",
    "weights_sha256",
    "window_parameters",
]
