"""Rollouts and rewards become edits of the lesson book."""

from langchain_reflect.reflection.graph import ReflectionGraph, areflect, build_reflection_graph, reflect
from langchain_reflect.reflection.policy import Gate, GateVerdict, ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts

__all__ = [
    "Gate",
    "GateVerdict",
    "Prompts",
    "ReflectionGraph",
    "ReflectionPolicy",
    "areflect",
    "build_reflection_graph",
    "reflect",
]
