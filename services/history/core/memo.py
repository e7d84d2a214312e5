"""The memo: what counts as an entry, and how changes are laid over what there is."""

from temporalio.api.common.v1 import Memo, Payload


def is_nothing(payload: Payload) -> bool:
    """An entry without data, of null, or of an empty list is no entry: setting it deletes."""
    if not payload.data:
        return True
    return payload.metadata.get("encoding") == b"json/plain" and payload.data in (b"null", b"[]")


def merged(memo: Memo, upserted: Memo) -> Memo:
    fields = {**memo.fields, **upserted.fields}
    return Memo(fields={name: payload for name, payload in fields.items() if not is_nothing(payload)})
