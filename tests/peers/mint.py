"""Mints tokens with PyJWT and cryptography, which wsguard did not write.

First prints the public keys as a JWK set. Then answers each line of stdin with
a line: a JSON object that asks for a token, and that token. It may name

    alg       the algorithm, EdDSA if nothing is said
    key       the key, what alg needs if nothing is said; "other" keys are in no
              set. "rsa as pem", "der", "pkcs1", "jwk" or "n": an HMAC secret
              made of the public RSA key
    claims    the payload
    payload   the payload as text, in the place of claims
    header    members of the header beside alg; null leaves the usual kid out
"""

import base64
import hashlib
import hmac
import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm


def private_keys():
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }


KEYS = private_keys()
OTHERS = {f"other {name}": key for name, key in private_keys().items()}
WRITERS = {"rsa": RSAAlgorithm, "p256": ECAlgorithm, "p384": ECAlgorithm, "ed25519": OKPAlgorithm}


def public_jwk(name):
    return {**json.loads(WRITERS[name].to_jwk(KEYS[name].public_key())), "kid": name}


def usual_key(alg):
    if alg.startswith(("RS", "PS")):
        return "rsa"
    return {"ES256": "p256", "ES384": "p384", "EdDSA": "ed25519"}.get(alg)


def rsa_as_secret(form):
    public = KEYS["rsa"].public_key()
    modulus = public.public_numbers().n.to_bytes(256, "big")
    return {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "pkcs1": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "jwk": json.dumps(public_jwk("rsa")).encode(),
        "n": modulus,
    }[form]


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def by_hand(header, payload, secret):
    """HS256 with a secret that PyJWT has the sense to refuse."""
    text = b64(json.dumps(header).encode()) + b"." + b64(payload)
    return (text + b"." + b64(hmac.digest(secret, text, hashlib.sha256))).decode()


def mint(asked):
    alg = asked.get("alg", "EdDSA")
    name = asked.get("key", usual_key(alg))
    header = {"typ": "JWT"}
    if name is not None:
        header["kid"] = name.removeprefix("other ").partition(" as ")[0]
    header.update(asked.get("header", {}))
    header = {member: value for member, value in header.items() if value is not None}
    payload = asked["payload"] if "payload" in asked else json.dumps(asked["claims"])
    payload = payload.encode()
    if name is not None and " as " in name:
        secret = rsa_as_secret(name.partition(" as ")[2])
        return by_hand({"alg": alg, **header}, payload, secret)
    key = asked.get("secret") or {**KEYS, **OTHERS}.get(name)
    return jwt.PyJWS().encode(payload, key, algorithm=alg, headers=header)


print(json.dumps({"keys": [public_jwk(name) for name in KEYS]}), flush=True)
for line in sys.stdin:
    print(mint(json.loads(line)), flush=True)
