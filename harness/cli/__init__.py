"""cli (see docs/dataflow.md)."""
