"""Every metric, label and log key, once."""

from typing import Final

LOGGER: Final = "provisioner"

TOKEN_EXPIRY: Final = "provisioner_token_expiry_timestamp_seconds"  # noqa: S105  # a metric
TOKEN_NEXT_ROTATION: Final = "provisioner_token_next_rotation_timestamp_seconds"  # noqa: S105  # a metric
ROTATIONS: Final = "provisioner_rotations_total"
ROTATION_DURATION: Final = "provisioner_rotation_duration_seconds"
STORE_REQUESTS: Final = "provisioner_store_requests_total"
ISSUER_REQUESTS: Final = "provisioner_issuer_requests_total"
CONSUMER_REQUESTS: Final = "provisioner_consumer_requests_total"
ORPHAN_TOKENS: Final = "provisioner_orphan_tokens"
AWAITING_REVOCATION: Final = "provisioner_tokens_awaiting_revocation"
LAST_RECONCILE: Final = "provisioner_last_reconcile_timestamp_seconds"
LEADER: Final = "provisioner_leader"
BUILD_INFO: Final = "provisioner_build_info"
REVOCATIONS_OVERDUE: Final = "provisioner_token_revocations_overdue"
EVENTS_LOST: Final = "provisioner_events_lost_total"

NAME: Final = "name"
RESULT: Final = "result"
REASON: Final = "reason"
PHASE: Final = "phase"
STORE: Final = "store"
ISSUER: Final = "issuer"
KIND: Final = "kind"
OPERATION: Final = "operation"
VERSION: Final = "version"

DONE: Final = "done"
FAILED: Final = "failed"
ALL_PHASES: Final = "all"
