"""Rollouts and rewards become edits of the lesson book."""

from langchain_reflect.reflection.curation import Curator
from langchain_reflect.reflection.graph import ReflectionGraph, areflect, build_reflection_graph, reflect
from langchain_reflect.reflection.neighbours import Neighbour
from langchain_reflect.reflection.policy import Gate, GateVerdict, Grouping, ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.schemas import CurateAnswer

__all__ = [
    "CurateAnswer",
    "Curator",
    "Gate",
    "GateVerdict",
    "Grouping",
    "Neighbour",
    "Prompts",
    "ReflectionGraph",
    "ReflectionPolicy",
    "areflect",
    "build_reflection_graph",
    "reflect",
]
