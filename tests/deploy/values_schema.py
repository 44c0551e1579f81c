"""The schema of the chart's values: what stands in it by hand, and under `config` the configuration's own schema.

``python -m tests.deploy.values_schema`` writes it anew, as `make chart` does.
"""

import json
from typing import Final

from provisioner.settings.load import json_schema
from tests.deploy.tools import CHART, DEPLOY

SCHEMA: Final = CHART / "values.schema.json"
RULES: Final = CHART / "files" / "alerts.yaml"
RULES_COPY: Final = DEPLOY / "alerts" / "token-provisioner.rules.yaml"
_LATER: Final = ("instance", "issuers", "stores")
"""What the configuration needs and values may lack: the chart says so itself, all at once and with examples."""


def values_schema() -> str:
    """Give the schema as it should stand in the file, with the configuration's own put in."""
    schema = json.loads(SCHEMA.read_text())
    config = json_schema()
    definitions = config.pop("$defs")
    for name in _LATER:
        part = config["properties"][name]
        for limit in ("minItems", "minProperties"):
            part.pop(limit, None)
        part["type"] = [part["type"], "null"]
        if "pattern" in part:
            part["pattern"] = f"^$|{part['pattern']}"
    config["required"] = sorted(set(config.get("required", ())) - set(_LATER))
    schema["properties"]["config"] = {key: value for key, value in config.items() if key != "$schema"}
    schema["$defs"] = definitions
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(values_schema())
    RULES_COPY.write_text(RULES.read_text())
