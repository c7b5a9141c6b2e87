"""A provider of OpenID Connect on this machine, made of authlib: authorization code with PKCE for public clients."""

from __future__ import annotations

import contextlib
import json
import pathlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, request
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

CLIENT_ID = "registry-console"


@dataclass
class Client(ClientMixin):
    redirect_uris: list[str]

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uris[0]

    def get_allowed_scope(self, scope: str) -> str:
        return scope if scope == "openid" else ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):
    code: str
    redirect_uri: str
    scope: str
    nonce: str
    user: str
    code_challenge: str
    code_challenge_method: str
    auth_time: int = field(default_factory=lambda: int(time.time()))

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@dataclass
class Provider:
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1", "alg": "RS256", "use": "sig"}))
    user: str = "owner"
    url: str = ""
    redirect_uris: list[str] = field(default_factory=list)
    # What an attacker or a broken provider would change.
    stated_issuer: str | None = None
    token_issuer: str | None = None
    nonce: str | None = None
    state: str | None = None
    exchanged: list[dict[str, str]] = field(default_factory=list)

    def key_set(self, folder: pathlib.Path) -> pathlib.Path:
        """A file with the keys that verify its tokens."""
        path = folder / "jwks.json"
        path.write_text(json.dumps(KeySet([self.key]).as_dict(private=False)))
        return path

    @contextlib.contextmanager
    def running(self) -> Iterator[Provider]:
        server = make_server("127.0.0.1", 0, self._application(), threaded=True)
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()

    def _application(self) -> Flask:
        provider = self
        application = Flask("provider")
        codes: dict[str, Code] = {}
        server = AuthorizationServer(application, query_client=lambda _: Client(self.redirect_uris), save_token=lambda token, request: None)

        class CodeGrant(grants.AuthorizationCodeGrant):
            TOKEN_ENDPOINT_AUTH_METHODS = ["none"]

            def save_authorization_code(self, code: str, request: Any) -> Code:
                data = request.payload.data
                codes[code] = Code(
                    code, request.payload.redirect_uri, request.payload.scope, data["nonce"], request.user, data["code_challenge"], data["code_challenge_method"]
                )
                return codes[code]

            def query_authorization_code(self, code: str, client: Client) -> Code | None:
                return codes.get(code)

            def delete_authorization_code(self, authorization_code: Code) -> None:
                codes.pop(authorization_code.code, None)

            def authenticate_user(self, authorization_code: Code) -> str:
                return authorization_code.user

        class IdentityToken(OpenIDCode):
            def exists_nonce(self, nonce: str, request: Any) -> bool:
                return False

            def get_jwt_config(self, grant: Any) -> dict[str, Any]:
                return {"key": provider.key.as_dict(private=True), "alg": "RS256", "iss": provider.token_issuer or provider.url, "exp": 3600}

            def generate_user_info(self, user: str, scope: str) -> UserInfo:
                return UserInfo(sub=user, **({"nonce": provider.nonce} if provider.nonce else {}))

        server.register_grant(CodeGrant, [CodeChallenge(required=True), IdentityToken(require_nonce=True)])

        @application.get("/.well-known/openid-configuration")
        def configuration() -> Any:
            return jsonify(issuer=self.stated_issuer or self.url, authorization_endpoint=f"{self.url}/authorize", token_endpoint=f"{self.url}/token")

        @application.get("/authorize")
        def authorize() -> Any:
            # The person is signed in, and consents.
            answer = server.create_authorization_response(grant_user=self.user, grant=server.get_consent_grant(end_user=self.user))
            if self.state:
                answer.headers["Location"] = answer.headers["Location"].replace(f"state={request.args['state']}", f"state={self.state}")
            return answer

        @application.post("/token")
        def token() -> Any:
            self.exchanged.append(request.form.to_dict())
            return server.create_token_response()

        @application.after_request
        def allow_origin(answer: Any) -> Any:
            answer.headers["Access-Control-Allow-Origin"] = "*"
            return answer

        return application
