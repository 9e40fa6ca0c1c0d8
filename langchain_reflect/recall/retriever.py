"""The lesson book as a LangChain retriever, for chains and tools that ask for documents."""

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.recall.rendering import item
from langchain_reflect.types import Match, Namespace, Recalled
from langchain_reflect.types.block import DEFAULT_BLOCK, BlockTemplate


class LessonRetriever(BaseRetriever):
    """Lessons that fit a query, best first, as documents.

    A document's text is the lesson as a prompt would show it; its metadata says which lesson it is and how near. A retriever makes no
    exposures and holds nothing back: only what goes through a wrapped agent is counted for or against a lesson.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    recaller: Recaller
    namespace: Namespace = ("default",)
    k: int = Field(default=2, ge=1)
    """Most lessons returned. `invoke(query, k=…)` overrides it."""
    max_tokens: int = Field(default=2000, ge=0)
    """Most tokens of all texts together."""
    floor: float | None = Field(default=None, ge=-1.0, le=1.0)
    """Least cosine similarity; None takes the embedder's calibrated floor."""
    block: BlockTemplate = DEFAULT_BLOCK
    """The form of the lessons, as a prompt block has it."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any) -> list[Document]:  # noqa: ARG002 - the base class passes it
        policy = self._policy(**kwargs)
        return _documents(self.recaller.recall(query, namespace=self.namespace, policy=policy), policy)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - the base class passes it
        **kwargs: Any,
    ) -> list[Document]:
        policy = self._policy(**kwargs)
        return _documents(await self.recaller.arecall(query, namespace=self.namespace, policy=policy), policy)

    def _policy(self, **overrides: Any) -> RecallPolicy:
        return RecallPolicy(**{"k": self.k, "max_tokens": self.max_tokens, "floor": self.floor, "block": self.block, **overrides})


def _documents(recalled: Recalled, policy: RecallPolicy) -> list[Document]:
    return [_document(match, policy.block) for match in recalled.matches if match.kept]


def _document(match: Match, template: BlockTemplate) -> Document:
    lesson = match.lesson
    return Document(
        id=lesson.id,
        page_content=item(lesson, examples=len(lesson.examples), why=True, template=template),
        metadata={
            "id": lesson.id,
            "when": lesson.when,
            "similarity": match.similarity,
            "status": lesson.status,
            "revision": lesson.revision,
        },
    )
