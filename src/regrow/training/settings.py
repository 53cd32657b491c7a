"""What a study may say about training and about the machine's arithmetic. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from regrow.settings import Settings

Positive = Annotated[float, Field(gt=0)]
Auto = Literal["auto"]


class TrainSettings(Settings):
    """The dense network's recipe. Every arm inherits all of it; arms change epochs, peak lr and schedule only."""

    epochs: Annotated[int, Field(ge=1)] = 160
    """Epochs of the dense network (K1)."""

    lr: Positive = 0.1
    """Peak learning rate of the dense network."""

    final_lr: Positive | None = None
    """Learning rate that every schedule but a constant one ends at, in every arm; by default lr / 100."""

    schedule: Literal["step", "cosine", "one-cycle", "constant"] = "step"
    """step: three levels, peak to final in equal factors, changed at 50 % and 75 %; cosine: half a cosine from peak to final;
    one-cycle: linear rise over the first 30 %, then half a cosine; constant."""

    warmup: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of all steps over which lr rises linearly from 0 to the peak; stretched with the schedule."""

    batch: Annotated[int, Field(ge=2)] = 128
    """Examples a step."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd (with momentum) or adamw."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of sgd."""

    nesterov: bool = False
    """Nesterov's form of momentum."""

    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Weight decay on all parameters, norm scales included, as in the paper."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target spread over the other classes."""

    validate_every: Annotated[int, Field(ge=1)] = 1
    """Epochs between two measurements on the validation set; the last epoch is always measured."""

    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Trackers that also receive the metrics; each needs its extra."""

    @model_validator(mode="after")
    def _everything_said_is_used(self) -> TrainSettings:
        if self.schedule == "one-cycle" and self.warmup:
            raise ValueError(f"one-cycle rises over its own first 30 %; leave warmup out; found {self.warmup:g}")
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError(
                "nesterov is a form of sgd's momentum; it needs sgd with a momentum above 0, or leave it out"
            )
        return self


class ComputeSettings(Settings):
    """Arithmetic and threads, the same for every arm. All but `workers` change the bits of a result and are part of its identity."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks are trained; auto takes a CUDA device where there is one."""

    threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads of each training. Several trainings run side by side, so one is nearly always best."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """fp32, or bf16 autocast with fp32 weights; auto times a few steps of the dense network and takes the faster."""

    channels_last: Auto | bool = "auto"
    """Memory layout of images; auto times both."""

    compile: Auto | bool = False
    """torch.compile; auto takes it where the time saved over the whole study exceeds the time to compile."""

    workers: Annotated[int, Field(ge=1)] | None = None
    """Trainings side by side; by default cores / threads on the CPU, one a GPU, divided by `devices`. Never changes a result."""

    devices: Annotated[int, Field(ge=1)] = 1
    """Devices that share each training of the study, one process on each: GPUs, or on the CPU groups of `threads` threads. `train.batch`
    is shared out among them; what a batch norm measures, it measures on each device's share. Pruning and testing take one device."""

    @model_validator(mode="after")
    def _compiled_on_one_device(self) -> ComputeSettings:
        if self.compile is True and self.devices > 1:
            raise ValueError(
                f"compile is for trainings on one device; found devices = {self.devices}. Leave compile out"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_a_single_device(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Studies on one device keep the identity that they had before there were several."""
        written: dict[str, Any] = handler(self)
        if self.devices == 1:
            written.pop("devices", None)
        return written
