"""A chat model from what a user gives: an instance, or `provider:model`."""

from typing import TYPE_CHECKING

from langchain_reflect.errors import InvalidInput, MissingExtra, ModelMissing

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def resolve_model(model: "BaseChatModel | str | None") -> "BaseChatModel":
    """The chat model that a setting means.

    Args:
        model: An instance, or a name such as `openai:gpt-5.5` or `anthropic:claude-sonnet-4-5`.

    Raises:
        ModelMissing: None was given.
        InvalidInput: The name has no provider, or the provider is unknown or refuses it.
        MissingExtra: The provider's package is not installed.
    """
    if model is None:
        raise ModelMissing("reflection needs a chat model and none is set; pass model='provider:model' (`--model`) or set REFLECT_MODEL")
    if not isinstance(model, str):
        return model
    if not all(model.partition(":")):
        raise InvalidInput(f"model {model!r} cannot be read; expected 'provider:model', such as 'openai:gpt-5.5', or a chat model object")
    from langchain.chat_models import init_chat_model

    try:
        made: BaseChatModel = init_chat_model(model)
    except ImportError as error:
        raise MissingExtra(f"model {model!r} needs a package that is not installed: {error}") from error
    except Exception as error:  # providers raise errors of their own for unknown names and missing keys
        why = " ".join(str(error).split())[:200]
        raise InvalidInput(f"model {model!r} cannot be made; expected a known provider and its key in the environment: {why}") from error
    return made
