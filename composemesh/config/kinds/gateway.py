"""Gateway: ports of the host through which the mesh is entered."""

from __future__ import annotations

from composemesh.config.kinds.common import LABELS
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.fields import Field, later, refused, required, without_effect
from composemesh.config.schema.messages import Message, Repeated, Said
from composemesh.config.schema.network import Address, Host, PortNumber
from composemesh.config.schema.reading import dotted
from composemesh.config.schema.scalars import ABSOLUTE_PATH, LABEL, UNSIGNED, Flag, Text, Words
from composemesh.model.gateway import HTTP_IN_CLEAR, Gateway, Server, ServerProtocol, TlsMode, TlsSettings

PROTOCOLS = {
    "HTTP": ServerProtocol.HTTP,
    "HTTPS": ServerProtocol.HTTPS,
    "HTTP2": ServerProtocol.HTTP2,
    "GRPC": ServerProtocol.GRPC,
    "GRPC-WEB": ServerProtocol.GRPC,
    "TLS": ServerProtocol.TLS,
    "TCP": ServerProtocol.TCP,
    "MONGO": ServerProtocol.TCP,
    "REDIS": ServerProtocol.TCP,
    "MYSQL": ServerProtocol.TCP,
}
_VERSIONS = Words(
    {"TLS_AUTO": "", "TLSV1_0": "TLSV1_0", "TLSV1_1": "TLSV1_1", "TLSV1_2": "TLSV1_2", "TLSV1_3": "TLSV1_3"}
)
_FILE = Text(ABSOLUTE_PATH.pattern, "the absolute path of a file", empty=True)
_SECRET = "there are no secrets here: the mesh's own authority issues the certificate."
_CERTIFICATE = Message(
    {
        "serverCertificate": Field(_FILE, "File of the certificate."),
        "privateKey": Field(_FILE, "File of its key."),
        "caCertificates": Field(_FILE, "File of the authorities whose clients are believed."),
    }
)
TLS = Message(
    {
        "httpsRedirect": Field(Flag(), "Of a port in clear: answer everything with a 301 to HTTPS."),
        "mode": Field(
            Words({mode.value: mode for mode in TlsMode}, later=("AUTO_PASSTHROUGH", "ISTIO_MUTUAL")),
            "Whether TLS ends here; PASSTHROUGH if unsaid.",
        ),
        **_CERTIFICATE.fields,
        "caCrl": later(_FILE, "File of certificates that are not believed any more."),
        "credentialName": without_effect(Text(), "A secret of Kubernetes.", _SECRET),
        "credentialNames": without_effect(Repeated(Text()), "Secrets of Kubernetes.", _SECRET),
        "caCertCredentialName": without_effect(
            Text(), "A secret with the authorities.", "there are no secrets here: name a file in `caCertificates`."
        ),
        "tlsCertificates": later(Repeated(_CERTIFICATE), "Several certificates, of other kinds of keys."),
        "subjectAltNames": later(Repeated(Text()), "Names of which the client's certificate must have one."),
        "verifyCertificateSpki": later(Repeated(Text()), "Hashes of the client's key."),
        "verifyCertificateHash": later(Repeated(Text()), "Hashes of the client's certificate."),
        "minProtocolVersion": Field(_VERSIONS, "The lowest version of TLS."),
        "maxProtocolVersion": Field(_VERSIONS, "The highest version of TLS."),
        "cipherSuites": Field(Repeated(Text()), "OpenSSL's names, for TLS 1.2."),
        "insecureSkipVerify": later(Flag(), "Whether any certificate of a client will do."),
    }
)
PORT = Message(
    {
        "number": required(PortNumber(), "The port of this host."),
        "protocol": required(
            Words(PROTOCOLS, deprecated={name.lower(): name for name in PROTOCOLS}), "What it speaks."
        ),
        "name": Field(LABEL, "Its name."),
        "targetPort": refused(UNSIGNED, "Has never meant anything at a gateway.", "Istio refuses it too."),
    }
)
SERVER = Message(
    {
        "port": required(PORT, "Where it listens."),
        "hosts": required(Repeated(Host(namespaced=True), 1), "Who is served; `*` for everybody."),
        "bind": Field(Address(), "An IP address of this host; all if unsaid."),
        "tls": Field(TLS, "How it proves who it is."),
        "defaultEndpoint": later(Text(), "Where everything goes."),
        "name": Field(Text(), "For logs and metrics."),
    }
)
SPEC = Message(
    {
        "selector": without_effect(
            LABELS, "Pods of Kubernetes that serve it.", "the mesh serves every Gateway of the project itself."
        ),
        "servers": required(Repeated(SERVER, 1), "Ports, and who is served there."),
    }
)


def compile_gateway(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: the gateway by its name."""
    name = context.resource.name
    if LABEL.pattern and not LABEL.pattern.fullmatch(name):
        context.refuse(("metadata", "name"), "wrong-value", "the name of a Gateway cannot have dots.")
    names: set[str] = set()
    for server in said["servers"]:
        port_name = server["port"].get("name", "")
        if port_name and port_name in names:
            message = f"{dotted(server.at('port', 'name'))} is {port_name} again."
            context.refuse(
                server.at("port", "name"), "duplicate-name", message, "Give one of the ports another name."
            )
        names.add(port_name)
    servers = tuple(_server(context, server) for server in said["servers"])
    draft.gateways.append((context, Gateway(name, servers, origin=context.origin())))


def _server(context: Context, said: Said) -> Server:
    protocol: ServerProtocol = said["port"]["protocol"]
    tls = said.get("tls")
    return Server(
        port=said["port"]["number"],
        protocol=protocol,
        hosts=tuple(dict.fromkeys(said["hosts"])),
        bind=said.get("bind", ""),
        tls=_tls(context, said, protocol, tls),
        name=said.get("name") or said["port"].get("name", ""),
        origin=context.origin(said.path),
    )


def _tls(context: Context, server: Said, protocol: ServerProtocol, said: Said | None) -> TlsSettings | None:
    """The TLS settings; what does not fit the protocol is refused, as Istio's webhook does."""
    encrypted = protocol in (ServerProtocol.HTTPS, ServerProtocol.TLS)
    if said is None:
        if encrypted:
            message = f"{dotted(server.path)} speaks {protocol}, and has no `tls`."
            context.refuse(server.path, "missing-field", message, "Write tls: {mode: SIMPLE, …}, or PASSTHROUGH.")
        return None
    mode = said.get("mode", TlsMode.PASSTHROUGH)
    redirect = said.get("httpsRedirect", False)
    if not encrypted:
        if set(said) - {"httpsRedirect"} and (mode is not TlsMode.PASSTHROUGH or _files(said)):
            message = f"{dotted(said.path)}: a port of {protocol} has no TLS."
            context.refuse(said.path, "conflicting-fields", message, "Write protocol: HTTPS, or TLS.")
        if redirect and protocol not in HTTP_IN_CLEAR:
            message = f"{dotted(said.at('httpsRedirect'))} has no effect: only requests of HTTP can be redirected."
            context.warn(said.at("httpsRedirect"), "without-effect", message)
        return TlsSettings(https_redirect=True) if redirect else None
    _check_certificates(context, said, mode)
    return TlsSettings(
        mode=mode,
        certificate=said.get("serverCertificate", ""),
        key=said.get("privateKey", ""),
        ca=said.get("caCertificates", ""),
        minimum=_version(context, said, "minProtocolVersion"),
        maximum=_version(context, said, "maxProtocolVersion"),
        ciphers=tuple(dict.fromkeys(said.get("cipherSuites", ()))),
        https_redirect=redirect,
    )


def _files(said: Said) -> bool:
    return any(said.get(word) for word in _CERTIFICATE.fields)


def _check_certificates(context: Context, said: Said, mode: TlsMode) -> None:
    written = context.resource.value(said.path)
    if mode is TlsMode.PASSTHROUGH:
        if _files(said):
            message = f"{dotted(said.path)}: certificates are not used, TLS passes through."
            context.warn(said.path, "without-effect", message, "Write mode: SIMPLE, or take them out.")
        return
    elsewhere = [word for word in ("credentialName", "credentialNames", "tlsCertificates") if written.get(word)]
    sources = len(elsewhere) + bool(said.get("serverCertificate"))
    if sources > 1:
        message = f"{dotted(said.path)} names its certificate in more than one way."
        context.refuse(said.path, "conflicting-fields", message, "Keep `serverCertificate` and `privateKey`.")
    if elsewhere:
        return
    for word in ("serverCertificate", "privateKey"):
        if not said.get(word):
            message = f"{dotted(said.at(word))} is missing: mode {mode} needs it."
            context.refuse(said.at(word), "missing-field", message, "Name a file.")
    if mode is not TlsMode.SIMPLE and not said.get("caCertificates") and not written.get("caCertCredentialName"):
        message = f"{dotted(said.at('caCertificates'))} is missing: mode {mode} needs the authorities of its clients."
        context.refuse(said.at("caCertificates"), "missing-field", message, "Name a file.")


def _version(context: Context, said: Said, word: str) -> str:
    version: str = said.get(word, "")
    if version in ("TLSV1_0", "TLSV1_1"):
        message = f"{dotted(said.at(word))}: versions of TLS below 1.2 are not spoken."
        context.warn(said.at(word), "not-carried-out", message, "Write TLSV1_2.")
        return ""
    return version


KIND = Kind("Gateway", "networking.istio.io", SPEC, compile_gateway)
