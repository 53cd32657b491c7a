"""Networks of timm, of every family: every module of `timm.list_modules()` has at least its smallest network here.

More of a family where its networks differ in kind. Only families whose smallest network is above 200 million parameters are cut in depth.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.exactness.cases import Case, images
from torch import nn

FAMILIES = {
    "beit": "beit_base_patch16_224 beitv2_base_patch16_224",
    "byoanet": (
        "halonet_h1 eca_botnext26ts_256 eca_halonext26ts lambda_resnet26t botnet26t_256 sehalonet33ts "
        "lamhalobotnet50ts_256"
    ),
    "byobnet": (
        "mobileone_s1 gernet_s repvgg_a0 regnetz_b16 resnext26ts eca_resnext26ts seresnext26ts gcresnext26ts "
        "bat_resnext26ts resnet32ts eca_resnet33ts"
    ),
    "cait": "cait_xxs24_224",
    "coat": "coat_tiny coat_lite_tiny coat_mini",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "convnext": "convnext_zepto_rms convnext_atto_rms convnextv2_atto convnext_femto convnext_tiny test_convnext3",
    "cpubone": "cpubone_nano cpubone_t0",
    "crossvit": "crossvit_tiny_240 crossvit_9_240",
    "csatv2": "csatv2",
    "cspnet": "cs3darknet_focus_s darknet17 cspresnext50 sedarknet21 cspresnet50 cspdarknet53 darknetaa53",
    "cspnext": "cspnext_tiny cspnext_s",
    "davit": "davit_tiny",
    "deepseek_vit": "deepseek_vit_412m",
    "deit": "deit_tiny_patch16_224 deit_small_patch16_224 deit3_small_patch16_224",
    "densenet": "densenet121 densenetblur121d",
    "dla": "dla46x_c",
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": (
        "mobilenetv2_035 mnasnet_small tinynet_e semnasnet_050 mnasnet_050 mobilenet_edgetpu_100 mixnet_s "
        "spnasnet_100 efficientnet_b0 efficientnet_blur_b0 fbnetc_100 tf_efficientnetv2_b0 gc_efficientnetv2_rw_t "
        "test_efficientnet_gn test_efficientnet_ln"
    ),
    "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "eva": (
        "vit_tiny_patch16_dinov3_qkvb eva02_tiny_patch14_224 vit_pe_spatial_tiny_patch16_512 vit_small_patch16_dinov3"
    ),
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8 fastvit_mci0",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m",
    "ghostnet": "ghostnet_050 ghostnetv3_050",
    "hardcorenas": "hardcorenas_b",
    "hgnet": "hgnetv2_b0 hgnet_tiny",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny hieradet_small",
    "hrnet": "hrnet_w18_small",
    "iformer": "iformer_t",
    "inception_next": "inception_next_atto",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s levit_conv_128s",
    "lowformer": "lowformer_b0",
    "mambaout": "mambaout_femto",
    "maxxvit": (
        "maxvit_pico_rw_256 maxvit_rmlp_pico_rw_256 coatnet_pico_rw_224 coatnet_nano_cc_224 coatnext_nano_rw_224 "
        "coatnet_rmlp_nano_rw_224 maxvit_nano_rw_256 maxxvit_rmlp_nano_rw_256 maxxvitv2_nano_rw_256"
    ),
    "metaformer": "poolformerv2_s12 poolformer_s12 caformer_s18 convformer_s18",
    "mlp_mixer": "gmlp_ti16_224 gmixer_12_224 resmlp_12_224 mixer_s16_224",
    "mobilenetv3": (
        "mobilenetv3_small_050 lcnet_035 fbnetv3_b mobilenetv3_large_100 mobilenetv4_conv_small "
        "mobilenetv4_hybrid_medium"
    ),
    "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs mobilevitv2_050",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_parfac_gap",
    "nasnet": "nasnetalarge",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "nfnet": "nf_regnet_b0 nf_resnet26 nf_ecaresnet26 nf_seresnet26 eca_nfnet_l0 nfnet_l0 dm_nfnet_f0",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0",
    "qwen3_vit": "qwen3_vit_88m",
    "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002 regnety_002 regnetz_005 regnetv_040",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m1",
    "res2net": "res2next50",
    "resnest": "resnest14d",
    "resnet": (
        "resnet10t resnetblur18 seresnet18 ecaresnext26t_32x4d ecaresnet26t seresnext26t_32x4d resnetaa34d "
        "resnext50_32x4d seresnetaa50d ecaresnetlight resnetrs50 resnet50 resnet50d"
    ),
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnet_100 rexnetr_100",
    "selecsls": "selecsls42",
    "senet": "legacy_seresnet18 legacy_seresnext26_32x4d",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18 skresnext50_32x4d",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224 swin_s3_tiny_224",
    "swin_transformer_v2": "swinv2_tiny_window16_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_svt_small twins_pcpvt_small",
    "vgg": "vgg11 vgg11_bn",
    "visformer": "visformer_tiny",
    "vision_transformer": (
        "vit_tiny_patch16_224 vit_xsmall_patch16_clip_224 vit_dwee_patch16_reg1_gap_256 "
        "vit_dpwee_patch16_reg1_gap_256 vit_pwee_patch16_reg1_gap_256 flexivit_small"
    ),
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224 vit_small_r26_s32_224",
    "vision_transformer_relpos": "vit_srelpos_small_patch16_224 vit_relpos_small_patch16_rpn_224",
    "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw eca_vovnet39b",
    "xception": "legacy_xception",
    "xception_aligned": "xception41p",
    "xcit": "xcit_nano_12_p8_224 xcit_nano_12_p16_224",
}
"""Module of timm -> names of networks."""

CHANGED: dict[str, dict[str, Any]] = {
    "deepseek_vit_412m": {"depth": 4},
}
"""Arguments where a network would be above 200 million parameters otherwise."""

SIDES = {
    "halonet_h1": 256,
    "eca_halonext26ts": 256,
    "sehalonet33ts": 256,
    "bat_resnext26ts": 256,
    "deepseek_vit_412m": 98,
}
"""Side of the images where neither the rule below nor the network's own size will do."""

SIDE = 96
"""Side of the images of networks that take any."""


def names() -> tuple[str, ...]:
    """All names, family by family."""
    return tuple(name for line in FAMILIES.values() for name in line.split())


def build(name: str) -> nn.Module:
    """The network with random weights."""
    import timm

    network: nn.Module = timm.create_model(name, **CHANGED.get(name, {}))
    return network


def side(name: str) -> int:
    """Side of the images that it gets."""
    import timm

    if name in SIDES:
        return SIDES[name]
    config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    return config.input_size[-1] if config.fixed_input_size else SIDE


def case(name: str) -> Case:
    """One of them."""
    return Case(name, partial(build, name), images(side(name)))
