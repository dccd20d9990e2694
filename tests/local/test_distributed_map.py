"""local/distributed_map.py: a Distributed Map as moto takes it; tests/workflow/test_backfill.py sees it run."""

import copy
import json

import pytest

from local import distributed_map
from tests.asl import machine

DEFINITION = machine("backfill").definition


def changed(change):
    definition = copy.deepcopy(DEFINITION)
    change(definition["States"]["SelectUploads"])
    return json.dumps(definition)


def test_other_definitions_stay_as_they_are():
    """Letter by letter, so that moto's tree is found again."""
    text = json.dumps(machine("process_image").definition)
    assert distributed_map.translate(text) == (text, {})


def test_what_moto_cannot_parse_is_taken_out_and_kept():
    """Batches and results; the parts and their order are not touched."""
    text, maps = distributed_map.translate(json.dumps(DEFINITION))
    (found,) = maps.values()
    assert (found.batch_size, found.prefix) == (100, "backfills/")
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
def test_what_is_not_known_is_refused(change):
    """What would work otherwise than on AWS must not seem to work."""
    with pytest.raises(ValueError, match=r"SelectUploads: teach it in local/distributed_map\.py"):
        distributed_map.translate(changed(change))
