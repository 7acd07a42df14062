"""A certificate that a server makes for itself, so that clients which insist on TLS can be tried on this machine.

It vouches for nothing: a client must be told to trust the file that is written.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pinnacle.errors import DiskError


def self_made(path: Path, host: str) -> ssl.SSLContext:
    """A server's TLS context with a new key, whose certificate (PEM) is written to `path` for clients to trust.

    It names `host`, localhost and the loopback addresses.  Raises DiskError.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pinnacle local exchange")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(public)
        # The context reads files only; the key is on the disk for that moment, readable by its owner.
        handle, both = tempfile.mkstemp()
        try:
            with os.fdopen(handle, "wb") as sink:
                sink.write(private + public)
            context.load_cert_chain(both)
        finally:
            os.unlink(both)
    except OSError as error:
        raise DiskError(f"{path}: the certificate cannot be written: {error.strerror or error}") from error
    return context


def _names(host: str) -> list[x509.GeneralName]:
    addresses = {"127.0.0.1", "::1"}
    names = {"localhost"}
    try:
        addresses.add(str(ipaddress.ip_address(host)))
    except ValueError:
        names.add(host)
    found: list[x509.GeneralName] = [x509.DNSName(one) for one in sorted(names)]
    return found + [x509.IPAddress(ipaddress.ip_address(one)) for one in sorted(addresses)]
