"""Time-stamps of signed heads (RFC 3161): what a token says, and whether its authority said it.

The signature is checked against the authority's certificates as they were at the time in the
token: one that has expired since is worth a warning, not a verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from audit.office.verifier import verify

CERTIFICATES = 0xA0
MAX_TOKEN_BYTES = 64 * 1024
HASHES = {
    "2.16.840.1.101.3.4.2.1": hashlib.sha256,
    "2.16.840.1.101.3.4.2.2": hashlib.sha384,
    "2.16.840.1.101.3.4.2.3": hashlib.sha512,
}


class BadStamp(ValueError):
    """The token is none, is of other bytes, or is not of that authority; the text says which."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a token says. `expires`: the end of the authority's own certificate."""

    at: datetime
    authority: str
    expires: datetime


def read_roots(path: Path) -> list[x509.Certificate]:
    """The certificates that an authority is trusted by. ValueError for a file without any."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} holds no certificates (PEM)") from error


def request(data: bytes) -> TimeStampRequest:
    """What an authority is asked: the hash of `data`, and to send its certificate along."""
    builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
    return builder.nonce(nonce=True).cert_request(cert_request=True).build()


def is_over(token: bytes, data: bytes) -> bool:
    """Whether a token's imprint is the hash of `data`, whoever signed it. Raises BadStamp."""
    imprint = _decoded(token).tst_info.message_imprint
    new = HASHES.get(imprint.hash_algorithm.dotted_string)
    if new is None:
        raise BadStamp("the token's hash is not SHA-2")
    return bool(new(data).digest() == imprint.message)


def read(
    token: bytes, data: bytes, roots: Sequence[x509.Certificate], *, nonce: int | None = None
) -> Stamp:
    """The token, if one of `roots` stands behind it and it is over `data`. Raises BadStamp."""
    response = _decoded(token)
    if not is_over(token, data):
        raise BadStamp("the token is over other bytes")
    builder = VerifierBuilder(roots=list(roots), nonce=nonce)
    try:
        builder.build().verify_message(response, data)
    except VerificationError as error:
        raise BadStamp(str(error)) from error
    leaf = _signer(response)
    return Stamp(
        response.tst_info.gen_time.replace(tzinfo=UTC),
        leaf.subject.rfc4514_string(),
        leaf.not_valid_after_utc,
    )


def _decoded(token: bytes) -> TimeStampResponse:
    try:
        response = decode_timestamp_response(_sorted(token))
        if response.status != 0:
            raise BadStamp(" ".join(["the authority refused", *response.status_string]))
        _ = response.tst_info.message_imprint
    except BadStamp:
        raise
    except (ValueError, TypeError) as error:
        raise BadStamp("this is no time-stamp") from error
    return response


def _sorted(token: bytes) -> bytes:
    """The certificates of a token in the order of DER, which nobody signs and openssl does not
    keep; the library insists on it."""
    try:
        rest = verify.inside(token, 0, 1, 1, 0)  # type: ignore[no-untyped-call]
        for _before in range(3):
            rest = verify.der(rest)[2]  # type: ignore[no-untyped-call]
        tag, whole, _after = verify.der(rest)  # type: ignore[no-untyped-call]
        found, rest = [], whole
        while tag == CERTIFICATES and rest:
            after = verify.der(rest)[2]  # type: ignore[no-untyped-call]
            found.append(rest[: len(rest) - len(after)])
            rest = after
    except verify.Tampered:
        return token
    return token.replace(whole, b"".join(sorted(found)), 1) if found else token


def _signer(response: TimeStampResponse) -> x509.Certificate:
    """The certificate of whoever signed; the verification has found exactly one."""
    [signer] = response.signed_data.signer_infos
    for data in response.signed_data.certificates:
        found = x509.load_der_x509_certificate(data)
        if (found.issuer, found.serial_number) == (signer.issuer, signer.serial_number):
            return found
    raise BadStamp("the authority's certificate is not in the token")
