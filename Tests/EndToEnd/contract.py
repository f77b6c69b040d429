"""Holds every message of the server against the contract that it publishes."""

import functools
import pathlib

import jsonschema
import yaml

CONTRACT = pathlib.Path(__file__).resolve().parents[2] / "Sources/TablecastHummingbird/Contract/asyncapi.yaml"
# What the tests themselves broadcast.
APPLICATION_TYPES = {"notification", "chat:message", "chat:other", "chat:last"}


@functools.cache
def document():
    return yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))


def validator(reference):
    return jsonschema.Draft202012Validator({"components": document()["components"], "$ref": reference})


@functools.cache
def validators(operation):
    """By type, those of the messages that an operation sends: the listed ones, or all of its channel."""
    sends = document()["operations"][operation]
    channel = document()["channels"][sends["channel"]["$ref"].split("/")[-1]]["messages"]
    names = [reference["$ref"].split("/")[-1] for reference in sends.get("messages", [])] or channel
    keys = [channel[name]["$ref"].split("/")[-1] for name in names]
    messages = document()["components"]["messages"]
    return {messages[key]["name"]: validator(f"#/components/messages/{key}/payload") for key in keys}


def check(message, operation="sendToClient"):
    """Returns the message, or fails with what the contract says against it."""
    known = validators(operation).get(message.get("type"))
    if known is None and message.get("type") in APPLICATION_TYPES:
        known = validators(operation)["an application-defined type"]
    assert known is not None, f"the contract does not know {message} for {operation}"
    return hold(known, message)


def check_schema(name, value):
    return hold(validator(f"#/components/schemas/{name}"), value)


def hold(known, value):
    error = jsonschema.exceptions.best_match(known.iter_errors(value))
    assert error is None, f"{error.json_path}: {error.message}\nin {value}"
    return value
