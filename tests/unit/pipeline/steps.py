"""What tests of steps share: small stacks, a compiler for a made-up plate, simple functions."""

import numpy as np
import pytest

from wellfield.errors import PipelineError
from wellfield.pipeline import FunctionStep, StepMaterializationConfig, special_inputs, special_outputs
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.plane_selection import SourceLayers
from wellfield.plate.plate import Plate

IMAGE = np.random.default_rng(0).integers(0, 1000, (2, 20, 30)).astype(np.uint16)
OUT = StepMaterializationConfig(sub_dir="out")
TWO = {1: IMAGE, 2: IMAGE[::-1].copy()}


def compiled(*steps, channels=None, depth=3, config=None, global_config=None, **facts):
    plate = Plate(channels=channels or {1: "DAPI", 2: "FITC"}, **facts)
    sources = {number: SourceLayers(tuple(range(1, depth + 1))) for number in plate.channels}
    return compile_pipeline(steps, plate=plate, sources=sources, config=config, global_config=global_config)


def mistakes(*steps, **facts):
    with pytest.raises(PipelineError) as caught:
        compiled(*steps, **facts)
    return str(caught.value)


def add_one(image):
    return image + 1


def double(image, *, factor=2):
    return image * factor


@special_outputs("level")
def measure(image):
    return image, int(image.max())


@special_inputs("level")
def use(image, *, level):
    return image * 0 + level


def average(image, *, field_numbers, stage_positions_um):
    assert stage_positions_um.shape == (len(image), 2)
    return image - image.mean(0, dtype=int, keepdims=True) + np.array(field_numbers)[:, None, None]


PROJECT = FunctionStep("max_projection", name="p")
