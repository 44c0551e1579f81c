"""The use cases over ports: gather reads, decide (in the domain) judges, apply writes."""
