"""Checks 1-15: a wrapped graph looks like the graph."""

from langchain_core.messages import HumanMessage
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel.remote import RemoteGraph

from langchain_reflect.agents.wrap import reflected


def test_001_a_remote_graph_stays_a_remote_graph(service):
    remote = RemoteGraph("assistant", url="http://localhost:9")
    assert isinstance(reflected(remote, service), RemoteGraph)


def test_015_isinstance_of_a_state_graph_still_holds(pair):
    assert isinstance(pair("agent").wrapped, CompiledStateGraph)
    assert pair("single").wrapped.invoke({"messages": [HumanMessage("hi", id="1")]})["messages"][0].id == "1"
