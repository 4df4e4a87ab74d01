"""Kraken's spot venue as codecs: signing, faults, REST, WebSocket v2, books, names, instruments."""
