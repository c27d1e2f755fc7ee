"""Options of the networks that turn an image into an embedding."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from lossbench import registry
from lossbench.config.section import Section, choice, known_name


class BackboneSection(Section):
    """What every backbone has."""

    embedding_size: int | None = Field(
        None,
        ge=1,
        description="length of the embedding, >= 1; null: the natural one (2 for lenet and convnet, 512 for iresnets)",
    )
    initializer: Literal["xavier", "msra"] = Field("xavier", description="how weights start")


class ShippedBackbone(BackboneSection):
    """A network of this package."""

    name: Literal["lenet", "resnet20", "resnet32", "resnet56", "resnet110", "convnet", "mobilefacenet"] = Field(
        description="LeNet++, a CIFAR ResNet, a small convolutional network, or MobileFaceNet"
    )


class FaceBackbone(BackboneSection):
    """A face ResNet."""

    name: Literal["iresnet18", "iresnet50", "iresnet100"] = Field(description="insightface's ResNet for aligned faces")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the features dropped before the embedding, in [0, 1)")


class ZooBackbone(BackboneSection):
    """A classification network of gluoncv."""

    name: Literal["zoo"] = Field(description="a gluoncv classification network")
    model: str = Field(description="its name in gluoncv, such as resnet18_v1")
    pretrained: bool = Field(False, description="start from gluoncv's published weights")


class OwnBackbone(BackboneSection):
    """A backbone that the caller brings along: its options are checked by its own constructor."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="name of a backbone that the caller brings along")

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known_name(name, "backbone", registry.BACKBONES.table())


BACKBONES = {
    "lenet": ShippedBackbone,
    "resnet20": ShippedBackbone,
    "resnet32": ShippedBackbone,
    "resnet56": ShippedBackbone,
    "resnet110": ShippedBackbone,
    "convnet": ShippedBackbone,
    "iresnet18": FaceBackbone,
    "iresnet50": FaceBackbone,
    "iresnet100": FaceBackbone,
    "mobilefacenet": ShippedBackbone,
    "zoo": ZooBackbone,
}
Backbone = choice("name", BACKBONES, OwnBackbone)
