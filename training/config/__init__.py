"""Configuration: one module a section, so that a command depends on the sections that it uses and on no other.

section.py says what a section is; preset.py alone knows all of them. A field without a default stands in every preset.
A field that is added later gets a default: presets may leave it out, and a key holds it only where it differs.
"""
