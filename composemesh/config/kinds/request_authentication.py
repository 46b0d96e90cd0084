"""RequestAuthentication: which tokens count. Its shape is checked; it is not carried out yet."""

from __future__ import annotations

from composemesh.config.kinds.authorization_policy import ONE_TARGET, TARGETS, VERSIONS
from composemesh.config.kinds.kind import Kind
from composemesh.config.schema.fields import Field, required
from composemesh.config.schema.messages import Message, Repeated
from composemesh.config.schema.scalars import HEADER_NAME, Duration, Flag, Text

_HEADER = Message(
    {"name": required(HEADER_NAME, "Header."), "prefix": Field(Text(), "What stands before the token.")}
)
_CLAIM = Message({"header": required(HEADER_NAME, "Header."), "claim": required(Text(), "Claim.")})
JWT_RULE = Message(
    {
        "issuer": required(Text(), "Who issues the tokens."),
        "audiences": Field(Repeated(Text()), "For whom they are."),
        "jwksUri": Field(Text(), "Where the keys are."),
        "jwks": Field(Text(), "The keys."),
        "fromHeaders": Field(Repeated(_HEADER), "Headers with tokens."),
        "fromParams": Field(Repeated(Text()), "Parameters of the query with tokens."),
        "fromCookies": Field(Repeated(Text()), "Cookies with tokens."),
        "outputPayloadToHeader": Field(HEADER_NAME, "The header that tells the service the token's content."),
        "outputClaimToHeaders": Field(Repeated(_CLAIM), "Headers that tell it single claims."),
        "forwardOriginalToken": Field(Flag(), "Whether the service gets the token."),
        "timeout": Field(Duration(), "For the keys."),
        "spaceDelimitedClaims": Field(Repeated(Text()), "Claims that are lists."),
    },
    one_of=(("jwksUri", "jwks"),),
)
SPEC = Message({**TARGETS, "jwtRules": Field(Repeated(JWT_RULE), "Tokens that count.")}, one_of=ONE_TARGET)

KIND = Kind("RequestAuthentication", "security.istio.io", SPEC, versions=VERSIONS, spec_required=False)
