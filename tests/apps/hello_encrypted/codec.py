"""A codec that encrypts each payload with AES-GCM before it leaves the process, as in the SDK's samples."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

KEY_ID = b"test-key"
KEY = b"the key of hello_encrypted: 32 b"
NONCE_BYTES = 12


class EncryptionCodec(PayloadCodec):
    """Decoding raises InvalidTag when a single bit of the ciphertext changed on its way."""

    def __init__(self) -> None:
        self._cipher = AESGCM(KEY)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        return Payload(
            metadata={"encoding": b"binary/encrypted", "encryption-key-id": KEY_ID},
            data=nonce + self._cipher.encrypt(nonce, payload.SerializeToString(), None),
        )

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata["encoding"] != b"binary/encrypted":
            return payload
        nonce, data = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        return Payload.FromString(self._cipher.decrypt(nonce, data, None))


ENCRYPTING = dataclasses.replace(
    DataConverter.default,
    payload_codec=EncryptionCodec(),
    failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
)
