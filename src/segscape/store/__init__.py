"""Scenes of many images in a file: writing them (`store`), asking for them (`language`, `sql`), showing what was found.

Needs ``pip install 'segscape[store]'``.
"""
