"""Protocols, their execution, and tables of results."""
