"""Small random detectors and segmenters as `save_pretrained` leaves them, with their preprocessing: nothing can be
downloaded here. Weights are shaken, as a fresh model says the same of every picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    ResNetConfig,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrResNetConfig,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    UperNetConfig,
    UperNetForSemanticSegmentation,
)

LABELS = ("cat", "dog", "bird")
NAMES: dict[str, Any] = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
BACKBONE: dict[str, Any] = {
    "embedding_size": 8,
    "hidden_sizes": [8, 8, 16, 16],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
}
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
SIDE = 64


def detr() -> Any:
    """Softmax, with a class for no object; one stride."""
    return DetrForObjectDetection(
        DetrConfig(
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            backbone=None,
            backbone_config=ResNetConfig(**BACKBONE, out_features=["stage4"]),
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            num_queries=12,
            **NAMES,
        )
    )


def rt_detr() -> Any:
    """Sigmoid, two strides, deformable attention."""
    return RTDetrForObjectDetection(
        RTDetrConfig(
            backbone_config=RTDetrResNetConfig(**BACKBONE, out_features=["stage2", "stage3"]),
            backbone=None,
            use_pretrained_backbone=False,
            encoder_hidden_dim=16,
            encoder_in_channels=[8, 16],
            decoder_in_channels=[16, 16],
            feat_strides=[8, 16],
            num_feature_levels=2,
            encode_proj_layers=[1],
            encoder_ffn_dim=16,
            encoder_attention_heads=2,
            decoder_layers=1,
            decoder_ffn_dim=16,
            decoder_attention_heads=2,
            d_model=16,
            num_queries=12,
            num_denoising=0,
            hidden_expansion=0.5,
            **NAMES,
        )
    )


def segformer() -> Any:
    """Logits at a quarter of the input's size."""
    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[8, 4],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        **NAMES,
    )
    return SegformerForSemanticSegmentation(config)


def upernet() -> Any:
    """Logits at the input's size, over a backbone with pyramid pooling."""
    backbone = ResNetConfig(**BACKBONE, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = UperNetConfig(
        backbone_config=backbone, hidden_size=16, use_auxiliary_head=False, pool_scales=[1, 2], **NAMES
    )
    return UperNetForSemanticSegmentation(config)


def save_folder(folder: Path, model: Any, size: dict[str, int]) -> Path:
    """What a hub would hand out."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Far apart in the last layer, so that answers are clear.
            parameter.add_(torch.randn_like(parameter) * (2.0 if "class" in name else 0.2))
    model.save_pretrained(folder)
    preprocessing = {
        "do_resize": True,
        "size": size,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder
