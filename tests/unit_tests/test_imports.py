import subprocess
import sys

import pytest

import langchain_reflect

HEAVY = ("chromadb", "torch", "sentence_transformers", "scipy", "fastapi", "langchain.agents", "langgraph", "matplotlib", "openai")


def imported_by(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after `code`."""
    ran = subprocess.run([sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import langchain_reflect",
        "from langchain_reflect import Episode, Ledger, Lesson, Outcome, ReflectError, ReflectSettings",
        "import langchain_reflect.cli",
    ],
)
def test_a_webhook_imports_nothing_heavy(code):
    assert not imported_by(code).intersection(HEAVY)


def test_recording_an_outcome_imports_nothing_heavy(tmp_path):
    code = (
        "from uuid import uuid4\n"
        "from langchain_reflect import Ledger\n"
        f"Ledger({str(tmp_path)!r}).record_outcome(uuid4(), reward=1.0, source='zendesk', key='1')"
    )
    assert not imported_by(code).intersection(HEAVY)


@pytest.mark.parametrize("name", langchain_reflect.__all__)
def test_every_public_name_has_its_home(name):
    assert getattr(langchain_reflect, name).__module__.startswith("langchain_reflect.")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Memory'"):
        _ = langchain_reflect.Memory  # type: ignore[attr-defined] # that is the point


def test_dir_lists_the_public_names():
    assert dir(langchain_reflect) == sorted(langchain_reflect.__all__)


def test_no_module_hides_a_public_name():
    code = (
        "import importlib, types, langchain_reflect\n"
        "for home in set(langchain_reflect._HOMES.values()): importlib.import_module(f'langchain_reflect.{home}')\n"
        "hidden = [n for n in langchain_reflect.__all__ if isinstance(getattr(langchain_reflect, n), types.ModuleType)]\n"
        "assert not hidden, hidden"
    )
    imported_by(code)
