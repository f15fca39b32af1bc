"""The engine: one trial, from a job to its outcome (docs/dataflow.md). Its parts are imported by module."""
