"""The tests of kazoo's suite that are not run, each with its reason."""

TLS = "needs its own certificates, which a server of somebody else does not have"
SASL = "needs SASL users, whom a server of somebody else does not have"
KERBEROS = "needs a Kerberos test realm"
QUORUM = "reconfiguration needs an ensemble: a standalone server answers UNIMPLEMENTED"
THREE = "stops one or two servers of an ensemble of three"
RESTART = "stops and starts the server, which is not ours to stop"

NEEDS_OTHER = {
    "test_sasl.py::TestSASLGSSAPIAuthentication::test_connect_gssapi_auth": KERBEROS,
    "test_sasl.py::TestSASLGSSAPIAuthentication::test_invalid_gssapi_auth": KERBEROS,
}

CLIENTS = (
    "test_client.py::TestClient",
    "test_eventlet_handler.py::TestEventletClient",
    "test_gevent_handler.py::TestGeventClient",
)


def in_all_clients(test, reason):
    """The suite runs its client tests once for each kind of client."""
    return {f"{suite}::{test}": reason for suite in CLIENTS}


NEEDS_ENSEMBLE = {
    "test_connection.py::TestReadOnlyMode::test_read_only": THREE,
    "test_client.py::TestReconfig::test_add_remove_observer": QUORUM,
    "test_client.py::TestReconfig::test_bad_input": QUORUM,
    "test_client.py::TestReconfig::test_no_super_auth": QUORUM,
    **in_all_clients("test_update_host_list", THREE),
}

NEEDS_RESTART = {
    "test_client.py::TestSSLClient::test_create": TLS,
    "test_sasl.py::TestLegacySASLDigestAuthentication::test_connect_sasl_auth": SASL,
    "test_sasl.py::TestLegacySASLDigestAuthentication::test_invalid_sasl_auth": SASL,
    "test_sasl.py::TestSASLDigestAuthentication::test_connect_sasl_auth": SASL,
    "test_sasl.py::TestSASLDigestAuthentication::test_invalid_sasl_auth": SASL,
    **in_all_clients("test_request_queuing_session_expired", RESTART),
    **in_all_clients("test_request_queuing_session_recovered", RESTART),
}
