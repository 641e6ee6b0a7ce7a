"""Asks an IAM simulator; run by a Python that has botocore, which the tests' own need not have.

Arguments: the endpoint. Input: a list of [principal's ARN, policy, resource] as JSON. Output: a
list of "allowed", "explicitDeny" or "implicitDeny". Makes the principals that are
asked for.
"""

import json
import sys
from contextlib import suppress
from typing import Any

from botocore.session import Session  # type: ignore[import-untyped,unused-ignore]

ACTION = "rds-db:connect"


def make(iam: Any, arn: str) -> None:
    """Creates the user or role, unless it is there."""
    kind, name = arn.rpartition(":")[2].split("/")
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        if kind == "user":
            iam.create_user(UserName=name)
        else:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')


def put(iam: Any, arn: str, policy: dict[str, Any]) -> None:
    """Gives the principal this policy and no other."""
    kind, name = arn.rpartition(":")[2].split("/")
    put_policy = iam.put_user_policy if kind == "user" else iam.put_role_policy
    owner = {"UserName" if kind == "user" else "RoleName": name}
    put_policy(PolicyName="only", PolicyDocument=json.dumps(policy), **owner)


def main() -> None:
    iam = Session().create_client("iam", endpoint_url=sys.argv[1], region_name="us-east-1")
    cases = json.load(sys.stdin)
    for arn in sorted({arn for arn, _, _ in cases}):
        make(iam, arn)
    said = []
    for arn, policy, resource in cases:
        put(iam, arn, policy)
        answer = iam.simulate_principal_policy(
            PolicySourceArn=arn, ActionNames=[ACTION], ResourceArns=[resource]
        )
        said.append(answer["EvaluationResults"][0]["EvalDecision"])
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
