"""Tables in the documentation say what the code does."""

import re
import tomllib
from pathlib import Path

import typer

from langchain_reflect import ReflectSettings, errors
from langchain_reflect.cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]*)` \|", re.MULTILINE)


def test_configuration_lists_every_setting_with_its_default():
    listed = dict(ROW.findall((DOCS / "configuration.md").read_text(encoding="utf-8")))
    settings = {f"REFLECT_{name.upper()}": field.default for name, field in ReflectSettings.model_fields.items()}
    assert listed.keys() == settings.keys()
    for name, default in settings.items():
        shown = "/".join(default) if isinstance(default, tuple) else str(default)
        assert listed[name].removeprefix("./") == shown.removeprefix("./"), name


def command_names(group, prefix: str = "") -> set[str]:
    """Every command, subcommands as `group command`."""
    found = set()
    for name, command in group.commands.items():
        found |= command_names(command, f"{name} ") if hasattr(command, "commands") else {f"{prefix}{name}"}
    return found


def options(group, path: str) -> set[str]:
    command = group
    for name in path.split():
        command = command.commands[name]
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--") and option != "--help"}


def test_cli_page_lists_every_command_and_its_options():
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    root = typer.main.get_command(app)
    found = re.findall(r"^## `reflect (.+?)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    sections = {" ".join(word for word in title.split() if word.islower()): text for title, text in found}
    assert sections.keys() == command_names(root)
    for command, text in sections.items():
        assert set(re.findall(r"`(--[a-z-]+)", text)) == options(root, command), command


def test_error_page_shows_the_tree_of_the_code():
    tree = re.search(r"```text\n(.*?)```", errors.__doc__, re.DOTALL)[1]
    assert tree in (DOCS / "errors.md").read_text(encoding="utf-8")


def test_contributing_shows_the_layers_that_are_checked():
    (contract,) = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    assert "\n".join(["```text", *contract["layers"], "```"]) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_no_page_has_a_gap_left_to_fill():
    pages = [*DOCS.glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("examples/**/*.md")]
    assert [page.name for page in pages if re.search(r"@@\w+@@", page.read_text(encoding="utf-8"))] == []
