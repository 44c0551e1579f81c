"""A simulated InfluxDB cluster for the demo, the tests and users' rehearsals."""
