"""``forebay check``: everything that ``serve`` would find out later, found out now."""

import asyncio
import os
import sys
from dataclasses import replace
from typing import Annotated

import msgspec
from cyclopts import Parameter

from forebay.cli import expiry, listening, outside, servers, warnings
from forebay.cli.expiry import CertificateReport
from forebay.cli.output import EXIT_FAILED, EXIT_FINE, EXIT_WRONG_USE, complain, interpreter_problem
from forebay.cli.probing import Facts, Login, probe
from forebay.cli.servers import ServerReport, Servers
from forebay.config import Config, ConfigError, ProxySettings, load_any, means_url
from forebay.control import obstacle
from forebay.node import materials
from forebay.node.materials import Material, MaterialError, Materials
from forebay.worker.main import raise_descriptor_limit


class UserReport(msgspec.Struct, frozen=True, kw_only=True):
    """One user on one host. ``limit`` is what the pool would hold there for all users together.
    ``untried``: why the login can't be tried without clients, which is no failure."""

    user: str
    host: str
    error: str | None = None
    untried: str | None = None
    facts: Facts | None = None
    limit: int | None = None
    idle_limit: int | None = None


class ProxyReport(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy."""

    name: str
    listen: list[str]
    hosts: list[str]
    users: list[UserReport]
    problems: list[str]
    warnings: list[str]
    certificates: list[CertificateReport] = []
    servers: list[ServerReport] = []  # where there are several


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it: what --json prints."""

    ok: bool
    source: str
    problems: list[str] = []
    warnings: list[str] = []
    proxies: list[ProxyReport] = []


def check(
    config: Annotated[str | None, Parameter(name="CONFIG")] = None,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Try a configuration: log in, show the limits, warn about what will bite.

    Reads the configuration, its secrets and its certificates, looks whether its addresses could be
    listened on, logs in to every database with every user, runs init_query and auth_query there,
    looks whether STS can be reached, finds out which of several servers writes and what stands of
    the others, shows what the pool's limits would be and when certificates expire, and warns about
    what will bite. Nobody can connect meanwhile. Exit codes: 0 it would
    work (perhaps with warnings), 1 it would not or this Python reads SQL wrongly, 2 the
    configuration can't be used.

    Parameters
    ----------
    config
        A TOML file, or postgresql://user:password@host:port/db; as for forebay serve.
    as_json
        Print one JSON object.
    """
    try:
        settings = load_any(config, os.environ)
        found = asyncio.run(_gather(settings))
    except (ConfigError, MaterialError) as error:
        problems = [str(each) for each in error.problems]
        if as_json:
            source = "URL" if config and means_url(config) else config or "environment"
            _print_json(Report(ok=False, source=source, problems=problems))
        else:
            complain("check", problems)
        return EXIT_WRONG_USE
    if misreading := interpreter_problem():
        if as_json:
            _print_json(Report(ok=False, source=settings.source, problems=[misreading]))
        else:
            complain("check", [misreading])
        return EXIT_FAILED
    report = asyncio.run(_check(settings, found))
    if as_json:
        _print_json(report)
    else:
        sys.stdout.write("\n".join(_lines(report, settings)) + "\n")
    return EXIT_FINE if report.ok else EXIT_FAILED


async def _gather(config: Config) -> dict[str, Material]:
    """Raises MaterialError."""
    kept = Materials(os.environ, lambda _: None)
    try:
        return await kept.gather(config)
    finally:
        await kept.close()


async def _check(config: Config, found: dict[str, Material]) -> Report:
    descriptor_limit = raise_descriptor_limit()
    heard = await asyncio.to_thread(listening.look, config, found)
    proxies = []
    for name, proxy in config.proxies.items():
        credentials = found[name].credentials
        logins = await probe(proxy, credentials)
        cluster = await servers.look(name, proxy, credentials)
        if cluster is not None:
            logins = [_excused(login, cluster) for login in logins]
        said = warnings.about_proxy(
            proxy,
            credentials,
            logins,
            self_made=found[name].certificates[0].self_made,
            descriptor_limit=descriptor_limit,
            policies=found[name].policies,
        )
        expiries = expiry.look(proxy, found[name])
        concerns = [text for of, text in materials.concerns(config, found) if of == name]
        problems = [*heard[name].problems, *expiries.problems]
        problems += await outside.problems(proxy, credentials)
        if cluster is not None:
            problems += cluster.problems
        doubts = [text for text in concerns if text not in problems]
        proxies.append(
            ProxyReport(
                name=name,
                listen=[str(each) for each in proxy.listen_addresses()],
                hosts=[str(each) for each in proxy.target.addresses()],
                users=[_user_report(config, name, login) for login in logins],
                problems=problems,
                warnings=[
                    *heard[name].warnings,
                    *doubts,
                    *expiries.warnings,
                    *([] if cluster is None else cluster.warnings),
                    *said,
                ],
                certificates=expiries.certificates,
                servers=[] if cluster is None else cluster.reports,
            )
        )
    problem = obstacle(config.node.control_socket) if config.node.control_socket else None
    page = await asyncio.to_thread(listening.look_at_page, config.node, os.environ)
    in_the_way = [f"node.control_socket: {problem}"] if problem else []
    return Report(
        ok=not in_the_way
        and not page.problems
        and all(
            not proxy.problems and all(user.error is None for user in proxy.users)
            for proxy in proxies
        ),
        source=config.source,
        problems=[*in_the_way, *page.problems],
        warnings=[*page.warnings, *warnings.about_all(config)],
        proxies=proxies,
    )


def _excused(login: Login, cluster: Servers) -> Login:
    """A login at a server that is not used is no reason not to serve by the others."""
    unused = {
        each.server.address for each in cluster.reports if each.server.health == "UNAVAILABLE"
    }
    if cluster.target.state != "UP" or not login.error or str(login.host) not in unused:
        return login
    return replace(login, error="", untried=f"is not tried: {login.error}")


def _user_report(config: Config, name: str, login: Login) -> UserReport:
    if login.facts is None:
        error, untried = login.error or None, login.untried or None
        return UserReport(user=login.user, host=str(login.host), error=error, untried=untried)
    budget = warnings.budget(config.proxies[name], login.facts)
    return UserReport(
        user=login.user,
        host=str(login.host),
        facts=login.facts,
        limit=budget.limit,
        idle_limit=budget.idle_limit,
    )


def _lines(report: Report, config: Config) -> list[str]:
    lines = []
    for proxy in report.proxies:
        lines.append(f"proxy {proxy.name}: {', '.join(proxy.listen)} → {', '.join(proxy.hosts)}")
        lines += (f"  FAILED   {text}" for text in proxy.problems)
        lines += servers.lines(proxy.servers)
        told: set[str] = set()
        for user in proxy.users:
            where = f" on {user.host}" if len(proxy.hosts) > 1 else ""
            if user.untried is not None:
                lines.append(f'  untried  user "{user.user}"{where} {user.untried}')
                continue
            if user.facts is None:
                lines.append(f'  FAILED   user "{user.user}"{where}: {user.error}')
                continue
            if user.host not in told:
                told.add(user.host)
                lines.append(f"  {_limits(user, config.proxies[proxy.name])}")
            lines.append(
                f'  ok       user "{user.user}"{where} logs in: PostgreSQL'
                f" {user.facts.server_version}, {user.facts.tls or 'not encrypted'}"
            )
        lines += (
            f"  certificate  {each.what} expires on {each.day}" for each in proxy.certificates
        )
        lines += (f"  warning  {text}" for text in proxy.warnings)
    lines += (f"FAILED   {text}" for text in report.problems)
    lines += (f"warning  {text}" for text in report.warnings)
    count = len(report.warnings) + sum(len(proxy.warnings) for proxy in report.proxies)
    verdict = "would work" if report.ok else "would not work"
    counted = f" ({count} warning{'s' * (count > 1)})" if count else ""
    lines.append(f"{report.source} {verdict}{counted}")
    return lines


def _limits(user: UserReport, proxy: ProxySettings) -> str:
    assert user.facts is not None  # noqa: S101 - the caller looked
    budget = warnings.budget(proxy, user.facts)
    number = "" if budget.limit == budget.share else "the pool's max_connections, lower than "
    return (
        f"limits   {user.host}: {user.limit} database connections, {user.idle_limit} kept idle"
        f" ({number}{proxy.pool.max_connections_percent} % and"
        f" {proxy.pool.max_idle_connections_percent} % of max_connections"
        f" {user.facts.max_connections} less {user.facts.reserved} reserved)"
    )


def _print_json(report: Report) -> None:
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
