# The metadata of models and learners: strings, some of which are JSON.

import gc

from .safetensors import fail, loads


def check_fields(path, metadata, form, version, fields, optional, writer):
    """ValueError if a file has another format or version, or if its metadata has other fields than these.

    fields: all that must be there. writer: what makes such a file, for messages.
    """
    if metadata.get("format") != form:
        fail(path, "format", "is not %s; is it a file that %s wrote?" % (form, writer))
    if metadata.get("version") == "1" and version != "1":
        fail(path, "version", "is 1, which this release no longer reads; use %s of this release again" % writer)
    if metadata.get("version") != version:
        fail(path, "version", "is not %s, which this release reads; update BitReplay" % version)
    for field in fields:
        if field not in metadata:
            fail(path, field, "is missing; use %s again" % writer)
    for field in metadata:
        if field not in fields and field not in optional:
            fail(path, field[:64], "is not a field of the metadata; remove it, or update BitReplay")


def parse_field(path, metadata, field, brackets, writer):
    """The JSON value, in these brackets, of a field that is there. Without brackets an integer."""
    gc.collect()  # as in graph.py
    text = metadata[field]
    try:
        if brackets:
            return loads(text, brackets)
        if str(int(text)) != text:
            raise ValueError  # int() takes also "1_0", "+1", " 1"
        return int(text)
    except (ValueError, TypeError, RuntimeError) as error:
        # RuntimeError: nested too deep.
        fail(path, field, "is not valid JSON (%s); use %s again" % (type(error).__name__, writer))
