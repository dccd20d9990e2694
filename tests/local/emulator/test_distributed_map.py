"""moto_seams/distributed_map.py: definitions with a Distributed Map; tests/workflow/test_backfill.py runs one."""

import copy
import json

import pytest

from local.emulator.moto_seams import distributed_map
from tests.asl import machine

DEFINITION = machine("backfill").definition


def changed(change):
    definition = copy.deepcopy(DEFINITION)
    change(definition["States"]["SelectUploads"])
    return json.dumps(definition)


def test_other_definitions_are_unchanged():
    """moto finds the cached parse tree of a definition only if its text is unchanged."""
    text = json.dumps(machine("process_image").definition)
    assert distributed_map.translate(text) == (text, {})


def test_options_that_moto_cannot_parse_are_extracted():
    """Batch and result options are extracted; the workflow of the parts is unchanged."""
    text, maps = distributed_map.translate(json.dumps(DEFINITION))
    (options,) = maps.values()
    assert (options.batch_size, options.prefix) == (100, "backfills/")
    state = json.loads(text)["States"]["SelectUploads"]
    assert not {"ItemBatcher", "ResultWriter"} & state.keys()
    assert state["ItemProcessor"] == DEFINITION["States"]["SelectUploads"]["ItemProcessor"]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("ItemBatcher"),
        lambda state: state["ItemBatcher"].update(More=1),
        lambda state: state.pop("ResultWriter"),
        lambda state: state["ResultWriter"]["WriterConfig"].update(Transformation="FLATTEN"),
        lambda state: state.update(ItemSelector={}),
        lambda state: state["ItemReader"].update(ReaderConfig={"MaxItems": 1}),
    ],
)
def test_unsupported_options_are_refused(change):
    """An unsupported option must not be ignored."""
    with pytest.raises(ValueError, match=r"SelectUploads.* moto_seams/distributed_map\.py"):
        distributed_map.translate(changed(change))
