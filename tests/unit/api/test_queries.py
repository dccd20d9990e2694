"""image_pipeline.api.queries"""

import pytest

from image_pipeline.api import queries
from image_pipeline.errors import InvalidRequestError


def test_parameters_are_those_that_api_gateway_decoded():
    """A request without parameters has an empty result."""
    event = {"rawQueryString": "name=a%26b%2Cc&wait=1", "queryStringParameters": {"name": "a&b,c", "wait": "1"}}
    assert queries.read(event) == {"name": "a&b,c", "wait": "1"}
    assert queries.read({}) == queries.read({"rawQueryString": "", "queryStringParameters": None}) == {}


@pytest.mark.parametrize(
    "query",
    ["name=a&name=b", "name=a&name=a", "name&name", "name=&name=", "name=a&wait=1&n%61me=b", "name=a&name=b&name=c"],
)
def test_a_repeated_parameter_is_refused(query):
    """API Gateway would pass on `a,b`, which is the name of another upload."""
    with pytest.raises(InvalidRequestError, match="'name'"):
        queries.read({"rawQueryString": query, "queryStringParameters": {"name": "a,b"}})


@pytest.mark.parametrize("query", ["name=a%26name=b", "name=a&Name=b", "name=a,b", "name=a;name=b"])
def test_a_value_with_separators_is_one_parameter(query):
    """The value of a parameter may contain any character."""
    assert queries.read({"rawQueryString": query, "queryStringParameters": {"name": "x"}}) == {"name": "x"}
