"""The token-provisioner package: issues, stores and rotates InfluxDB tokens; this file stays empty."""
