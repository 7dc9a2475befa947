"""The reference of the site has every public name, with its docstring."""

import dataclasses
import inspect
import re
from pathlib import Path

from scripts.api_reference import PLACE, from_docstring, on_page_markdown, public_names, reference

import async_cassandra
from async_cassandra import exceptions

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_reference_is_on_the_page() -> None:
    shown = on_page_markdown(PAGE.read_text())
    assert PLACE not in shown
    assert reference() in shown


def test_no_public_name_is_missing() -> None:
    headings = {line.split()[1] for line in reference().splitlines() if line.startswith("### ")}
    names = {name for names in public_names().values() for name in names}
    assert headings == names >= set(async_cassandra.__all__)


def test_page_has_the_options_with_their_defaults() -> None:
    (shown,) = re.findall(r"`(ClientOptions\([^`]*\))`", PAGE.read_text())
    assert (
        eval(shown, {"ClientOptions": async_cassandra.ClientOptions})
        == async_cassandra.ClientOptions()
    )
    names = {field.name for field in dataclasses.fields(async_cassandra.ClientOptions)}
    assert set(re.findall(r"(\w+)=", shown)) == names


def test_page_has_the_arguments_of_the_cluster_with_their_defaults() -> None:
    shown = re.findall(r"`AsyncCluster(\([^`]*\))`", PAGE.read_text())[0]
    real = inspect.signature(async_cassandra.AsyncCluster)
    plain = [each.replace(annotation=each.empty) for each in real.parameters.values()]
    assert " ".join(shown.split()) == str(inspect.Signature(plain))


def test_page_has_the_servers_errors_with_their_codes_and_the_drivers_classes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(0x\w+)`|another) \| (.*) \|$", PAGE.read_text(), re.M)
    shown = {
        (name, int(code, 16) if code else None, frozenset(re.findall(r"`([\w.]+)`", classes)))
        for name, code, classes in rows
    }
    assert shown == {
        (
            kind.__name__,
            vars(kind).get("code"),
            frozenset(
                f"{base.__module__}.{base.__name__}"
                for base in kind.__bases__
                if base.__module__.startswith("cassandra")
            ),
        )
        for kind in exceptions.ServerReport.__subclasses__()
        if kind.__module__ == exceptions.__name__
    }


def test_every_argument_of_the_cluster_is_described() -> None:
    described = re.findall(r":param (\w+):", inspect.getdoc(async_cassandra.AsyncCluster) or "")
    assert described == list(inspect.signature(async_cassandra.AsyncCluster).parameters)


def test_fields_of_docstrings_become_lists() -> None:
    text = inspect.cleandoc("""Do it with :class:`.build.Thing` and ``code``.

    :param size: bytes,
        0 or more
    :raises ~cassandra.ReadTimeout: if late
    """)
    assert from_docstring(text).split("\n") == [
        "Do it with `build.Thing` and `code`.",
        "",
        "Parameters:",
        "",
        "- `size`: bytes, 0 or more",
        "",
        "Raises:",
        "",
        "- `ReadTimeout`: if late",
    ]
