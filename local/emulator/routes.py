"""Reads the routes, authorizers and CORS settings of an HTTP API from a template."""

import re

from local.emulator import cors
from local.emulator.http_api import Authorizer, Route
from local.emulator.template import Resource, Template, TemplateError

_HEADER_SOURCE = "$request.header."
_AUTHORIZER_URI = re.compile(r"functions/(arn:[^/]+)/invocations")


def read_routes(template: Template) -> list[Route]:
    """Read all routes with the functions and authorizers behind them.

    Raises:
        TemplateError: The API uses something that is not supported here, or has settings for a missing route.
    """
    for resource in template.resources("AWS::ApiGatewayV2::Api"):
        if "Body" in resource.raw:
            raise TemplateError(f"{resource.logical_id} has its routes in a body: implement it in emulator/routes.py.")
    integrations = {
        f"integrations/{template.refs[resource.logical_id]}": template.resolve(resource.raw)["IntegrationUri"]
        for resource in template.resources("AWS::ApiGatewayV2::Integration")
    }
    authorizers = {
        template.refs[resource.logical_id]: resource for resource in template.resources("AWS::ApiGatewayV2::Authorizer")
    }
    routes = []
    for resource in template.resources("AWS::ApiGatewayV2::Route"):
        properties = template.resolve(resource.raw)
        method, _, path = properties["RouteKey"].rpartition(" ")
        has_authorizer = properties.get("AuthorizationType", "NONE") != "NONE"
        authorizer = _authorizer(template, authorizers[properties["AuthorizerId"]]) if has_authorizer else None
        routes.append(Route(method or "ANY", path, integrations[properties["Target"]], authorizer))
    _check_route_settings(template, {route.key for route in routes})
    return routes


def read_cors(template: Template) -> cors.Rule | None:
    """Read the CORS settings of the API; None if it has none.

    Raises:
        TemplateError: They allow credentials, which is not supported here.
    """
    for resource in template.resources("AWS::ApiGatewayV2::Api"):
        if configuration := template.resolve(resource.raw).get("CorsConfiguration"):
            if configuration.get("AllowCredentials"):
                raise TemplateError(f"{resource.logical_id} allows credentials: implement it in emulator/cors.py.")
            return cors.Rule.of_api(configuration)
    return None


def _check_route_settings(template: Template, route_keys: set[str]) -> None:
    """Reject limits of routes that do not exist, as API Gateway does. The limits themselves have no effect here."""
    for resource in template.resources("AWS::ApiGatewayV2::Stage"):
        for route_key in template.resolve(resource.raw.get("RouteSettings", {})):
            if route_key not in route_keys:
                raise TemplateError(f"{resource.logical_id} has settings for a route that does not exist: {route_key}.")


def _authorizer(template: Template, resource: Resource) -> Authorizer:
    properties = template.resolve(resource.raw)
    if properties["AuthorizerType"] != "REQUEST":
        raise TemplateError(
            f"{resource.logical_id} checks tokens (JWT), which the local run does not support. Omit the issuer to use "
            "keys."
        )
    function_arn = _AUTHORIZER_URI.search(properties["AuthorizerUri"])
    is_simple = str(properties.get("EnableSimpleResponses")).lower() == "true"
    header = properties["IdentitySource"][0].removeprefix(_HEADER_SOURCE)
    if not (function_arn and is_simple and len(properties["IdentitySource"]) == 1 and header):
        raise TemplateError(
            f"{resource.logical_id} is not a function that judges one header with a simple response: implement it in "
            "emulator/routes.py."
        )
    ttl_seconds = int(properties.get("AuthorizerResultTtlInSeconds", 0))
    return Authorizer(function_arn=function_arn[1], header=header.lower(), cached_seconds=ttl_seconds)
