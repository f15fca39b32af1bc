"""testing (see docs/dataflow.md)."""
