"""Read a SAM template: aws-sam-translator translates it, and this module resolves intrinsic functions."""

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ACCOUNT_ID = "123456789012"
STREAM_LABEL = "local"
"""The last part of the ARN of a stream; on AWS it is the time of its creation."""
NO_VALUE = object()
_ASSETS = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


class _TemplateLoader(yaml.CSafeLoader):
    """Reads a template as SAM does, in a seventh of the time."""


class TemplateError(Exception):
    """The template is invalid or uses something that is not supported here; the message says what."""


@dataclass(frozen=True)
class Resource:
    """One resource of the translated template; its properties are resolved on demand."""

    logical_id: str
    type: str
    raw: Mapping[str, Any]


@dataclass
class Template:
    """A translated template and the state of its deployment.

    `refs` and `attributes` have the values of `Ref` and `Fn::GetAtt`; they are filled when resources are named.
    `aliases` maps addresses on AWS to local addresses. `nested` has the templates of nested applications by logical id;
    they are loaded when their parameters are known.
    """

    path: Path
    document: Mapping[str, Any]
    parameters: dict[str, Any]
    stack_name: str
    region: str
    refs: dict[str, Any] = field(default_factory=dict)
    attributes: dict[tuple[str, str], Any] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    nested: dict[str, "Template"] = field(default_factory=dict)

    def resources(self, *types: str) -> list[Resource]:
        """List the resources of these types whose condition holds, in the template's order."""
        return [
            Resource(logical_id, body["Type"], body.get("Properties", {}))
            for logical_id, body in self.document["Resources"].items()
            if body["Type"] in types and self._holds(body.get("Condition"))
        ]

    def with_nested(self) -> "Iterator[Template]":
        """Iterate over this template and the templates of its nested applications."""
        yield self
        for template in self.nested.values():
            yield from template.with_nested()

    def asset(self, path: str) -> Path:
        """Return the absolute path of a file or a folder that the template names.

        Raises:
            TemplateError: It does not exist.
        """
        asset = (self.path.parent / path).resolve()
        if not asset.exists():
            raise TemplateError(f"{self.path.name} points to {path}, which does not exist.")
        return asset

    def outputs(self) -> dict[str, str]:
        """Resolve the outputs whose condition holds."""
        return {
            name: self.resolve(body["Value"])
            for name, body in self.document.get("Outputs", {}).items()
            if self._holds(body.get("Condition"))
        }

    def resolve(self, value: Any) -> Any:
        """Resolve every intrinsic function inside a value.

        Raises:
            TemplateError: A function is not supported, or refers to something that does not exist.
        """
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name in self._functions:
                return self._functions[name](argument)
            if name.startswith("Fn::"):
                raise TemplateError(f"{name} is not supported by the local run: implement it in emulator/template.py.")
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not NO_VALUE}

    @property
    def _functions(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": lambda argument: self._alias(argument[0].join(map(str, self.resolve(argument[1])))),
            "Fn::Select": lambda argument: self.resolve(argument[1])[int(self.resolve(argument[0]))],
            "Fn::Split": lambda argument: self.resolve(argument[1]).split(argument[0]),
            "Fn::If": lambda argument: self.resolve(argument[1 if self._holds(argument[0]) else 2]),
            "Fn::Equals": lambda argument: str(self.resolve(argument[0])) == str(self.resolve(argument[1])),
            "Fn::Not": lambda argument: not self.resolve(argument[0]),
            "Fn::And": lambda argument: all(self.resolve(argument)),
            "Fn::Or": lambda argument: any(self.resolve(argument)),
            "Fn::FindInMap": self._find_in_map,
            "Condition": self._holds,
        }

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.resolve(self.document["Conditions"][condition]))

    def _ref(self, name: str) -> Any:
        pseudo = {
            "AWS::Partition": "aws",
            "AWS::Region": self.region,
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::StackName": self.stack_name,
            "AWS::StackId": f"arn:aws:cloudformation:{self.region}:{ACCOUNT_ID}:stack/{self.stack_name}/local",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NO_VALUE,
            "AWS::NotificationARNs": [],
        }
        for values in (pseudo, self.parameters, self.refs):
            if name in values:
                return values[name]
        raise TemplateError(f"{name} is referenced, but it is neither a parameter nor a resource.")

    def _get_att(self, argument: Any) -> Any:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        try:
            return self.attributes[logical_id, attribute]
        except KeyError:
            raise TemplateError(
                f"{logical_id}.{attribute} is referenced, but the local run does not support it."
            ) from None

    def _sub(self, argument: Any) -> str:
        text, extra = (argument, {}) if isinstance(argument, str) else argument
        extra = self.resolve(extra)

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in extra:
                return str(extra[name])
            return str(self._get_att(name) if "." in name else self._ref(name))

        return self._alias(re.sub(r"\$\{([^}]+)\}", value, text))

    def _alias(self, text: str) -> str:
        for address, alias in self.aliases.items():
            text = text.replace(address, alias)
        return text

    def _find_in_map(self, argument: Any) -> Any:
        table, row, column = self.resolve(argument)
        return self.document["Mappings"][table][row][column]


def load(
    path: Path,
    stack_name: str,
    region: str,
    overrides: Mapping[str, str] | None = None,
    previous: Mapping[str, Any] | None = None,
) -> Template:
    """Read and translate a SAM template.

    Args:
        path: The template file.
        stack_name: The name of the local stack.
        region: The region of the local stack.
        overrides: Values of parameters, instead of their defaults.
        previous: The values that the parameters of the stack have before an update; an update keeps them.

    Raises:
        TemplateError: A parameter is unknown or has no value, or SAM rejects the template.
    """
    os.environ.setdefault(
        "AWS_DEFAULT_REGION", region
    )  # the translator needs a region, and must not take it from a profile
    from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-untyped]
    from samtranslator.translator.transform import transform  # type: ignore[import-untyped]
    from samtranslator.yaml_helper import intrinsics_multi_constructor  # type: ignore[import-untyped]

    _TemplateLoader.add_multi_constructor("!", intrinsics_multi_constructor)
    document = yaml.load(path.read_text(encoding="utf-8"), _TemplateLoader)  # noqa: S506 (a safe loader)
    for resource in document["Resources"].values():
        asset = _ASSETS.get(resource["Type"])
        if asset and isinstance(resource.get("Properties", {}).get(asset), str):
            # `sam package` puts an S3 URL here. The path replaces it, and the translator returns it as the S3 key.
            resource["Properties"][asset] = "s3://local/" + resource["Properties"][asset]
    declared = document.get("Parameters", {})
    previous_values = {name: _text(value) for name, value in (previous or {}).items() if name in declared}
    parameters = _parameters(declared, {**previous_values, **(overrides or {})})
    try:
        translated = transform(document, dict(parameters), _NoManagedPolicies())
    except InvalidDocumentException as error:
        causes = "; ".join(cause.message for cause in error.causes)
        raise TemplateError(f"SAM rejects {path.name}: {causes}") from error
    return Template(path, json.loads(json.dumps(translated)), parameters, stack_name, region)


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _parameters(declared: Mapping[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    if unknown := sorted(set(overrides) - set(declared)):
        raise TemplateError(
            f"The template has no parameter {', '.join(unknown)}; it has {', '.join(sorted(declared))}."
        )
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        if name not in overrides and "Default" not in declaration:
            raise TemplateError(f"Parameter {name} has no default and needs a value.")
        value = overrides.get(name, declaration.get("Default"))
        if rule := _broken_rule(declaration, str(value)):
            raise TemplateError(f"Parameter {name} is {value!r}, but {rule}.")
        if declaration["Type"] == "CommaDelimitedList":
            value = [item.strip() for item in str(value).split(",")]
        values[name] = value
    return values


def _broken_rule(declaration: Mapping[str, Any], value: str) -> str | None:
    """Return the rule of its declaration that a value breaks, as CloudFormation checks it; None if it is valid."""
    allowed = [str(option) for option in declaration.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return f"must be one of {', '.join(allowed)}"
    if not re.fullmatch(declaration.get("AllowedPattern", ".*"), value, re.DOTALL):
        return str(declaration.get("ConstraintDescription", f"must match {declaration.get('AllowedPattern')}"))
    if declaration["Type"] == "Number":
        least = declaration.get("MinValue", -math.inf)
        most = declaration.get("MaxValue", math.inf)
        try:
            fits = least <= float(value) <= most
        except ValueError:
            fits = False
        if not fits:
            return f"must be a number from {least} to {most}"
    return None


class _NoManagedPolicies:
    """Resolves no managed policies: the template names them by ARN."""

    def load(self) -> dict[str, str]:
        return {}
