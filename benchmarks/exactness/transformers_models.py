"""Architectures of transformers, small and with random weights: configurations in which embeddings do not dominate.

A row: class of the network, its configuration (class and values), kind of input, what of the output is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from benchmarks.exactness.cases import Case, images
from torch import Tensor, nn

VOCABULARY = 100
LENGTH = 9

Values = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One architecture."""

    network: str
    config: str
    values: Values
    inputs: Callable[[int], dict[str, Tensor]]
    compared: tuple[str, ...] = ("logits",)


def integers(seed: int, *shape: int, low: int = 5, high: int = VOCABULARY) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


def words(seed: int) -> dict[str, Tensor]:
    """Two sentences, the second one shorter."""
    mask = torch.ones(2, LENGTH, dtype=torch.long)
    mask[1, 7:] = 0
    return {"input_ids": integers(seed, 2, LENGTH), "attention_mask": mask}


def bare_words(seed: int) -> dict[str, Tensor]:
    return {"input_ids": integers(seed, 2, LENGTH)}


def translation(seed: int) -> dict[str, Tensor]:
    return {**words(seed), "decoder_input_ids": integers(seed + 50, 2, 6)}


def pixels(size: int, seed: int) -> dict[str, Tensor]:
    return {"pixel_values": images(size)(seed)}


def speech(seed: int) -> dict[str, Tensor]:
    return {"input_values": torch.randn(2, 2000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)}


def spectrogram(seed: int) -> dict[str, Tensor]:
    features = torch.randn(2, 16, 60, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return {"input_features": features, "decoder_input_ids": integers(seed, 2, 6)}


def audio_patches(seed: int) -> dict[str, Tensor]:
    return {"input_values": torch.randn(2, 64, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)}


def picture_and_words(size: int, seed: int) -> dict[str, Tensor]:
    return {**pixels(size, seed), **words(seed)}


def series(seed: int) -> dict[str, Tensor]:
    return {"past_values": torch.randn(2, 48, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)}


ENCODER: Values = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 144,
    "max_position_embeddings": 32,
    "num_labels": 3,
    "pad_token_id": 0,
}
DECODER: Values = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 144,
    "max_position_embeddings": 64,
    "use_cache": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION: Values = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 144,
    "image_size": 32,
    "patch_size": 8,
    "num_labels": 5,
}
PAIR: Values = {
    "vocab_size": VOCABULARY,
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 144,
    "decoder_ffn_dim": 144,
    "max_position_embeddings": 32,
    "use_cache": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
}

EAGER_EXPERTS: Values = {"experts_implementation": "eager"}
"""Grouped matrix products have no float64."""

picture = partial(pixels, 32)

DETECTED = ("logits", "pred_boxes")

RESNET_BACKBONE: Values = {
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
}

TABLE: dict[str, Row] = {
    # text in, classes or words out
    "BERT": Row("BertForSequenceClassification", "BertConfig", ENCODER, words),
    "BERT masked words": Row("BertForMaskedLM", "BertConfig", ENCODER, words),
    "RoBERTa": Row("RobertaForSequenceClassification", "RobertaConfig", ENCODER, words),
    "XLM-RoBERTa": Row("XLMRobertaForTokenClassification", "XLMRobertaConfig", ENCODER, words),
    "DistilBERT": Row(
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        {
            "vocab_size": VOCABULARY,
            "dim": 64,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 144,
            "max_position_embeddings": 32,
        },
        words,
    ),
    "ALBERT": Row("AlbertForSequenceClassification", "AlbertConfig", {**ENCODER, "embedding_size": 24}, words),
    "ELECTRA": Row("ElectraForSequenceClassification", "ElectraConfig", {**ENCODER, "embedding_size": 24}, words),
    "DeBERTa": Row(
        "DebertaForSequenceClassification",
        "DebertaConfig",
        {
            **ENCODER,
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "type_vocab_size": 0,
            "max_relative_positions": 16,
        },
        words,
    ),
    "DeBERTa v2": Row(
        "DebertaV2ForSequenceClassification",
        "DebertaV2Config",
        {
            **ENCODER,
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "type_vocab_size": 0,
            "position_buckets": 8,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
        words,
    ),
    "MPNet": Row("MPNetForSequenceClassification", "MPNetConfig", ENCODER, words),
    "MobileBERT": Row(
        "MobileBertForSequenceClassification",
        "MobileBertConfig",
        {
            **ENCODER,
            "embedding_size": 24,
            "intra_bottleneck_size": 32,
            "true_hidden_size": 32,
            "num_feedforward_networks": 2,
        },
        words,
    ),
    "SqueezeBERT": Row(
        "SqueezeBertForSequenceClassification", "SqueezeBertConfig", {**ENCODER, "embedding_size": 64}, words
    ),
    "ConvBERT": Row(
        "ConvBertForSequenceClassification",
        "ConvBertConfig",
        {**ENCODER, "embedding_size": 24, "conv_kernel_size": 3},
        words,
    ),
    "FNet": Row("FNetForSequenceClassification", "FNetConfig", ENCODER, bare_words),
    "ModernBERT": Row(
        "ModernBertForSequenceClassification",
        "ModernBertConfig",
        {**ENCODER, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2, "local_attention": 4},
        words,
    ),
    # text in, the next word out
    "GPT-2": Row(
        "GPT2LMHeadModel",
        "GPT2Config",
        {"vocab_size": VOCABULARY, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32, "use_cache": False},
        words,
    ),
    "GPT-Neo": Row(
        "GPTNeoForCausalLM",
        "GPTNeoConfig",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 64,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
            "max_position_embeddings": 32,
            "use_cache": False,
        },
        words,
    ),
    "GPT-NeoX": Row("GPTNeoXForCausalLM", "GPTNeoXConfig", {**DECODER, "num_attention_heads": 4}, words),
    "GPT-J": Row(
        "GPTJForCausalLM",
        "GPTJConfig",
        {
            "vocab_size": VOCABULARY,
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 32,
            "rotary_dim": 8,
            "use_cache": False,
        },
        words,
    ),
    "OPT": Row(
        "OPTForCausalLM",
        "OPTConfig",
        {**DECODER, "ffn_dim": 144, "word_embed_proj_dim": 64, "num_attention_heads": 4},
        words,
    ),
    "BLOOM": Row(
        "BloomForCausalLM",
        "BloomConfig",
        {"vocab_size": VOCABULARY, "hidden_size": 64, "n_layer": 2, "n_head": 4, "use_cache": False},
        words,
    ),
    "Llama": Row("LlamaForCausalLM", "LlamaConfig", DECODER, words),
    "Llama, untied, biased": Row(
        "LlamaForCausalLM",
        "LlamaConfig",
        {**DECODER, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False},
        words,
    ),
    "Mistral": Row("MistralForCausalLM", "MistralConfig", {**DECODER, "sliding_window": 4}, words),
    "Mixtral": Row(
        "MixtralForCausalLM",
        "MixtralConfig",
        {**DECODER, "num_local_experts": 4, "num_experts_per_tok": 2, **EAGER_EXPERTS},
        words,
    ),
    "Qwen2": Row("Qwen2ForCausalLM", "Qwen2Config", DECODER, words),
    "Qwen3": Row("Qwen3ForCausalLM", "Qwen3Config", {**DECODER, "head_dim": 16}, words),
    "Qwen2 MoE": Row(
        "Qwen2MoeForCausalLM",
        "Qwen2MoeConfig",
        {
            **DECODER,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 48,
            "shared_expert_intermediate_size": 40,
            **EAGER_EXPERTS,
        },
        words,
    ),
    "Gemma": Row("GemmaForCausalLM", "GemmaConfig", {**DECODER, "head_dim": 16}, words),
    "Gemma 2": Row("Gemma2ForCausalLM", "Gemma2Config", {**DECODER, "head_dim": 16, "sliding_window": 4}, words),
    "Phi": Row(
        "PhiForCausalLM", "PhiConfig", {**DECODER, "num_key_value_heads": 8, "partial_rotary_factor": 0.5}, words
    ),
    "Phi-3": Row("Phi3ForCausalLM", "Phi3Config", DECODER, words),
    "StableLM": Row("StableLmForCausalLM", "StableLmConfig", DECODER, words),
    "Falcon": Row(
        "FalconForCausalLM",
        "FalconConfig",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "use_cache": False,
            "new_decoder_architecture": True,
            "num_kv_heads": 2,
        },
        words,
    ),
    "OLMo 2": Row("Olmo2ForCausalLM", "Olmo2Config", DECODER, words),
    "Cohere": Row("CohereForCausalLM", "CohereConfig", DECODER, words),
    "SmolLM3": Row("SmolLM3ForCausalLM", "SmolLM3Config", DECODER, words),
    "Mamba": Row(
        "MambaForCausalLM",
        "MambaConfig",
        {"vocab_size": VOCABULARY, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8, "use_cache": False},
        bare_words,
    ),
    # text in, text out
    "T5": Row(
        "T5ForConditionalGeneration",
        "T5Config",
        {
            "vocab_size": VOCABULARY,
            "d_model": 64,
            "d_kv": 16,
            "d_ff": 144,
            "num_layers": 2,
            "num_heads": 4,
            "use_cache": False,
            "decoder_start_token_id": 0,
        },
        translation,
    ),
    "BART": Row("BartForConditionalGeneration", "BartConfig", PAIR, translation),
    "Marian": Row("MarianMTModel", "MarianConfig", PAIR, translation),
    "Pegasus": Row("PegasusForConditionalGeneration", "PegasusConfig", PAIR, translation),
    "M2M-100": Row(
        "M2M100ForConditionalGeneration",
        "M2M100Config",
        {**PAIR, "encoder_layerdrop": 0, "decoder_layerdrop": 0},
        translation,
    ),
    # images
    "ViT": Row("ViTForImageClassification", "ViTConfig", VISION, picture),
    "DeiT": Row("DeiTForImageClassificationWithTeacher", "DeiTConfig", VISION, picture),
    "BEiT": Row("BeitForImageClassification", "BeitConfig", {**VISION, "use_relative_position_bias": True}, picture),
    "DINOv2": Row("Dinov2ForImageClassification", "Dinov2Config", VISION, picture),
    "Swin": Row(
        "SwinForImageClassification",
        "SwinConfig",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 32,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
            "num_labels": 5,
        },
        picture,
    ),
    "Swin v2": Row(
        "Swinv2ForImageClassification",
        "Swinv2Config",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 32,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
            "num_labels": 5,
        },
        picture,
    ),
    "ConvNeXt": Row(
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {"hidden_sizes": [24, 48, 72, 96], "depths": [1, 1, 2, 1], "num_labels": 5},
        picture,
    ),
    "ResNet": Row(
        "ResNetForImageClassification",
        "ResNetConfig",
        {"embedding_size": 24, "hidden_sizes": [48, 64, 96, 128], "depths": [1, 1, 2, 1], "num_labels": 5},
        picture,
    ),
    "RegNet": Row(
        "RegNetForImageClassification",
        "RegNetConfig",
        {
            "embedding_size": 24,
            "hidden_sizes": [32, 64, 96, 128],
            "depths": [1, 1, 2, 1],
            "groups_width": 16,
            "num_labels": 5,
        },
        picture,
    ),
    "MobileNetV1": Row("MobileNetV1ForImageClassification", "MobileNetV1Config", {"num_labels": 5}, picture),
    "MobileNetV2": Row(
        "MobileNetV2ForImageClassification", "MobileNetV2Config", {"num_labels": 5}, partial(pixels, 64)
    ),
    "MobileViT": Row(
        "MobileViTForImageClassification",
        "MobileViTConfig",
        {
            "image_size": 64,
            "hidden_sizes": [24, 36, 48],
            "neck_hidden_sizes": [16, 32, 48, 64, 80, 96, 120],
            "num_labels": 5,
        },
        partial(pixels, 64),
    ),
    "PVT": Row(
        "PvtForImageClassification",
        "PvtConfig",
        {
            "image_size": 64,
            "hidden_sizes": [16, 32, 48, 64],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 3, 4],
            "num_labels": 5,
        },
        partial(pixels, 64),
    ),
    "PoolFormer": Row(
        "PoolFormerForImageClassification",
        "PoolFormerConfig",
        {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 2, 1], "num_labels": 5},
        partial(pixels, 64),
    ),
    "LeViT": Row(
        "LevitForImageClassification",
        "LevitConfig",
        {
            "image_size": 64,
            "hidden_sizes": [48, 64, 80],
            "num_attention_heads": [3, 4, 5],
            "depths": [1, 1, 1],
            "key_dim": [16, 16, 16],
            "num_labels": 5,
        },
        partial(pixels, 64),
    ),
    "SegFormer": Row(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        {
            "hidden_sizes": [16, 32, 48, 64],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 3, 4],
            "decoder_hidden_size": 48,
            "num_labels": 5,
        },
        partial(pixels, 64),
    ),
    "UPerNet": Row(
        "UperNetForSemanticSegmentation",
        "UperNetConfig",
        {"hidden_size": 48, "auxiliary_channels": 32, "num_labels": 5, "use_pretrained_backbone": False},
        partial(pixels, 64),
    ),
    "DPT": Row(
        "DPTForDepthEstimation",
        "DPTConfig",
        {
            **VISION,
            "num_hidden_layers": 4,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [24, 32, 48, 64],
            "fusion_hidden_size": 32,
        },
        picture,
        ("predicted_depth",),
    ),
    "DETR": Row(
        "DetrForObjectDetection",
        "DetrConfig",
        {
            "d_model": 64,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 144,
            "decoder_ffn_dim": 144,
            "num_queries": 6,
            "num_labels": 5,
        },
        partial(pixels, 64),
        DETECTED,
    ),
    "Conditional DETR": Row(
        "ConditionalDetrForObjectDetection",
        "ConditionalDetrConfig",
        {
            "d_model": 64,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 144,
            "decoder_ffn_dim": 144,
            "num_queries": 6,
            "num_labels": 5,
        },
        partial(pixels, 64),
        DETECTED,
    ),
    "YOLOS": Row(
        "YolosForObjectDetection",
        "YolosConfig",
        {**VISION, "image_size": [32, 32], "num_detection_tokens": 6},
        picture,
        DETECTED,
    ),
    "RT-DETR": Row(
        "RTDetrForObjectDetection",
        "RTDetrConfig",
        {
            "d_model": 64,
            "encoder_hidden_dim": 64,
            "decoder_in_channels": [64, 64, 64],
            "num_queries": 8,
            "num_labels": 5,
            "decoder_layers": 2,
            "encoder_in_channels": [64, 96, 128],
        },
        partial(pixels, 64),
        DETECTED,
    ),
    # images and text
    "CLIP": Row(
        "CLIPModel",
        "CLIPConfig",
        {
            "text_config": {**ENCODER, "eos_token_id": 99},
            "vision_config": VISION,
            "projection_dim": 40,
        },
        partial(picture_and_words, 32),
        ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds"),
    ),
    "SigLIP": Row(
        "SiglipModel",
        "SiglipConfig",
        {"text_config": {**ENCODER, "projection_size": 64}, "vision_config": VISION},
        partial(picture_and_words, 32),
        ("logits_per_image", "logits_per_text"),
    ),
    "ViLT": Row(
        "ViltForQuestionAnswering",
        "ViltConfig",
        {**ENCODER, "image_size": 32, "patch_size": 8, "max_image_length": -1},
        partial(picture_and_words, 32),
    ),
    "BLIP": Row(
        "BlipForImageTextRetrieval",
        "BlipConfig",
        {
            "text_config": {**ENCODER, "encoder_hidden_size": 64, "bos_token_id": 1, "sep_token_id": 2},
            "vision_config": VISION,
            "image_text_hidden_size": 40,
        },
        partial(picture_and_words, 32),
        ("itm_score",),
    ),
    # sound and series
    "Whisper": Row(
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {**PAIR, "num_mel_bins": 16, "max_source_positions": 30, "max_target_positions": 20},
        spectrogram,
    ),
    "Wav2Vec2": Row(
        "Wav2Vec2ForCTC",
        "Wav2Vec2Config",
        {
            **ENCODER,
            "conv_dim": (32, 32, 32),
            "conv_kernel": (8, 3, 3),
            "conv_stride": (4, 2, 2),
            "num_feat_extract_layers": 3,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            "mask_time_prob": 0.0,
            "layerdrop": 0.0,
        },
        speech,
    ),
    "HuBERT": Row(
        "HubertForCTC",
        "HubertConfig",
        {
            **ENCODER,
            "conv_dim": (32, 32, 32),
            "conv_kernel": (8, 3, 3),
            "conv_stride": (4, 2, 2),
            "num_feat_extract_layers": 3,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            "mask_time_prob": 0.0,
            "layerdrop": 0.0,
        },
        speech,
    ),
    "Audio Spectrogram Transformer": Row(
        "ASTForAudioClassification",
        "ASTConfig",
        {**VISION, "max_length": 64, "num_mel_bins": 32, "frequency_stride": 8, "time_stride": 8},
        audio_patches,
    ),
    "PatchTST": Row(
        "PatchTSTForPrediction",
        "PatchTSTConfig",
        {
            "num_input_channels": 3,
            "context_length": 48,
            "patch_length": 8,
            "patch_stride": 8,
            "d_model": 64,
            "num_attention_heads": 4,
            "ffn_dim": 144,
            "num_hidden_layers": 2,
            "prediction_length": 6,
            "loss": "mse",
        },
        series,
        ("prediction_outputs",),
    ),
}


def names() -> tuple[str, ...]:
    """All architectures of the table."""
    return tuple(TABLE)


def build(name: str) -> nn.Module:
    """A network from its configuration, by eager attention's own rules of the library."""
    import transformers

    row = TABLE[name]
    config = getattr(transformers, row.config)(**{**row.values, **extras(name)})
    network: nn.Module = getattr(transformers, row.network)(config)
    return network


def extras(name: str) -> Values:
    """Small backbones for networks that hold another one."""
    import transformers

    if name in ("DETR", "Conditional DETR", "UPerNet"):
        stages = ["stage1", "stage2", "stage3", "stage4"]
        sizes: Values = {"embedding_size": 24, "hidden_sizes": [48, 64, 96, 128], "depths": [1, 1, 1, 1]}
        backbone = transformers.ResNetConfig(**sizes, out_features=stages if name == "UPerNet" else stages[3:])
        more: Values = {"auxiliary_in_channels": 96} if name == "UPerNet" else RESNET_BACKBONE
        return {"backbone_config": backbone, **more}
    if name == "RT-DETR":
        sizes = {
            "embedding_size": 24,
            "hidden_sizes": [48, 64, 96, 128],
            "depths": [1, 1, 1, 1],
            "out_features": ["stage2", "stage3", "stage4"],
        }
        return {
            "backbone_config": transformers.RTDetrResNetConfig(**sizes),
            "use_pretrained_backbone": False,
            "backbone": None,
        }
    return {}


def case(name: str) -> Case:
    """One of them."""
    row = TABLE[name]

    def pick(output: Any) -> list[Any]:
        return [output[key] for key in row.compared]

    return Case(name, partial(build, name), row.inputs, pick=pick)
