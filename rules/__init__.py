"""The rules of coordlint: one file each, found by walking this folder."""
