#!/usr/bin/env python3
"""Makes tokens.json: keys, tokens and forgeries by other people's code.

    pip install joserfc==1.6.5 cryptography
    python3 tests/vectors/make.py          # writes tokens.json
    python3 tests/vectors/make.py --check  # verifies the committed file again

Keys are derived from their names, so nothing secret is kept here and every
run has the same ones. ECDSA and PSS signatures are randomized; theirs differ
from run to run. Tokens are made by joserfc, forgeries by hand, and each one's
verdict is OpenSSL's (through cryptography), never that of the code under test.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

FILE = pathlib.Path(__file__).with_name("tokens.json")
NOW = 1_800_000_000
ISSUER = "https://issuer.example.com"
HASH = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# Keys, from their names.


def stream(label, length):
    out = b""
    while len(out) < length:
        out += hashlib.sha512(f"wsguard test key {label} {len(out)}".encode()).digest()
    return out[:length]


def is_prime(n):
    d, r = n - 1, 0
    while d % 2 == 0:
        d, r = d // 2, r + 1
    for a in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53):
        x = pow(a, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(r - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(label, bits, e):
    n = int.from_bytes(stream(label, bits // 8), "big")
    n |= (3 << (bits - 2)) | 1
    while n % 3 == 0 or n % 5 == 0 or (n - 1) % e == 0 or not is_prime(n):
        n += 2
    return n


def rsa_key(label, bits, e=65537):
    p, q = prime(label + " p", bits // 2, e), prime(label + " q", bits // 2, e)
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )
    return numbers.private_key()


def ec_key(label, curve):
    return ec.derive_private_key(int.from_bytes(stream(label, 32), "big"), curve)


def ed_key(label):
    return ed25519.Ed25519PrivateKey.from_private_bytes(stream(label, 32))


KEYS = {
    "rsa": rsa_key("rsa", 2048),
    "rsa-e3": rsa_key("rsa-e3", 3072, 3),
    "p256": ec_key("p256", ec.SECP256R1()),
    "p384": ec_key("p384", ec.SECP384R1()),
    "ed25519": ed_key("ed25519"),
    "oct": stream("oct", 64),
}
OTHERS = {
    "rsa": rsa_key("other rsa", 2048),
    "p256": ec_key("other p256", ec.SECP256R1()),
    "p384": ec_key("other p384", ec.SECP384R1()),
    "ed25519": ed_key("other ed25519"),
    "oct": stream("other oct", 64),
}


def jose_key(key):
    if isinstance(key, bytes):
        return OctKey.import_key(key)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    kind = {rsa.RSAPrivateKey: RSAKey, ec.EllipticCurvePrivateKey: ECKey}
    for base, jose in kind.items():
        if isinstance(key, base):
            return jose.import_key(pem)
    return OKPKey.import_key(pem)


def public_jwk(name, key):
    return {**jose_key(key).as_dict(private=isinstance(key, bytes)), "kid": name}


def spki(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


# Tokens.


def claims(**more):
    return {"iss": ISSUER, "sub": "alice", "aud": "chat", "exp": NOW + 3600, **more}


def header(alg, kid, **more):
    return {"alg": alg, "kid": kid, **more}


def signed(alg, kid, key, **more):
    registry = jws.JWSRegistry(algorithms=list(ALGORITHMS) + ["Ed25519"])
    payload = json.dumps(claims(**more)).encode()
    return jws.serialize_compact(header(alg, kid), payload, jose_key(key), registry=registry)


def unsigned(alg, kid, **more):
    parts = (header(alg, kid), claims(**more))
    return ".".join(b64(json.dumps(part).encode()) for part in parts)


ALGORITHMS = {
    "RS256": "rsa",
    "RS384": "rsa",
    "RS512": "rsa-e3",
    "PS256": "rsa",
    "PS384": "rsa-e3",
    "PS512": "rsa",
    "ES256": "p256",
    "ES384": "p384",
    "EdDSA": "ed25519",
    "HS256": "oct",
    "HS384": "oct",
    "HS512": "oct",
}


def host_form(alg, signature):
    """The signature as Envoy's verify_signature takes it."""
    if alg[:2] != "ES":
        return signature
    half = len(signature) // 2
    return encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )


def openssl(alg, key, text, signature):
    hash_ = None if alg == "EdDSA" else HASH[alg[2:]]()
    public = None if isinstance(key, bytes) else key.public_key()
    try:
        match alg[:2]:
            case "RS":
                public.verify(signature, text, padding.PKCS1v15(), hash_)
            case "PS":
                pss = padding.PSS(padding.MGF1(hash_), hash_.digest_size)
                public.verify(signature, text, pss, hash_)
            case "ES":
                length = (key.curve.key_size + 7) // 8
                if len(signature) != 2 * length:
                    return False  # RFC 7518 §3.4
                public.verify(host_form(alg, signature), text, ec.ECDSA(hash_))
            case "Ed":
                public.verify(signature, text)
            case "HS":
                mac = hmac.HMAC(key, hash_)
                mac.update(text)
                mac.verify(signature)
    except InvalidSignature:
        return False
    return True


def entry(name, alg, key_name, token, key=None):
    text, _, signature = token.rpartition(".")
    signature = unb64(signature)
    verdict = openssl(alg, key or KEYS[key_name], text.encode(), signature)
    made = {"name": name, "alg": alg, "key": key_name, "token": token, "verifies": verdict}
    if alg in ("RS256", "RS384", "RS512", "ES256", "ES384"):
        try:
            made["host_signature"] = b64(host_form(alg, signature))
        except ValueError:
            pass
    return made


# Forgeries.


def raw_rsa(key, em):
    numbers = key.private_numbers()
    n = numbers.public_numbers.n
    return pow(int.from_bytes(em, "big"), numbers.d, n).to_bytes((n.bit_length() + 7) // 8, "big")


PREFIX = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha256 without NULL": bytes.fromhex("302f300b0609608648016503040201" + "0420"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
}


def pkcs1_forgeries():
    key = KEYS["rsa"]
    text = unsigned("RS256", "rsa")
    digest = hashlib.sha256(text.encode()).digest()
    info = PREFIX["sha256"] + digest
    pad = lambda tail, size=256: b"\0\1" + b"\xff" * (size - 3 - len(tail)) + b"\0" + tail
    ems = {
        "DigestInfo without NULL": pad(PREFIX["sha256 without NULL"] + digest),
        "SHA-512 under RS256": pad(PREFIX["sha512"] + hashlib.sha512(text.encode()).digest()),
        "SHA-1 under RS256": pad(PREFIX["sha1"] + hashlib.sha1(text.encode()).digest()),
        "no DigestInfo": pad(digest),
        "short padding, garbage behind": pad(info, 128) + b"\0" * 128,
        "block type 2": b"\0\2" + pad(info)[2:],
        "padding byte changed": pad(info)[:9] + b"\xfe" + pad(info)[10:],
    }
    for name, em in ems.items():
        yield f"PKCS#1: {name}", "RS256", "rsa", f"{text}.{b64(raw_rsa(key, em))}"


def rsa_out_of_range(alg):
    n = KEYS["rsa"].private_numbers().public_numbers.n
    for attempt in range(1000):
        text, _, signature = signed(alg, "rsa", KEYS["rsa"], jti=str(attempt)).rpartition(".")
        beyond = int.from_bytes(unb64(signature), "big") + n
        if beyond.bit_length() <= 2048:
            return f"{text}.{b64(beyond.to_bytes(256, 'big'))}"
    raise AssertionError("no signature is small enough")


def rsa_forgeries():
    for alg in ("RS256", "PS256"):
        text, _, signature = signed(alg, "rsa", KEYS["rsa"]).rpartition(".")
        signature = unb64(signature)
        yield f"{alg}: s + n", alg, "rsa", rsa_out_of_range(alg)
        yield f"{alg}: a zero byte in front", alg, "rsa", f"{text}.{b64(bytes(1) + signature)}"
        yield f"{alg}: last byte cut", alg, "rsa", f"{text}.{b64(signature[:-1])}"
        for number in (0, 1):
            yield f"{alg}: s = {number}", alg, "rsa", f"{text}.{b64(number.to_bytes(256, 'big'))}"
        yield f"{alg}: empty", alg, "rsa", f"{text}."
    text = unsigned("PS256", "rsa")
    for salt in (0, 20, 64, padding.PSS.MAX_LENGTH):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
        signature = KEYS["rsa"].sign(text.encode(), pss, hashes.SHA256())
        yield f"PSS: salt {salt}", "PS256", "rsa", f"{text}.{b64(signature)}"
    pss = padding.PSS(padding.MGF1(hashes.SHA1()), 32)
    signature = KEYS["rsa"].sign(text.encode(), pss, hashes.SHA256())
    yield "PSS: MGF1 with SHA-1", "PS256", "rsa", f"{text}.{b64(signature)}"
    pkcs1 = KEYS["rsa"].sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    yield "PKCS#1 under PS256", "PS256", "rsa", f"{text}.{b64(pkcs1)}"


ORDER = {
    "p256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "p384": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
        16,
    ),
}


def ecdsa_forgeries():
    for alg, name, hash_ in (("ES256", "p256", hashes.SHA256), ("ES384", "p384", hashes.SHA384)):
        text = unsigned(alg, name)
        n, size = ORDER[name], KEYS[name].curve.key_size // 8
        der = KEYS[name].sign(text.encode(), ec.ECDSA(hash_()))
        r, s = decode_dss_signature(der)
        raw = lambda r, s, size=size: r.to_bytes(size, "big") + s.to_bytes(size, "big")
        forms = {
            "DER instead of r‖s": der,
            "s and r swapped": raw(s, r),
            "n - s (as good as s)": raw(r, n - s),
            "zero bytes in front of both": raw(r, s, size + 1),
            "last byte cut": raw(r, s)[:-1],
            "empty": b"",
        }
        values = {"0": 0, "1": 1, "n - 1": n - 1, "n": n, "n + 1": n + 1, "max": 256**size - 1}
        for left, first in values.items():
            forms[f"r = {left}"] = raw(first, s)
            forms[f"s = {left}"] = raw(r, first)
            for right, second in values.items():
                forms[f"r = {left}, s = {right}"] = raw(first, second)
        for form, signature in forms.items():
            yield f"{alg}: {form}", alg, name, f"{text}.{b64(signature)}"


def eddsa_forgeries():
    text, _, signature = signed("EdDSA", "ed25519", KEYS["ed25519"]).rpartition(".")
    signature = unb64(signature)
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little")
    beyond = signature[:32] + (s + order).to_bytes(32, "little")
    for name, forged in {
        "S + L": beyond,
        "zero": bytes(64),
        "neutral R, S = 0": bytes([1]) + bytes(63),
        "last byte cut": signature[:-1],
        "a byte behind": signature + b"\0",
        "empty": b"",
    }.items():
        yield f"EdDSA: {name}", "EdDSA", "ed25519", f"{text}.{b64(forged)}"


def hmac_forgeries():
    text, _, signature = signed("HS256", "oct", KEYS["oct"]).rpartition(".")
    signature = unb64(signature)
    for name, forged in {
        "half of it": signature[:16],
        "a byte behind": signature + b"\0",
        "empty": b"",
    }.items():
        yield f"HS256: {name}", "HS256", "oct", f"{text}.{b64(forged)}"


def confusions():
    """HS256 with what everybody knows of the RSA key as the secret."""
    public = KEYS["rsa"].public_key()
    encode = lambda encoding, form: public.public_bytes(
        getattr(serialization.Encoding, encoding), getattr(serialization.PublicFormat, form)
    )
    n = public.public_numbers().n
    secrets = {
        "SPKI PEM": encode("PEM", "SubjectPublicKeyInfo"),
        "SPKI PEM without line end": encode("PEM", "SubjectPublicKeyInfo").rstrip(),
        "SPKI DER": encode("DER", "SubjectPublicKeyInfo"),
        "PKCS#1 PEM": encode("PEM", "PKCS1"),
        "PKCS#1 DER": encode("DER", "PKCS1"),
        "modulus": n.to_bytes(256, "big"),
        "modulus in base64url": b64(n.to_bytes(256, "big")).encode(),
        "empty": b"",
    }
    for name, secret in secrets.items():
        for kid in ("rsa", "oct"):
            text = unsigned("HS256", kid)
            mac = hmac.HMAC(secret, hashes.SHA256())
            mac.update(text.encode())
            token = f"{text}.{b64(mac.finalize())}"
            yield {"name": f"{name}, kid {kid}", "token": token}


def make():
    good = [entry(f"{a} by {k}", a, k, signed(a, k, KEYS[k])) for a, k in ALGORITHMS.items()]
    assert all(e["verifies"] for e in good)
    edge = [
        entry(f"{a} by another {k}", a, k, signed(a, k, OTHERS[k]))
        for a, k in ALGORITHMS.items()
        if k in OTHERS
    ]
    for forgeries in (
        pkcs1_forgeries, rsa_forgeries, ecdsa_forgeries, eddsa_forgeries, hmac_forgeries
    ):
        edge += [entry(*forged) for forged in forgeries()]
    return {
        "now": NOW,
        "issuer": ISSUER,
        "keys": [public_jwk(name, key) for name, key in KEYS.items()],
        "spki": {n: b64(spki(k)) for n, k in KEYS.items() if not isinstance(k, bytes)},
        "good": good,
        "edge": edge,
        "confused": list(confusions()),
    }


def check():
    committed, now = json.loads(FILE.read_text()), json.loads(json.dumps(make()))
    for name in ("keys", "spki", "now", "issuer"):
        assert committed[name] == now[name], name
    for made in committed["good"] + committed["edge"]:
        again = entry(made["name"], made["alg"], made["key"], made["token"])
        assert again == made, made["name"]
    print(f"{len(committed['good'])} good, {len(committed['edge'])} edge: as OpenSSL says")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        FILE.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n")
