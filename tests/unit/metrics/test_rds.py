"""RDS Proxy's metrics, held against AWS's list."""

from forebay.metrics.rds import RDS

D1 = frozenset({("ProxyName",)})
D2 = frozenset({("ProxyName", "EndpointName")})
D3 = frozenset({("ProxyName", "TargetGroup", "Target")})
D4 = frozenset({("ProxyName", "TargetGroup", "TargetRole")})
# Amazon Aurora User Guide, "Monitoring RDS Proxy metrics with Amazon CloudWatch".
AWS = {
    "AvailabilityPercentage": ("Percent", D4),
    "ClientConnections": ("Count", D1 | D2),
    "ClientConnectionsClosed": ("Count", D1 | D2),
    "ClientConnectionsNoTLS": ("Count", D1 | D2),
    "ClientConnectionsReceived": ("Count", D1 | D2),
    "ClientConnectionsSetupFailedAuth": ("Count", D1 | D2),
    "ClientConnectionsSetupSucceeded": ("Count", D1 | D2),
    "ClientConnectionsTLS": ("Count", D1 | D2),
    "DatabaseConnectionRequests": ("Count", D1 | D3 | D4),
    "DatabaseConnectionRequestsWithTLS": ("Count", D1 | D3 | D4),
    "DatabaseConnections": ("Count", D1 | D3 | D4),
    "DatabaseConnectionsBorrowLatency": ("Microseconds", D1 | D2),
    "DatabaseConnectionsCurrentlyBorrowed": ("Count", D1 | D3 | D4),
    "DatabaseConnectionsCurrentlyInTransaction": ("Count", D1 | D3 | D4),
    "DatabaseConnectionsCurrentlySessionPinned": ("Count", D1 | D3 | D4),
    "DatabaseConnectionsSetupFailed": ("Count", D1 | D3 | D4),
    "DatabaseConnectionsSetupSucceeded": ("Count", D1 | D3 | D4),
    "DatabaseConnectionsWithTLS": ("Count", D1 | D3 | D4),
    "MaxDatabaseConnectionsAllowed": ("Count", D1 | D3 | D4),
    "QueryDatabaseResponseLatency": ("Microseconds", D1 | D2 | D3 | D4),
    "QueryRequests": ("Count", D1 | D2),
    "QueryRequestsNoTLS": ("Count", D1 | D2),
    "QueryRequestsTLS": ("Count", D1 | D2),
    "QueryResponseLatency": ("Microseconds", D1 | D2),
}


def test_they_are_aws_list_with_its_units_and_dimensions() -> None:
    assert {each.name: (each.unit, frozenset(each.dimensions)) for each in RDS} == AWS
    assert len(RDS) == len(AWS) == 24
