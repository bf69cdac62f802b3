"""Azure on the loopback address: a proxy with its own CA that plays login, management and blobs.

A client that is told of it by HTTPS_PROXY and REQUESTS_CA_BUNDLE, and by nothing else, deploys to
it. It records every request, and fails where it is told to. Requests to an endpoint's scoring URI
go on to a real inference server.
"""

import json
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from inference_cases import ask

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUP, WORKSPACE = "vision", "toys"
SECRET = "not-a-secret-of-anyone"
TOKEN = "loopback.access.token"
KEY = "loopback-endpoint-key"
LOGIN, MANAGEMENT = "login.microsoftonline.com", "management.azure.com"
BLOBS = "loopback.blob.core.windows.net"
SCORING = "{}.westeurope.inference.ml.azure.com"
ROOT = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)
SOON = {"x-ms-retry-after-ms": "20"}  # what clients wait until they ask again


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    host: str
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    headers: dict = field(default_factory=dict)


@dataclass
class Failure:
    """Answer requests of a method whose path matches with an error, so many times."""

    method: str
    path: str
    status: int
    code: str = "Loopback"
    times: int = 1_000
    headers: dict = field(default_factory=dict)
    host: str = MANAGEMENT

    def takes(self, request):
        fits = (request.host, request.method) == (self.host, self.method)
        if not self.times or not fits or not re.search(self.path, request.path):
            return False
        self.times -= 1
        return True

    def reply(self):
        said = {"error": {"code": self.code, "message": f"{self.code} was asked for by the test"}}
        return as_json(self.status, said, **self.headers)


class LoopbackAzure:
    """The service; use as a context, and `set_environment` for its clients."""

    def __init__(self, folder: Path, scoring: str = ""):
        self.folder, self.scoring = folder, scoring
        self.requests: list[Request] = []
        self.failures: list[Failure] = []
        self.resources: dict[str, dict] = {}  # by path
        self.blobs: dict[str, bytes] = {}  # by path, with the container
        self.provisioning: Callable[[str], str] = lambda path: "Succeeded"
        self.answers = b""  # of every deployment, in place of the inference server's
        self.polls = 2  # that an operation is said to be in progress
        self.states: dict[str, list[str]] = {}  # by path: what is answered before the state itself
        self._operations: dict[str, list[str]] = {}
        self._authority = _Authority(folder)
        self._lock = threading.Lock()

    def __enter__(self):
        azure = self

        class Handler(_Handler):
            service = azure

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def set_environment(self, patch):
        """Lead this process's clients here, as one with a proxy and a service principal does."""
        for name in ("HTTPS_PROXY", "https_proxy"):
            patch.setenv(name, f"http://127.0.0.1:{self._server.server_port}")
        for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "AZURE_CONFIG_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("REQUESTS_CA_BUNDLE", str(self._authority.file))
        patch.setenv("AZURE_TENANT_ID", "00000000-0000-0000-0000-0000000000aa")
        patch.setenv("AZURE_CLIENT_ID", "00000000-0000-0000-0000-0000000000bb")
        patch.setenv("AZURE_CLIENT_SECRET", SECRET)
        patch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
        patch.setenv("AZURE_RESOURCE_GROUP", GROUP)
        patch.setenv("AZURE_WORKSPACE", WORKSPACE)

    def context(self, host):
        return self._authority.context(host)

    def answer(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            for failure in self.failures:
                if failure.takes(request):
                    return failure.reply()
        if request.host == LOGIN:
            return _login(request)
        if request.host == MANAGEMENT:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return as_json(401, {"error": {"code": "Unauthorized", "message": "no token"}})
            with self._lock:
                return self._manage(request)
        if request.host == BLOBS:
            with self._lock:
                return self._blob(request)
        if request.host.endswith(SCORING.format("")):
            return self._score(request)
        return as_json(404, {"error": {"code": "NoHost", "message": request.host}})

    def named(self, kind: str, name: str) -> dict:
        return self.resources[f"{ROOT}/{kind}/{name}"]

    def sent(self, method: str, path: str) -> list[Request]:
        """Give the requests to the management whose path below the workspace matches."""
        return [
            request
            for request in self.requests
            if request.host == MANAGEMENT
            and request.method == method
            and re.fullmatch(path, request.path.removeprefix(f"{ROOT}/"))
        ]

    def _manage(self, request):
        path, method = request.path, request.method
        if path.startswith("/operations/"):
            return self._poll(path)
        if path == ROOT:
            return as_json(200, _workspace())
        if not path.startswith(f"{ROOT}/"):
            return _missing(path)
        if "/datastores" in path:
            return _datastores(path)
        if path.endswith("/startPendingUpload"):
            return _pending_upload(path)
        if method == "POST":
            return self._act(path)
        if method in ("PUT", "PATCH"):
            return self._write(path, request.json)
        if method == "DELETE":
            return self._delete(path)
        if path in self.resources:
            return as_json(200, self._now(path))
        if re.search("/(versions|deployments|onlineEndpoints)$", path):
            below = [k for k in self.resources if re.fullmatch(f"{path}/[^/]+", k)]
            return as_json(200, {"value": [self._now(k) for k in below]})
        return _missing(path)

    def _now(self, path):
        resource = self.resources[path]
        if not self.states.get(path):
            return resource
        properties = resource["properties"] | {"provisioningState": self.states[path].pop(0)}
        return resource | {"properties": properties}

    def _write(self, path, body):
        new = path not in self.resources
        wanted = self.provisioning(path)
        resource = self.resources.get(path, {}) | body
        resource |= {"id": path, "name": path.split("/")[-1], "type": "loopback"}
        resource["systemData"] = _BY_TEST
        properties = resource.setdefault("properties", {})
        properties["provisioningState"] = wanted
        if "/onlineEndpoints/" in path and "/deployments/" not in path:
            host = SCORING.format(resource["name"])
            properties["scoringUri"] = f"https://{host}/score"
        if "/models/" in path:  # Azure reads them from the MLmodel
            properties["flavors"] = {"python_function": {"data": {}}}
        if "/deployments/" in path:
            properties.setdefault("scaleSettings", {"scaleType": "Default"})
        self.resources[path] = resource
        if "/onlineEndpoints/" not in path:
            return as_json(201 if new else 200, resource)
        created = resource | {"properties": properties | {"provisioningState": "Creating"}}
        return as_json(201 if new else 200, created, **self._begin(wanted))

    def _begin(self, ends_as):
        """Begin an operation that takes some polls; return the headers that lead to it."""
        name = f"/operations/{len(self._operations) + 1}"
        self._operations[name] = ["InProgress"] * self.polls + [ends_as]
        return {"Azure-AsyncOperation": f"https://{MANAGEMENT}{name}?api-version=1", **SOON}

    def _poll(self, path):
        states = self._operations[path]
        state = states.pop(0) if len(states) > 1 else states[0]
        said = {"status": state, "name": path}
        if state == "Failed":
            said["error"] = {"code": "UserScriptInitError", "message": "init() raised"}
        return as_json(200, said, **SOON)

    def _delete(self, path):
        if path not in self.resources:
            return Reply(204)
        for name in [name for name in self.resources if f"{name}/".startswith(f"{path}/")]:
            del self.resources[name]
        return Reply(202, b"", self._begin("Succeeded"))

    def _act(self, path):
        if path.endswith("/listKeys"):
            return as_json(200, {"primaryKey": KEY, "secondaryKey": KEY[::-1]})
        if path.endswith("/getLogs"):
            return as_json(200, {"content": "loopback log: User's init function failed"})
        return _missing(path)

    def _score(self, request):
        """Answer as the deployment that is asked for, by the real inference server."""
        name = request.host.partition(".")[0]
        colour = request.headers.get("azureml-model-deployment", "")
        path = f"{ROOT}/onlineEndpoints/{name}/deployments/{colour}"
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return as_json(401, {"message": "no key"})
        if path not in self.resources or not self.scoring:
            return as_json(404, {"message": f"no deployment {colour!r}"})
        if self.answers:
            return Reply(200, self.answers, {"Content-Type": "application/json"})
        kind = request.headers["content-type"]
        reply = ask(self.scoring, request.method, "/score", request.body, Content_Type=kind)
        return Reply(reply.status, reply.body, {"Content-Type": reply.headers["Content-Type"]})

    def _blob(self, request):
        container, _, name = unquote(request.path).strip("/").partition("/")
        path = f"{container}/{name}"
        if request.query.get("comp") == ["list"]:
            return self._list_blobs(container, request.query.get("prefix", [""])[0])
        if request.method == "PUT" and "comp" not in request.query and name:
            self.blobs[path] = request.body
            return Reply(201, b"", _BLOB_HEADERS)
        if request.method == "PUT" and request.query.get("comp") == ["metadata"]:
            return Reply(200, b"", _BLOB_HEADERS)
        if request.method in ("GET", "HEAD") and path in self.blobs:
            data = self.blobs[path]
            return Reply(200, data, _BLOB_HEADERS | {"x-ms-blob-type": "BlockBlob"})
        if request.method in ("GET", "HEAD"):
            return Reply(404, b"", {"x-ms-error-code": "BlobNotFound"})
        return Reply(400, b"", {"x-ms-error-code": "NotPlayed"})

    def _list_blobs(self, container, prefix):
        start = f"{container}/"
        names = [k.removeprefix(start) for k in self.blobs if k.startswith(start + prefix)]
        listed = "".join(f"<Blob><Name>{name}</Name><Properties/></Blob>" for name in names)
        text = f"<?xml version='1.0'?><EnumerationResults><Blobs>{listed}</Blobs>"
        text += "<NextMarker/></EnumerationResults>"
        return Reply(200, text.encode(), {"Content-Type": "application/xml"})


_BY_TEST = {
    f"{kind}{what}": value
    for kind in ("created", "lastModified")
    for what, value in (("At", "2026-11-23T00:00:00Z"), ("By", "test"), ("ByType", "User"))
}
_BLOB_HEADERS = {
    "ETag": '"0x1"',
    "Last-Modified": "Mon, 23 Nov 2026 00:00:00 GMT",
    "x-ms-version": "2025-01-05",
    "x-ms-request-server-encrypted": "true",
}


def as_json(status, value, **headers) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | headers)


def _missing(path):
    return as_json(404, {"error": {"code": "ResourceNotFound", "message": f"no {path}"}})


def _workspace():
    properties = {
        "workspaceId": "w",
        "discoveryUrl": "https://westeurope.api.azureml.ms/discovery",
        "mlFlowTrackingUri": "azureml://westeurope.api.azureml.ms/mlflow/v1.0" + ROOT,
        "storageAccount": "loopback",
        "provisioningState": "Succeeded",
    }
    return {
        "id": ROOT,
        "name": WORKSPACE,
        "type": "Microsoft.MachineLearningServices/workspaces",
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": properties,
    }


def _datastores(path):
    if path.endswith("/listSecrets"):
        key = "bG9vcGJhY2stYWNjb3VudC1rZXk="
        return as_json(200, {"secretsType": "AccountKey", "key": key})
    name = "workspaceblobstore"
    store = {
        "id": f"{ROOT}/datastores/{name}",
        "name": name,
        "type": "loopback",
        "properties": {
            "datastoreType": "AzureBlob",
            "isDefault": True,
            "accountName": "loopback",
            "containerName": "azureml",
            "endpoint": "core.windows.net",
            "protocol": "https",
            "credentials": {"credentialsType": "AccountKey"},
            "serviceDataAccessAuthIdentity": "None",
        },
    }
    return as_json(200, {"value": [store]} if path.endswith("/datastores") else store)


def _pending_upload(path):
    kind, name, _, version = path.removesuffix("/startPendingUpload").split("/")[-4:]
    uri = f"https://{BLOBS}/{kind}-{name}-{version}".lower()
    reference = {
        "blobUri": uri,
        "storageAccountArmId": "/loopback",
        "credential": {"credentialType": "SAS", "sasUri": f"{uri}?sig=loopback"},
    }
    said = {"pendingUploadId": "p", "pendingUploadType": "TemporaryBlobReference"}
    return as_json(200, said | {"blobReferenceForConsumption": reference})


def _login(request):
    tenant = request.path.strip("/").split("/")[0]
    base = f"https://{LOGIN}/{tenant}"
    if request.path.endswith("/openid-configuration"):
        return as_json(
            200,
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "issuer": f"{base}/v2.0",
            },
        )
    if "/discovery/instance" in request.path:
        aliases = {
            "preferred_network": LOGIN,
            "preferred_cache": "login.windows.net",
            "aliases": [LOGIN],
        }
        found = f"{base}/v2.0/.well-known/openid-configuration"
        return as_json(200, {"tenant_discovery_endpoint": found, "metadata": [aliases]})
    if request.path.endswith("/token"):
        if parse_qs(request.body.decode()).get("client_secret") != [SECRET]:
            return as_json(401, {"error": "invalid_client", "error_description": "wrong secret"})
        token = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
        return as_json(200, token)
    return as_json(404, {})


class _Handler(BaseHTTPRequestHandler):
    """A proxy that ends the TLS of each CONNECT itself, under the name that was asked for."""

    protocol_version = "HTTP/1.1"
    service: LoopbackAzure
    host = ""

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        inner = type("Inner", (type(self),), {"host": host})
        try:
            context = self.service.context(host)
            with context.wrap_socket(self.connection, server_side=True) as tls:
                inner(tls, self.client_address, self.server)
        except OSError:  # the client went away
            pass
        self.close_connection = True

    def _go(self):
        address = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(address.query, keep_blank_values=True)
        asked = Request(self.host, self.command, address.path, query, headers, self._body())
        reply = self.service.answer(asked)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _go


class _Authority:
    """A certificate authority, and a certificate for each host that is asked for."""

    def __init__(self, folder):
        self._folder, self.file = folder, folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("loopback CA")
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        signs = [name in ("key_cert_sign", "crl_sign") for name in _KEY_USES]
        certificate = (
            self._certificate(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.KeyUsage(**dict(zip(_KEY_USES, signs, strict=True))), True)
            .add_extension(identifier, False)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._lock = threading.Lock()
        self._made = cache(self._make)

    def context(self, host):
        with self._lock:
            return self._made(host)

    def _make(self, host):
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        certificate = (
            self._certificate(_named(host[:60]), key.public_key())
            .add_extension(names, False)
            .add_extension(self._issuer, False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{host}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(self, subject, public_key):
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
        )


_KEY_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
