"""How an engine is secured: TLS with a certificate of its own, and one user who may do anything. Owns the settings and the files
that say so, and how tests make certificates."""

import subprocess
from pathlib import Path

from kinds import Kind

USER, PASSWORD = "admin", "admin"
# The password as both engines keep it. OpenSearch's plugin brings this user along.
HASH = "$2a$12$VcCDgh2NDk07JGN0rjGbM.Ad41qVR/YFJcgHp0UGns5JDymv..TOG"

ELASTICSEARCH = """\
action.destructive_requires_name: false
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: certs/node.pem
xpack.security.http.ssl.key: certs/node.key
"""
OPENSEARCH = """\
plugins.security.ssl.transport.pemcert_filepath: certs/node.pem
plugins.security.ssl.transport.pemkey_filepath: certs/node.key
plugins.security.ssl.transport.pemtrustedcas_filepath: certs/node.pem
plugins.security.ssl.transport.enforce_hostname_verification: false
plugins.security.ssl.http.enabled: true
plugins.security.ssl.http.pemcert_filepath: certs/node.pem
plugins.security.ssl.http.pemkey_filepath: certs/node.key
plugins.security.ssl.http.pemtrustedcas_filepath: certs/node.pem
plugins.security.allow_default_init_securityindex: true
plugins.security.nodes_dn: ["CN=node"]
plugins.security.authcz.admin_dn: ["CN=nobody"]
plugins.security.restapi.roles_enabled: ["all_access"]
"""


def secure(kind: Kind, home: Path, config: Path) -> str:
    """The settings of a secured engine; what they name lies in its configuration folder then, but for the certificate."""
    if kind.flavour == "elasticsearch":
        (config / "users").write_text(f"{USER}:{HASH}\n")
        (config / "users_roles").write_text(f"superuser:{USER}\n")
        return ELASTICSEARCH
    folder = config / "opensearch-security"
    folder.mkdir(exist_ok=True)
    for file in (home / "plugins" / "opensearch-security" / "config").glob("*.yml"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "internal_users.yml").write_text(
        "_meta: {type: internalusers, config_version: 2}\n"
        f"{USER}: {{hash: '{HASH}', reserved: true, backend_roles: [admin]}}\n"
    )
    return OPENSEARCH


def certify(folder: Path, name: str = "node", issuer: "tuple[Path, Path] | None" = None) -> "tuple[Path, Path]":
    """Makes a certificate for this machine with this common name, signed by itself or by `issuer`, and its key."""
    folder.mkdir(exist_ok=True)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    own = ["-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign"]
    signed = ["-CA", issuer[0], "-CAkey", issuer[1], "-addext", "basicConstraints=critical,CA:FALSE"] if issuer else own
    subprocess.run([*made.split(), *signed, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key
