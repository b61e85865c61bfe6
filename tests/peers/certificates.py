"""certificates.py FOLDER: a CA, and what it signed, for tests of TLS.

edge.* for localhost, client.* for us towards upstream, app.* for upstream by
its right name, other.* for upstream by another name, and stranger.* for a
client that another CA signed.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def issue(subject, key, issuer, issuer_key, alternatives=(), ca=False):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def write(folder, stem, certificate, key):
    pem = serialization.Encoding.PEM
    (folder / f"{stem}.crt").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{stem}.key").write_bytes(private)


def authority(folder, stem):
    key = ec.generate_private_key(ec.SECP256R1())
    write(folder, stem, issue(stem, key, stem, key, ca=True), key)
    return key


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    ca, foreign = authority(folder, "ca"), authority(folder, "foreign-ca")
    local = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    for stem, issuer, issuer_key, alternatives in [
        ("edge", "ca", ca, local),
        ("client", "ca", ca, [x509.DNSName("edge.internal")]),
        ("app", "ca", ca, [x509.DNSName("app.internal")]),
        ("other", "ca", ca, [x509.DNSName("other.internal")]),
        ("stranger", "foreign-ca", foreign, [x509.DNSName("app.internal")]),
    ]:
        key = ec.generate_private_key(ec.SECP256R1())
        write(folder, stem, issue(stem, key, issuer, issuer_key, alternatives), key)


main()
