"""No body makes the server fail: each field has values of any kind, the others are right.

The long form, over the whole OpenAPI description, needs schemathesis in an environment of its own:

    schemathesis run http://127.0.0.1:8080/openapi.json --checks not_a_server_error
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.server.api_requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeBody,
    EmbeddingsRequest,
    TokenizeBody,
)
from support.servers import RunningServer

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXAMPLES = int(os.environ.get("R1_FUZZED_REQUESTS", "40"))
BODIES: dict[str, tuple[type, dict[str, Any]]] = {
    "/v1/chat/completions": (ChatRequest, {"messages": [{"role": "user", "content": "?"}]}),
    "/v1/completions": (CompletionRequest, {"prompt": "One"}),
    "/v1/embeddings": (EmbeddingsRequest, {"input": "One"}),
    "/tokenize": (TokenizeBody, {"prompt": "One"}),
    "/detokenize": (DetokenizeBody, {"tokens": [1]}),
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=20)
    | st.sampled_from(["user", "system", "assistant", "tool", "text", "json_schema", "base64"])
)
KEYS = st.sampled_from(
    ["role", "content", "type", "text", "json_schema", "schema", "$ref", "enum", "name", "1", "-1"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("path", BODIES)
def test_no_value_of_a_field_is_a_server_error(server: RunningServer, path: str):
    model, right = BODIES[path]
    fields = sorted({*model.model_fields, *SamplingSettings.model_fields})
    with server.http() as http:

        @settings(
            max_examples=EXAMPLES,
            suppress_health_check=list(HealthCheck),
            derandomize=EXAMPLES == 40,
        )
        @given(st.dictionaries(st.sampled_from(fields), VALUES, max_size=3))
        def send(changed: dict[str, Any]) -> None:
            body = {"max_tokens": 2} | right | changed
            if isinstance(body.get("max_tokens"), int) and not body.get("max_completion_tokens"):
                body["max_completion_tokens"] = 2
            content = json.dumps(body).encode()
            headers = {"Content-Type": "application/json"}
            reply = http.post(path, content=content, headers=headers)
            assert reply.status_code < 500, (changed, reply.text)

        send()
        assert http.get("/health/ready").status_code == 200
