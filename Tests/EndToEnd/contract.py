"""Holds every message of the server against the contract that it publishes."""

import functools
import pathlib

import jsonschema
import yaml

CONTRACT = pathlib.Path(__file__).resolve().parents[2] / "Sources/TablecastHummingbird/Contract/asyncapi.yaml"


@functools.cache
def validators():
    document = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    messages = document["components"]["messages"]
    sent = {
        reference["$ref"].split("/")[-1]
        for reference in document["operations"]["sendToClient"]["messages"]
    }
    return {
        messages[key]["name"]: jsonschema.Draft202012Validator(
            {"components": document["components"], "$ref": f"#/components/messages/{key}/payload"}
        )
        for key in sent
    }


def check(message):
    """Returns the message, or fails with what the contract says against it."""
    validator = validators().get(message.get("type"))
    assert validator is not None, f"the contract does not know {message}"
    error = jsonschema.exceptions.best_match(validator.iter_errors(message))
    assert error is None, f"{error.json_path}: {error.message}\nin {message}"
    return message
