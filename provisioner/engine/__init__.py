"""The use cases over ports: gather reads, decide judges (in the domain), apply writes."""
