"""Runs a plan's trials: a fresh process each, from a server that has torch imported already."""
