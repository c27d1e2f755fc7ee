"""Options of every head, with the ranges that the heads check, too: here a mistake shows before MXNet is loaded."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Optional

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from lossbench.config.section import Section, choice, known_name, rule


class HeadSection(Section):
    """What every head has."""

    SCHEDULED: ClassVar[tuple[str, ...]] = ()  # the values that `anneal` may move

    loss_weight: float = Field(1.0, ge=0, description="factor on the head's loss, >= 0; 0 needs the head frozen")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the target spread evenly over all classes, in [0, 1)"
    )

    def scheduled(self) -> tuple[str, ...]:
        """Names of the values that a schedule may move."""
        return self.SCHEDULED


class SoftmaxHead(HeadSection):
    """Inner product with a weight per class."""

    name: Literal["softmax"] = Field(description="plain softmax")
    use_bias: bool = Field(False, description="add a bias per class")
    normalize_weight: bool = Field(False, description="divide each class's weight by its norm; excludes use_bias")

    @model_validator(mode="after")
    def _no_bias_beside_unit_weights(self) -> SoftmaxHead:
        if self.normalize_weight and self.use_bias:
            raise rule("must be false with use_bias, got true. Choose one of the two", "normalize_weight")
        return self


class _ScaledHead(HeadSection):
    SCHEDULED = ("scale",)

    scale: float = Field(16.0, gt=0, description="factor on the unit embedding, > 0")
    learn_scale: bool = Field(False, description="train the scale (never below 0.01) instead of scheduling it")

    def scheduled(self) -> tuple[str, ...]:
        return () if self.learn_scale else self.SCHEDULED


class L2SoftmaxHead(_ScaledHead):
    """Unit embeddings, free weights."""

    name: Literal["l2_softmax"] = Field(description="L2-constrained softmax")


class NormFaceHead(_ScaledHead):
    """Unit embeddings, unit weights."""

    name: Literal["normface"] = Field(description="NormFace")


class AMSoftmaxHead(HeadSection):
    """Margin on the true class's cosine."""

    SCHEDULED = ("margin", "scale")

    name: Literal["am_softmax", "cosface"] = Field(description="AM-Softmax, also called CosFace")
    scale: float = Field(30.0, gt=0, description="factor on the cosine, > 0")
    margin: float = Field(0.35, ge=0, lt=2, description="taken off the true class's cosine, in [0, 2)")


class ArcFaceHead(HeadSection):
    """Margin on the true class's angle."""

    SCHEDULED = ("margin", "scale")

    name: Literal["arcface"] = Field(description="ArcFace")
    scale: float = Field(64.0, gt=0, description="factor on the cosine, > 0")
    margin: float = Field(
        0.5, ge=0, lt=math.pi / 2, description="added to the true class's angle, radians in [0, pi/2)"
    )
    easy_margin: bool = Field(False, description="apply the margin only where the cosine is above 0")

    @field_validator("margin", mode="before")
    @classmethod
    def _not_degrees(cls, value: Any) -> Any:
        if isinstance(value, (int, float)) and math.pi / 2 <= value < 90:
            radians = f"{math.radians(value):.4g}"
            raise rule(f"must be in [0, pi/2) radians, got {value}. If that is degrees, write {radians}")
        return value


class _MultipliedAngleHead(HeadSection):
    SCHEDULED = ("beta",)

    margin: int = Field(4, ge=1, description="integer multiplier of the true class's angle, >= 1; 1 is no margin")
    beta: float = Field(0.0, ge=0, description="weight of the plain logit beside the one with margin, >= 0")


class LSoftmaxHead(_MultipliedAngleHead):
    """Multiplied angle, free weights."""

    name: Literal["l_softmax"] = Field(description="L-Softmax")


class ASoftmaxHead(_MultipliedAngleHead):
    """Multiplied angle, unit weights."""

    name: Literal["a_softmax", "sphereface"] = Field(description="A-Softmax, also called SphereFace")


class LGMHead(HeadSection):
    """Gaussian mixture."""

    SCHEDULED = ("margin", "likelihood_weight")

    name: Literal["lgm"] = Field(description="large-margin Gaussian mixture")
    margin: float = Field(0.3, ge=0, description="times the true class's distance, taken off its logit, >= 0")
    likelihood_weight: float = Field(0.1, ge=0, description="factor on the likelihood term, >= 0")
    variance: Literal["identity", "isotropic", "diagonal"] = Field(
        "identity", description="all 1; one learned per class; or one learned per class and dimension"
    )
    log_variance_floor: float = Field(-4.0, lt=0, description="the learned log variance stays above this, < 0")
    variance_lr_mult: float = Field(0.01, ge=0, description="learning rate multiplier of the log variance, >= 0")
    mean_lr_mult: float = Field(1.0, ge=0, description="learning rate multiplier of the means, >= 0")
    mean_wd_mult: float = Field(0.0, ge=0, description="weight decay multiplier of the means, >= 0; the authors use 1")
    natural_gradient: Optional[bool] = Field(
        None,
        description="gradients of means and embeddings times the variance where that is below 1; "
        "null: where variance_lr_mult is above 0.1",
    )


class OwnHead(HeadSection):
    """A head that the caller brings along: its options are checked by its own constructor."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="name of a head that the caller brings along")

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        return known_name(name, "head", HEADS, (info.context or {}).get("heads", ()))


HEADS = {
    "softmax": SoftmaxHead,
    "l2_softmax": L2SoftmaxHead,
    "normface": NormFaceHead,
    "am_softmax": AMSoftmaxHead,
    "cosface": AMSoftmaxHead,
    "arcface": ArcFaceHead,
    "l_softmax": LSoftmaxHead,
    "a_softmax": ASoftmaxHead,
    "sphereface": ASoftmaxHead,
    "lgm": LGMHead,
}
Head = choice("name", HEADS, OwnHead)
