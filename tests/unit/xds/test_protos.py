import subprocess
import sys

import pytest

from composemesh.xds import protos


def test_names_in_json_become_messages_and_back() -> None:
    value = {
        "name": "reviews",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": protos.TYPE_URL + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    assert protos.as_dict(protos.parse("envoy.config.cluster.v3.Cluster", value)) == value


def test_a_field_that_a_message_does_not_have_is_an_error() -> None:
    from google.protobuf.json_format import ParseError

    with pytest.raises(ParseError, match="connect_timeuot"):
        protos.parse("envoy.config.cluster.v3.Cluster", {"connect_timeuot": "1s"})
    with pytest.raises(KeyError, match="Clutser"):
        protos.message("envoy.config.cluster.v3.Clutser")


def test_threads_that_come_first_together_get_the_same_classes() -> None:
    asked = """
import sys, threading
from composemesh.xds import protos
sys.setswitchinterval(1e-6)
gate, found = threading.Barrier(8), []
def come():
    gate.wait()
    found.append(protos.message("envoy.config.cluster.v3.Cluster"))
threads = [threading.Thread(target=come) for _ in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
print(len(set(found)), len(found))
"""
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "1 8\n"


def test_a_mesh_without_clients_does_not_pay_for_protobuf() -> None:
    asked = (
        "import sys, composemesh.traffic, composemesh.xds.protos; print([n for n in sys.modules if 'protobuf' in n])"
    )
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "[]\n"
