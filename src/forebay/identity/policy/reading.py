"""Policy documents into statements; whatever is not understood is refused, with its place.

IAM takes much that has no effect: an action that does not exist, an ARN of another service. Where
IAM would ignore, this refuses: a policy that says less than its author thinks lets in too many (a
Deny) or nobody (an Allow).

Source: "Grammar of the IAM JSON policy language" in the IAM User Guide.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from forebay.config.errors import Problem, meant_by
from forebay.identity.policy.arns import SERVICE, check_resource_pattern, parse_principal, shown
from forebay.identity.policy.conditions import Condition, check_operator, compile_condition
from forebay.identity.policy.globs import Glob
from forebay.identity.policy.places import MAX_VALUES, Findings, Place, PolicyError, written
from forebay.identity.policy.statements import Patterns, Statement

CONNECT = f"{SERVICE}:connect"
_VERSION, _VERSION_WITHOUT_VARIABLES = "2012-10-17", "2008-10-17"
# Several times IAM's own largest policy (20 KiB, of a bucket), and what one proxy can need; a
# login asks each statement once.
MAX_DOCUMENTS = 100
MAX_DOCUMENT_CHARACTERS = 65_536
MAX_STATEMENTS = 1_000
_MAX_SID_CHARACTERS = 128

_DOCUMENT_KEYS = ("Version", "Id", "Statement")
_STATEMENT_KEYS = (
    *("Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"),
)


def read_policies(documents: Mapping[str, str]) -> list[Statement]:
    """The statements of all documents, in order. Raises PolicyError with all that is wrong."""
    if len(documents) > MAX_DOCUMENTS:
        text = f"are {len(documents)} documents; at most {MAX_DOCUMENTS} are possible"
        raise PolicyError([Problem("policies", "", text)])
    findings = Findings()
    statements: list[Statement] = []
    for name, text in documents.items():
        statements += _read_document(text, Place(findings, shown(name)))
    for count, most, what in (
        (len(statements), MAX_STATEMENTS, "statements"),
        (findings.values, MAX_VALUES, "principals, actions, resources and condition values"),
    ):
        if count > most:
            text = f"have {count} {what}; at most {most} are possible (a wildcard stands for many)"
            findings.problems.append(Problem("policies", "", text))
    if findings.problems:
        raise PolicyError(findings.problems)
    return statements


def _read_document(text: str, place: Place) -> list[Statement]:
    try:
        document = _from_json(text)
    except ValueError as error:
        place.report(str(error))
        return []
    if not isinstance(document, dict):
        place.report('must be a JSON object: {"Version": "2012-10-17", "Statement": [...]}')
        return []
    place.check_keys(document, _DOCUMENT_KEYS)
    version = document.get("Version", _VERSION_WITHOUT_VARIABLES)
    if version not in (_VERSION, _VERSION_WITHOUT_VARIABLES):
        place.below("Version").report(f'is {written(version)}; it must be "{_VERSION}"')
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        place.below("Statement").report("must be there: a statement, or a list of at least one")
        return []
    numbers_by_sid: dict[str, int] = {}
    found = []
    for number, raw in enumerate(statements, start=1):
        here = replace(place, statement=f"statement {number}")
        if not isinstance(raw, dict):
            here.report(f'is {written(raw)}; it must be an object: {{"Effect": …, "Principal": …}}')
            continue
        here = _with_sid(raw, number, numbers_by_sid, here)
        statement = _read_statement(raw, here, variables=version == _VERSION)
        if statement is not None:
            found.append(statement)
    return found


def _from_json(text: str) -> Any:
    """Raises ValueError with what is wrong, and where."""
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        raise ValueError(f"is over {MAX_DOCUMENT_CHARACTERS} characters; split it")
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"is not JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise ValueError("is nested too deeply for a policy") from None


def _with_sid(raw: Mapping[str, Any], number: int, numbers: dict[str, int], place: Place) -> Place:
    """The statement's place with its Sid, if it has a good one."""
    sid = raw.get("Sid", "")
    if not _is_sid(sid):
        place.below("Sid").report(
            f'is {written(sid)}; it must be letters, digits, spaces, "-" and "_", at most '
            f"{_MAX_SID_CHARACTERS}"
        )
        return place
    if not sid:
        return place
    place = replace(place, statement=f'statement {number} (Sid "{sid}")')
    if numbers.setdefault(sid, number) != number:
        place.report(f"has the Sid of statement {numbers[sid]}; each needs one of its own")
    return place


def _read_statement(raw: Mapping[str, Any], place: Place, *, variables: bool) -> Statement | None:
    """None if something is wrong with it, which has been reported."""
    before = len(place.findings.problems)
    place.check_keys(raw, (*_STATEMENT_KEYS, "NotPrincipal"))
    _check_effect(raw, place)
    principals = _read_principals(raw, place)
    actions = _read_patterns(raw, "Action", _action, place)
    resources = _read_patterns(raw, "Resource", _resource(raw, variables), place)
    conditions = _read_conditions(raw, place)
    if len(place.findings.problems) > before or actions is None or resources is None:
        return None
    allows = raw["Effect"] == "Allow"
    return Statement(str(place), allows, principals, actions, resources, tuple(conditions))


def _is_sid(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _MAX_SID_CHARACTERS
        and value.isascii()
        and all(char.isalnum() or char in " -_" for char in value)
    )


def _check_effect(raw: Mapping[str, Any], place: Place) -> None:
    if "Effect" not in raw:
        place.report('has no "Effect"; it must be "Allow" or "Deny"')
    elif raw["Effect"] not in ("Allow", "Deny"):
        effect = raw["Effect"]
        right = meant_by(effect, ("Allow", "Deny")) if isinstance(effect, str) else ""
        place.below("Effect").report(f'is {written(effect)}; it must be "Allow" or "Deny"{right}')


def _read_principals(raw: Mapping[str, Any], place: Place) -> frozenset[str] | None:
    """The ARNs of a statement's principals; None for everybody."""
    if "NotPrincipal" in raw:
        place.below("NotPrincipal").report(
            'is not supported; write "Principal": "*" and a Condition: '
            '{"ArnNotLike": {"aws:PrincipalArn": "…"}}'
        )
        return None
    if "Principal" not in raw:
        place.report(
            'has no "Principal", so nothing says whom it is about; add, for example, '
            '"Principal": {"AWS": "arn:aws:iam::111122223333:role/NAME"}'
        )
        return None
    place = place.below("Principal")
    principal = raw["Principal"]
    if principal == "*":
        return None
    if not isinstance(principal, dict) or principal.keys() != {"AWS"}:
        place.report(
            f'is {written(principal)}; it must be "*" or {{"AWS": …}} with ARNs of users and roles'
        )
        return None
    place = place.below("AWS")
    names: set[str] = set()
    everybody = False
    for value in place.strings(principal["AWS"]):
        if value == "*":
            everybody = True
            continue
        try:
            names |= _principal(value)
        except ValueError as error:
            place.report(f'"{shown(value)}" {error}')
    return None if everybody else frozenset(names)


def _principal(value: str) -> set[str]:
    if "*" in value or "?" in value or "${" in value:
        raise ValueError(
            'is a pattern, which IAM does not allow here; write "*" and a Condition: '
            '{"ArnLike": {"aws:PrincipalArn": "…"}}'
        )
    if value.endswith(":root") or value.isdecimal():
        raise ValueError(
            "is an account: AWS then asks the account's own policies, which are not known here; "
            'write "*" and a Condition: {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::ACCOUNT:*"}}'
        )
    principal = parse_principal(value)
    # A session is named alone; its role would be everybody who has it.
    return {value} if value in principal.names else {principal.arn}


def _read_patterns(
    raw: Mapping[str, Any], key: str, compiler: Callable[[str, bool], Glob], place: Place
) -> Patterns | None:
    """Action or NotAction, Resource or NotResource; None if there is something wrong with it."""
    given = [each for each in (key, f"Not{key}") if each in raw]
    if len(given) != 1:
        wrong = f'has both "{key}" and "Not{key}"' if given else f'has no "{key}"'
        place.report(f"{wrong}; it must have one of the two")
        return None
    negated = given[0] != key
    place = place.below(given[0])
    globs = []
    for value in place.strings(raw[given[0]]):
        try:
            globs.append(compiler(value, negated))
        except ValueError as error:
            place.report(f'"{shown(value)}" {error}')
    return Patterns(tuple(globs), negated)


def _action(value: str, negated: bool) -> Glob:
    """Raises ValueError for an action that has no effect here."""
    folded = value.lower()
    service, colon, _ = folded.partition(":")
    glob = Glob(folded)
    if glob.matches(CONNECT) and (folded == "*" or service == SERVICE):
        return glob
    if (
        negated
        and colon
        and service.replace("-", "").isalnum()
        and not meant_by(service, (SERVICE,))
    ):
        return glob  # "everything but what another service does"
    if "*" in service or "?" in service:
        raise ValueError(f'has a wildcard in the service; write "{SERVICE}:*" or "*"')
    raise ValueError(
        f"is no action known here; the only one is {CONNECT}"
        + ("" if colon and service == SERVICE else f" (with the service {SERVICE})")
    )


def _resource(raw: Mapping[str, Any], variables: bool) -> Callable[[str, bool], Glob]:
    allows = raw.get("Effect") == "Allow"

    def compiler(value: str, negated: bool) -> Glob:
        """Raises ValueError for what no database user's ARN can match."""
        check_resource_pattern(value)
        if "&{" in value:
            raise ValueError('has "&{", which is Terraform\'s; in JSON it is "${"')
        if "${" in value and not variables:
            raise ValueError('has a variable; they need "Version": "2012-10-17"')
        # Within a user's name a colon divides segments for IAM's documentation, but who denies
        # "*admin" means "a:admin" too: what is documented decides only where that lets in fewer.
        glob = Glob(value, segments=allows is not negated, variables=True)
        if glob.needs_username and negated:
            raise ValueError(
                "has a variable; in NotResource it is not supported, since roles have no user name"
            )
        return glob

    return compiler


def _read_conditions(raw: Mapping[str, Any], place: Place) -> list[Condition]:
    if "Condition" not in raw:
        return []
    found = []
    place = place.below("Condition")
    for operator, keys in place.members(raw["Condition"]):
        at_operator = place.below(operator)
        try:
            check_operator(operator)
        except ValueError as error:
            at_operator.report(str(error))
            continue
        for key, value in at_operator.members(keys):
            at_key = at_operator.below(key)
            try:
                found.append(compile_condition(operator, key, at_key.strings(value)))
            except ValueError as error:
                at_key.report(str(error))
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f'has the key "{shown(key)}" twice in one object')
        found[key] = value
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"is not JSON: {constant} is no value")
