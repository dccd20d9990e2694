"""Reads the definition of a workflow, which is YAML or JSON, as Step Functions and CloudFormation do."""

from typing import Any

import yaml


class _DefinitionLoader(yaml.CSafeLoader):
    """Refuses a key that occurs twice. YAML parsers keep the last one, so a whole state could disappear unnoticed."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if duplicates := sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {duplicates[0]!r} occurs twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def parse(text: str) -> dict[str, Any]:
    """Parse the text of a workflow file.

    Args:
        text: YAML, of which JSON is a part.

    Raises:
        yaml.YAMLError: The text is not YAML, or a mapping has a key twice; the message names the line.
    """
    definition: dict[str, Any] = yaml.load(text, _DefinitionLoader)  # noqa: S506 (a safe loader)
    return definition
