"""The configuration: read once at the edge, refused with reasons, converted to the domain's types."""
