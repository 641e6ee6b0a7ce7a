"""SQLAlchemy 2 with its defaults on psycopg2, psycopg and asyncpg."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.work import in_threads


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(unique=True)
    books: orm.Mapped[list["Book"]] = orm.relationship(back_populates="author")


class Book(Base):
    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str]
    sold: orm.Mapped[int] = orm.mapped_column(default=0)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("author.id"))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


LIMIT = 4


@pytest.fixture
def small(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with few connections."""
    return start_forebay(postgres.port, database, pool=connections(LIMIT))


def url(forebay: Forebay, driver: str) -> sa.URL:
    return sa.make_url(forebay.dsn()).set(drivername=f"postgresql+{driver}")


@contextlib.contextmanager
def engine_on(forebay: Forebay, driver: str, **options: Any) -> Iterator[sa.Engine]:
    """An engine on psycopg2 or psycopg; its connections are closed in the end, come what may."""
    engine = sa.create_engine(url(forebay, driver), **options)
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.asynccontextmanager
async def engine_on_asyncpg(forebay: Forebay, **options: Any) -> AsyncIterator[AsyncEngine]:
    """An engine on asyncpg; its connections are closed in the end, come what may."""
    context = ssl.create_default_context(cafile=str(forebay.ca_file))
    address = url(forebay, "asyncpg").set(query={})
    engine = create_async_engine(address, connect_args={"ssl": context}, **options)
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture(params=["psycopg2", "psycopg"])
def engine(small: Forebay, request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    """An engine with its default pool: five connections, and ten more when those are in use."""
    with engine_on(small, request.param) as engine:
        Base.metadata.create_all(engine)
        yield engine


def test_the_orm(engine: sa.Engine) -> None:
    with orm.Session(engine) as session:
        author = Author(name="Ada", books=[Book(title=f"Volume {n}") for n in range(20)])
        session.add(author)
        session.commit()
        assert len({book.id for book in author.books}) == 20
        with pytest.raises(sa.exc.IntegrityError), session.begin_nested():
            session.add(Author(name="Ada"))
            session.flush()
        session.execute(sa.update(Book).where(Book.title == "Volume 3").values(sold=7))
        session.commit()
        best = session.scalars(sa.select(Book).order_by(Book.sold.desc()).limit(1)).one()
        assert (best.title, best.author.name) == ("Volume 3", "Ada")
        session.rollback()
    assert set(sa.inspect(engine).get_table_names()) == {"author", "book"}


def test_threads(engine: sa.Engine) -> None:
    with orm.Session(engine) as session:
        session.add(Author(name="Ada", books=[Book(title="One")]))
        session.commit()

    def work(number: int) -> None:
        for _ in range(4):
            with orm.Session(engine) as session, session.begin():
                book = session.scalars(sa.select(Book).with_for_update()).one()
                book.sold += 1

    in_threads(3 * LIMIT, work)
    with orm.Session(engine) as session:
        assert session.scalars(sa.select(Book.sold)).one() == 4 * 3 * LIMIT


def test_rows_that_are_streamed(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=100).execute(
            sa.text("SELECT n FROM generate_series(1, 5000) n")
        )
        assert sum(rows.scalars()) == 12_502_500


def test_isolation_levels_and_pre_ping(small: Forebay) -> None:
    options = {"isolation_level": "AUTOCOMMIT", "pool_pre_ping": True}
    with engine_on(small, "psycopg2", **options) as engine:
        for level in ("SERIALIZABLE", "REPEATABLE READ", "AUTOCOMMIT"):
            with engine.connect().execution_options(isolation_level=level) as connection:
                found = connection.scalar(sa.text("SHOW transaction_isolation"))
                assert found == ("read committed" if level == "AUTOCOMMIT" else level.lower())


async def test_asyncpg(small: Forebay) -> None:
    async with (
        asyncio.timeout(60),
        engine_on_asyncpg(small, pool_size=LIMIT, max_overflow=0) as engine,
    ):
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            session.add(Author(name="Ada", books=[Book(title=f"Volume {n}") for n in range(20)]))
            await session.commit()

        async def work(number: int) -> int:
            async with AsyncSession(engine) as session, session.begin():
                # UPDATE locks rows as it meets them: two sessions might in another order.
                await session.execute(sa.select(Book.id).order_by(Book.id).with_for_update())
                await session.execute(sa.update(Book).values(sold=Book.sold + 1))
                return await session.scalar(sa.select(sa.func.count()).select_from(Book))

        assert await asyncio.gather(*map(work, range(12))) == [20] * 12
        async with AsyncSession(engine) as session:
            assert await session.scalar(sa.select(sa.func.sum(Book.sold))) == 240
            rows = await session.stream(sa.text("SELECT generate_series(1, 1000)"))
            assert sum([number async for (number,) in rows]) == 500_500
