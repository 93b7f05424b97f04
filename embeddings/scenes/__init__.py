"""Scenes as data: schema, validation, digests, packing, acquisitions, compositing and cloud masks."""
