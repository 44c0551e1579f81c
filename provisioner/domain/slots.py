"""The fields of a record that stands as a bare token: a slot of texts beside it, for stores that know tags or metadata.

A slot is named by its rotation and says by a digest which token it belongs to. So it can be put before the token is
written: until then it belongs to nothing, and whose token is committed finds its own. It is spelled as text that AWS
takes as tags: ``parts=2+sha256=…+token_id=…``, cut into parts, with ``@2F`` for what has no place there.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from provisioner.domain.errors import StoreRefusedError
from provisioner.domain.model import Asking, Destination, Record
from provisioner.domain.record import spelled_asking, to_document
from provisioner.domain.spelling import escaped, unescaped

MOST_PARTS: Final = 9
"""Three slots have to fit into the 50 tags of a secret, beside other people's."""
_MOST_REQUESTS: Final = 16
_LONGEST_REQUESTS: Final = 1000
_ROOM_FOR_WHO_ASKED: Final = 450
"""So much there is besides, for that and the request's own id; what more they need is taken from those before it."""
_KEY: Final = re.compile(
    r"token-provisioner/(?P<rotation_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(?P<part>[0-8])"
)
_HEAD: Final = re.compile(r"parts=(?P<parts>[1-9])\+sha256=(?P<digest>[0-9a-f]{64})(?:\+|$)")
_LISTS: Final = frozenset({"past_requests", "predecessors"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The fields of one rotation, as far as they can be read."""

    rotation_id: str
    """By its keys; of a rotation whose id is no UUID, one made of it."""
    digest: str
    """Of the token that it belongs to."""
    text: str
    """The fields as they are spelled, without what depends on how they were cut."""
    fields: Mapping[str, object]
    keys: frozenset[str]

    def belongs_to(self, token: str) -> bool:
        """Tell whether it says of that token what it is."""
        return self.digest == _digest(token)  # of so many random characters a digest gives nothing away


def spelled(record: Record) -> str:
    """Spell the fields of a record, all but its token."""
    document = to_document(record, record.owner, Destination(store="", path=""))
    fields = (f"{name}={_value(name, value)}" for name, value in document.items() if name != "token")
    return "+".join(fields)


def slot_of(record: Record, destination: Destination, *, longest: int) -> dict[str, str]:
    """Give the slot of a record in texts of at most so many characters; raises StoreRefusedError if it has no room."""
    name, digest, text = _name(record.rotation_id), _digest(record.token.reveal()), spelled(record)
    for parts in range(1, MOST_PARTS + 1):
        whole = f"parts={parts}+sha256={digest}+{text}"
        if len(whole) <= parts * longest:
            cut = [whole[start : start + longest] for start in range(0, len(whole), longest)]
            return {_key(name, part): piece for part, piece in enumerate(cut)}
    raise StoreRefusedError(
        f"{destination} has no room for the fields beside the token, which need more than {MOST_PARTS} times {longest} "
        "characters: use shorter request ids"
    )


def slots_in(metadata: Mapping[str, str]) -> Iterator[Slot]:
    """Give the slots among tags or metadata; what is not ours, or has no readable beginning, is left out."""
    for name in sorted({match["rotation_id"] for match in map(_KEY.fullmatch, metadata) if match is not None}):
        head = _HEAD.match(metadata.get(_key(name, 0), ""))
        if head is None:
            continue
        keys = [_key(name, part) for part in range(int(head["parts"]))]
        pieces = list(_leading(metadata.get(key) for key in keys))
        whole = "".join(pieces)
        text = whole[head.end() :]
        fields = text.split("+")[: None if len(pieces) == len(keys) else -1]
        yield Slot(
            rotation_id=name,
            digest=head["digest"],
            text=text,
            fields=dict(_fields(fields)),
            keys=frozenset(key for key in metadata if is_slot_key(key) and f"/{name}/" in key),
        )


def is_slot_key(key: str) -> bool:
    """Tell whether a tag or a metadata key belongs to a slot of ours."""
    return _KEY.fullmatch(key) is not None


def requests_kept(
    requests: Iterable[str], asked: Asking | None = None, request_id: str | None = None
) -> tuple[str, ...]:
    """Give the newest of the triggers that were honoured, as many as a slot surely has room for.

    Beside them stand the id of the one that is honoured now, and who asked for that.
    """
    kept: list[str] = []
    left = _LONGEST_REQUESTS - max(0, _length(asked) + len(escaped(request_id or "")) - _ROOM_FOR_WHO_ASKED)
    for request in requests:
        left -= len(escaped(request)) + 1
        if left < 0 or len(kept) == _MOST_REQUESTS:
            break
        kept.append(request)
    return tuple(kept)


def _length(asked: Asking | None) -> int:
    return 0 if asked is None else sum(len(f"+{name}={escaped(text)}") for name, text in spelled_asking(asked).items())


def _digest(token: str) -> str:
    return sha256(token.encode(errors="surrogatepass")).hexdigest()


def _name(rotation_id: str) -> str:
    """Give a rotation's id, in the one spelling that has a place in a key."""
    try:
        is_usual = str(UUID(rotation_id)) == rotation_id
    except ValueError:
        is_usual = False
    return rotation_id if is_usual else str(uuid5(NAMESPACE_OID, escaped(rotation_id)))


def _key(name: str, part: int) -> str:
    return f"token-provisioner/{name}/{part}"


def _leading(pieces: Iterable[str | None]) -> Iterator[str]:
    """Give the pieces up to the first that is missing."""
    for piece in pieces:
        if piece is None:
            return
        yield piece


def _value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true"  # false is left out
    return "/".join(map(escaped, value)) if name in _LISTS and isinstance(value, list) else escaped(str(value))


def _fields(texts: Iterable[str]) -> Iterator[tuple[str, object]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name == "token":
            continue
        if name in _LISTS:
            yield name, [unescaped(item) for item in value.split("/")]
        else:
            yield name, value == "true" if name == "compromised" else unescaped(value)
